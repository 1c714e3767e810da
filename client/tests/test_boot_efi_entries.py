"""Each slot has an entry of the firmware: found, made anew where it is missing, and leading to its kernel."""

import os
import struct
from pathlib import Path
from uuid import UUID

import pytest
from client_boot import PAIR, A, B
from client_boot_efi import EfiDevice, install, load_option, order

from bistable.client.boot import BootSettings, make_bootloader
from bistable.client.boot.efi.entry import Partition
from bistable.client.boot.efi.make import entry_numbers
from bistable.client.boot.efi.options import LoadOption, parse_option
from bistable.client.boot.efi.partition import partition_of
from bistable.client.boot.ports import Canary, Faulty, Placing
from bistable.client.errors import BootError, ConfigError


@pytest.fixture
def device(tmp_path: Path) -> EfiDevice:
    return EfiDevice(tmp_path)


def test_two_entries_of_one_description_are_an_error(device: EfiDevice) -> None:
    assert device.loader.primary() == A
    device.variables.set("Boot0007", load_option("bistable b"))
    with pytest.raises(BootError, match="Boot0007 and Boot0002 are both called 'bistable b'") as caught:
        device.loader.primary()
    assert "boot.efi-entries" in str(caught.value.hint)


def test_entries_can_be_given_by_number(device: EfiDevice) -> None:
    device.variables.set("Boot0001", load_option("Linux"))
    loader = device.loader_with(entry_numbers({A: "Boot0001", B: "0002"}))
    assert loader.primary() == A
    loader.activate(B)
    assert device.power_on() == B


def test_a_given_entry_that_is_missing_is_told_of_and_cannot_be_activated(device: EfiDevice) -> None:
    loader = device.loader_with({A: 1, B: 0xB})
    assert loader.faults() == ("Boot000B, the entry of slot b, is missing",)
    with pytest.raises(BootError, match="Boot000B: it does not exist"):
        loader.activate(B)


def without_entries(device: EfiDevice) -> None:
    """Leave the device as one whose firmware has forgotten all, and was started from EFI/BOOT."""
    device.variables.values.clear()
    device.variables.set("Boot0000", load_option("UEFI Misc Device"))
    device.variables.set("BootOrder", b"\0\0")
    device.variables.set("BootCurrent", b"\0\0")


def test_a_firmware_that_has_forgotten_all_gets_its_entries_again(device: EfiDevice) -> None:
    without_entries(device)
    loader = device.loader
    assert loader.primary() == A
    assert not loader.status(A).good
    assert loader.faults()[:2] == ("there is no entry of slot a", "there is no entry of slot b")
    with pytest.raises(BootError, match="it has none for slot a, which runs"):
        loader.check_canary()
    loader.confirm(A)
    assert loader.status(A).good
    assert not loader.status(B).bootable
    assert len(loader.faults()) == 1
    loader.check_canary()
    assert order(device) == (1, 2, 0)
    assert device.power_on() == A
    loader.check_canary()
    install(device)
    assert device.power_on() == B


@pytest.mark.parametrize("last", range(5))
def test_a_power_cut_while_entries_are_made_leaves_what_boots(device: EfiDevice, last: int) -> None:
    without_entries(device)
    device.variables.last = last
    try:
        device.loader.confirm(A)
    except BootError:
        assert len(device.variables.changes) == last
    device.variables.last = None
    # The entry of EFI/BOOT starts slot a, too.
    assert device.firmware.start() in {0, 1}
    device.loader.confirm(A)
    assert device.power_on() == A
    assert len([name for name in device.variables.values if name.startswith("Boot0")]) == 3


def test_an_entry_of_ours_leads_to_the_slots_kernel_with_its_arguments(device: EfiDevice) -> None:
    without_entries(device)
    device.loader.confirm(A)
    option = device.variables.values["Boot0001"]
    assert parse_option(option) == LoadOption(description="bistable a", active=True)
    file = "\\EFI\\bistable\\a\\linux.efi\0".encode("utf-16-le")
    drive = struct.pack("<BBHIQQ", 4, 1, 42, 1, 2048, 131072) + device.PARTITION.guid.bytes_le + b"\2\2"
    path = drive + struct.pack("<BBH", 4, 4, 4 + len(file)) + file + b"\x7f\xff\4\0"
    assert struct.unpack_from("<IH", option) == (1, len(path))
    assert path in option
    arguments = option[option.index(path) + len(path) :].decode("utf-16-le")
    assert arguments == "root=PARTLABEL=rootfs-a bistable.slot=a quiet initrd=\\EFI\\bistable\\a\\initrd.img"


