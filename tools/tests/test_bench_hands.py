"""Power and serial lines of all kinds: a program, a serial port, labgrid, and the device that is led by them."""

import json
import os
import pty
import shutil
import sys
import types
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

import pytest
from bench_devices import environment, program
from pexpect import TIMEOUT

from bistable.artifact.errors import MachineError, RequestError
from bistable.tools.bench.device import LineDevice, bistablectl
from bistable.tools.bench.errors import CommandError, MisuseError
from bistable.tools.bench.labgrid import LabgridHands
from bistable.tools.bench.process import ProcessHands
from bistable.tools.bench.serial import SerialHands, SerialWire
from bistable.tools.bench.shell import SHELL_READY
from bistable.tools.bench.switches import CommandSwitch, PersonSwitch

MACHINE = f"""
exec <&$1 >&$1 2>&1
while :; do
    echo 'bistable: booting slot '$(sed 's/.*bistable.slot=//' "$CMDLINE")
    echo '{SHELL_READY}'
    printf '/ # '
    sh
done
"""
"""A machine whose shell ends when it reboots."""


Machine: TypeAlias = tuple[ProcessHands, Path]


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    """A program that behaves like a device with a serial line on an inherited socket."""
    if shutil.which("bash") is None:
        pytest.skip("bash is not installed")
    cmdline = tmp_path / "cmdline"
    cmdline.write_text("console=ttyS0 bistable.slot=a\n")
    program(
        tmp_path, "cat", '#!/bin/sh\ncase $1 in /proc/cmdline) exec /bin/cat "$CMDLINE" ;; esac\nexec /bin/cat "$@"\n'
    )
    program(tmp_path, "reboot", "#!/bin/sh\necho 'acorn login: '; echo 'reboot: Restarting system'\nkill -KILL $PPID\n")
    for name, value in {**environment(tmp_path), "CMDLINE": str(cmdline)}.items():
        monkeypatch.setenv(name, value)
    hands = ProcessHands(lambda line: ["bash", "-c", MACHINE, "machine", str(line)], tmp_path)
    yield hands, cmdline
    hands.close()


def test_a_device_boots_reboots_is_cut_off_and_reset(machine: Machine) -> None:
    hands, cmdline = machine
    device = LineDevice(hands)
    assert device.boot() == "a"
    cmdline.write_text("console=ttyS0 bistable.slot=b\n")
    assert device.reboot() == "b"
    device.cut_power()
    assert not hands.is_on
    cmdline.write_text("console=ttyS0 bistable.slot=a\n")
    assert device.boot() == "a"
    device.reset()
    assert device.boot() == "a"
    # Nobody has answered the prompt of the system that went down.
    assert "not found" not in hands.console.text()
    assert device.says("booting") == [f"booting slot {slot}" for slot in "abaa"]


def test_a_device_whose_kernel_was_not_told_its_slot_is_asked_by_its_client(machine: Machine, tmp_path: Path) -> None:
    hands, cmdline = machine
    cmdline.write_text("console=ttyS0\n")
    status = {"slots": {"running": "b"}}
    program(tmp_path, "bistablectl", f"#!/bin/sh\n[ \"$*\" = 'status --json' ] && echo '{json.dumps(status)}'\n")
    assert LineDevice(hands).boot() == "b"


def test_what_the_client_writes_is_json_or_the_error_says_so(machine: Machine, tmp_path: Path) -> None:
    hands, _ = machine
    device = LineDevice(hands)
    device.boot()
    program(tmp_path, "bistablectl", "#!/bin/sh\necho it broke >&2; exit 4\n")
    with pytest.raises(CommandError, match="it broke"):
        bistablectl(device, "status")
    with pytest.raises(CommandError, match="wrote no JSON"):
        bistablectl(device, "status", allowed=(4,))
    program(tmp_path, "bistablectl", "#!/bin/sh\ntrue\n")
    assert bistablectl(device, "commit") == {}


