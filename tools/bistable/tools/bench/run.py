"""The harness's one door for programs: what ends by itself runs as in the product; what goes on is a `Running`."""

import os
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from bistable.artifact.errors import MachineError
from bistable.artifact.run import Output, ProgramError, run, run_to

__all__ = ["Output", "ProgramError", "Running", "require", "run", "run_to"]

PACKAGES: Final = {
    "apt-get": "apt",
    "dpkg-deb": "dpkg",
    "mkenvimage": "u-boot-tools",
    "qemu-img": "qemu-utils",
    "qemu-system-aarch64": "qemu-system-arm",
    "qemu-system-arm": "qemu-system-arm",
    "qemu-system-x86_64": "qemu-system-x86",
}
"""Program -> the Debian package that brings it."""

END_SECONDS: Final = 20.0
"""A process that got SIGKILL is gone as soon as the kernel has closed its files."""


class Running:
    """A started program as a context manager; whatever happens inside, its process group is gone afterwards.

    It gets this process's environment. What it writes goes to the file `output`; `passed` are open descriptors that it
    finds under the same numbers.

    Raises:
        MachineError: it cannot be started; the hint names the package.
    """

    def __init__(self, command: Sequence[str | Path], *, output: Path, passed: Sequence[int] = ()) -> None:
        self._name = str(command[0])
        with output.open("ab") as file:
            try:
                self._process = subprocess.Popen(
                    [str(word) for word in command],
                    stdin=subprocess.DEVNULL,
                    stdout=file,
                    stderr=subprocess.STDOUT,
                    pass_fds=tuple(passed),
                    process_group=0,
                )
            except FileNotFoundError as e:
                raise _missing(self._name) from e
            except OSError as e:
                raise MachineError(f"cannot run {self._name}: {e.strerror}") from e

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    @property
    def pid(self) -> int:
        """Return its process number."""
        return self._process.pid

    def ended(self) -> int | None:
        """Return its exit status, or None while it runs."""
        return self._process.poll()

    def wait(self, seconds: float) -> int | None:
        """Wait for its end, at most `seconds`, and return its exit status; None: it still runs."""
        with suppress(subprocess.TimeoutExpired):
            return self._process.wait(seconds)
        return None

    def kill(self) -> None:
        """End it and all that it started, as if the power had failed."""
        if self._process.poll() is None:
            # Not yet waited for: the number cannot be another's.
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(END_SECONDS)


def require(*programs: str) -> None:
    """Raise MachineError for the first of the programs that is not installed."""
    directories = os.environ.get("PATH", os.defpath).split(os.pathsep)
    for program in programs:
        if not any(os.access(Path(directory, program), os.X_OK) for directory in [*directories, "/usr/sbin", "/sbin"]):
            raise _missing(program)


def _missing(program: str) -> MachineError:
    package = PACKAGES.get(program)
    return MachineError(
        f"cannot run {program}: not found",
        hint=f"install the package {package}" if package else f"install {program} or correct its path",
    )
