"""What a board starts is looked for in its root file system."""

import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from board_samples import DISK, QEMU, board, changed
from image_samples import needs

from bistable.artifact.errors import RequestError
from bistable.artifact.image import ImageKind, ImageOptions, make_image
from bistable.tools.board.check import Finding, Level, check_board, open_root

MIB = 1 << 20
DEVICETREE = b"\xd0\x0d\xfe\xed" + bytes(60)


def image(size: int = 4096, *, memory: int = 0) -> bytes:
    """Return a kernel for arm64 of `size` bytes that says that it takes `memory`."""
    head = bytes(16) + memory.to_bytes(8, "little") + bytes(32) + b"ARM\x64"
    return head + bytes(size - len(head))


KERNELS = {
    "arm64": image(),
    "riscv64": bytes(0x38) + b"RSC\x05" + bytes(100),
    "armhf": bytes(0x24) + b"\x18\x28\x6f\x01" + bytes(100),
    "amd64": bytes(0x202) + b"HdrS" + bytes(100),
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    top = tmp_path / "root"
    (top / "boot").mkdir(parents=True)
    (top / "boot/Image-6.6").write_bytes(image())
    (top / "boot/Image").symlink_to("Image-6.6")
    (top / "boot/acorn-2.dtb").write_bytes(DEVICETREE)
    return top


def found(source: Path, text: str = DISK, *changes: tuple[str, str]) -> tuple[Finding, ...]:
    with open_root(source) as opened:
        return check_board(board(text, *changes), root=opened)


def only(findings: tuple[Finding, ...]) -> Finding:
    assert len(findings) == 1, [finding.what for finding in findings]
    return findings[0]


# --- sources


def sources(root: Path, folder: Path) -> Iterator[Path]:
    yield root
    with tarfile.open(folder / "root.tar", "w") as archive:
        archive.add(root, arcname=".")
    yield folder / "root.tar"
    for kind in (ImageKind.EXT4, ImageKind.SQUASHFS):
        target = folder / f"root.{kind.value}"
        make_image(root, target, ImageOptions(kind=kind, size=16 * MIB if kind is ImageKind.EXT4 else None))
        yield target


@needs("mke2fs", "debugfs", "mksquashfs", "unsquashfs")
def test_directories_tar_files_and_images_are_looked_into(root: Path, tmp_path: Path) -> None:
    for source in sources(root, tmp_path):
        assert found(source) == (), source
        missing = only(found(source, DISK, ("acorn-2.dtb", "acorn-3.dtb")))
        assert (missing.level, missing.where) == (Level.ERROR, "[boot] devicetree")


def test_a_source_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="does not exist"), open_root(tmp_path / "none"):
        pass


# --- what is in it


@pytest.mark.parametrize("key", ["kernel", "devicetree"])
def test_what_is_not_there_is_an_error_that_says_where_to_look(root: Path, key: str) -> None:
    (root / "boot/acorn-2.dtb").unlink() if key == "devicetree" else (root / "boot/Image").unlink()
    finding = only(found(root))
    assert (finding.level, finding.where) == (Level.ERROR, f"[boot] {key}")
    assert "is not in the root file system" in finding.what
    assert "look into /boot" in finding.hint


def test_a_folder_that_is_not_there_either_is_not_named_as_a_place_to_look(root: Path) -> None:
    finding = only(found(root, DISK, ("/boot/acorn-2.dtb", "/boot/dtb/ti/acorn-2.dtb")))
    assert "look into /boot of" in finding.hint


def test_a_folder_is_no_kernel(root: Path) -> None:
    (root / "boot/Image").unlink()
    (root / "boot/Image").mkdir()
    assert "/boot/Image is a directory there" in only(found(root)).what


def test_a_kernel_for_another_processor_is_an_error(root: Path) -> None:
    (root / "boot/Image-6.6").write_bytes(KERNELS["armhf"])
    assert "a kernel for armhf" in only(found(root)).what


@pytest.mark.parametrize(
    ("head", "words"),
    [(b"\x27\x05\x19\x56", "uImage"), (DEVICETREE, "FIT"), (b"\x1f\x8b\x08", "gzip"), (b"\x7fELF", "ELF")],
)
def test_a_kernel_in_a_wrapper_is_an_error_whatever_it_is_called(root: Path, head: bytes, words: str) -> None:
    (root / "boot/Image-6.6").write_bytes(head + bytes(1000))
    assert words in only(found(root)).what


def test_a_kernel_that_nobody_knows_is_left_alone(root: Path) -> None:
    (root / "boot/Image-6.6").write_bytes(b"kernel")
    assert found(root) == ()


def test_what_is_no_device_tree_is_an_error(root: Path) -> None:
    (root / "boot/acorn-2.dtb").write_bytes(b"/dts-v1/;")
    assert "no compiled device tree" in only(found(root)).what


# --- room


def fill(path: Path, size: int) -> None:
    with path.open("wb") as file:
        file.truncate(size)


def test_a_system_that_is_larger_than_a_slot_is_an_error(root: Path) -> None:
    fill(root / "big", 65 * MIB)
    finding = only(found(root, DISK, ('"2 GiB"', '"64 MiB"')))
    assert (finding.level, finding.where) == (Level.ERROR, "[slots] size")


def test_a_system_that_nearly_fills_a_slot_is_a_warning(root: Path) -> None:
    fill(root / "big", 60 * MIB)
    finding = only(found(root, DISK, ('"2 GiB"', '"64 MiB"')))
    assert finding.level is Level.WARNING
    assert "93 %" in finding.what


def test_kernels_of_both_slots_have_to_fit_where_the_firmware_reads_them(root: Path) -> None:
    (root / "boot/bzImage").write_bytes(KERNELS["amd64"] + bytes(40 * MIB))
    text = changed(QEMU, ('loader = "grub"', 'loader = "systemd-boot"'), ("[environment]\n", ""))
    text = changed(text, ('size = "1 KiB"\noffsets = ["0", "1 MiB"]\n', ""))
    finding = only(found(root, text))
    assert finding.where == "[boot-partition] size"
    assert "twice" in finding.what


def test_a_kernel_is_measured_with_what_it_sets_to_zero(root: Path) -> None:
    """U-Boot loads the file, and the kernel then takes what its head says."""
    (root / "boot/Image-6.6").write_bytes(image(memory=42 * MIB))
    assert found(root) == ()
    (root / "boot/Image-6.6").write_bytes(image(memory=43 * MIB))
    finding = only(found(root))
    assert (finding.level, finding.where) == (Level.ERROR, "[uboot] addresses")
    assert "guess" not in finding.what
