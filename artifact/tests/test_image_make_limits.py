"""How large images get, and what is refused instead of made into one."""

import gzip
import os
import tarfile
from pathlib import Path
from typing import BinaryIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from image_making import KINDS, content, make, rootfs
from image_samples import (
    AS_ROOT,
    EXT4_TOOLS,
    ODD_NAMES,
    call,
    is_clean,
    member,
    needs,
    root_members,
    write_tar,
)

from bistable.artifact import run
from bistable.artifact.errors import MachineError, RequestError
from bistable.artifact.image import (
    ImageKind,
    list_directory,
    open_image,
)
from bistable.artifact.image.debugfs import Script, run_script

__all__ = ["rootfs"]


# --- size and features


@EXT4_TOOLS
@pytest.mark.parametrize("size", [8 << 20, 64 << 20, 300 << 20])
def test_an_image_has_exactly_the_size_that_was_asked_for(size: int, tmp_path: Path) -> None:
    made = make(write_tar(tmp_path / "root.tar", root_members()), tmp_path / "image", size=size)
    assert made.size == size == (tmp_path / "image").stat().st_size


@EXT4_TOOLS
def test_a_size_that_is_too_small_is_refused_with_one_that_is_not(tmp_path: Path) -> None:
    (tmp_path / "top").mkdir()
    (tmp_path / "top/file").write_bytes(os.urandom(12 << 20))
    with pytest.raises(RequestError, match="cannot make an image of 10000000 bytes") as caught:
        make(tmp_path / "top", tmp_path / "image", size=10_000_000)
    assert not (tmp_path / "image").exists()
    needed = int(caught.value.what.rsplit(" ", 1)[1])
    assert make(tmp_path / "top", tmp_path / "image", size=needed).size == needed
    assert needed < 20 << 20


@EXT4_TOOLS
@pytest.mark.parametrize("margin", [0, 100])
def test_the_automatic_size_leaves_the_margin_free(margin: int, tmp_path: Path) -> None:
    (tmp_path / "top").mkdir()
    (tmp_path / "top/file").write_bytes(os.urandom(20 << 20))
    make(tmp_path / "top", tmp_path / "image", margin_percent=margin)
    with open_image(tmp_path / "image") as volume:
        free = volume.superblock.free_blocks * 4096  # type: ignore[attr-defined]
    assert (20 << 20) * margin // 100 <= free <= (20 << 20) * margin // 100 + (3 << 20)


@EXT4_TOOLS
def test_the_default_features_are_what_older_boot_loaders_read(tmp_path: Path) -> None:
    make(write_tar(tmp_path / "root.tar", root_members()), tmp_path / "image", label="root-a")
    told = call("dumpe2fs", "-h", tmp_path / "image")
    assert not {"metadata_csum_seed", "orphan_file", "64bit"} & set(told.split())
    assert {"has_journal", "extent", "metadata_csum"} <= set(told.split())
    assert "root-a" in told


@EXT4_TOOLS
def test_features_can_be_chosen(tmp_path: Path) -> None:
    source = write_tar(tmp_path / "root.tar", [(member("file"), b"x" * 100_000)])
    make(source, tmp_path / "image", features=("filetype", "sparse_super"))
    told = call("dumpe2fs", "-h", tmp_path / "image")
    assert not {"has_journal", "extent", "metadata_csum"} & set(told.split())
    assert is_clean(tmp_path / "image")


@EXT4_TOOLS
def test_attributes_are_not_lost_silently_without_the_feature_for_them(tmp_path: Path) -> None:
    source = write_tar(tmp_path / "root.tar", root_members())
    with pytest.raises(RequestError, match=r"/usr/bin/ping.*ext_attr"):
        make(source, tmp_path / "image", features=("filetype", "sparse_super"))


# --- what cannot be made


def test_a_missing_source_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="does not exist"):
        make(tmp_path / "nothing", tmp_path / "image")


def test_an_empty_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "top").mkdir()
    with pytest.raises(RequestError, match="it is empty"):
        make(tmp_path / "top", tmp_path / "image")


@AS_ROOT
def test_a_kind_that_cannot_be_made_is_refused(rootfs: Path, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="ext4, squashfs, erofs"):
        make(rootfs, tmp_path / "image", ImageKind.VFAT)


@pytest.mark.parametrize("kind", [ImageKind.SQUASHFS, ImageKind.EROFS])
@pytest.mark.parametrize("more", [{"size": 1 << 20}, {"label": "x"}])
def test_options_of_ext4_are_refused_for_others(
    kind: ImageKind, more: dict[str, object], rootfs: Path, tmp_path: Path
) -> None:
    with pytest.raises(RequestError, match=f"{kind.value} image"):
        make(rootfs, tmp_path / "image", kind, **more)


