"""Images are made from directories and tar files, without root, the same bytes every time."""

import contextlib
import gzip
import lzma
import os
import shutil
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from image_samples import (
    AS_ROOT,
    EPOCH,
    EXT4_TOOLS,
    ODD_NAMES,
    SBIN,
    call,
    is_clean,
    make_rootfs,
    member,
    needs,
    root_members,
    run_as_nobody,
    write_tar,
)

from bistable.artifact import run
from bistable.artifact.errors import MachineError, RequestError
from bistable.artifact.image import (
    Entry,
    ImageKind,
    ImageOptions,
    Kind,
    MadeImage,
    directory,
    list_directory,
    make_image,
    open_image,
    read_file,
    walk_image,
)

KINDS = [
    pytest.param(ImageKind.EXT4, marks=EXT4_TOOLS),
    pytest.param(ImageKind.SQUASHFS, marks=needs("sqfstar", "unsquashfs")),
    pytest.param(ImageKind.EROFS, marks=needs("mkfs.erofs", "fakeroot", "tar")),
]
READABLE = KINDS[:2]


@pytest.fixture(scope="module")
def rootfs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_rootfs(tmp_path_factory.mktemp("rootfs"))


@pytest.fixture
def umask() -> Iterator[Callable[[int], int]]:
    before = os.umask(0o022)
    yield os.umask
    os.umask(before)


def entries(image: Path) -> dict[str, Entry]:
    return {entry.path: entry for entry in walk_image(image) if entry.path != "/lost+found"}


def content(image: Path, path: str) -> bytes:
    parts: list[bytes] = []
    read_file(image, path, parts.append)
    return b"".join(parts)


def make(source: Path, target: Path, kind: ImageKind = ImageKind.EXT4, **more: object) -> MadeImage:
    return make_image(source, target, ImageOptions(kind=kind, **more))  # type: ignore[arg-type]


# --- what is in it


@pytest.mark.parametrize("kind", READABLE)
def test_a_directory_comes_out_as_it_went_in_but_owned_by_root(kind: ImageKind, rootfs: Path, tmp_path: Path) -> None:
    made = make(rootfs, tmp_path / "image", kind)
    found = entries(tmp_path / "image")
    assert set(found) == {"/", *(f"/{path.relative_to(rootfs)}" for path in rootfs.rglob("*"))}
    assert made.entries == len(found)
    with open_image(tmp_path / "image") as volume:
        for path, entry in found.items():
            real = rootfs / path[1:]
            status = real.lstat()
            assert entry.mode == status.st_mode & 0o7777, path
            assert (entry.uid, entry.gid) == (0, 0), path
            # A listing of squashfs has minutes only, and its root directory the time of the image.
            if (path, kind) != ("/", ImageKind.SQUASHFS):
                assert entry.mtime // 60 == int(status.st_mtime) // 60, path
            assert entry.target == (str(real.readlink()) if real.is_symlink() else ""), path
            if entry.kind is Kind.FILE and not path.startswith(("/many", "/usr/bin/applet")):
                assert b"".join(volume.chunks(entry)) == real.read_bytes(), path


@needs("mkfs.erofs", "fakeroot", "fsck.erofs")
def test_an_erofs_image_holds_the_directory(rootfs: Path, tmp_path: Path) -> None:
    make(rootfs, tmp_path / "image", ImageKind.EROFS)
    call("fsck.erofs", tmp_path / "image")
    assert "0644" in call("dump.erofs", "--path=/deep/er/and/deeper/file", tmp_path / "image")


@EXT4_TOOLS
def test_an_ext4_image_is_sound(rootfs: Path, tmp_path: Path) -> None:
    make(rootfs, tmp_path / "image")
    assert is_clean(tmp_path / "image")


@EXT4_TOOLS
def test_hard_links_stay_one_file(rootfs: Path, tmp_path: Path) -> None:
    make(rootfs, tmp_path / "image")
    found = entries(tmp_path / "image")
    assert found["/usr/bin/tool"].links == 201
    assert len({found[f"/usr/bin/applet-{number:03}"].inode for number in range(200)}) == 1


