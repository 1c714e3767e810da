"""UEFI as the boot loader: BootNext is one try, BootOrder what stays; cut at every variable, something good starts."""

import fcntl
import os
import struct
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from uuid import UUID

import pytest
from client_boot import PAIR, A, B
from client_boot_firmware import EfiDevice, load_option
from hypothesis import given
from hypothesis import strategies as st

from bistable.client.boot import Bootloader, BootSettings, detect_backend, make_bootloader
from bistable.client.boot.efi.efivars import FS_IMMUTABLE_FL, FS_IOC_GETFLAGS, FS_IOC_SETFLAGS, GLOBAL, EfiVariables
from bistable.client.boot.efi.entry import Partition
from bistable.client.boot.efi.make import entry_numbers, find_boot_partition, has_entries
from bistable.client.boot.efi.options import (
    BadOptionError,
    LoadOption,
    parse_numbers,
    parse_option,
    render_numbers,
    with_active,
)
from bistable.client.boot.efi.partition import partition_of
from bistable.client.boot.ports import Canary, Faulty, Placing, Probing, Rearming
from bistable.client.errors import BootError, ConfigError


@pytest.fixture
def device(tmp_path: Path) -> EfiDevice:
    return EfiDevice(tmp_path)


def install(device: EfiDevice) -> None:
    device.loader.forbid(B)
    device.loader.activate(B)


def order(device: EfiDevice) -> tuple[int, ...]:
    return parse_numbers(device.variables.values["BootOrder"])


# --- trials


def active(device: EfiDevice, number: int) -> bool:
    return parse_option(device.variables.values[f"Boot{number:04X}"]).active


def test_a_trial_is_boot_next_and_stays_behind_the_good_one(device: EfiDevice) -> None:
    install(device)
    assert device.variables.values["BootNext"] == b"\x02\x00"
    assert order(device) == (1, 2, 3)
    assert device.power_on() == B
    assert "BootNext" not in device.variables.values
    assert device.power_on() == A


def test_a_forbidden_slot_is_not_started_even_if_the_other_one_cannot_be_loaded(device: EfiDevice) -> None:
    device.loader.forbid(B)
    assert not active(device, 2)
    device.firmware.loads = lambda number: number == 2
    assert device.power_on() is None


def test_a_disk_that_appears_costs_no_slot_its_entry(device: EfiDevice) -> None:
    device.loader.forbid(B)
    assert device.firmware.find_disk() not in {1, 2}
    device.loader.activate(B)
    assert device.power_on() == B


def test_an_entry_that_is_in_no_order_is_told_of_and_put_there(device: EfiDevice) -> None:
    device.variables.set("BootOrder", render_numbers((1, 3)))
    loader = device.loader
    assert isinstance(loader, Faulty)
    assert "Boot0002, the entry of slot b, is not in BootOrder" in loader.faults()[0]
    loader.activate(B)
    assert order(device) == (1, 2, 3)


def test_a_confirmed_slot_is_first_and_the_other_one_behind(device: EfiDevice) -> None:
    install(device)
    assert device.power_on() == B
    device.loader.confirm(B)
    assert order(device) == (2, 1, 3)
    assert active(device, 1)


def test_going_back_before_the_reboot_takes_boot_next_away(device: EfiDevice) -> None:
    install(device)
    device.loader.restore(A)
    assert "BootNext" not in device.variables.values
    assert not active(device, 2)


def test_after_going_back_the_other_slot_is_not_active(device: EfiDevice) -> None:
    install(device)
    assert device.power_on() == B
    device.loader.restore(A)
    assert order(device) == (1, 2, 3)
    assert not active(device, 2)


def test_a_confirmed_slot_that_cannot_be_loaded_is_made_up_for_by_the_other(device: EfiDevice) -> None:
    install(device)
    assert device.power_on() == B
    device.loader.confirm(B)
    device.firmware.loads = lambda number: number == 1
    assert device.power_on() == A


def test_other_entries_stay_and_are_never_before_ours(device: EfiDevice) -> None:
    device.variables.set("BootOrder", render_numbers((3, 1, 2)))
    loader = device.loader
    assert isinstance(loader, Faulty)
    assert loader.faults() == ("BootOrder begins with Boot0003, which is no slot: the firmware starts that first",)
    loader.activate(B)
    assert order(device) == (1, 2, 3)
    assert loader.faults() == ()


def test_somebody_elses_boot_next_is_left_alone(device: EfiDevice) -> None:
    device.variables.set("BootNext", b"\x03\x00")
    device.loader.forbid(B)
    assert device.variables.values["BootNext"] == b"\x03\x00"


