"""Commands on a device over ssh: what the program ssh is told, and what comes of its answers."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest
from bench_devices import program

from bistable.artifact.errors import MachineError
from bistable.tools.bench.errors import CommandError
from bistable.tools.bench.shell import Answer
from bistable.tools.bench.ssh import SshShell

# Runs the last word as sshd does, by the user's shell.
RUNS = '#!/bin/sh\nprintf "%s\\n" "$@" >>"$SAID"\nfor command; do :; done\nexec sh -c "$command"\n'


Ssh: TypeAlias = Callable[[str], Path]


@pytest.fixture
def ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ssh:
    """Put a program of our own in place of ssh; it returns where that notes its words."""
    said = tmp_path / "said"
    monkeypatch.setenv("SAID", str(said))

    def become(text: str) -> Path:
        programs = program(tmp_path, "ssh", text.replace("$SAID", str(said)))
        monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
        return said

    return become


def test_a_command_gives_output_and_status_as_on_a_serial_line(ssh: Ssh) -> None:
    said = ssh(RUNS)
    it = SshShell("root@192.0.2.7", ["-p", "2222"])
    assert it.run('echo "it\'s"; echo two >&2; exit 3', allowed=(3,)) == Answer(status=3, output="it's\ntwo")
    assert it.run("printf 'no end'") == Answer(status=0, output="no end")
    assert it.run("cat") == Answer(status=0, output="")
    words = said.read_text().splitlines()
    assert words[:5] == ["-T", "-o", "ConnectTimeout=20", "-p", "2222"]
    assert words[5:7] == ["--", "root@192.0.2.7"]


def test_a_command_that_fails_says_what_it_wrote(ssh: Ssh) -> None:
    ssh(RUNS)
    with pytest.raises(CommandError, match=r"exit status 1[^|]*\| no such thing"):
        SshShell("acorn").run("echo no such thing; false")


def test_a_device_that_cannot_be_reached_is_said_in_the_words_of_ssh(ssh: Ssh) -> None:
    ssh("#!/bin/sh\necho 'ssh: connect to host acorn port 22: No route to host' >&2; exit 255\n")
    with pytest.raises(MachineError, match="on acorn: ssh: connect to host acorn port 22: No route"):
        SshShell("acorn").run("true")


def test_a_connection_that_is_cut_is_no_answer(ssh: Ssh) -> None:
    ssh("#!/bin/sh\necho half\n")
    with pytest.raises(MachineError, match="the connection was cut"):
        SshShell("acorn").run("true")


def test_that_ssh_is_not_installed_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MachineError, match="cannot run ssh: not found"):
        SshShell("acorn").run("true")