@EXT4_TOOLS
def test_holes_take_no_room(rootfs: Path, tmp_path: Path) -> None:
    make(rootfs, tmp_path / "image")
    assert "Blockcount: 16" in call("debugfs", "-R", "stat /sparse", tmp_path / "image")


@pytest.mark.parametrize("kind", READABLE)
def test_a_tar_keeps_owners_modes_devices_and_links(kind: ImageKind, tmp_path: Path) -> None:
    source = write_tar(tmp_path / "root.tar", root_members())
    make(source, tmp_path / "image", kind)
    found = entries(tmp_path / "image")
    assert found["/"].mode == 0o750
    assert (found["/usr/bin/sudo"].mode, found["/usr/bin/sudo"].uid, found["/usr/bin/sudo"].gid) == (
        0o6755,
        100_000,
        70_000,
    )
    assert (found["/dev/console"].kind, found["/dev/console"].device) == (Kind.CHARACTER_DEVICE, (5, 1))
    assert (found["/dev/far"].kind, found["/dev/far"].device) == (Kind.BLOCK_DEVICE, (259, 700))
    assert found["/dev/pipe"].kind is Kind.PIPE
    assert found["/usr/bin/link-to-link"].target == "usr/bin"
    assert found["/usr"].mode == 0o755, "a directory that the archive does not list"
    assert (found["/old"].mtime, found["/zero"].mtime) == (0, 0)
    assert content(tmp_path / "image", "/bin/sudoedit") == b"sudo"


@EXT4_TOOLS
def test_the_root_directory_may_have_an_owner_in_ext4_but_not_in_squashfs(tmp_path: Path) -> None:
    source = write_tar(tmp_path / "root.tar", [(member("./", tarfile.DIRTYPE, uid=3, gid=4), b""), (member("a"), b"")])
    make(source, tmp_path / "image")
    assert (entries(tmp_path / "image")["/"].uid, entries(tmp_path / "image")["/"].gid) == (3, 4)
    with pytest.raises(RequestError, match="owned by 3:4"):
        make(source, tmp_path / "squashed", ImageKind.SQUASHFS)


@needs("sqfstar")
def test_squashfs_refuses_a_time_that_is_still_to_come(tmp_path: Path) -> None:
    source = write_tar(tmp_path / "root.tar", [(member("a", mtime=2**31 - 1), b"")])
    with pytest.raises(RequestError, match="still to come"):
        make(source, tmp_path / "image", ImageKind.SQUASHFS)


@EXT4_TOOLS
def test_a_tar_keeps_extended_attributes(tmp_path: Path) -> None:
    make(write_tar(tmp_path / "root.tar", root_members()), tmp_path / "image")
    ((name, value),) = entries(tmp_path / "image")["/usr/bin/ping"].attributes
    assert (name, len(value), value[:6]) == ("security.capability", 20, b"\x01\x00\x00\x02\x00\x20")


@needs("sqfstar", "unsquashfs", "getcap")
@AS_ROOT
def test_squashfs_keeps_extended_attributes(tmp_path: Path) -> None:
    make(write_tar(tmp_path / "root.tar", root_members()), tmp_path / "image", ImageKind.SQUASHFS)
    call("unsquashfs", "-d", tmp_path / "out", tmp_path / "image", "usr/bin/ping")
    assert "cap_net_raw" in call("getcap", tmp_path / "out/usr/bin/ping")


@EXT4_TOOLS
@pytest.mark.parametrize("compress", [bytes, gzip.compress, lzma.compress, "zstd"])
def test_a_compressed_tar_makes_the_same_image(compress: Callable[[bytes], bytes] | str, tmp_path: Path) -> None:
    plain = write_tar(tmp_path / "root.tar", root_members())
    if compress == "zstd":
        compress = pytest.importorskip("zstandard").compress
    assert callable(compress)
    (tmp_path / "packed").write_bytes(compress(plain.read_bytes()))
    make(plain, tmp_path / "one")
    make(tmp_path / "packed", tmp_path / "two")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


