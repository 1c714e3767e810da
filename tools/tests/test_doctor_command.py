"""`bistable board doctor`: the ways to a device, what is shown, and the exit codes."""

import os
import pty
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, nullcontext, suppress
from pathlib import Path

import pytest
from bench_devices import ASH, environment
from board_samples import DISK, board
from commandline import Outcome, call_program
from doctor_devices import Device, good_device
from doctor_mistakes import MISTAKES
from schemas import validated

from bistable.tools.bench import reaching
from bistable.tools.bench.errors import MisbehavedError
from bistable.tools.bench.serial import SerialWire
from bistable.tools.bench.shell import Login


@pytest.fixture
def acorn(tmp_path: Path) -> Path:
    """A folder with a board."""
    folder = tmp_path / "acorn-2"
    folder.mkdir()
    (folder / "board.toml").write_text(DISK)
    return folder


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> Device:
    """A device that answers whichever way it is reached."""
    found = good_device(board(DISK))
    monkeypatch.setattr(reaching, "over_ssh", lambda *_: found)
    monkeypatch.setattr(reaching, "over_serial", lambda *_: nullcontext(found))
    return found


def doctor(*arguments: str | Path, code: int) -> Outcome:
    outcome = call_program("board", "doctor", *arguments)
    assert outcome.code == code, outcome.out + outcome.err
    return outcome


def test_a_device_that_is_right_is_said_to_be(acorn: Path, device: Device) -> None:
    assert doctor(acorn, "--ssh", "x", code=0).out == "acorn-2: nothing found on Acorn 2, kernel 6.12.1\n"


def test_what_is_wrong_is_shown_with_what_is_there_what_should_be_and_what_to_change(
    acorn: Path, device: Device
) -> None:
    MISTAKES["environment: a wrong offset"].spoil(device)
    MISTAKES["watchdog: another one"].spoil(device)
    assert doctor(acorn, "--serial", "/dev/ttyUSB0", code=1).out == (
        """\
acorn-2: 1 error, 1 warning on Acorn 2, kernel 6.12.1

error: environment: /etc/fw_env.config names another place than that where the boot loader keeps its environment
  is:        /dev/disk/by-partlabel/boot-env 0x0 0x200
             /dev/disk/by-partlabel/boot-env 0x200000 0x200
  should be: /dev/disk/by-partlabel/boot-env 0x0 0x200
             /dev/disk/by-partlabel/boot-env 0x400000 0x200
  change:    /etc/fw_env.config in the root file system: rendered/fw_env.config is what it has to be

warning: hardware: /dev/watchdog0 is a watchdog of another driver than board.toml names
  is:        softdog (a watchdog)
  should be: imx2-wdt
  change:    [watchdog] driver in board.toml; or [watchdog] device, if the board has several
"""
    )


def test_programs_are_told_the_same(acorn: Path, device: Device) -> None:
    MISTAKES["client: not installed"].spoil(device)
    document = validated(doctor(acorn, "--ssh", "x", "--json", code=1).document)
    assert document == {
        "schema": "bistable.board.doctor/1",
        "board": "acorn-2",
        "model": "Acorn 2",
        "kernel": "6.12.1",
        "errors": 1,
        "warnings": 0,
        "findings": [
            {
                "level": "error",
                "area": "client",
                "what": "the client is not installed: there is no bistablectl",
                "found": "sh: bistablectl: not found",
                "expected": None,
                "change": "the image of the root file system: add bistable-client",
            }
        ],
    }


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "exactly one way"),
        (["--ssh", "x", "--serial", "y"], "exactly one way"),
        (["--ssh", "x", "--user", "root"], "for serial lines"),
        (["--ssh", "x", "--speed", "9600"], "for serial lines"),
        (["--serial", "x", "--ssh-option", "Port=1"], "without --ssh"),
    ],
    ids=str,
)
def test_ways_that_cannot_be_are_a_wrong_use(acorn: Path, arguments: list[str], words: str) -> None:
    assert words in doctor(acorn, *arguments, code=2).err


def test_a_board_that_is_none_is_a_wrong_use(tmp_path: Path) -> None:
    doctor(tmp_path / "beech", "--ssh", "x", code=2)


def test_a_device_that_cannot_be_reached_is_no_finding(acorn: Path) -> None:
    assert "cannot open the serial port" in doctor(acorn, "--serial", "/dev/ttyACORN0", code=7).err


def test_over_ssh_the_commands_are_run_by_the_other_side(acorn: Path, tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    # Stands in for a connection: the last word is what the other side's shell runs.
    (programs / "ssh").write_text(f'#!/bin/sh\necho "$@" >{tmp_path}/words\nfor c; do :; done\nexec sh -c "$c"\n')
    (programs / "ssh").chmod(0o755)
    outcome = call_program(
        *("board", "doctor", acorn, "--ssh", "root@192.0.2.7", "--ssh-option", "Port=2222", "--json"),
        env={"PATH": f"{programs}:{os.environ['PATH']}"},
    )
    # This computer is no such board.
    assert outcome.code == 1, outcome.err
    assert outcome.document["kernel"] == os.uname().release
    assert any("was not told its slot" in finding["what"] for finding in outcome.document["findings"])
    assert "-o Port=2222 -- root@192.0.2.7" in (tmp_path / "words").read_text()


@contextmanager
def a_port(script: str, folder: Path) -> Iterator[str]:
    """Give the name of a terminal that is connected to another one, on which a shell script runs."""
    inner, script_side = pty.openpty()
    outer, port = pty.openpty()

    def pass_on(source: int, target: int) -> None:
        # A terminal whose other side is gone cannot be read.
        with suppress(OSError):
            while True:
                os.write(target, os.read(source, 4096))

    ways = ((inner, outer), (outer, inner))
    threads = [threading.Thread(target=pass_on, args=way) for way in ways]
    with subprocess.Popen(
        ["setsid", "-c", "sh", "-c", script],
        stdin=script_side,
        stdout=script_side,
        stderr=script_side,
        env=environment(folder),
    ) as process:
        os.close(script_side)
        for thread in threads:
            thread.start()
        try:
            yield os.ttyname(port)
        finally:
            # An interactive shell leads a group of its own.
            for group in {process.pid, os.tcgetpgrp(inner)}:
                with suppress(ProcessLookupError):
                    os.killpg(group, signal.SIGKILL)
            os.close(port)
            for thread in threads:
                thread.join()
            os.close(outer)
            os.close(inner)


def test_over_a_serial_port_a_shell_is_found_used_and_given_back(tmp_path: Path) -> None:
    with a_port(f"env {ASH}; echo it is free again; exec sleep 1000", tmp_path) as port:
        with reaching.over_serial(port, 115200, Login()) as shell:
            assert shell.run("echo here").output == "here"
        with closing(SerialWire(port, 115200)) as wire:
            said = b""
            while b"free again" not in said:
                part = wire.read(20)
                assert part, said
                said += part


def test_the_log_of_a_device_that_does_not_answer_is_kept_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setattr("bistable.tools.bench.patience.ANSWER", 0.1)
    with (
        a_port("stty -echo; exec sleep 1000", tmp_path) as port,
        pytest.raises(MisbehavedError) as failed,
        reaching.over_serial(port, 115200, Login()),
    ):
        pass
    (log,) = tmp_path.glob("bistable-*/console.log")
    assert str(log) in str(failed.value)
