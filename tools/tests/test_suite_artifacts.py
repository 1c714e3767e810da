"""Where updates for a board come from: slot a of a disk, or an artifact; changed, signed and served."""

import threading
import urllib.request
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from commandline import KEYS
from disk_samples import DISK_TOOLS, EPOCH, build, call, in_image, layout, small_root, take
from suite_boards import board_of

from bistable.artifact import Policy, read_artifact, read_signer, read_verifiers, rootfs_request, write_artifact
from bistable.artifact.errors import RejectedError, RequestError
from bistable.artifact.extract import Layout as Into
from bistable.artifact.extract import extract_artifact
from bistable.artifact.image import ImageKind, ImageOptions, make_image
from bistable.artifact.writer import Options
from bistable.tools.board.model import Board, Flow
from bistable.tools.bringup.suite.changes import RELEASE_FILE, Put
from bistable.tools.bringup.suite.offers import ArtifactOffers, StallingServer
from bistable.tools.bringup.suite.source import copied_disk, slot_of_artifact, slot_of_disk, source_file

pytestmark = DISK_TOOLS

PRIVATE = KEYS / "ec256.key"
PUBLIC = KEYS / "ec256.pub"
ANSWER_SECONDS = 20.0


@pytest.fixture(scope="module")
def slot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("slot")
    image = folder / "slot.img"
    size = 8 << 20
    make_image(small_root(folder / "root"), image, ImageOptions(kind=ImageKind.EXT4, epoch=EPOCH, size=size))
    return image


def offers(slot: Path, folder: Path, stack: ExitStack, key: Path | None = None) -> ArtifactOffers:
    """Return offers that are served."""
    server = StallingServer(host="127.0.0.1", listen="127.0.0.1")
    made = ArtifactOffers(slot, device_type="acorn", key=key, folder=folder, server=server, epoch=EPOCH)
    return stack.enter_context(made)


def fetched(url: str, start: int = 0) -> bytes:
    """Return what the server sends from a byte on, as far as it comes."""
    request = urllib.request.Request(url, headers={"Range": f"bytes={start}-"})
    data = b""
    with urllib.request.urlopen(request, timeout=ANSWER_SECONDS) as answer:
        try:
            while piece := answer.read1(65536):
                data += piece
        except OSError:
            pass
    return data


def root_file_system(artifact: Path, folder: Path) -> Path:
    """Return the image that an artifact brings."""
    with artifact.open("rb") as file:
        return extract_artifact(file, Into(files=folder)).files[0]


# --- offers


def test_an_offer_is_the_slot_with_its_changes_and_says_its_name(slot: Path, tmp_path: Path) -> None:
    before = slot.read_bytes()
    with ExitStack() as stack:
        made = offers(slot, tmp_path, stack)
        url = made.offer("update-1", Put(path="/boot/vmlinuz", content=b"no kernel"))
        (tmp_path / "got.mender").write_bytes(fetched(url))
    image = root_file_system(tmp_path / "got.mender", tmp_path / "out")
    assert in_image(image, RELEASE_FILE) == "update-1\n"
    assert in_image(image, "/boot/vmlinuz") == "no kernel"
    assert in_image(image, "/usr/lib/tool") == "tool"
    assert slot.read_bytes() == before


def test_an_offer_is_for_the_type_of_the_board_and_signed_with_the_key(slot: Path, tmp_path: Path) -> None:
    with ExitStack() as stack:
        offers(slot, tmp_path, stack, PRIVATE).offer("update-1")
        with (tmp_path / "update-1.mender").open("rb") as file:
            artifact = read_artifact(file, Policy(verifiers=read_verifiers(PUBLIC)))
    assert artifact.head.header.info.artifact_name == "update-1"
    assert artifact.head.header.info.device_types == ("acorn",)


def test_what_was_offered_is_gone_when_it_is_cleared(slot: Path, tmp_path: Path) -> None:
    with ExitStack() as stack:
        made = offers(slot, tmp_path, stack)
        made.offer("update-1")
        made.clear()
        assert list(tmp_path.iterdir()) == []


def test_files_of_the_root_file_system_are_looked_up_as_the_device_would(slot: Path, tmp_path: Path) -> None:
    with ExitStack() as stack:
        made = offers(slot, tmp_path, stack)
        assert made.can_change
        assert made.has("/boot/vmlinuz")
        assert made.has("/lib/tool")
        assert not made.has("/sbin/init")


def test_a_squashfs_is_offered_as_it_is(tmp_path: Path) -> None:
    image = tmp_path / "slot.squashfs"
    make_image(small_root(tmp_path / "root"), image, ImageOptions(kind=ImageKind.SQUASHFS, epoch=EPOCH))
    with ExitStack() as stack:
        made = offers(image, tmp_path, stack)
        made.offer("update-1")
        assert not made.can_change
        assert made.has("/usr/lib/tool")
    brought = root_file_system(tmp_path / "update-1.mender", tmp_path / "out")
    assert brought.read_bytes() == image.read_bytes()


# --- a server that stalls


