"""The simulated device: its file, its restart, and the commands to play with it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from client_boot import PAIR, A, B

from bistable.client.boot import BootSettings, make_bootloader
from bistable.client.boot.simulated import SimulatedBootloader, SimulatedSystem, boot, create, read_device
from bistable.client.boot.simulated.__main__ import USAGE, main
from bistable.client.errors import BootError, ConfigError

SLOT = '{"priority": 1, "tries": 0, "good": true}'


@pytest.fixture
def path(tmp_path: Path) -> Path:
    create(tmp_path / "device.json", (A, B))
    return tmp_path / "device.json"


class Machine:
    """A real machine that has been up for a while."""

    synced = 0
    up = 500.0

    def boot_id(self) -> str:
        return "real"

    def reboot(self) -> None:
        raise AssertionError("a simulated device does not restart the real one")

    def boottime(self) -> float:
        return self.up

    def wall(self) -> float:
        return 1.7e9

    def sync(self) -> None:
        self.synced += 1


def change(path: Path, **values: object) -> None:
    found = json.loads(path.read_bytes())
    path.write_text(json.dumps(found | values))


def test_the_file_is_as_documented(path: Path) -> None:
    found = json.loads(path.read_bytes())
    assert found.pop("boot_id")
    assert found == {
        "booted": "a",
        "booted_at": 0.0,
        "slots": {
            "a": {"priority": 1, "tries": 0, "good": True, "broken": False},
            "b": {"priority": 0, "tries": 0, "good": False, "broken": False},
        },
    }


def test_every_boot_has_an_identifier_of_its_own(path: Path) -> None:
    system = SimulatedSystem(path)
    identifiers = {system.boot_id()}
    for _ in range(3):
        system.reboot()
        identifiers.add(system.boot_id())
    assert len(identifiers) == 4


def test_its_clock_starts_again_at_every_boot(path: Path) -> None:
    machine = Machine()
    system = SimulatedSystem(path, machine=machine)
    system.reboot()
    machine.up = 530.0
    assert system.boottime() == 30.0
    system.reboot()
    assert system.boottime() == 0.0
    machine.up = 3.0
    assert system.boottime() == 0.0
    assert system.wall() == machine.wall()
    system.sync()
    assert machine.synced == 1


def test_what_is_in_a_slot_decides_whether_it_comes_up(path: Path) -> None:
    seen: list[str] = []

    def boots(slot: str) -> bool:
        seen.append(slot)
        return slot == "a"

    SimulatedBootloader(path, tries=2).activate(B)
    assert boot(path, boots=boots) == A
    assert seen == ["b", "b", "a"]


def test_a_device_on_which_nothing_boots_says_so_and_can_be_mended(path: Path) -> None:
    loader = SimulatedBootloader(path, tries=2)
    with pytest.raises(BootError, match="no slot comes up"):
        boot(path, boots=lambda _: False)
    with pytest.raises(BootError, match="did not come up"):
        loader.current()
    assert boot(path) == A
    assert loader.current() == A


def test_slots_that_used_up_their_tries_get_new_ones_rather_than_to_be_given_up(path: Path) -> None:
    slot = {"priority": 1, "tries": 0, "good": False}
    change(path, slots={"a": slot | {"priority": 2}, "b": slot})
    with pytest.raises(BootError, match="no slot may be booted"):
        SimulatedBootloader(path, tries=3).primary()
    assert boot(path) == A


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "Expecting value"),
        ("[]", "indices must be"),
        ('{"boot_id": "x", "booted": "a", "booted_at": 0}', "'slots'"),
        ('{"boot_id": "x", "booted": "a", "booted_at": 0, "slots": {"a": {}}}', "does not have two slots"),
        ('{"boot_id": "x", "booted": "a", "booted_at": 0, "slots": {"a": {}, "b": {}}}', "'priority'"),
        ('{"boot_id": "x", "booted": "c", "booted_at": 0, "slots": {"a": ' + SLOT + ', "b": ' + SLOT + "}}", "is 'c'"),
        (
            '{"boot_id": "x", "booted": "a", "booted_at": 0, "slots": {"a": '
            + SLOT
            + ', "b": '
            + SLOT.replace("0", "70")
            + "}}",
            "s is 70",
        ),
        ("[" * 30000, "simulated device"),
        ("x" * 70000, "it has more than"),
    ],
)
def test_a_file_that_is_no_device_is_refused(content: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "device.json"
    path.write_text(content)
    with pytest.raises(BootError, match="the simulated device") as caught:
        read_device(path)
    assert words in caught.value.what


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(BootError, match="cannot read the simulated device"):
        SimulatedBootloader(tmp_path / "none", tries=3).primary()


def test_a_file_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(BootError, match="cannot change the simulated device"):
        create(tmp_path / "none" / "device.json", (A, B))


def test_a_call_that_changes_nothing_writes_nothing(path: Path) -> None:
    before = path.stat().st_ino
    SimulatedBootloader(path, tries=3).forbid(B)
    assert path.stat().st_ino == before


def test_without_its_file_there_is_no_simulated_boot_loader() -> None:
    with pytest.raises(ConfigError, match="is not configured"):
        make_bootloader(BootSettings(backend="simulated"), PAIR)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (BootSettings(backend="lilo"), "cannot use 'lilo' as boot loader: there are custom, "),
        (BootSettings(backend="uboot", scheme="rauc"), "cannot use 'rauc' as scheme"),
    ],
)
def test_what_there_is_not_cannot_be_made(settings: BootSettings, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make_bootloader(settings, PAIR)
    assert words in caught.value.what


# --- the commands


def test_a_whole_update_can_be_played(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(tmp_path / "device.json")
    assert main(["create", path]) == 0
    SimulatedBootloader(Path(path), tries=3).activate(B)
    assert main(["reboot", path]) == 0
    assert main(["break", path, "b"]) == 0
    assert main(["reboot", path]) == 0
    assert main(["mend", path, "b"]) == 0
    said = [line.partition(" (")[0] for line in capsys.readouterr().out.splitlines()]
    assert said == [
        f"made {path}: slot a runs",
        "booted slot b",
        "slot b does not come up",
        "booted slot a",
        "slot b comes up",
    ]


@pytest.mark.parametrize("words", [[], ["reboot"], ["dance", "device.json"]])
def test_words_that_make_no_sense_get_the_usage(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 1
    assert capsys.readouterr().err == USAGE


def test_an_error_is_said_on_standard_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reboot", str(tmp_path / "none")]) == 1
    assert "cannot read the simulated device" in capsys.readouterr().err
    create(tmp_path / "device.json", (A, B))
    assert main(["break", str(tmp_path / "device.json"), "c"]) == 1
    assert "cannot find slot 'c'" in capsys.readouterr().err


def test_it_runs_as_a_module(path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bistable.client.boot.simulated", "reboot", path],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.startswith("booted slot a (boot ")