def test_a_trial_that_runs_can_be_started_once_more(device: EfiDevice) -> None:
    install(device)
    assert device.power_on() == B
    loader = device.loader
    assert isinstance(loader, Rearming)
    loader.rearm(B)
    assert loader.status(B).tries_left == 1
    assert [device.power_on(), device.power_on()] == [B, A]


def try_out(device: EfiDevice) -> None:
    install(device)
    device.power_on()


def keep(device: EfiDevice) -> None:
    try_out(device)
    device.loader.confirm(B)


CALLS: Mapping[str, tuple[Callable[[EfiDevice], object], Callable[[Bootloader], None], str]] = {
    "forbid": (lambda device: None, lambda loader: loader.forbid(B), "a"),
    "forbid a trial": (install, lambda loader: loader.forbid(B), "ab"),
    "activate": (lambda device: device.loader.forbid(B), lambda loader: loader.activate(B), "ab"),
    "confirm": (try_out, lambda loader: loader.confirm(B), "ab"),
    "restore before the reboot": (install, lambda loader: loader.restore(A), "ab"),
    "restore from the trial": (try_out, lambda loader: loader.restore(A), "a"),
    "restore after all": (keep, lambda loader: loader.restore(A), "ab"),
}


@pytest.mark.parametrize("last", range(4))
@pytest.mark.parametrize("call", sorted(CALLS))
def test_a_power_cut_at_any_variable_leaves_what_boots(call: str, last: int, device: EfiDevice) -> None:
    prepare, act, may_start = CALLS[call]
    prepare(device)
    runs = device.running
    device.variables.changes.clear()
    device.variables.last = last
    try:
        act(device.loader)
    except BootError:
        assert len(device.variables.changes) == last
    device.variables.last = None
    assert device.power_on() in set(may_start)
    good = {slot for slot in (A, B) if device.loader.status(slot).good}
    assert device.power_on(broken={"a", "b"} - good) in good
    device.running = runs
    act(device.loader)
    assert device.power_on(broken=set()) == (B if call in {"activate", "confirm"} else A)


def test_probing_leaves_the_variables_as_they_are(device: EfiDevice) -> None:
    loader, before = device.loader, device.memory()
    assert isinstance(loader, Probing)
    loader.probe()
    assert device.memory() == before
    assert device.variables.changes == ["BistableProbe", "no BistableProbe"]


# --- entries


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


# --- bytes


@given(
    text=st.text(st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)
)
def test_descriptions_are_read(text: str) -> None:
    assert parse_option(load_option(text, arguments="root=x")) == LoadOption(description=text, active=True)


@given(data=st.binary(max_size=100))
def test_no_bytes_do_harm(data: bytes) -> None:
    for parse in (parse_option, parse_numbers):
        try:
            parse(data)
        except BadOptionError:
            continue


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "a load option of 0 bytes"),
        (b"\1\0\0\0\0\0" + b"a\0" * 600, "too long"),
        (struct.pack("<IH", 1, 9) + b"a\0\0\0" + b"\0" * 8, "a device path that is longer"),
        (struct.pack("<IH", 1, 0) + b"a\0b\0", "a device path that is longer"),
        (b"\0" * 70_000, "a load option of 70000 bytes"),
    ],
)
def test_a_load_option_that_is_not_one_is_refused(data: bytes, why: str) -> None:
    with pytest.raises(BadOptionError, match=why):
        parse_option(data)


@given(text=st.sampled_from(["bistable a", ""]), active=st.booleans(), wanted=st.booleans())
def test_only_the_mark_changes(text: str, active: bool, wanted: bool) -> None:
    data = load_option(text, active=active, arguments="root=x")
    changed = with_active(data, active=wanted)
    assert parse_option(changed) == LoadOption(description=text, active=wanted)
    assert changed[4:] == data[4:]


def test_an_order_that_is_not_one_is_an_error(device: EfiDevice) -> None:
    device.variables.set("BootOrder", b"\1")
    with pytest.raises(BootError, match="cannot understand the firmware's variable BootOrder"):
        device.loader.primary()


# --- efivarfs


