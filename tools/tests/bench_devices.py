"""Devices for the tests of the bench: real shells on a terminal or a socket, with what systems say around them."""

import os
import pty
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bistable.tools.bench.console import Console
from bistable.tools.bench.wires import DescriptorWire

PASSWORD = "acorn"
KERNEL = "[   12.345678] random: crng init done"
GETTY = f"""
while :; do
    printf '\\r\\nAcorn OS 1.0 acorn ttyS2\\r\\n\\r\\nacorn login: '
    read -r user || exit
    [ "$user" ] || continue
    stty -echo; printf 'Password: '; read -r password; stty echo; echo
    if [ "$user:$password" = root:{PASSWORD} ]; then
        echo 'Last login: Thu Nov 26 06:00:00 UTC 2026 on ttyS2'
        HOME=/ %s
    else
        printf '\\r\\nLogin incorrect\\r\\n'
    fi
done
"""
"""Asks for a login as getty and login do, and starts a shell."""

ASH = "PS1='\\w # ' busybox sh -i"
BASH = "PS1='root@acorn:\\w# ' bash --noprofile --norc -i"

_DMESG = 'echo "dmesg $*" >>"$SAID"'


def program(folder: Path, name: str, text: str) -> Path:
    """Write a program that a device finds, and return the folder with it."""
    programs = folder / "bin"
    programs.mkdir(exist_ok=True)
    (programs / name).write_text(text)
    (programs / name).chmod(0o755)
    return programs


def environment(folder: Path) -> dict[str, str]:
    """Return the variables of a device, where `dmesg` only notes in the file `said` what it was told."""
    programs = program(folder, "dmesg", f"#!/bin/sh\n{_DMESG}\n")
    # busybox takes its own before those in PATH, but functions before its own.
    functions = folder / "functions"
    functions.write_text(f"dmesg() {{ {_DMESG}; }}\n")
    return {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "ENV": str(functions),
        "TERM": "vt220",
        "SAID": str(folder / "said"),
    }


@contextmanager
def on_terminal(script: str, folder: Path) -> Iterator[Console]:
    """Give the console of a device whose system is a shell script on a terminal."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        ["setsid", "-c", "sh", "-c", script],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=environment(folder),
        cwd="/",
    ) as process:
        os.close(theirs)
        console = Console(folder / "console.log")
        console.attach(DescriptorWire(ours))
        try:
            yield console
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            console.detach()
