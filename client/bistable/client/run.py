"""The one door for programs: argument list, closed stdin, a process group of its own, a time limit, bounded output.

A program that leaves something running behind it is done when it itself ends: whatever still holds its output open is
not waited for. A program that is late gets SIGTERM, and SIGKILL after a grace period, together with its whole group.
"""

import os
import selectors
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self, TypeAlias

from bistable.client.errors import ProgramError

if TYPE_CHECKING:
    from _typeshed import FileDescriptorLike

KEPT_STDOUT: Final = 1024 * 1024
"""Bytes of stdout that are kept, from its start; what comes after is read and dropped."""

KEPT_STDERR: Final = 64 * 1024
"""Bytes of stderr that are kept, from its end."""

LAST_LINES: Final = 12
SYSTEM_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
KEPT_VARIABLES: Final = ("PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH")

LOCALE: Final = "LC_CTYPE"

_TICK: Final = 0.05
"""Seconds between looks at a process on kernels before 5.3, which cannot tell of its end."""

_PIPE_READ: Final = 64 * 1024

OnOutput: TypeAlias = Callable[[bytes], object]

PACKAGES: Final[Mapping[str, str]] = {
    "fw_printenv": "libubootenv-tool",
    "fw_setenv": "libubootenv-tool",
    "systemctl": "systemd",
    "losetup": "mount",
}
"""Program -> the Debian package that brings it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """What a program wrote, as far as it was kept."""

    stdout: bytes
    stderr: bytes

    @property
    def text(self) -> str:
        """Return stdout as text."""
        return self.stdout.decode("utf-8", "replace")


class Program:
    """A started program, as a context manager: whatever happens inside, its process group is gone afterwards.

    `timeout` counts from the start. With `inherit` it gets our own environment, which users' modules and scripts
    expect; otherwise a small, clean one. `stdin` is what it can read, at most a pipe's worth (64 KiB). With `mute` its
    stdout goes nowhere: what a script starts and leaves running may go on writing. `on_stdout` and `on_stderr` get the
    output as it comes, besides what is kept of it.

    Raises:
        ProgramError: it cannot be started.
    """

    def __init__(
        self,
        command: Sequence[str | Path],
        *,
        timeout: float,
        grace: float = 0.0,
        stdin: bytes | None = None,
        variables: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        inherit: bool = False,
        mute: bool = False,
        on_stdout: OnOutput = lambda _data: None,
        on_stderr: OnOutput = lambda _data: None,
    ) -> None:
        self._on_stdout, self._on_stderr = on_stdout, on_stderr
        self._name = str(command[0])
        self._timeout, self._grace = timeout, grace
        self._deadline = time.monotonic() + timeout
        self._late: signal.Signals | None = None
        self._process = self._start(command, stdin, _environment(variables, inherit=inherit), cwd, mute)
        self._selector = selectors.DefaultSelector()
        self._stdout, self._stderr = bytearray(), deque[bytes]()
        self._stderr_size = 0
        self._pidfd = _pidfd(self._process.pid)
        if self._pidfd is not None:
            self._selector.register(self._pidfd, selectors.EVENT_READ)
        for pipe, keep in ((self._process.stdout, self._keep_stdout), (self._process.stderr, self._keep_stderr)):
            if pipe is None:
                continue
            os.set_blocking(pipe.fileno(), False)
            self._selector.register(pipe, selectors.EVENT_READ, keep)

    def _start(
        self,
        command: Sequence[str | Path],
        stdin: bytes | None,
        environment: dict[str, str],
        cwd: Path | None,
        mute: bool,
    ) -> "subprocess.Popen[bytes]":
        try:
            process = subprocess.Popen(
                [str(word) for word in command],
                stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
                stdout=subprocess.DEVNULL if mute else subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=environment,
                cwd=cwd,
                process_group=0,
            )
        except FileNotFoundError as e:
            package = PACKAGES.get(Path(self._name).name)
            raise ProgramError(
                f"cannot run {self._name}: not found",
                hint=f"install the package {package}" if package else f"install {self._name} or correct its path",
            ) from e
        except OSError as e:
            raise ProgramError(f"cannot run {self._name}: {e.strerror}") from e
        if stdin is not None:
            assert process.stdin is not None
            # A program that does not want to read says why in its exit status.
            with suppress(BrokenPipeError), process.stdin:
                process.stdin.write(stdin)
        return process

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def running(self) -> bool:
        """Return whether the program still runs; late ones are told to end, and output that has come is taken in."""
        self._pump(0.0)
        return not self._is_over()

    def watch(self, patience: float, *, until_writable: int | None = None) -> None:
        """Take in output until something happens to the program or the descriptor, at most `patience` seconds."""
        if until_writable is None:
            self._pump(patience)
            return
        self._selector.register(until_writable, selectors.EVENT_WRITE)
        try:
            self._pump(patience)
        finally:
            self._selector.unregister(until_writable)

    def wait(self) -> Output:
        """Wait for the end of the program and return what it wrote.

        Raises:
            ProgramError: its exit status is not 0, or it had to be ended because it was late.
        """
        while not self._is_over():
            self._pump(self._patience())
        self._drain()
        if self._late is not None:
            raise ProgramError(
                f"cannot finish {self._name}: not done after {self._timeout:g} s", hint=self._last_lines()
            )
        if self._process.returncode != 0:
            error = self._error(f"cannot finish {self._name}: {_ending(self._process.returncode)}")
            error.exit_status = self._process.returncode
            raise error
        return self._output()

    def _output(self) -> Output:
        return Output(stdout=bytes(self._stdout), stderr=b"".join(self._stderr)[-KEPT_STDERR:])

    def _error(self, what: str) -> ProgramError:
        error = ProgramError(what, hint=self._last_lines())
        output = self._output()
        error.stdout, error.stderr = output.stdout, output.stderr
        return error

    def end(self) -> None:
        """End the program and all of its group, if it still runs, and let go of its output."""
        if not self._is_over():
            self._signal(signal.SIGKILL)
            self._process.wait()
        self._selector.close()
        if self._pidfd is not None:
            os.close(self._pidfd)
            self._pidfd = None
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()

    def end_group(self) -> None:
        """End the program and all of its group, also those that outlived it."""
        # While one of the group lives, its number cannot become another's; else there is nobody to hit.
        self._signal(signal.SIGKILL)

    def _patience(self) -> float:
        left = max(0.0, self._deadline - time.monotonic())
        return left if self._pidfd is not None else min(left, _TICK)

    def _pump(self, patience: float) -> None:
        """Take in output for up to `patience` seconds, or until something happens, and see to the time limit."""
        for key, _ in self._selector.select(patience):
            if key.data is not None:
                self._take(key.fileobj, key.data)
        if time.monotonic() >= self._deadline and not self._is_over():
            self._hurry()

    def _is_over(self) -> bool:
        """Whether the program has ended. Of one that was late, the rest of its group is ended as well.

        That is done before the program is waited for: as long as it is not, its number cannot be another's.
        """
        if self._process.returncode is None and self._late is not None and _has_ended(self._process.pid):
            self._signal(signal.SIGKILL)
        return self._process.poll() is not None

    def _hurry(self) -> None:
        gentle = self._late is None and self._grace > 0
        self._late = signal.SIGTERM if gentle else signal.SIGKILL
        self._signal(self._late)
        # After SIGKILL it cannot be long; the deadline only has to be in the future.
        self._deadline = time.monotonic() + (self._grace if gentle else 1.0)

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)

    def _take(self, pipe: "FileDescriptorLike", keep: Callable[[bytes], None]) -> bool:
        """Read once from a pipe; return whether there was something."""
        try:
            data = os.read(pipe if isinstance(pipe, int) else pipe.fileno(), _PIPE_READ)
        except BlockingIOError:
            return False
        if not data:
            self._selector.unregister(pipe)
            return False
        keep(data)
        return True

    def _drain(self) -> None:
        """Take in what the program wrote before it ended, whoever else still holds the pipes."""
        for key in list(self._selector.get_map().values()):
            if key.data is not None:
                budget = KEPT_STDOUT // _PIPE_READ
                while budget and self._take(key.fileobj, key.data):
                    budget -= 1

    def _keep_stdout(self, data: bytes) -> None:
        self._on_stdout(data)
        self._stdout += data[: KEPT_STDOUT - len(self._stdout)]

    def _keep_stderr(self, data: bytes) -> None:
        self._on_stderr(data)
        self._stderr.append(data)
        self._stderr_size += len(data)
        while self._stderr_size - len(self._stderr[0]) >= KEPT_STDERR:
            self._stderr_size -= len(self._stderr.popleft())

    def _last_lines(self) -> str | None:
        lines = b"".join(self._stderr).decode("utf-8", "replace").strip().splitlines()[-LAST_LINES:]
        return "\n".join(lines) or None


def run(
    command: Sequence[str | Path],
    *,
    timeout: float,
    grace: float = 0.0,
    stdin: bytes | None = None,
    variables: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    inherit: bool = False,
    mute: bool = False,
) -> Output:
    """Run `command` to its end, at most `timeout` seconds, and return what it wrote.

    Raises:
        ProgramError: not found (the hint names the Debian package), exit status not 0 (`exit_status`, and the last
            lines of stderr as the hint), or late.
    """
    with Program(
        command, timeout=timeout, grace=grace, stdin=stdin, variables=variables, cwd=cwd, inherit=inherit, mute=mute
    ) as program:
        return program.wait()


def run_attached(command: Sequence[str]) -> int:
    """Run a person's command with our own terminal and environment, and return its exit status as a shell has it.

    Ctrl-C is the command's business, which gets it from the terminal. SIGTERM and SIGHUP, which come to us alone, are
    passed on to it.

    Raises:
        ProgramError: it cannot be started.
    """
    process: subprocess.Popen[bytes] | None = None
    early: list[int] = []

    def pass_on(number: int, _frame: object) -> None:
        if number not in {signal.SIGTERM, signal.SIGHUP}:
            return
        if process is None:
            early.append(number)
        else:
            process.send_signal(number)

    # Before the start, so that none is missed; handlers do not outlive an exec. What is ignored stays so (nohup).
    before = {
        number: signal.signal(number, pass_on)
        for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP)
        if signal.getsignal(number) is not signal.SIG_IGN
    }
    try:
        process = subprocess.Popen(list(command), env=_given_environment())
        for number in early:
            process.send_signal(number)
        status = process.wait()
    except OSError as e:
        raise ProgramError(f"cannot run {command[0]}: {e.strerror}") from e
    finally:
        for known, handler in before.items():
            signal.signal(known, handler)
    return status if status >= 0 else 128 - status


def _environment(variables: Mapping[str, str] | None, *, inherit: bool) -> dict[str, str]:
    if inherit:
        return {**_given_environment(), **(variables or {})}
    kept = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
    return {"PATH": SYSTEM_PATH, **kept, "LC_ALL": "C.UTF-8", "TZ": "UTC", **(variables or {})}


def _given_environment() -> dict[str, str]:
    """Return our environment as it was given to us.

    Where no locale is set, Python sets one for itself (PEP 538). To users' programs it would be another world than the
    one they were written for.
    """
    found = dict(os.environ)
    if LOCALE in found:
        with suppress(OSError):
            given = Path("/proc/self/environ").read_bytes().split(b"\0")
            if not any(one.startswith(f"{LOCALE}=".encode()) for one in given):
                del found[LOCALE]
    return found


def _pidfd(pid: int) -> int | None:
    try:
        return os.pidfd_open(pid)
    except OSError:
        return None


def _has_ended(pid: int) -> bool:
    """Return whether a child has ended, without collecting it."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _ending(status: int) -> str:
    if status >= 0:
        return f"it ended with exit status {status}"
    try:
        return f"it was ended by {signal.Signals(-status).name}"
    except ValueError:
        return f"it was ended by signal {-status}"
