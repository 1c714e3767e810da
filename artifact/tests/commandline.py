"""The command line as tests use it: in this process, or as a program of its own."""

import inspect
import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from click.testing import CliRunner

from bistable.artifact.cli.app import bistable

KEYS: Final = Path(__file__).parent / "vectors" / "keys"
CORPUS: Final = Path(__file__).parent / "vectors" / "corpus"
PROGRAM: Final = [sys.executable, "-c", "from bistable.artifact.cli import main; main()"]

# Before click 8.2 the two outputs were mixed unless that was forbidden; after, they never are.
_SEPARATE: Final = {"mix_stderr": False} if "mix_stderr" in inspect.signature(CliRunner).parameters else {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a command did: exit code, standard output, standard error."""

    code: int
    raw: bytes
    err: str

    @property
    def out(self) -> str:
        """Standard output as text."""
        return self.raw.decode()

    @property
    def document(self) -> Any:
        """Standard output as JSON."""
        return json.loads(self.raw)


def call(*arguments: str | Path, stdin: bytes = b"", env: Mapping[str, str] | None = None) -> Outcome:
    """Run `bistable artifact ARGUMENTS` in this process."""
    return call_program("artifact", *arguments, stdin=stdin, env=env)


def call_program(*arguments: str | Path, stdin: bytes = b"", env: Mapping[str, str] | None = None) -> Outcome:
    """Run `bistable ARGUMENTS` in this process."""
    words = [str(argument) for argument in arguments]
    result = CliRunner(**_SEPARATE).invoke(bistable, words, input=stdin, env=env, prog_name="bistable")  # type: ignore[arg-type]
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Outcome(code=result.exit_code, raw=result.stdout_bytes, err=result.stderr)


def made(*arguments: str | Path, stdin: bytes = b"", env: Mapping[str, str] | None = None) -> Outcome:
    """Run `bistable artifact ARGUMENTS` and insist on success."""
    outcome = call(*arguments, stdin=stdin, env=env)
    assert outcome.code == 0, outcome.err
    return outcome


def start(
    *arguments: str | Path,
    stdin: int = subprocess.DEVNULL,
    stdout: int | IO[bytes] = subprocess.PIPE,
    stderr: int = subprocess.PIPE,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> "subprocess.Popen[bytes]":
    """Start `bistable ARGUMENTS` as a program of its own, with pipes for its output unless said otherwise."""
    command = [*PROGRAM, *map(str, arguments)]
    return subprocess.Popen(command, stdin=stdin, stdout=stdout, stderr=stderr, cwd=cwd, env=env)


def finish(process: "subprocess.Popen[bytes]", stdin: bytes | None = None) -> Outcome:
    """Wait for a program that was started."""
    out, err = process.communicate(stdin, timeout=60)
    return Outcome(code=process.returncode, raw=out or b"", err=(err or b"").decode())