def test_a_program_that_fails_at_once_says_why(tmp_path: Path) -> None:
    hands = ProcessHands(lambda _: ["sh", "-c", "echo no such machine >&2; exit 1"], tmp_path)
    hands.power_on()
    with pytest.raises(MachineError, match="cannot start sh: it ended at once") as failed:
        hands.console.expect("ready", seconds=20)
    assert failed.value.hint == "no such machine"
    hands.close()


def test_a_program_that_is_not_installed_is_named(tmp_path: Path) -> None:
    hands = ProcessHands(lambda _: ["qemu-system-acorn"], tmp_path)
    with pytest.raises(MachineError, match="cannot run qemu-system-acorn: not found"):
        hands.power_on()
    assert not hands.is_on


def test_a_machine_that_is_on_is_not_switched_on_again(machine: Machine) -> None:
    hands, _ = machine
    hands.power_on()
    with pytest.raises(MisuseError):
        hands.power_on()


def test_commands_switch_and_get_the_callers_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLACE", str(tmp_path / "said"))
    switch = CommandSwitch("sh -c 'echo on >>$PLACE'", "sh -c 'echo off >>$PLACE'")
    switch.on()
    switch.off()
    assert (tmp_path / "said").read_text() == "on\noff\n"
    with pytest.raises(MachineError, match="false"):
        CommandSwitch("false", "true").on()


@pytest.mark.parametrize("command", ["", "   ", "sh 'never closed"])
def test_a_command_that_is_none_is_refused_before_it_is_needed(command: str) -> None:
    with pytest.raises(RequestError):
        CommandSwitch(command, "true")


def test_a_person_is_asked_for_one_thing_after_the_other() -> None:
    asked: list[str] = []
    switch = PersonSwitch(asked.append)
    switch.on()
    switch.off()
    assert "on" in asked[0]
    assert "pull the plug" in asked[1]


class Rack:
    """A switch that notes what was done, and answers on the other side of the line."""

    def __init__(self, line: int) -> None:
        self.line = line
        self.done: list[str] = []

    def on(self) -> None:
        self.done.append("on")
        os.write(self.line, b"bistable: booting slot a\r\n")

    def off(self) -> None:
        os.write(self.line, b"last words\r\n")
        self.done.append("off")


Port: TypeAlias = tuple[int, str]


@pytest.fixture
def port() -> Iterator[Port]:
    """A terminal in place of a serial port: the device's side, and the name of ours."""
    device, ours = pty.openpty()
    yield device, os.ttyname(ours)
    os.close(device)
    os.close(ours)


def test_a_board_on_a_serial_port_is_heard_from_its_first_to_its_last_word(port: Port, tmp_path: Path) -> None:
    device, name = port
    rack = Rack(device)
    hands = SerialHands(name, 115200, rack, tmp_path / "console.log")
    was_on = [hands.is_on]
    for _ in range(2):
        hands.power_on()
        was_on.append(hands.is_on)
        hands.console.expect("booting slot a", seconds=5)
        hands.console.send("reboot")
        assert os.read(device, 100) == b"reboot\n"
        hands.power_off()
    hands.close()
    assert was_on == [False, True, True]
    assert rack.done == ["on", "off"] * 2
    assert hands.console.lines("") == ["bistable: booting slot a", "last words"] * 2


def test_a_port_has_one_user_at_a_time(port: Port, tmp_path: Path) -> None:
    _, name = port
    wire = SerialWire(name, 115200)
    with pytest.raises(MachineError, match="cannot open the serial port"):
        SerialWire(name, 115200)
    wire.close()


def test_a_port_that_is_not_there_and_a_missing_library_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MachineError, match="cannot open the serial port /dev/ttyACORN0: "):
        SerialWire("/dev/ttyACORN0", 115200)
    monkeypatch.setitem(sys.modules, "serial", None)
    with pytest.raises(MachineError, match="pyserial is not installed") as failed:
        SerialWire("/dev/ttyACORN0", 115200)
    assert failed.value.hint == "pip install 'bistable[boards]'"


