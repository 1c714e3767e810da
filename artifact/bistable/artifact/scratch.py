"""A payload file on this machine for as long as it is looked at or changed: sparse, and without a name of its own.

A root file system is mostly as large as its partition and partly empty; runs of zeros become holes. The bytes have no
name in any directory, so that not even a killed process leaves them behind.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from bistable.artifact.errors import MachineError, RequestError
from bistable.artifact.files import write_all
from bistable.artifact.limits import KIB
from bistable.artifact.model import Artifact, Head
from bistable.artifact.reader import ArtifactReader, IncomingFile

_PIECE: Final = 64 * KIB
"""Grain of the holes: large enough to be quick, small enough to leave out most of what is free in a file system."""

_ZEROS: Final = bytes(_PIECE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scratch:
    """An unnamed file, and a path under which this process and the programs it starts can open it."""

    file: BinaryIO
    path: Path


@contextmanager
def scratch_file(name: str, *, beside: Path | None = None) -> Iterator[Scratch]:
    """Give an empty file that is called `name` in messages, on the file system of `beside`, else in TMPDIR.

    Raises:
        MachineError: it cannot be made.
    """
    with ExitStack() as stack:
        try:
            file = stack.enter_context(tempfile.TemporaryFile(buffering=0, dir=beside))
            path = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bistable-"))) / name
            path.symlink_to(f"/proc/{os.getpid()}/fd/{file.fileno()}")
        except OSError as e:
            place = beside or tempfile.gettempdir()
            raise MachineError(f"cannot make a temporary file in {place}: {e.strerror}") from e
        yield Scratch(file=file, path=path)


def only_file(head: Head) -> str:
    """Return the name of the one payload file.

    Raises:
        RequestError: there is none, or more than one.
    """
    names = list(head.payload_digests())
    if len(names) != 1:
        raise RequestError(
            f"cannot look into the payload: it is not one image, it has {len(names) or 'no'} files",
            hint="take its files out with `bistable artifact extract`" if names else None,
        )
    return names[0]


def unpack_file(reader: ArtifactReader, scratch: Scratch) -> Artifact:
    """Write the one payload file to `scratch`, read the artifact to its end, check everything, and return it.

    Raises:
        RejectedError: a digest does not match, or the artifact breaks another rule; nothing may be used then.
        MachineError: the disk is full.
    """
    try:
        for incoming in reader.files():
            _write_sparse(incoming, scratch.file)
    except OSError as e:
        raise MachineError(
            f"cannot unpack the payload: {e.strerror}", hint="it needs room for the image without its empty parts"
        ) from e
    return reader.finish()


def _write_sparse(incoming: IncomingFile, out: BinaryIO) -> None:
    size = 0
    for chunk in incoming.chunks():
        view = memoryview(chunk)
        for start in range(0, len(chunk), _PIECE):
            piece = view[start : start + _PIECE]
            if chunk.startswith(_ZEROS[: len(piece)], start):
                out.seek(len(piece), os.SEEK_CUR)
            else:
                write_all(out, piece)
        size += len(chunk)
    out.truncate(size)