@EXT4_TOOLS
def test_a_name_with_a_line_break_cannot_become_a_command(tmp_path: Path) -> None:
    (tmp_path / "top").mkdir()
    (tmp_path / "top/a\nrm etc").write_bytes(b"")
    with pytest.raises(RequestError, match="line breaks"):
        make(tmp_path / "top", tmp_path / "image")
    assert [path.name for path in tmp_path.iterdir()] == ["top"]


@needs("sqfstar", "unsquashfs")
def test_squashfs_takes_a_name_with_a_line_break(tmp_path: Path) -> None:
    (tmp_path / "top").mkdir()
    (tmp_path / "top/a\nb").write_bytes(b"there")
    make(tmp_path / "top", tmp_path / "image", ImageKind.SQUASHFS)
    call("unsquashfs", "-d", tmp_path / "out", tmp_path / "image")
    assert (tmp_path / "out/a\nb").read_bytes() == b"there"


@needs("mkfs.erofs", "fakeroot")
def test_attributes_that_erofs_cannot_be_given_are_not_lost_silently(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(RequestError, match=r"/usr/bin/ping.*extended attributes"):
        make(write_tar(tmp_path / "root.tar", root_members()), tmp_path / "image", ImageKind.EROFS)


@AS_ROOT
@needs("mkfs.erofs", "dump.erofs")
def test_root_can_give_erofs_attributes(tmp_path: Path) -> None:
    make(write_tar(tmp_path / "root.tar", root_members()), tmp_path / "image", ImageKind.EROFS)
    assert "Xattr size: 0" not in call("dump.erofs", "--path=/usr/bin/ping", tmp_path / "image")


@pytest.mark.parametrize("kind", KINDS)
def test_a_missing_tool_is_named_with_its_package_and_leaves_nothing(
    kind: ImageKind, rootfs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(run, "SYSTEM_DIRECTORIES", ())
    with pytest.raises(MachineError, match="not found") as caught:
        make(rootfs, tmp_path / "image", kind)
    assert caught.value.hint is not None
    assert "install the package" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


@EXT4_TOOLS
def test_a_failure_leaves_the_old_image_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "top").mkdir()
    (tmp_path / "top/file").write_bytes(os.urandom(9 << 20))
    (tmp_path / "image").write_bytes(b"old")
    with pytest.raises(RequestError):
        make(tmp_path / "top", tmp_path / "image", size=9 << 20)
    assert (tmp_path / "image").read_bytes() == b"old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["image", "top"]


@EXT4_TOOLS
def test_a_source_that_changes_while_it_is_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from bistable.artifact.image import mkext4

    (tmp_path / "top").mkdir()
    (tmp_path / "top/file").write_bytes(b"before")

    def change_and_run(image: BinaryIO, script: Script, *, cwd: Path) -> None:
        (tmp_path / "top/file").write_bytes(b"and after")
        run_script(image, script, cwd=cwd)

    monkeypatch.setattr(mkext4, "run_script", change_and_run)
    with pytest.raises(RequestError, match="changed while it was read"):
        make(tmp_path / "top", tmp_path / "image")


# --- hostile archives

HOSTILE = {
    "climbing": [(member("../escaped"), b"x")],
    "climbing further down": [(member("a/../../escaped"), b"x")],
    "below a link": [(member("up", tarfile.SYMTYPE, linkname=".."), b""), (member("up/escaped"), b"x")],
    "below a link out": [(member("up", tarfile.SYMTYPE, linkname="/tmp"), b""), (member("up/escaped"), b"x")],
    "below a file": [(member("a"), b""), (member("a/b"), b"x")],
    "hard link out": [(member("a", tarfile.LNKTYPE, linkname="../../etc/passwd"), b"")],
    "hard link to nothing": [(member("a", tarfile.LNKTYPE, linkname="etc/passwd"), b"")],
    "hard link to a directory": [
        (member("d", tarfile.DIRTYPE), b""),
        (member("a", tarfile.LNKTYPE, linkname="d"), b""),
    ],
    "a directory that becomes a file": [(member("a", tarfile.DIRTYPE), b""), (member("a"), b"x")],
    "an unknown type": [(member("a", b"V"), b"")],
    "a link to nothing": [(member("a", tarfile.SYMTYPE), b"")],
    "a name that is too long": [(member("n" * 256), b"")],
    "a negative owner": [(member("a", pax_headers={"uid": "-5"}), b"")],
    "nothing": [],
    "only its root": [(member("./", tarfile.DIRTYPE), b"")],
    "a line break": [(member("a\nrm b"), b"")],
    "lost+found as a file": [(member("lost+found"), b"x")],
}


@EXT4_TOOLS
@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_archive_is_refused_and_writes_nowhere(case: str, tmp_path: Path) -> None:
    source = write_tar(tmp_path / "root.tar", HOSTILE[case])
    (tmp_path / "work").mkdir()
    with pytest.raises(RequestError):
        make(source, tmp_path / "work/image")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["root.tar", "work"]


@EXT4_TOOLS
def test_an_absolute_name_means_the_root_of_the_image(tmp_path: Path) -> None:
    source = write_tar(tmp_path / "root.tar", [(member("/etc/motd"), b"hello")])
    make(source, tmp_path / "image")
    assert content(tmp_path / "image", "/etc/motd") == b"hello"


@EXT4_TOOLS
def test_odd_names_in_an_archive_arrive_as_they_are(tmp_path: Path) -> None:
    names = [*ODD_NAMES, "not-\udcff-utf8", "'", "$(reboot)", " leading", "trailing "]
    source = write_tar(
        tmp_path / "root.tar", [(member(f"d/{name}"), name.encode("utf-8", "replace")) for name in names]
    )
    make(source, tmp_path / "image")
    assert {entry.name for entry in list_directory(tmp_path / "image", "/d")} == set(names)


def truncations() -> list[int]:
    return [0, 1, 511, 512, 700, 1024, 1536, 5000]


@EXT4_TOOLS
@pytest.mark.parametrize("kept", truncations())
def test_an_archive_that_is_cut_off_is_refused(kept: int, tmp_path: Path) -> None:
    whole = write_tar(tmp_path / "root.tar", root_members()).read_bytes()
    (tmp_path / "cut.tar").write_bytes(whole[:kept])
    with pytest.raises(RequestError):
        make(tmp_path / "cut.tar", tmp_path / "image")


@EXT4_TOOLS
def test_an_archive_that_ends_between_two_members_is_said_to_be_cut_off(tmp_path: Path) -> None:
    whole = write_tar(tmp_path / "root.tar", [(member("a"), b"x"), (member("b"), b"y")]).read_bytes()
    (tmp_path / "cut.tar").write_bytes(whole[:1024])
    with pytest.raises(RequestError, match="cut off"):
        make(tmp_path / "cut.tar", tmp_path / "image")


@EXT4_TOOLS
def test_a_damaged_header_in_the_middle_is_not_the_end(tmp_path: Path) -> None:
    source = write_tar(tmp_path / "root.tar", [(member("a"), b"x"), (member("b"), b"y")])
    raw = bytearray(source.read_bytes())
    raw[raw.index(b"b\x00")] = ord("c")
    source.write_bytes(raw)
    with pytest.raises(RequestError, match="header is damaged"):
        make(source, tmp_path / "image")


@EXT4_TOOLS
@pytest.mark.parametrize("flag", [tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME])
def test_an_extension_header_of_many_megabytes_is_refused(flag: bytes, tmp_path: Path) -> None:
    size = 2 << 20
    source = write_tar(tmp_path / "root.tar", [(member("long", flag), b"x" * size), (member("a"), b"x")])
    with pytest.raises(RequestError, match="extension header is too large"):
        make(source, tmp_path / "image")


@EXT4_TOOLS
def test_a_damaged_checksum_of_the_compression_is_noticed(tmp_path: Path) -> None:
    packed = bytearray(gzip.compress(write_tar(tmp_path / "root.tar", root_members()).read_bytes()))
    packed[-6] ^= 1
    (tmp_path / "root.tar.gz").write_bytes(packed)
    with pytest.raises(RequestError):
        make(tmp_path / "root.tar.gz", tmp_path / "image")


@settings(max_examples=60)
@given(st.data())
def test_damage_to_an_archive_is_refused_or_harmless(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    from bistable.artifact.image.tarball import add_tar
    from bistable.artifact.image.tree import TreeBuilder

    top = tmp_path_factory.mktemp("archive")
    raw = bytearray(write_tar(top / "root.tar", root_members()).read_bytes())
    for _ in range(data.draw(st.integers(1, 6))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    (top / "root.tar").write_bytes(raw)
    (top / "staging").mkdir()
    builder = TreeBuilder("root.tar")
    try:
        add_tar(builder, top / "root.tar", top / "staging")
        builder.build(base=top / "staging", epoch=None)
    except RequestError:
        pass
    assert {path.name for path in top.iterdir()} == {"root.tar", "staging"}
    assert all(path.name.isdigit() for path in (top / "staging").iterdir())
