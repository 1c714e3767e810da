"""Images are made from directories and tar files, without root, the same bytes every time."""

import contextlib
import gzip
import lzma
import os
import shutil
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from image_making import KINDS, READABLE, content, entries, make, rootfs, umask
from image_samples import (
    AS_ROOT,
    EPOCH,
    EXT4_TOOLS,
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

from bistable.artifact.errors import RequestError
from bistable.artifact.image import (
    ImageKind,
    Kind,
    directory,
    open_image,
    walk_image,
)

__all__ = ["rootfs", "umask"]


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