@pytest.fixture
def efivars(tmp_path: Path) -> Path:
    """A directory in the place of efivarfs."""
    (tmp_path / "vars").mkdir()
    for name, data in {
        "Boot0001": load_option("bistable a"),
        "Boot0002": load_option("bistable b"),
        "BootOrder": b"\1\0\2\0",
    }.items():
        (tmp_path / "vars" / f"{name}-{GLOBAL}").write_bytes(b"\7\0\0\0" + data)
    (tmp_path / "vars/Boot0009-00000000-0000-0000-0000-000000000000").write_bytes(b"x")
    return tmp_path / "vars"


def test_a_variable_has_its_attributes_in_front(efivars: Path) -> None:
    variables = EfiVariables(efivars)
    assert variables.read("BootOrder", GLOBAL) == b"\1\0\2\0"
    variables.write("BootNext", GLOBAL, b"\2\0")
    assert (efivars / f"BootNext-{GLOBAL}").read_bytes() == b"\7\0\0\0\2\0"
    variables.write("BootOrder", GLOBAL, b"\2\0")
    assert (efivars / f"BootOrder-{GLOBAL}").read_bytes() == b"\7\0\0\0\2\0"
    variables.remove("BootNext", GLOBAL)
    variables.remove("BootNext", GLOBAL)
    assert variables.read("BootNext", GLOBAL) is None
    assert variables.names(GLOBAL) == ["Boot0001", "Boot0002", "BootOrder"]


def test_texts_end_with_their_zero(efivars: Path) -> None:
    (efivars / f"LoaderInfo-{GLOBAL}").write_bytes(b"\6\0\0\0" + "systemd-boot 252\0".encode("utf-16-le"))
    assert EfiVariables(efivars).text("LoaderInfo", GLOBAL) == "systemd-boot 252"
    assert EfiVariables(efivars).text("Other", GLOBAL) is None


def test_a_variable_that_is_too_long_is_an_error(efivars: Path) -> None:
    (efivars / f"BootNext-{GLOBAL}").write_bytes(b"x" * 70_000)
    with pytest.raises(BootError, match="cannot read the firmware's variable BootNext"):
        EfiVariables(efivars).read("BootNext", GLOBAL)


def test_without_efivarfs_the_error_says_what_to_mount(tmp_path: Path) -> None:
    with pytest.raises(BootError, match="cannot read the firmware's variables") as caught:
        EfiVariables(tmp_path / "none").names(GLOBAL)
    assert "mount efivarfs" in str(caught.value.hint)
    with pytest.raises(BootError, match="cannot change the firmware's variable BootNext"):
        EfiVariables(tmp_path / "none").write("BootNext", GLOBAL, b"")


@pytest.fixture
def immutable(efivars: Path) -> Iterator[Path]:
    """A variable with the immutable flag."""
    path = efivars / f"BootOrder-{GLOBAL}"
    with path.open("rb") as file:
        try:
            flags = int.from_bytes(fcntl.ioctl(file, FS_IOC_GETFLAGS, b"\0" * 8)[:4], "little")
            fcntl.ioctl(file, FS_IOC_SETFLAGS, struct.pack("=iI", flags | FS_IMMUTABLE_FL, 0))
        except OSError as e:
            pytest.skip(f"the immutable flag cannot be set here: {e.strerror}")
        yield path
        fcntl.ioctl(file, FS_IOC_SETFLAGS, struct.pack("=iI", flags, 0))


def test_the_immutable_flag_is_taken_away_for_the_change_and_set_again(immutable: Path) -> None:
    EfiVariables(immutable.parent).write("BootOrder", GLOBAL, b"\2\0")
    assert immutable.read_bytes() == b"\7\0\0\0\2\0"
    with pytest.raises(PermissionError):
        os.open(immutable, os.O_WRONLY)


# --- settings


def test_the_firmwares_entries_are_a_sign(efivars: Path, tmp_path: Path) -> None:
    assert has_entries(efivars)
    for name in ("Boot0001", "Boot0002"):
        (efivars / f"{name}-{GLOBAL}").unlink()
    (efivars / f"Boot0003-{GLOBAL}").write_bytes(b"\7\0\0\0x")
    assert not has_entries(efivars)
    assert not has_entries(tmp_path / "none")
    assert detect_backend(BootSettings(backend="auto", efi_entries={A: "0001", B: "0002"})) == "efi"


def test_the_boot_partition_is_looked_for_at_the_usual_places(tmp_path: Path) -> None:
    usual = (tmp_path / "none", tmp_path / "efi")
    with pytest.raises(BootError, match="cannot find the boot partition"):
        find_boot_partition(None, usual)
    (tmp_path / "efi/EFI").mkdir(parents=True)
    assert find_boot_partition(None, usual) == tmp_path / "efi"