@EXT4_TOOLS
def test_a_sparse_member_is_expanded(tmp_path: Path) -> None:
    (tmp_path / "top").mkdir()
    with (tmp_path / "top/file").open("wb") as file:
        file.seek(3_000_000)
        file.write(b"end")
    call("tar", "--sparse", "-cf", tmp_path / "root.tar", "-C", tmp_path / "top", "file")
    make(tmp_path / "root.tar", tmp_path / "image")
    assert content(tmp_path / "image", "/file") == bytes(3_000_000) + b"end"


@EXT4_TOOLS
def test_a_later_member_replaces_an_earlier_one_but_not_its_hard_links(tmp_path: Path) -> None:
    source = write_tar(
        tmp_path / "root.tar",
        [
            (member("file"), b"old"),
            (member("link", tarfile.LNKTYPE, linkname="file"), b""),
            (member("file"), b"new"),
        ],
    )
    make(source, tmp_path / "image")
    assert (content(tmp_path / "image", "/file"), content(tmp_path / "image", "/link")) == (b"new", b"old")


@EXT4_TOOLS
def test_the_mode_of_a_directory_made_for_building_does_not_get_in(rootfs: Path, tmp_path: Path) -> None:
    rootfs.chmod(0o700)
    make(rootfs, tmp_path / "image")
    rootfs.chmod(0o755)
    assert entries(tmp_path / "image")["/"].mode == 0o755


@EXT4_TOOLS
@AS_ROOT
def test_owners_of_a_directory_are_kept_if_asked_for(tmp_path: Path) -> None:
    (tmp_path / "top").mkdir()
    (tmp_path / "top/file").write_bytes(b"")
    os.chown(tmp_path / "top/file", 70_000, 6)
    make(tmp_path / "top", tmp_path / "image", keep_owners=True)
    found = entries(tmp_path / "image")["/file"]
    assert (found.uid, found.gid) == (70_000, 6)


@EXT4_TOOLS
def test_a_socket_is_left_out_and_named(tmp_path: Path) -> None:
    import socket

    (tmp_path / "top").mkdir()
    (tmp_path / "top/file").write_bytes(b"")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.path.relpath(tmp_path / "top/agent"))
    made = make(tmp_path / "top", tmp_path / "image")
    assert made.left_out == ("/agent: a socket",)
    assert "/agent" not in entries(tmp_path / "image")


# --- the same bytes