def test_without_the_slots_arguments_no_entry_is_made(device: EfiDevice) -> None:
    without_entries(device)
    (device.esp / "EFI/bistable/b/options").unlink()
    with pytest.raises(BootError, match="cannot read the kernel's arguments of slot b"):
        device.loader.confirm(A)
    assert device.firmware.start() in {0, 1}


def test_the_partition_of_a_directory_is_told_by_the_kernel(tmp_path: Path) -> None:
    number = tmp_path.stat().st_dev
    disk = tmp_path / "sys/devices/vda"
    (disk / "vda1").mkdir(parents=True)
    (disk / "queue").mkdir()
    (disk / "queue/logical_block_size").write_text("4096\n")
    for name, text in {"partition": "1", "start": "2048", "size": "131072", "uevent": "DEVNAME=vda1\n"}.items():
        (disk / "vda1" / name).write_text(text)
    (tmp_path / "sys/dev/block").mkdir(parents=True)
    (tmp_path / f"sys/dev/block/{os.major(number)}:{os.minor(number)}").symlink_to(disk / "vda1")
    (tmp_path / "dev/disk/by-partuuid").mkdir(parents=True)
    (tmp_path / "dev/vda1").write_bytes(b"")
    guid = "11111111-2222-3333-4444-555555555555"

    def found() -> Partition:
        return partition_of(tmp_path, sysfs=tmp_path / "sys", devices=tmp_path / "dev")

    with pytest.raises(BootError, match="is not on a partition of a GPT") as caught:
        found()
    assert "efibootmgr" in str(caught.value.hint)
    (tmp_path / "dev/disk/by-partuuid" / guid).symlink_to(tmp_path / "dev/vda1")
    assert found() == Partition(number=1, start=256, size=16384, guid=UUID(guid))
    (tmp_path / "dev/disk/by-partuuid" / guid).unlink()
    (disk / "vda1/uevent").write_text(f"DEVNAME=vda1\nPARTUUID={guid}\n")
    assert found().guid == UUID(guid)


def test_a_directory_on_no_partition_is_an_error() -> None:
    with pytest.raises(BootError, match="/proc is not on a partition of a GPT"):
        partition_of(Path("/proc"))


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ({A: "1", B: "0002"}, "it is not four hexadecimal digits"),
        ({A: "0001", B: "00g1"}, "it is not four hexadecimal digits"),
        ({A: "0001", B: "Boot0001"}, "one boot entry for both slots"),
    ],
)
def test_numbers_that_are_none_are_refused(entries: dict[str, str], words: str, tmp_path: Path) -> None:
    settings = BootSettings(backend="efi", directory=tmp_path, efi_entries=entries)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=words):
        make_bootloader(settings, PAIR)


def test_the_firmware_must_not_have_started_the_entry_of_the_other_slot(device: EfiDevice) -> None:
    loader = device.loader
    assert isinstance(loader, Canary)
    loader.check_canary()
    device.variables.set("BootCurrent", b"\x02\x00")
    with pytest.raises(BootError, match="with Boot0001, but the firmware says that it started Boot0002"):
        loader.check_canary()


def test_a_system_that_was_started_by_something_else_is_told_of(device: EfiDevice) -> None:
    device.variables.set("BootCurrent", b"\x03\x00")
    loader = device.loader
    assert isinstance(loader, Canary)
    assert isinstance(loader, Faulty)
    loader.check_canary()
    assert "the firmware started this system by Boot0003, which is no slot's" in loader.faults()[0]


def test_the_kernel_of_a_forbidden_slot_is_gone(device: EfiDevice) -> None:
    for slot in "ab":
        (device.esp / "EFI/bistable" / slot / "linux.efi").write_bytes(b"kernel")
    device.loader.forbid(B)
    device.loader.forbid(B)
    assert [path.parent.name for path in device.esp.rglob("linux.efi")] == ["a"]


def test_the_kernel_is_placed_where_the_slots_entry_has_it(device: EfiDevice, tmp_path: Path) -> None:
    (tmp_path / "root/boot").mkdir(parents=True)
    (tmp_path / "root/boot/vmlinuz").write_bytes(b"kernel")
    (tmp_path / "root/boot/initrd.img").write_bytes(b"initrd")
    loader = device.loader
    assert isinstance(loader, Placing)
    loader.place(B, tmp_path / "root")
    assert (device.esp / "EFI/bistable/b/linux.efi").read_bytes() == b"kernel"
    assert (device.esp / "EFI/bistable/b/initrd.img").read_bytes() == b"initrd"
