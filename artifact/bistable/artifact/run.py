"""The one door for programs: argument list, closed stdin, clean environment, time limit, last lines on failure."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bistable.artifact.errors import MachineError

LAST_LINES: Final = 12
KEPT_VARIABLES: Final = ("PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH", "FAKEROOTKEY", "LD_PRELOAD")

PACKAGES: Final[Mapping[str, str]] = {
    "debugfs": "e2fsprogs",
    "mke2fs": "e2fsprogs",
    "e2fsck": "e2fsprogs",
    "dumpe2fs": "e2fsprogs",
    "mksquashfs": "squashfs-tools",
    "sqfstar": "squashfs-tools",
    "unsquashfs": "squashfs-tools",
    "mkfs.erofs": "erofs-utils",
    "fakeroot": "fakeroot",
    "tar": "tar",
}
"""Program -> the Debian package that brings it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """What a program wrote."""

    stdout: bytes
    stderr: bytes

    @property
    def text(self) -> str:
        """Return stdout as text."""
        return self.stdout.decode("utf-8", "replace")


class ProgramError(MachineError):
    """A program could not be started, failed, or ran out of time."""


def run(
    command: Sequence[str | Path],
    *,
    timeout: float,
    stdin: bytes | None = None,
    variables: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Output:
    """Run `command` to its end, at most `timeout` seconds, and return what it wrote.

    The environment is the C locale plus a few named variables plus `variables`.

    Raises:
        ProgramError: not found (the hint names the Debian package), exit status not 0, or out of time.
    """
    program = str(command[0])
    environment = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
    environment |= {"LC_ALL": "C.UTF-8", "TZ": "UTC", **(variables or {})}
    try:
        done = subprocess.run(
            [str(word) for word in command],
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            timeout=timeout,
            env=environment,
            cwd=cwd,
            check=False,
        )
    except FileNotFoundError as e:
        package = PACKAGES.get(program)
        raise ProgramError(
            f"cannot run {program}: not found",
            hint=f"install the package {package}" if package else f"install {program} or correct its path",
        ) from e
    except OSError as e:
        raise ProgramError(f"cannot run {program}: {e.strerror}") from e
    except subprocess.TimeoutExpired as e:
        raise ProgramError(f"cannot finish {program}: not done after {timeout:g} s") from e
    if done.returncode != 0:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines()[-LAST_LINES:]
        raise ProgramError(f"{program} failed (exit status {done.returncode})", hint="\n".join(lines) or None)
    return Output(stdout=done.stdout, stderr=done.stderr)
