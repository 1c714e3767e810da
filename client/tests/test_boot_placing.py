"""Boot files of a slot: taken out of it as if it were the root, and put where the boot loader looks, or an error."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from client_boot_firmware import SystemdBootDevice
from client_slots import MIB, A, B, FakeBoot, Image, file_slots, make_file_system, mounting

from bistable.client.boot.placing import Kernel, inside, kernel_files, place_files
from bistable.client.errors import BootError, ProgramError, SlotError
from bistable.client.install import RootfsPayload
from bistable.client.model import SlotName
from bistable.client.mounting import mounted_for_reading, mounted_for_writing

KERNEL = Kernel(image=Path("/boot/vmlinuz"), initrd=Path("/boot/initrd.img"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A new system whose kernel is behind links, as Debian has it."""
    root = tmp_path / "root"
    (root / "boot").mkdir(parents=True)
    (root / "usr/lib/kernel").mkdir(parents=True)
    (root / "boot/vmlinuz-6.1").write_bytes(b"kernel" * 1000)
    (root / "usr/lib/kernel/initrd").write_bytes(b"initrd" * 2000)
    (root / "boot/vmlinuz").symlink_to("vmlinuz-6.1")
    (root / "boot/initrd.img").symlink_to("/usr/lib/./kernel/../kernel/initrd")
    return root


