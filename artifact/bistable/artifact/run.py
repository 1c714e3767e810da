"""The one door for programs: argument list, closed stdin, clean environment, time limit, last lines on failure."""

import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, NoReturn

from bistable.artifact.errors import MachineError

LAST_LINES: Final = 12
LAST_BYTES: Final = 16 * 1024
SYSTEM_DIRECTORIES: Final = ("/usr/local/sbin", "/usr/sbin", "/sbin")
"""Where file system tools are; a user who is not root does not have these in PATH."""

_LATE: Final = "cannot finish {}: not done after {:g} s"
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
    "grub-mkimage": "grub-common",
    "resize2fs": "e2fsprogs",
    "tune2fs": "e2fsprogs",
    "sfdisk": "fdisk",
    "mkfs.fat": "dosfstools",
    "fsck.fat": "dosfstools",
    "fsck.erofs": "erofs-utils",
    "mcopy": "mtools",
    "mdir": "mtools",
    "mmd": "mtools",
    "mtype": "mtools",
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
    """A program could not be started, failed (then `exit_status` is not None), or ran out of time."""

    exit_status: int | None = None


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
    with _started_and_ended(command, timeout):
        done = subprocess.run(
            [str(word) for word in command],
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            timeout=timeout,
            env=_environment(variables),
            cwd=cwd,
            check=False,
        )
    if done.returncode != 0:
        _failed(command, done.returncode, done.stderr)
    return Output(stdout=done.stdout, stderr=done.stderr)


def run_to(
    command: Sequence[str | Path],
    target: BinaryIO,
    *,
    timeout: float,
    variables: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> bytes:
    """Run `command` as `run` does, with its stdout going to `target`, a real file, whatever its size; return stderr.

    Raises:
        ProgramError: as for `run`.
    """
    with _started_and_ended(command, timeout):
        done = subprocess.run(
            [str(word) for word in command],
            stdin=subprocess.DEVNULL,
            stdout=target,
            stderr=subprocess.PIPE,
            timeout=timeout,
            env=_environment(variables),
            cwd=cwd,
            check=False,
        )
    if done.returncode != 0:
        _failed(command, done.returncode, done.stderr)
    return done.stderr


def feed(
    command: Sequence[str | Path],
    chunks: Iterable[bytes],
    *,
    timeout: float,
    variables: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> None:
    """Run `command` with `chunks` as its stdin, one after the other; what it writes is dropped if it succeeds.

    The program gets a process group of its own, which ends with it: when time is over, when `chunks` raises, and when
    this process is interrupted.

    Raises:
        ProgramError: as for `run`.
    """
    with tempfile.TemporaryFile() as written:
        with _started_and_ended(command, timeout):
            process = subprocess.Popen(
                [str(word) for word in command],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=written,
                env=_environment(variables),
                cwd=cwd,
                process_group=0,
            )
        if _pour(process, chunks, timeout):
            raise ProgramError(_LATE.format(command[0], timeout))
        if process.returncode != 0:
            written.seek(max(0, written.seek(0, os.SEEK_END) - LAST_BYTES))
            _failed(command, process.returncode, written.read())


def _pour(process: "subprocess.Popen[bytes]", chunks: Iterable[bytes], timeout: float) -> bool:
    """Write `chunks` to the process and wait for its end; return whether it had to be ended for time."""
    expired = threading.Event()

    def expire() -> None:
        expired.set()
        _end_group(process)

    timer = threading.Timer(timeout, expire)
    timer.start()
    try:
        assert process.stdin is not None
        # A program that does not want to read on says why in its exit status.
        with suppress(BrokenPipeError), process.stdin as pipe:
            for chunk in chunks:
                pipe.write(chunk)
        process.wait()
    finally:
        timer.cancel()
        _end_group(process)
        process.wait()
    return expired.is_set()


def _end_group(process: "subprocess.Popen[bytes]") -> None:
    """End the process and what it started, if it still runs; not yet waited for, its number cannot be another's."""
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _environment(variables: Mapping[str, str] | None) -> dict[str, str]:
    kept = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
    path = kept.get("PATH", os.defpath).split(os.pathsep)
    kept["PATH"] = os.pathsep.join([*path, *(extra for extra in SYSTEM_DIRECTORIES if extra not in path)])
    return kept | {"LC_ALL": "C.UTF-8", "TZ": "UTC", **(variables or {})}


@contextmanager
def _started_and_ended(command: Sequence[str | Path], timeout: float) -> Iterator[None]:
    """Turn a program that cannot be started, or does not end in time, into the error that says so."""
    program = str(command[0])
    try:
        yield
    except FileNotFoundError as e:
        package = PACKAGES.get(program)
        raise ProgramError(
            f"cannot run {program}: not found",
            hint=f"install the package {package}" if package else f"install {program} or correct its path",
        ) from e
    except OSError as e:
        raise ProgramError(f"cannot run {program}: {e.strerror}") from e
    except subprocess.TimeoutExpired as e:
        raise ProgramError(_LATE.format(program, timeout)) from e


def _failed(command: Sequence[str | Path], status: int, stderr: bytes) -> NoReturn:
    lines = stderr.decode("utf-8", "replace").strip().splitlines()[-LAST_LINES:]
    what = f"cannot finish {command[0]}: it ended with exit status {status}"
    error = ProgramError(what, hint="\n".join(lines) or None)
    error.exit_status = status
    raise error
