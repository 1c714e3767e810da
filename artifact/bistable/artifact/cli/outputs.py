"""Where output goes that is no result: files that appear whole, standard output, and devices or pipes as they are."""

import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from bistable.artifact.cli.render import Console
from bistable.artifact.errors import MachineError, RequestError

STANDARD: Final = "-"
"""What users write for standard input and output."""

OUTPUT_NAMES: Final = frozenset({STANDARD, "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"})
"""Other names of standard output: opened by them, a file that it was redirected to would be cut off or replaced."""

CHUNK: Final = 1024 * 1024


def write_small(output: str, content: bytes, console: Console) -> None:
    """Write content that is in memory to what the user named.

    Raises:
        MachineError: it cannot be written.
    """
    from bistable.artifact.files import replacing, write_all

    if is_stdout(output):
        console.data(content)
        return
    if is_stream(output):
        _pour([content], output)
        return
    with replacing(Path(output)) as file:
        write_all(file, content)


@contextmanager
def place_for(output: str, console: Console) -> Iterator[Path]:
    """Give the file that is to be written and replaced; what goes elsewhere is moved there when the block ended well.

    Raises:
        MachineError: it cannot be written.
    """
    if not is_stdout(output) and not is_stream(output):
        yield Path(output)
        return
    with temporary_directory() as directory:
        path = directory / "artifact"
        yield path
        with path.open("rb") as file:
            chunks = iter(lambda: file.read(CHUNK), b"")
            if not is_stdout(output):
                _pour(chunks, output)
                return
            for chunk in chunks:
                console.data(chunk)


def is_stdout(output: str) -> bool:
    """Return whether what the user named is standard output."""
    return output in OUTPUT_NAMES


def is_stream(output: str) -> bool:
    """Return whether what the user named is there and is a device, a pipe or the like: not to be replaced by a file."""
    try:
        return not stat.S_ISREG(Path(output).stat().st_mode)
    except OSError:
        return False


def refuse_terminal(output: str, console: Console) -> None:
    """Refuse to write an artifact where a person looks, or where JSON is to go.

    Raises:
        RequestError: standard output is a terminal, or it is wanted for two things.
    """
    if not is_stdout(output):
        return
    if console.as_json:
        raise RequestError("cannot write both the artifact and --json to standard output", hint="use -o FILE")
    if sys.stdout.isatty():
        raise RequestError("cannot write an artifact to a terminal", hint="pipe it into something, or use -o FILE")


@contextmanager
def temporary_directory(beside: Path | None = None) -> Iterator[Path]:
    """Give a directory that is gone when the block ends, in TMPDIR or in `beside`.

    Raises:
        MachineError: it cannot be made.
    """
    import tempfile

    try:
        directory = tempfile.TemporaryDirectory(dir=beside, prefix=".bistable-" if beside else "bistable-")
    except OSError as e:
        raise MachineError(f"cannot make a directory in {beside or tempfile.gettempdir()}: {e.strerror}") from e
    with directory as name:
        yield Path(name)


def _pour(chunks: Iterator[bytes] | list[bytes], output: str) -> None:
    try:
        with Path(output).open("wb", buffering=0) as out:
            for chunk in chunks:
                view = memoryview(chunk)
                while view:
                    view = view[out.write(view) :]
    except BrokenPipeError:
        raise
    except OSError as e:
        raise MachineError(f"cannot write {output}: {e.strerror or e}") from e