class LabgridConsole:
    """A driver as labgrid has them, with a line of words that come one by one, or with a fault."""

    def __init__(self) -> None:
        self.words, self.written = [b"bistable: ", b"booting slot a\r\n"], b""
        self.done: list[str] = []
        self.fault: Exception | None = None

    def read(self, size: int = 1, timeout: float = 0.0) -> bytes:
        self._fail()
        if not self.words:
            raise TIMEOUT("nothing")
        return self.words.pop(0)

    def write(self, data: bytes) -> int:
        self.written += data
        return len(data)

    def on(self) -> None:
        self._fail()
        self.done.append("on")

    def off(self) -> None:
        self.done.append("off")

    def _fail(self) -> None:
        if self.fault is not None:
            raise self.fault


def labgrid(monkeypatch: pytest.MonkeyPatch, driver: LabgridConsole, targets: Sequence[str] = ("main",)) -> None:
    """Put a labgrid of our own in place of the real one, which the tests do without."""
    target = types.SimpleNamespace(get_driver=lambda _: driver)

    def option(_target: str, name: str, default: str | None) -> str | None:
        if name != "bistable_kind" and default is None:
            raise KeyError(name)
        return "acorn" if name == "bistable_kind" else default

    environment = types.SimpleNamespace(
        get_target=lambda name: target if name in targets else None,
        config=types.SimpleNamespace(get_target_option=option),
        cleanup=lambda: driver.done.append("cleaned up"),
    )
    monkeypatch.setitem(sys.modules, "labgrid", types.SimpleNamespace(Environment=lambda path: environment))


def test_a_board_that_labgrid_leads_is_switched_heard_and_given_back(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    driver = LabgridConsole()
    labgrid(monkeypatch, driver)
    hands = LabgridHands(Path("acorn.yaml"), tmp_path / "console.log")
    hands.power_on()
    hands.console.expect("booting slot a", seconds=5)
    hands.console.send("reboot")
    assert driver.written == b"reboot\n"
    hands.close()
    assert driver.done == ["on", "off", "cleaned up"]


def test_options_of_a_labgrid_target_are_given_and_a_missing_one_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    labgrid(monkeypatch, LabgridConsole())
    hands = LabgridHands(Path("acorn.yaml"), tmp_path / "console.log")
    assert (hands.option("bistable_kind"), hands.option("bistable_host", "here")) == ("acorn", "here")
    with pytest.raises(RequestError, match=r"acorn\.yaml: its target 'main' has no option bistable_prepare"):
        hands.option("bistable_prepare")


def test_what_fails_in_labgrid_fails_in_one_way(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    labgrid(monkeypatch, LabgridConsole(), targets=())
    with pytest.raises(MachineError, match="no target 'main'"):
        LabgridHands(Path("acorn.yaml"), tmp_path / "console.log")
    driver = LabgridConsole()
    driver.fault = ZeroDivisionError("division by zero")
    labgrid(monkeypatch, driver)
    with pytest.raises(MachineError, match="cannot switch the device on: ZeroDivisionError"):
        LabgridHands(Path("acorn.yaml"), tmp_path / "console.log").power_on()
    monkeypatch.setitem(sys.modules, "labgrid", None)
    with pytest.raises(MachineError, match="labgrid is not installed"):
        LabgridHands(Path("acorn.yaml"), tmp_path / "console.log")


def test_a_console_of_labgrid_that_is_not_there_is_told_from_one_that_is_silent(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    driver = LabgridConsole()
    labgrid(monkeypatch, driver)
    hands = LabgridHands(Path("acorn.yaml"), tmp_path / "console.log")
    hands.listen()
    driver.fault = AttributeError("'NoneType' object has no attribute 'read'")
    with pytest.raises(MachineError, match="cannot use the console that labgrid leads: AttributeError") as failed:
        hands.console.expect("ready", seconds=5)
    assert failed.value.hint is not None
    assert "has to be on" in failed.value.hint
    driver.fault, driver.words = None, [b"ready"]
    hands.console.expect("ready", seconds=5)
