"""systemd-boot against the rules of its counting: cut at every change of a file, something good is started."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest
from client_boot import A, B
from client_boot_firmware import SystemdBoot, SystemdBootDevice
from hypothesis import given, settings
from hypothesis import strategies as st

from bistable.client.boot import BootSettings, detect_backend, make_bootloader
from bistable.client.boot.ports import Canary, Faulty, Placing, Probing
from bistable.client.boot.systemdboot.entries import Entry, entry_name, in_order, parse_entry, render_entry
from bistable.client.boot.systemdboot.loader import DirectoryEntries, SystemdBootloader
from bistable.client.boot.systemdboot.make import find_entries, has_entries
from bistable.client.errors import BootError
from bistable.client.model import SlotName
from bistable.client.slots import Slot, SlotPair

PAIR = SlotPair(a=Slot(name=A, device=Path("/dev/sda2")), b=Slot(name=B, device=Path("/dev/sda3")))


@pytest.fixture
def device(tmp_path: Path) -> SystemdBootDevice:
    return SystemdBootDevice(tmp_path)


def names(device: SystemdBootDevice) -> list[str]:
    return sorted(path.name for path in device.entries.iterdir())


def install(device: SystemdBootDevice) -> None:
    device.loader.forbid(B)
    device.loader.activate(B)


# --- file names


def test_a_trial_is_an_entry_with_a_counter_and_a_higher_version(device: SystemdBootDevice) -> None:
    install(device)
    assert names(device) == ["bistable-a.conf", "bistable-b+3.conf"]
    assert (device.entries / "bistable-b+3.conf").read_text() == (
        "title bistable b\nsort-key bistable\nversion 2\nlinux /EFI/bistable/b/linux.efi\n"
        "options root=PARTLABEL=rootfs-b bistable.slot=b quiet\n"
    )


def test_a_counted_entry_is_blessed_by_a_new_name(device: SystemdBootDevice) -> None:
    install(device)
    assert device.power_on() == B
    assert names(device) == ["bistable-a.conf", "bistable-b+2-1.conf"]
    before = (device.entries / "bistable-b+2-1.conf").stat().st_ino
    device.loader.confirm(B)
    assert names(device) == ["bistable-a.conf", "bistable-b.conf"]
    assert (device.entries / "bistable-b.conf").stat().st_ino == before


def test_a_good_slot_that_is_activated_again_comes_first(device: SystemdBootDevice) -> None:
    install(device)
    assert device.power_on() == B
    device.loader.confirm(B)
    device.loader.activate(A)
    assert names(device) == ["bistable-a+3.conf", "bistable-b.conf"]
    assert device.loader.primary() == A
    assert [device.power_on() for _ in range(4)] == [A, A, A, B]


def test_the_last_try_can_be_confirmed_and_rearmed(device: SystemdBootDevice) -> None:
    install(device)
    assert [device.power_on() for _ in range(3)] == [B, B, B]
    assert names(device) == ["bistable-a.conf", "bistable-b+0-3.conf"]
    assert device.loader.status(B).tries_left == 0
    assert device.loader.primary() == A
    device.loader.rearm(B)
    assert names(device) == ["bistable-a.conf", "bistable-b+3.conf"]
    device.loader.confirm(B)
    assert device.power_on() == B


def test_a_forbidden_slot_has_no_entry(device: SystemdBootDevice) -> None:
    install(device)
    device.loader.forbid(B)
    assert names(device) == ["bistable-a.conf"]


def test_an_entry_without_its_kernel_is_passed_over(device: SystemdBootDevice) -> None:
    install(device)
    (device.esp / "EFI/bistable/b/linux.efi").unlink()
    assert device.power_on() == A
    assert names(device) == ["bistable-a.conf", "bistable-b+3.conf"]
    device.loader.restore(A)
    assert names(device) == ["bistable-a.conf"]


def test_an_entry_of_the_first_version_of_a_device_may_have_none(device: SystemdBootDevice) -> None:
    (device.entries / "bistable-a.conf").write_text(
        "title x\nsort-key bistable\nversion 0\nlinux /EFI/bistable/a/linux.efi\n"
    )
    install(device)
    assert device.loader.primary() == B


def test_what_is_left_of_a_renaming_in_both_names_is_one_slot(device: SystemdBootDevice) -> None:
    install(device)
    assert device.power_on() == B
    (device.entries / "bistable-b.conf").write_bytes((device.entries / "bistable-b+2-1.conf").read_bytes())
    assert device.loader.status(B).good
    device.loader.forbid(A)
    device.loader.activate(A)
    assert device.power_on() == A
    device.loader.confirm(A)
    device.loader.forbid(B)
    assert names(device) == ["bistable-a.conf"]


# --- the order


@settings(max_examples=200)
@given(
    entries=st.lists(
        st.tuples(st.sampled_from([A, B]), st.one_of(st.none(), st.integers(0, 9)), st.integers(0, 12)),
        min_size=1,
        max_size=4,
        unique_by=lambda entry: entry_name(entry[0], entry[1]),
    )
)
def test_our_order_is_that_of_systemd_boot(
    entries: list[tuple[SlotName, int | None, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    partition = tmp_path_factory.mktemp("esp")
    folder = partition / "loader/entries"
    folder.mkdir(parents=True)
    found: list[Entry] = []
    for slot, left, version in entries:
        content = render_entry(slot, version=version, options="x", initrd=False)
        (folder / entry_name(slot, left)).write_bytes(content)
        entry = parse_entry(entry_name(slot, left), content)
        assert entry is not None
        found.append(entry)
        kernel = partition / "EFI/bistable" / slot / "linux.efi"
        kernel.parent.mkdir(parents=True, exist_ok=True)
        kernel.write_bytes(b"kernel")
    started = SystemdBoot(partition).start()
    assert started is not None
    assert started[1].parent.name == in_order(found)[0].slot


@pytest.mark.parametrize(
    ("name", "slot", "left"),
    [
        ("bistable-a.conf", "a", None),
        ("bistable-b+3.conf", "b", 3),
        ("bistable-b+0-3.conf", "b", 0),
        ("BISTABLE-B+2-1.CONF", "b", 2),
        ("bistable-a+.conf", None, None),
        ("bistable-a+x.conf", None, None),
        ("bistable-a+1-.conf", None, None),
        ("bistable-a+9999999999.conf", None, None),
        ("debian.conf", None, None),
        ("bistable-a.conf.part", None, None),
    ],
)
def test_names_are_ours_or_not(name: str, slot: str | None, left: int | None) -> None:
    entry = parse_entry(name, b"version 7\n")
    assert (None if entry is None else (entry.slot, entry.left)) == (None if slot is None else (slot, left))


@given(st.binary(max_size=200))
def test_no_content_does_harm(content: bytes) -> None:
    entry = parse_entry("bistable-a.conf", content)
    assert entry is not None
    assert 0 <= entry.version < 10**9


# --- power cuts


class PowerCutError(Exception):
    """The power failed."""


class CutEntries:
    """Entries of which one change is the last: it was not begun, was done, or left both names (`both`)."""

    def __init__(self, directory: Path, last: int, how: str) -> None:
        self._files, self._directory = DirectoryEntries(directory), directory
        self._left, self._how = last, how

    def names(self) -> Sequence[str]:
        return self._files.names()

    def read(self, name: str) -> bytes:
        return self._files.read(name)

    def write(self, name: str, content: bytes) -> None:
        def half() -> None:
            (self._directory / f".{name}.0a1b2c3d4e5f.part").write_bytes(content[:20])

        self._do(lambda: self._files.write(name, content), half)

    def rename(self, name: str, new: str) -> None:
        def half() -> None:
            (self._directory / new).write_bytes((self._directory / name).read_bytes())

        self._do(lambda: self._files.rename(name, new), half)

    def remove(self, name: str) -> None:
        self._do(lambda: self._files.remove(name), lambda: None)

    def _do(self, change: Callable[[], None], half: Callable[[], None]) -> None:
        if self._left:
            self._left -= 1
            change()
            return
        {"before": lambda: None, "half": half, "after": change}[self._how]()
        raise PowerCutError


def installed(device: SystemdBootDevice) -> None:
    install(device)


def in_trial(device: SystemdBootDevice) -> None:
    install(device)
    assert device.power_on() == B


def confirmed(device: SystemdBootDevice) -> None:
    in_trial(device)
    device.loader.confirm(B)


CALLS: Mapping[str, tuple[Callable[[SystemdBootDevice], None], Callable[[SystemdBootloader], None], str]] = {
    "forbid what is good": (confirmed, lambda loader: loader.forbid(A), "b"),
    "forbid a trial": (installed, lambda loader: loader.forbid(B), "ab"),
    "activate": (lambda device: device.loader.forbid(B), lambda loader: loader.activate(B), "ab"),
    "activate what is good": (confirmed, lambda loader: loader.activate(A), "ab"),
    "confirm": (in_trial, lambda loader: loader.confirm(B), "b"),
    "go back before the reboot": (installed, lambda loader: loader.restore(A), "ab"),
    "go back from the trial": (in_trial, lambda loader: loader.restore(A), "ab"),
    "go back after all": (confirmed, lambda loader: loader.restore(A), "ab"),
    "rearm": (in_trial, lambda loader: loader.rearm(B), "b"),
}
"""Name -> what was before, the call, and the slots that may be started after a power cut in it."""


@pytest.mark.parametrize("how", ["before", "half", "after"])
@pytest.mark.parametrize("last", range(4))
@pytest.mark.parametrize("call", sorted(CALLS))
def test_a_power_cut_at_any_change_leaves_entries_that_boot(
    call: str, last: int, how: str, device: SystemdBootDevice
) -> None:
    prepare, act, may_start = CALLS[call]
    prepare(device)
    runs = device.running
    try:
        act(device.loader_with(CutEntries(device.entries, last, how)))
    except PowerCutError:
        pass
    else:
        assert last > 0
    assert device.power_on() in set(may_start)
    # A trial that never comes up does no harm either.
    good = {slot for slot in (A, B) if device.loader.status(slot).good}
    assert device.power_on(broken={"a", "b"} - good) in good
    # The call can be done again, when what ran runs again and it still has a meaning.
    device.running = runs
    try:
        act(device.loader)
    except BootError:
        return
    assert device.power_on(broken=set()) in set(may_start)


# --- what it needs


def test_arguments_that_do_not_name_the_slot_are_refused_before_anything_changes(device: SystemdBootDevice) -> None:
    options = device.esp / "EFI/bistable/b/options"
    for text, words in (("root=/dev/x\n", "does not say bistable.slot=b"), (None, "No such file")):
        options.unlink() if text is None else options.write_text(text)
        before = device.memory()
        with pytest.raises(BootError, match=words):
            device.loader.activate(B)
        loader = device.loader
        assert isinstance(loader, Placing)
        with pytest.raises(BootError, match=words):
            loader.place(B, device.esp)
        assert device.memory() == before


def test_a_kernel_that_was_never_placed_is_not_activated(device: SystemdBootDevice) -> None:
    (device.esp / "EFI/bistable/b/linux.efi").unlink()
    with pytest.raises(BootError, match=r"linux.efi is not there") as caught:
        device.loader.activate(B)
    assert caught.value.hint == "install the update again"


def test_the_kernel_of_the_new_system_is_placed_beside_the_slots_arguments(
    device: SystemdBootDevice, tmp_path: Path
) -> None:
    (tmp_path / "root/boot").mkdir(parents=True)
    (tmp_path / "root/boot/vmlinuz").write_bytes(b"new kernel")
    loader = device.loader
    assert isinstance(loader, Placing)
    loader.place(B, tmp_path / "root")
    assert (device.esp / "EFI/bistable/b/linux.efi").read_bytes() == b"new kernel"
    assert (device.esp / "EFI/bistable/a/linux.efi").read_bytes() == b"kernel"
    assert (device.esp / "EFI/bistable/b/options").exists()


def test_an_initial_ram_disk_is_in_the_entry_if_there_is_one() -> None:
    content = render_entry(B, version=2, options="x", initrd=True)
    assert b"\ninitrd /EFI/bistable/b/initrd.img\n" in content


# --- canary, probe and faults


def test_probing_leaves_nothing_behind(device: SystemdBootDevice) -> None:
    loader, before = device.loader, sorted(device.esp.rglob("*"))
    assert isinstance(loader, Probing)
    loader.probe()
    assert sorted(device.esp.rglob("*")) == before


def test_systemd_boot_has_to_say_that_it_started_the_running_slot(device: SystemdBootDevice) -> None:
    loader = device.loader
    assert isinstance(loader, Canary)
    loader.check_canary()
    for selected in ("bistable-a", "bistable-a+2-1.conf", "BISTABLE-A.CONF"):
        device.variables.set("LoaderEntrySelected", f"{selected}\0".encode("utf-16-le"))
        loader.check_canary()
    for selected in ("bistable-b.conf", "debian.conf"):
        device.variables.set("LoaderEntrySelected", f"{selected}\0".encode("utf-16-le"))
        with pytest.raises(BootError, match="which is no entry of the running slot a"):
            loader.check_canary()
    device.variables.values.clear()
    with pytest.raises(BootError, match="there is no EFI variable LoaderEntrySelected"):
        loader.check_canary()


def test_whatever_would_be_started_in_its_place_is_told_of(device: SystemdBootDevice) -> None:
    loader = device.loader
    assert isinstance(loader, Faulty)

    def faults() -> list[str]:
        return [fault for fault in loader.faults() if "bless" not in fault]

    assert faults() == []
    device.variables.set("LoaderEntryDefault", b"x\0\0\0")
    (device.esp / "loader/loader.conf").write_text("timeout 3\ndefault debian*\n")
    (device.entries / "debian.conf").write_text("title Debian\n")
    assert faults() == [
        "the EFI variable LoaderEntryDefault is set: systemd-boot starts that entry, whatever is counted",
        "loader.conf names a default: systemd-boot starts that entry, whatever is counted",
        "there are other entries, which may come before ours: debian.conf",
    ]


def test_without_entries_nothing_can_be_told(device: SystemdBootDevice) -> None:
    (device.entries / "bistable-a.conf").unlink()
    with pytest.raises(BootError, match="there is no entry of a slot"):
        device.loader.primary()


# --- settings


def test_entries_are_looked_for_at_the_usual_places(device: SystemdBootDevice, tmp_path: Path) -> None:
    usual = (tmp_path / "none", device.esp)
    assert find_entries(None, usual) == device.esp
    assert has_entries(None, usual)
    assert not has_entries(None, usual[:1])
    with pytest.raises(BootError, match="cannot find the entries of systemd-boot") as caught:
        find_entries(None, usual[:1])
    assert "boot.directory" in str(caught.value.hint)
    assert detect_backend(BootSettings(backend="auto", directory=device.esp)) == "systemd-boot"
    made = make_bootloader(BootSettings(backend="systemd-boot", directory=device.esp), PAIR)
    assert made.primary() == A


def test_a_boot_partition_that_is_not_mounted_is_an_error(tmp_path: Path) -> None:
    made = make_bootloader(BootSettings(backend="systemd-boot", directory=tmp_path), PAIR)
    with pytest.raises(BootError, match=r"cannot read the entries of systemd-boot: .*loader/entries: No such file"):
        made.primary()
