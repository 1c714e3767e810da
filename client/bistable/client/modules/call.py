"""Runs one call of an update module, and hands its output to the log as it comes."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self, TypeVar

from bistable.artifact.errors import quoted
from bistable.client.errors import ModuleError, ProgramError
from bistable.client.run import Program

_Answer = TypeVar("_Answer")

log = logging.getLogger(__name__)

LINE_BYTES: Final = 1000
"""Bytes of one line of output that are logged."""

CALL_BYTES: Final = 256 * 1024
"""Bytes of output that are logged of one call; deployments are logged in a file of bounded size."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long one call may take, in seconds, and how long it may take to end when it is told to."""

    call: float = 4 * 60 * 60
    grace: float = 60.0


class Lines:
    """Logs output line by line, up to a total; what cannot be shown in a log is escaped."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._rest = b""
        self._left = CALL_BYTES

    def feed(self, data: bytes) -> None:
        """Take in the next piece of output."""
        *lines, rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._log(line)
        # Of a line without an end no more is kept than will be shown.
        self._rest = rest[: LINE_BYTES + 1]

    def close(self) -> None:
        """Log what was not ended by a newline."""
        if self._rest:
            self._log(self._rest)
        self._rest = b""

    def _log(self, line: bytes) -> None:
        if self._left <= 0:
            return
        self._left -= len(line) + 1
        text = line[:LINE_BYTES].decode("utf-8", "replace").expandtabs().rstrip()
        shown = text if text.isprintable() else text.encode("unicode_escape").decode()
        if shown:
            log.info("%s: %s%s", self._source, shown, "..." if len(line) > LINE_BYTES else "")
        if self._left <= 0:
            log.info("%s: (more output of this call is not logged)", self._source)


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """A module and the tree it works in: what every call has in common."""

    module: Path | None
    """None if it is gone: then nothing can be called."""
    tree: Path
    limits: Limits = field(default_factory=Limits)

    @property
    def name(self) -> str:
        """Return the module's name, for people."""
        return "?" if self.module is None else self.module.name

    def start(self, call: str) -> "RunningCall":
        """Start a call.

        Raises:
            ModuleError: the module or the tree is gone, or it cannot be run.
        """
        return self._start(call, is_query=False)

    def do(self, call: str) -> None:
        """Make a call that answers nothing.

        Raises:
            ModuleError: it failed, or cannot be made.
        """
        with self.start(call) as running:
            running.finish()

    def ask(self, query: str) -> str:
        """Make a call that answers with one line, or with nothing.

        Raises:
            ModuleError: it failed, or cannot be made.
        """
        with self._start(query, is_query=True) as running:
            answer = running.finish()
        return answer.decode("utf-8", "backslashreplace").removesuffix("\n")

    def choose(self, query: str, answers: Mapping[str, _Answer]) -> _Answer:
        """Return what an answer stands for.

        Raises:
            ModuleError: it is none of `answers`, or as for `ask`.
        """
        answer = self.ask(query)
        if answer not in answers:
            allowed = ", ".join(name or "nothing" for name in answers)
            raise ModuleError(
                f"cannot understand the update module {self.name}: it answers {query} with {quoted(answer)}",
                hint=f"the answers it may give are: {allowed}",
            )
        return answers[answer]

    def _start(self, call: str, *, is_query: bool) -> "RunningCall":
        if self.module is None:
            raise ModuleError(f"cannot do {call}: the update module is not installed any more")
        if not self.tree.is_dir():
            raise ModuleError(f"cannot do {call} with the update module {self.name}: {self.tree} is not there")
        try:
            return RunningCall(self.module, call, self.tree, self.limits, is_query=is_query)
        except ProgramError as e:
            raise _failed(self.module, call, e) from e


class RunningCall:
    """A call that runs, as a context manager. Its output goes to the log as it comes."""

    def __init__(self, module: Path, call: str, tree: Path, limits: Limits, *, is_query: bool) -> None:
        self._module, self._call = module, call
        source = f"{module.name} {call}"
        # What is asked for is an answer, not a line for the log.
        self._stdout = None if is_query else Lines(source)
        self._stderr = Lines(source)
        self._program = Program(
            [module, call, tree],
            timeout=limits.call,
            grace=limits.grace,
            cwd=tree,
            inherit=True,
            on_stdout=self._stdout.feed if self._stdout is not None else lambda _data: None,
            on_stderr=self._stderr.feed,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._program.end()

    def running(self) -> bool:
        """Return whether the module still runs."""
        return self._program.running()

    def watch(self, patience: float, *, until_writable: int | None = None) -> None:
        """Take in output until something happens to the module or the descriptor, at most `patience` seconds."""
        self._program.watch(patience, until_writable=until_writable)

    def end_group(self) -> None:
        """End the module and all that it started, also what outlived it."""
        self._program.end_group()

    def finish(self) -> bytes:
        """Wait for the end of the call and return what it wrote to stdout.

        Raises:
            ModuleError: it failed, or had to be ended because it was late.
        """
        try:
            return self._program.wait().stdout
        except ProgramError as e:
            raise _failed(self._module, self._call, e) from e
        finally:
            for lines in (self._stdout, self._stderr):
                if lines is not None:
                    lines.close()


class CallFailedError(ModuleError):
    """A call ended by itself, with an exit status that says that it failed."""


def _failed(module: Path, call: str, error: ProgramError) -> ModuleError:
    why = error.what.partition(": ")[2]
    kind = ModuleError if error.exit_status is None else CallFailedError
    return kind(f"cannot do {call} with the update module {module.name}: {why}", hint=error.hint)