def test_a_stalled_device_gets_its_share_and_then_nothing_until_it_goes_on(slot: Path, tmp_path: Path) -> None:
    with ExitStack() as stack:
        made = offers(slot, tmp_path, stack)
        url = made.offer("update-1")
        size = (tmp_path / "update-1.mender").stat().st_size
        made.stall("update-1", 0.25)
        assert len(fetched(url)) == size // 4

        rest: list[bytes] = []
        asking = threading.Thread(target=lambda: rest.append(fetched(url, size // 4)))
        asking.start()
        assert made.wait_until_stalled(ANSWER_SECONDS)
        made.go_on()
        asking.join(ANSWER_SECONDS)
        # Who was kept waiting gets nothing, and may ask again.
        assert rest == [b""]
        assert len(fetched(url)) == size


def test_nobody_who_has_not_asked_for_the_rest_counts_as_stalled(slot: Path, tmp_path: Path) -> None:
    with ExitStack() as stack:
        made = offers(slot, tmp_path, stack)
        url = made.offer("update-1")
        made.stall("update-1", 0.5)
        fetched(url)
        assert not made.wait_until_stalled(0.0)


# --- where the root file system comes from


def board(**settings: str) -> Board:
    """Return a board with the layout of the samples."""
    return replace(board_of(Flow.UBOOT), layout=layout(**settings))


def test_slot_a_is_cut_out_of_a_disk(tmp_path: Path) -> None:
    wanted = board()
    assert wanted.layout is not None
    built = build(wanted.layout, small_root(tmp_path / "root"), tmp_path / "disk.img")
    whole = take(tmp_path / "disk.img", built, "rootfs-a", tmp_path / "expected")
    assert slot_of_disk(tmp_path / "disk.img", wanted, tmp_path, name="disk.img").read_bytes() == whole.read_bytes()


def test_no_more_is_cut_out_than_the_file_system_takes(tmp_path: Path) -> None:
    wanted = board()
    assert wanted.layout is not None
    small = tmp_path / "small.ext4"
    make_image(small_root(tmp_path / "root"), small, ImageOptions(kind=ImageKind.EXT4, epoch=EPOCH, size=8 << 20))
    build(wanted.layout, small, tmp_path / "disk.img")
    found = slot_of_disk(tmp_path / "disk.img", wanted, tmp_path, name="disk.img")
    assert found.stat().st_size == 8 << 20
    call("e2fsck", "-fn", found)


def test_a_disk_of_another_layout_is_refused(tmp_path: Path) -> None:
    wanted = board()
    (tmp_path / "empty.img").write_bytes(b"")
    call("truncate", "-s", "8M", tmp_path / "empty.img")
    with pytest.raises(RejectedError, match=r"cannot find a partition table in empty\.img"):
        slot_of_disk(tmp_path / "empty.img", wanted, tmp_path, name="empty.img")
    assert wanted.layout is not None
    build(wanted.layout, small_root(tmp_path / "root"), tmp_path / "disk.img")
    call("sfdisk", "--delete", tmp_path / "disk.img", "3")
    with pytest.raises(RequestError, match="there is no partition 3") as caught:
        slot_of_disk(tmp_path / "disk.img", wanted, tmp_path, name="disk.img")
    assert "is it an image for acorn?" in str(caught.value.hint)


def test_an_empty_slot_is_refused(tmp_path: Path) -> None:
    wanted = board()
    assert wanted.layout is not None
    built = build(wanted.layout, small_root(tmp_path / "root"), tmp_path / "disk.img")
    with (tmp_path / "disk.img").open("r+b") as file:
        file.seek(built.geometry.partition("rootfs-a").start)
        file.write(bytes(1 << 16))
    with pytest.raises(RejectedError, match="there is no file system in it"):
        slot_of_disk(tmp_path / "disk.img", wanted, tmp_path, name="disk.img")


def test_a_board_without_a_layout_of_a_disk_needs_an_artifact(tmp_path: Path) -> None:
    with pytest.raises(RequestError) as caught:
        slot_of_disk(tmp_path / "disk.img", board_of(Flow.CUSTOM), tmp_path, name="disk.img")
    assert "--artifact" in str(caught.value.hint)


def test_a_compressed_disk_is_unpacked(tmp_path: Path) -> None:
    wanted = board()
    assert wanted.layout is not None
    small_root(tmp_path / "root")
    build(wanted.layout, tmp_path / "root", tmp_path / "disk.img", epoch=EPOCH)
    build(wanted.layout, tmp_path / "root", tmp_path / "disk.img.zst", epoch=EPOCH)
    copied_disk(tmp_path / "disk.img.zst", tmp_path / "unpacked")
    copied_disk(tmp_path / "disk.img", tmp_path / "copied")
    assert (tmp_path / "unpacked").read_bytes() == (tmp_path / "disk.img").read_bytes()
    assert (tmp_path / "copied").read_bytes() == (tmp_path / "disk.img").read_bytes()


def test_the_root_file_system_of_an_artifact_is_taken_out_of_it(slot: Path, tmp_path: Path) -> None:
    request = rootfs_request(slot, name="base", device_types=["acorn"])
    write_artifact(tmp_path / "base.mender", request, Options(signer=read_signer(PRIVATE)))
    assert slot_of_artifact(tmp_path / "base.mender", tmp_path).read_bytes() == slot.read_bytes()


def test_what_a_run_began_with_is_known_by_its_digest(tmp_path: Path) -> None:
    (tmp_path / "disk.img").write_bytes(b"abc")
    found = source_file(tmp_path / "disk.img")
    assert (found.name, found.size) == ("disk.img", 3)
    assert found.sha256 == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="No such file"):
        source_file(tmp_path / "disk.img")