def content(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


# --- in the slot


def test_links_of_a_slot_lead_to_its_own_files(root: Path) -> None:
    assert inside(root, Path("/boot/vmlinuz")) == root / "boot/vmlinuz-6.1"
    assert inside(root, Path("/boot/initrd.img")) == root / "usr/lib/kernel/initrd"
    assert inside(root, Path("/../../boot/./vmlinuz-6.1")) == root / "boot/vmlinuz-6.1"


def test_links_do_not_lead_out_of_the_slot(root: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    (root / "boot/out").symlink_to("../../secret")
    (root / "boot/far").symlink_to(tmp_path / "secret")
    for name in ("/boot/out", "/boot/far", "/../secret"):
        with pytest.raises(BootError, match=f"cannot find {name} in the new system"):
            inside(root, Path(name))


def test_links_in_a_circle_end(root: Path) -> None:
    (root / "boot/one").symlink_to("two")
    (root / "boot/two").symlink_to("one")
    with pytest.raises(BootError, match="its links lead nowhere"):
        inside(root, Path("/boot/one"))


def test_a_kernel_that_is_missing_is_named(root: Path) -> None:
    with pytest.raises(BootError, match="cannot find /boot/zImage in the new system: No such file") as caught:
        kernel_files(root, Kernel(image=Path("/boot/zImage")))
    assert "boot.kernel" in str(caught.value.hint)


# --- into place


def test_files_are_put_into_place_and_others_left_alone(root: Path, tmp_path: Path) -> None:
    there = tmp_path / "esp/EFI/bistable/b"
    there.mkdir(parents=True)
    (there / "options").write_text("root=/dev/x\n")
    place_files(kernel_files(root, KERNEL), there)
    assert content(there) == {
        "linux.efi": b"kernel" * 1000,
        "initrd.img": b"initrd" * 2000,
        "options": b"root=/dev/x\n",
    }


def test_placing_may_be_repeated_and_does_not_write_what_is_there(root: Path, tmp_path: Path) -> None:
    there = tmp_path / "esp"
    place_files(kernel_files(root, KERNEL), there)
    before = {path: path.stat().st_ino for path in there.iterdir()}
    place_files(kernel_files(root, KERNEL), there)
    assert {path: path.stat().st_ino for path in there.iterdir()} == before


@pytest.mark.parametrize(
    "left",
    [
        {"linux.efi": b"kern"},
        {".linux.efi.0a1b2c3d4e5f.part": b"kernelk"},
        {"linux.efi": b"kernel" * 1000, ".initrd.img.0a1b2c3d4e5f.part": b"ini"},
        {"linux.efi": b"KERNEL" * 1000, "initrd.img": b""},
    ],
)
def test_what_a_power_cut_left_is_cleared_and_made_whole(left: dict[str, bytes], root: Path, tmp_path: Path) -> None:
    there = tmp_path / "esp"
    there.mkdir()
    for name, data in left.items():
        (there / name).write_bytes(data)
    place_files(kernel_files(root, KERNEL), there)
    assert content(there) == {"linux.efi": b"kernel" * 1000, "initrd.img": b"initrd" * 2000}


def test_an_empty_kernel_is_refused_before_the_old_one_is_gone(root: Path, tmp_path: Path) -> None:
    there = tmp_path / "esp"
    place_files(kernel_files(root, KERNEL), there)
    before = content(there)
    (root / "boot/vmlinuz-6.1").write_bytes(b"")
    with pytest.raises(BootError, match=r"cannot use .*vmlinuz-6.1 of the new system: it is empty"):
        place_files(kernel_files(root, KERNEL), there)
    (root / "boot/vmlinuz-6.1").unlink()
    (root / "boot/vmlinuz-6.1").mkdir()
    with pytest.raises(BootError, match="it is not a file"):
        place_files(kernel_files(root, KERNEL), there)
    assert content(there) == before


def test_what_is_given_as_bytes_is_never_gone(root: Path, tmp_path: Path) -> None:
    there = tmp_path / "esp"
    (there / "kernel.img/file").mkdir(parents=True)
    (there / "cmdline.txt").write_bytes(b"root=/dev/x")
    with pytest.raises(BootError, match="cannot put the boot files of the new system into place"):
        place_files({"cmdline.txt": b"new", "kernel.img": root / "boot/vmlinuz-6.1"}, there)
    assert (there / "cmdline.txt").read_bytes() == b"root=/dev/x"


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A boot partition with little room."""
    point = tmp_path / "small"
    point.mkdir()
    unmount = mounting("-t", "tmpfs", "-o", "size=512k", "none", point)
    try:
        yield point
    finally:
        unmount()


def test_a_partition_without_room_is_an_error_before_anything_is_removed(root: Path, small: Path) -> None:
    (small / "linux.efi").write_bytes(b"old" * 1000)
    (root / "boot/vmlinuz-6.1").write_bytes(b"kernel" * 100_000)
    with pytest.raises(BootError, match=r"they need \d+ bytes, on the file system of .*small there are \d+"):
        place_files(kernel_files(root, KERNEL), small)
    assert content(small) == {"linux.efi": b"old" * 1000}


def test_there_need_not_be_room_for_the_old_files_and_the_new_ones(root: Path, small: Path) -> None:
    (small / "linux.efi").write_bytes(b"o" * 300_000)
    (root / "boot/vmlinuz-6.1").write_bytes(b"n" * 300_000)
    place_files(kernel_files(root, KERNEL), small)
    assert content(small)["linux.efi"] == b"n" * 300_000


def test_a_partition_that_cannot_be_written_is_an_error_with_a_hint(root: Path, small: Path) -> None:
    made = subprocess.run(["mount", "-o", "remount,ro", small], check=False, capture_output=True, timeout=60)
    if made.returncode:
        pytest.skip("cannot mount read-only")
    with pytest.raises(BootError, match="cannot put the boot files of the new system into place") as caught:
        place_files(kernel_files(root, KERNEL), small)
    assert "mounted for writing" in str(caught.value.hint)


# --- as a part of an installation


class PlacingBoot(FakeBoot):
    """A boot loader that takes the kernel out of the slot."""

    def __init__(self, places: Path) -> None:
        super().__init__()
        self.places = places

    def place(self, slot: SlotName, root: Path) -> None:
        self.calls.append(f"place {slot}")
        place_files(kernel_files(root, Kernel(image=Path("/boot/vmlinuz"))), self.places)


class Mounts:
    """Mounts of a directory, which are counted."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.open = 0
        self.devices: list[Path] = []

    @contextmanager
    def __call__(self, device: Path) -> Iterator[Path]:
        self.open += 1
        self.devices.append(device)
        try:
            yield self.root
        finally:
            self.open -= 1


def test_the_files_are_placed_when_the_slot_is_verified_and_before_it_is_activated(root: Path, tmp_path: Path) -> None:
    pair, boot, mounts = file_slots(tmp_path), PlacingBoot(tmp_path / "esp"), Mounts(root)
    payload = RootfsPayload(pair, origin=A, running=lambda: A, boot=boot, note=tmp_path / "data/note", mounted=mounts)
    payload.download([Image(b"x" * MIB)])
    payload.install()
    payload.install()
    payload.arm()
    assert boot.calls == ["forbid b", "place b", "place b", "activate b"]
    assert mounts.devices == [pair.slot(B).device] * 2
    assert mounts.open == 0


def test_files_that_cannot_be_placed_fail_the_installation_and_leave_nothing_mounted(
    root: Path, tmp_path: Path
) -> None:
    (root / "boot/vmlinuz").unlink()
    pair, boot, mounts = file_slots(tmp_path), PlacingBoot(tmp_path / "esp"), Mounts(root)
    payload = RootfsPayload(pair, origin=A, running=lambda: A, boot=boot, note=tmp_path / "data/note", mounted=mounts)
    payload.download([Image(b"x" * MIB)])
    with pytest.raises(BootError, match="cannot find /boot/vmlinuz in the new system"):
        payload.install()
    assert mounts.open == 0
    assert boot.calls == ["forbid b", "place b"]


def test_a_slot_that_cannot_be_mounted_is_an_error(tmp_path: Path) -> None:
    def mount() -> Path:
        raise ProgramError("cannot run mount: wrong fs type", hint="bad superblock")

    @contextmanager
    def broken(_device: Path) -> Iterator[Path]:
        yield mount()

    boot = PlacingBoot(tmp_path / "esp")
    payload = RootfsPayload(
        file_slots(tmp_path), origin=A, running=lambda: A, boot=boot, note=tmp_path / "data/note", mounted=broken
    )
    payload.download([Image(b"x" * MIB)])
    with pytest.raises(SlotError, match=r"cannot take what boots slot b out of .*wrong fs type") as caught:
        payload.install()
    assert caught.value.hint == "bad superblock"


# --- really mounted


def test_an_update_takes_its_kernel_along_to_systemd_boot(root: Path, tmp_path: Path) -> None:
    image = file_system(tmp_path)
    made = subprocess.run(["mkfs.ext4", "-q", "-F", "-d", root, image], check=False, capture_output=True, timeout=60)
    assert made.returncode == 0, made.stderr
    (tmp_path / "device").mkdir()
    device, pair = SystemdBootDevice(tmp_path / "device"), file_slots(tmp_path)

    def payload() -> RootfsPayload:
        return RootfsPayload(pair, origin=A, running=device.booted, boot=device.loader, note=tmp_path / "data/note")

    payload().download([Image(image.read_bytes())])
    payload().install()
    payload().arm()
    assert content(device.esp / "EFI/bistable/b")["linux.efi"] == b"kernel" * 1000
    assert device.power_on() == B
    payload().commit()
    assert device.power_on() == B
    assert sorted(path.name for path in device.entries.iterdir()) == ["bistable-a.conf", "bistable-b.conf"]


def file_system(folder: Path) -> Path:
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    image = folder / "image"
    image.write_bytes(b"")
    os.truncate(image, 8 * MIB)
    make_file_system(image)
    try:
        with mounted_for_writing(image) as point:
            (point / "file").write_text("content")
    except ProgramError as e:
        pytest.skip(f"cannot mount: {e}")
    return image


def test_a_file_system_is_mounted_for_a_moment(tmp_path: Path) -> None:
    image = file_system(tmp_path)
    before = image.read_bytes()
    with mounted_for_reading(image) as point:
        assert (point / "file").read_text() == "content"
        with pytest.raises(OSError, match="Read-only"):
            (point / "file").write_text("other")
    assert not point.exists()
    assert image.read_bytes() == before


def test_it_is_unmounted_also_after_an_error(tmp_path: Path) -> None:
    image = file_system(tmp_path)
    points = []

    def look(point: Path) -> None:
        points.append(point)
        (point / "missing").read_text()

    with pytest.raises(FileNotFoundError), mounted_for_reading(image) as point:
        look(point)
    assert not points[0].exists()


def test_what_is_no_file_system_is_an_error_that_leaves_nothing(tmp_path: Path) -> None:
    file_system(tmp_path)
    (tmp_path / "noise").write_bytes(b"noise" * 1000)
    with pytest.raises(ProgramError, match="mount"), mounted_for_reading(tmp_path / "noise"):
        pass
