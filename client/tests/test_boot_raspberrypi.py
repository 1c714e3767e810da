"""The Raspberry Pi against the rules of its firmware: one try with the word, and none without."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from client_boot import PAIR, A, B
from client_boot_firmware import RaspberryDevice
from hypothesis import given
from hypothesis import strategies as st

from bistable.client.boot import Bootloader, BootSettings, detect_backend, make_bootloader
from bistable.client.boot.ports import Canary, Faulty, Placing, Probing, RebootArgument
from bistable.client.boot.raspberrypi.autoboot import Autoboot, BadAutobootError, parse_autoboot, render_autoboot
from bistable.client.boot.raspberrypi.files import merged_cmdline
from bistable.client.boot.raspberrypi.loader import RaspberryPiBootloader
from bistable.client.boot.raspberrypi.make import find_autoboot
from bistable.client.boot.raspberrypi.word import Word
from bistable.client.errors import BootError, ConfigError


@pytest.fixture
def device(tmp_path: Path) -> RaspberryDevice:
    return RaspberryDevice(tmp_path)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "boot/firmware/overlays").mkdir(parents=True)
    (root / "boot/firmware/config.txt").write_text("arm_64bit=1\nkernel=new.img\n")
    (root / "boot/firmware/new.img").write_bytes(b"kernel" * 1000)
    (root / "boot/firmware/overlays/a.dtbo").write_bytes(b"overlay")
    (root / "boot/firmware/cmdline.txt").write_text("quiet root=PARTUUID=old-02 bistable.slot=a rootwait\n")
    return root


def install(device: RaspberryDevice) -> None:
    device.loader.forbid(B)
    device.loader.activate(B)


def autoboot(device: RaspberryDevice) -> bytes:
    return (device.card / "1/autoboot.txt").read_bytes()


# --- trials


def test_a_trial_is_the_restart_with_the_word_and_only_that(device: RaspberryDevice) -> None:
    install(device)
    loader = device.loader
    assert isinstance(loader, RebootArgument)
    assert loader.reboot_argument() == "0 tryboot"
    assert device.power_on() == B
    assert loader.reboot_argument() is None
    assert device.power_on() == A


def test_a_power_cut_before_the_trial_ends_it(device: RaspberryDevice) -> None:
    install(device)
    assert device.cut_power() == A
    assert device.loader.primary() == A
    assert device.loader.status(B).tries_left == 0


def test_a_power_cut_during_the_trial_ends_it(device: RaspberryDevice) -> None:
    install(device)
    assert device.power_on() == B
    assert device.cut_power() == A
    device.loader.restore(A)
    assert b"boot_partition=3" not in autoboot(device)


def test_a_trial_counts_as_one_try_until_the_restart(device: RaspberryDevice) -> None:
    install(device)
    status = device.loader.status(B)
    assert (status.bootable, status.good, status.tries_left) == (True, False, 1)
    assert device.power_on() == B
    status = device.loader.status(B)
    assert (status.bootable, status.good, status.tries_left) == (False, False, 0)


def test_after_the_confirmation_the_slot_boots_without_the_word(device: RaspberryDevice) -> None:
    install(device)
    assert device.power_on() == B
    device.loader.confirm(B)
    assert device.cut_power() == B
    assert device.loader.status(B).good


def test_a_restart_after_going_back_is_one_without_the_word(device: RaspberryDevice) -> None:
    install(device)
    device.loader.restore(A)
    assert device.run.exists() is False
    assert device.power_on() == A


def test_a_word_of_somebody_else_is_left_alone(device: RaspberryDevice) -> None:
    device.run.parent.mkdir(parents=True)
    device.run.write_text("2")
    device.loader.forbid(B)
    assert device.run.read_text() == "2"
    assert device.loader.primary() == A


def test_a_boot_partition_without_config_is_given_up(device: RaspberryDevice) -> None:
    (device.card / "3/config.txt").unlink()
    install(device)
    assert device.power_on() == A


def try_out(device: RaspberryDevice) -> None:
    install(device)
    device.power_on()


CALLS: Mapping[str, tuple[Callable[[RaspberryDevice], object], Callable[[Bootloader], None]]] = {
    "forbid": (lambda device: device.loader.confirm(A), lambda loader: loader.forbid(B)),
    "activate": (lambda device: device.loader.forbid(B), lambda loader: loader.activate(B)),
    "confirm": (try_out, lambda loader: loader.confirm(B)),
    "restore before the restart": (install, lambda loader: loader.restore(A)),
    "restore in the trial": (try_out, lambda loader: loader.restore(A)),
}


@pytest.mark.parametrize("call", sorted(CALLS))
@pytest.mark.parametrize("written", [False, True], ids=["before", "after"])
def test_a_power_cut_at_the_write_boots_what_was_good_or_was_just_confirmed(
    call: str, written: bool, device: RaspberryDevice
) -> None:
    prepare, act = CALLS[call]
    prepare(device)
    before = autoboot(device)
    act(device.loader)
    if not written:
        (device.card / "1/autoboot.txt").write_bytes(before)
    assert device.cut_power() == (B if call == "confirm" and written else A)
    # The firmware leaves the rest to us: whatever it was, an update goes through.
    running = device.booted()
    other = B if running == A else A
    device.loader.restore(running)
    device.loader.forbid(other)
    device.loader.activate(other)
    assert device.power_on() == other


class CutWord(Word):
    """A word whose file cannot be reached any more, as if the process had ended there."""

    def say(self) -> None:
        raise BootError("ended")

    def take_back(self) -> None:
        raise BootError("ended")


@pytest.mark.parametrize("call", sorted(CALLS))
def test_a_process_that_ends_between_word_and_file_leaves_what_boots(call: str, device: RaspberryDevice) -> None:
    prepare, act = CALLS[call]
    prepare(device)
    cut = RaspberryPiBootloader(
        device.card / "1",
        {A: 2, B: 3},
        partitions={},
        firmware=Path("/boot/firmware"),
        word=CutWord(device.run),
        mounted=device.mounted,
        booted=device.booted,
    )
    with pytest.raises(BootError, match="ended"):
        act(cut)
    act(device.loader)
    assert device.power_on() == (B if call in {"activate", "confirm"} else A)


# --- the file


@given(
    default=st.integers(1, 128),
    trial=st.integers(1, 128),
    others=st.lists(st.from_regex(r"[a-z]{3}=[0-9]", fullmatch=True)),
)
def test_what_is_written_reads_the_same(default: int, trial: int, others: list[str]) -> None:
    value = Autoboot(default=default, trial=trial, others=tuple(others))
    try:
        data = render_autoboot(value)
    except BadAutobootError:
        assert sum(map(len, others)) > 300
        return
    assert parse_autoboot(data) == value


def test_the_file_is_the_one_of_the_documentation() -> None:
    data = render_autoboot(Autoboot(default=2, trial=3))
    assert data == b"[all]\ntryboot_a_b=1\nboot_partition=2\n[tryboot]\nboot_partition=3\n"


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "names no boot_partition for"),
        (b"[tryboot]\nboot_partition=2\n", "names no boot_partition for"),
        (b"boot_partition=two\n", "boot_partition is 'two'"),
        (b"boot_partition=0\n", "boot_partition is '0'"),
        (b"boot_partition=2\n" + b"#" * 512, "of which the firmware reads 512"),
    ],
)
def test_a_file_that_does_not_say_what_is_booted_is_refused(data: bytes, why: str) -> None:
    with pytest.raises(BadAutobootError, match=why):
        parse_autoboot(data)


@given(data=st.binary(max_size=600))
def test_no_bytes_do_harm(data: bytes) -> None:
    try:
        found = parse_autoboot(data)
    except BadAutobootError:
        return
    assert 1 <= found.default <= 128


def test_lines_and_comments_before_any_section_are_for_all(device: RaspberryDevice) -> None:
    (device.card / "1/autoboot.txt").write_bytes(
        b"# mine\n boot_partition = 2 \nboot_watchdog_timeout=30\n[none]\nx=1\n"
    )
    device.loader.activate(B)
    assert autoboot(device) == (
        b"[all]\nboot_watchdog_timeout=30\ntryboot_a_b=1\nboot_partition=2\n[tryboot]\nboot_partition=3\n"
    )


def test_a_partition_that_is_no_slot_is_an_error(device: RaspberryDevice) -> None:
    (device.card / "1/autoboot.txt").write_bytes(b"boot_partition=7\n")
    with pytest.raises(BootError, match=r"it boots partition 7, neither 2 \(slot a\) nor 3 \(slot b\)") as caught:
        device.loader.activate(B)
    assert "boot.part-numbers" in str(caught.value.hint)


def test_a_file_that_is_missing_is_an_error_with_a_hint(device: RaspberryDevice) -> None:
    (device.card / "1/autoboot.txt").unlink()
    with pytest.raises(BootError, match=r"cannot read .*autoboot.txt: No such file") as caught:
        device.loader.primary()
    assert "boot.directory" in str(caught.value.hint)


def test_a_file_without_tryboot_a_b_is_told_of(device: RaspberryDevice) -> None:
    loader = device.loader
    assert isinstance(loader, Faulty)
    (device.card / "1/autoboot.txt").write_bytes(b"[all]\nboot_partition=2\n[tryboot]\nboot_partition=3\n")
    assert "no tryboot_a_b=1" in loader.faults()[0]
    loader.forbid(B)
    assert loader.faults() == ()


# --- the canary


def test_the_firmware_has_to_have_booted_from_the_partition_of_the_running_slot(device: RaspberryDevice) -> None:
    loader = device.loader
    assert isinstance(loader, Canary)
    loader.check_canary()
    device.partition.write_bytes((3).to_bytes(4, "big"))
    with pytest.raises(BootError, match="the firmware booted from partition 3"):
        loader.check_canary()
    device.partition.unlink()
    with pytest.raises(BootError, match="does not say so in the device tree") as caught:
        loader.check_canary()
    assert "update the firmware" in str(caught.value.hint)


def test_probing_leaves_nothing_behind(device: RaspberryDevice) -> None:
    loader, before = device.loader, sorted(device.card.rglob("*"))
    assert isinstance(loader, Probing)
    loader.probe()
    assert sorted(device.card.rglob("*")) == before
    (device.card / "1/autoboot.txt").rename(device.card / "autoboot.txt")
    for path in (device.card / "1").iterdir():
        path.unlink()
    (device.card / "1").rmdir()
    with pytest.raises(BootError, match="cannot write to the boot partition"):
        loader.probe()


# --- boot files


def test_the_new_systems_files_go_to_its_boot_partition_with_the_slots_own_arguments(
    root: Path, device: RaspberryDevice
) -> None:
    loader, before = device.loader, (device.card / "2/cmdline.txt").read_bytes()
    assert isinstance(loader, Placing)
    for _ in range(2):
        loader.place(B, root)
        there = device.card / "3"
        assert (there / "cmdline.txt").read_text() == "quiet rootwait root=PARTUUID=ab-06 bistable.slot=b\n"
        assert (there / "new.img").read_bytes() == b"kernel" * 1000
        assert (there / "overlays/a.dtbo").read_bytes() == b"overlay"
        assert (there / "config.txt").read_text() == "arm_64bit=1\nkernel=new.img\n"
    assert (device.card / "2/cmdline.txt").read_bytes() == before


def test_a_system_that_brings_no_arguments_gets_those_that_are_there(root: Path, device: RaspberryDevice) -> None:
    (root / "boot/firmware/cmdline.txt").unlink()
    before = (device.card / "3/cmdline.txt").read_text()
    loader = device.loader
    assert isinstance(loader, Placing)
    loader.place(B, root)
    assert sorted((device.card / "3/cmdline.txt").read_text().split()) == sorted(before.split())


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda root, card: (root / "boot/firmware/config.txt").unlink(), "it has no config.txt"),
        (lambda root, card: (card / "3/cmdline.txt").unlink(), "does not say root="),
        (lambda root, card: (card / "3/cmdline.txt").write_text("root=/dev/x"), "does not say bistable.slot="),
        (lambda root, card: (root / "boot/firmware/x").symlink_to("new.img"), "FAT has files and directories only"),
        (lambda root, card: (root / "boot/firmware").rename(root / "boot/other"), "cannot find /boot/firmware"),
    ],
)
def test_boot_files_that_could_not_boot_are_refused(
    damage: Callable[[Path, Path], object], words: str, root: Path, device: RaspberryDevice
) -> None:
    damage(root, device.card)
    before = {path: path.read_bytes() for path in device.card.rglob("*") if path.is_file()}
    loader = device.loader
    assert isinstance(loader, Placing)
    with pytest.raises(BootError, match=words):
        loader.place(B, root)
    assert {path: path.read_bytes() for path in device.card.rglob("*") if path.is_file()} == before
    assert device.power_on() == A


def test_autoboot_of_a_new_system_is_not_taken(root: Path, device: RaspberryDevice) -> None:
    (root / "boot/firmware/autoboot.txt").write_text("boot_partition=3\n")
    loader = device.loader
    assert isinstance(loader, Placing)
    loader.place(B, root)
    assert not (device.card / "3/autoboot.txt").exists()


def test_arguments_are_merged_word_by_word() -> None:
    assert merged_cmdline("root=A bistable.slot=b x", "y root=B  z") == "y z root=A bistable.slot=b\n"


# --- settings


def test_boot_partitions_are_needed_and_give_the_numbers(tmp_path: Path) -> None:
    settings = {"backend": "raspberry-pi", "directory": tmp_path}
    with pytest.raises(ConfigError, match="the boot partitions of the slots are not configured"):
        make_bootloader(BootSettings(**settings), PAIR)  # type: ignore[arg-type]
    (tmp_path / "autoboot.txt").write_bytes(RaspberryDevice.AUTOBOOT)
    partitions = {A: "/dev/mmcblk0p2", B: "/dev/mmcblk0p3"}
    loader = make_bootloader(BootSettings(**settings, partitions=partitions), PAIR)  # type: ignore[arg-type]
    assert loader.primary() == A
    with pytest.raises(BootError, match="both boot from partition 2"):
        make_bootloader(BootSettings(**settings, partitions=partitions, parts={A: 2, B: 2}), PAIR)  # type: ignore[arg-type]
    assert detect_backend(BootSettings(backend="auto", partitions=partitions)) == "raspberry-pi"


def test_autoboot_is_looked_for_at_the_usual_places(tmp_path: Path) -> None:
    usual = (tmp_path / "one", tmp_path / "two")
    with pytest.raises(BootError, match=r"cannot find autoboot.txt: it is in none of") as caught:
        find_autoboot(None, usual)
    assert "boot.directory" in str(caught.value.hint)
    usual[1].mkdir()
    (usual[1] / "autoboot.txt").write_bytes(b"")
    assert find_autoboot(None, usual) == usual[1]
    assert find_autoboot(Path("/set"), usual) == Path("/set")