@pytest.mark.parametrize("kind", KINDS)
def test_order_umask_and_place_make_no_difference(
    kind: ImageKind,
    rootfs: Path,
    tmp_path: Path,
    umask: Callable[[int], int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    umask(0o077)
    one = make(rootfs, tmp_path / "one", kind)
    umask(0)
    again = make_rootfs(tmp_path / "another place", backwards=True)

    monkeypatch.setattr(directory, "os", BackwardsOs())
    place = Path("/dev/shm") if Path("/dev/shm").is_dir() else tmp_path
    with tempfile.TemporaryDirectory(dir=place) as elsewhere:
        two = make(again, Path(elsewhere) / "two", kind)
        assert (tmp_path / "one").read_bytes() == two.path.read_bytes()
    assert one.uuid == two.uuid


class BackwardsOs:
    """The module `os`, but directories list their content the other way round."""

    def __getattr__(self, name: str) -> object:
        return getattr(os, name)

    def scandir(self, path: bytes) -> "contextlib.AbstractContextManager[list[os.DirEntry[bytes]]]":
        with os.scandir(path) as found:
            return contextlib.nullcontext(list(found)[::-1])


@AS_ROOT
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", ["directory", "tar"])
def test_root_and_nobody_make_the_same_image(kind: ImageKind, form: str, umask: Callable[[int], int]) -> None:
    umask(0o022)
    with tempfile.TemporaryDirectory() as name:
        top = Path(name)
        top.chmod(0o755)
        (top / "out").mkdir()
        os.chown(top / "out", 65534, 65534)
        if form == "directory":
            source = make_rootfs(top / "rootfs")
            (source / "etc/shadow").chmod(0o444)
        else:
            # What mkfs.erofs can be given by root only is not in it.
            source = write_tar(top / "root.tar", [pair for pair in root_members() if not pair[0].pax_headers])
        make(source, top / "by-root", kind)
        run_as_nobody(
            "make_image(Path(arguments[0]), Path(arguments[1]), ImageOptions(kind=ImageKind(arguments[2])))",
            *(source, top / "out/by-nobody", kind.value),
        )
        assert (top / "by-root").read_bytes() == (top / "out/by-nobody").read_bytes()
        assert [path.name for path in (top / "out").iterdir()] == ["by-nobody"]


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        pytest.param(ImageKind.EXT4, {}, marks=EXT4_TOOLS),
        pytest.param(ImageKind.SQUASHFS, {"compression": "none"}, marks=needs("sqfstar")),
        pytest.param(ImageKind.EROFS, {"compression": "none"}, marks=needs("mkfs.erofs", "fakeroot")),
    ],
)
def test_the_time_of_the_build_is_nowhere_in_the_image(
    kind: ImageKind, more: dict[str, str], rootfs: Path, tmp_path: Path
) -> None:
    make(rootfs, tmp_path / "image", kind, epoch=EPOCH, **more)
    now = int((tmp_path / "image").stat().st_mtime)
    raw = memoryview((tmp_path / "image").read_bytes())
    words = raw[: len(raw) // 4 * 4].cast("I")
    assert not [at for at, word in enumerate(words) if now - 7200 <= word <= now + 7200]


@pytest.mark.parametrize("kind", READABLE)
def test_later_times_become_the_epoch_and_earlier_ones_stay(kind: ImageKind, rootfs: Path, tmp_path: Path) -> None:
    made = make(rootfs, tmp_path / "image", kind, epoch=EPOCH)
    times = {entry.mtime // 60 for entry in walk_image(tmp_path / "image")}
    assert times <= {0, (EPOCH - 1000) // 60, EPOCH // 60}
    assert made.time == EPOCH


@EXT4_TOOLS
def test_without_an_epoch_the_latest_time_of_the_source_is_the_images_own(rootfs: Path, tmp_path: Path) -> None:
    made = make(rootfs, tmp_path / "image")
    assert made.time == EPOCH + 1000
    with open_image(tmp_path / "image") as volume:
        assert volume.superblock.write_time == EPOCH + 1000  # type: ignore[attr-defined]


@EXT4_TOOLS
def test_the_epoch_may_be_zero(rootfs: Path, tmp_path: Path) -> None:
    make(rootfs, tmp_path / "image", epoch=0)
    assert {entry.mtime for entry in entries(tmp_path / "image").values()} == {0}
    assert is_clean(tmp_path / "image")


@EXT4_TOOLS
def test_settings_of_the_machine_make_no_difference(
    rootfs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(rootfs, tmp_path / "one")
    (tmp_path / "conf").write_text("[defaults]\nblocksize = 1024\nerrors = remount-ro\n")
    # A machine with another /etc/mke2fs.conf, which counts unless something else is named.
    (tmp_path / "mke2fs").write_text(
        f"#!/bin/sh\nexport MKE2FS_CONFIG=${{MKE2FS_CONFIG:-{tmp_path}/conf}}\n"
        f'exec {shutil.which("mke2fs", path=SBIN)} "$@"\n'
    )
    (tmp_path / "mke2fs").chmod(0o755)
    monkeypatch.setenv("PATH", os.pathsep.join([str(tmp_path), SBIN]))
    monkeypatch.setenv("E2FSPROGS_FAKE_TIME", "12345")
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "12345")
    make(rootfs, tmp_path / "two")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


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
    original = mkext4.run_script

    def change_and_run(*arguments: object, **more: object) -> None:
        (tmp_path / "top/file").write_bytes(b"and after")
        original(*arguments, **more)  # type: ignore[arg-type]

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
