"""Where a disk image goes: a sparse file, or a compressed one, with its block map beside it."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from bistable.artifact.errors import MachineError, RequestError
from bistable.artifact.files import replacing, write_all
from bistable.artifact.model import Compression
from bistable.artifact.streams import open_decompressor
from bistable.artifact.zstd import Settings, encoder
from bistable.tools.disk.sparse import CHUNK, Progress, ignore, write_pieces

COMPRESSED: Final = ".zst"
MAP: Final = ".bmap"
_LEVEL: Final = 3
_THREADS: Final = 2
"""Their number does not change the bytes, as long as there is more than none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outputs:
    """The files to write: the disk image (compressed if its name ends in .zst), its block map, the image of a slot."""

    disk: Path
    block_map: bool = True
    slot_image: Path | None = None

    @property
    def map_path(self) -> Path:
        """Return where the block map goes, under the name that bmaptool looks for."""
        plain = self.disk.with_suffix("") if self.is_compressed else self.disk
        return plain.with_name(plain.name + MAP)

    @property
    def is_compressed(self) -> bool:
        """Return whether the disk image is compressed."""
        return self.disk.suffix == COMPRESSED

    def check(self) -> None:
        """Raise RequestError if two of the files are the same, or one cannot be."""
        paths = [
            self.disk,
            *([self.map_path] if self.block_map else []),
            *([self.slot_image] if self.slot_image else []),
        ]
        if len({path.resolve() for path in paths}) < len(paths):
            raise RequestError(f"cannot write {self.disk} and another file to the same place")
        for path in paths:
            if not path.parent.is_dir():
                raise RequestError(f"cannot write {path}: there is no directory {path.parent}")


@contextmanager
def open_disk(outputs: Outputs, stack: ExitStack, on_progress: Progress = ignore) -> Iterator[BinaryIO]:
    """Give an empty file for the disk image; when the block ends well, it is put in place or compressed to there."""
    target = stack.enter_context(replacing(outputs.disk))
    if not outputs.is_compressed:
        yield target
        return
    with tempfile.TemporaryFile(buffering=0, dir=outputs.disk.parent) as raw:
        yield raw
        compress(raw, target, on_progress=on_progress)


def compress(source: BinaryIO, target: BinaryIO, *, on_progress: Progress = ignore) -> None:
    """Write all of `source` to `target`, compressed, in bounded memory."""
    frame = encoder(Settings(level=_LEVEL, threads=_THREADS))
    at = 0
    while chunk := os.pread(source.fileno(), CHUNK, at):
        write_all(target, frame.compress(chunk))
        at += len(chunk)
        on_progress(len(chunk))
    write_all(target, frame.flush())


def decompress(
    source: BinaryIO,
    target: BinaryIO,
    name: str,
    *,
    kind: Compression = Compression.ZSTD,
    on_progress: Progress = ignore,
) -> None:
    """Write what is compressed in `source`, called `name`, to the empty file `target`, with holes for zeros.

    Raises:
        RejectedError: it is damaged or cut off.
        MachineError: the disk is full.
    """
    reader = open_decompressor(source, kind, member=name)
    at = 0
    try:
        while chunk := reader.read(CHUNK):
            write_pieces(target, at, chunk)
            at += len(chunk)
            on_progress(len(chunk))
        target.truncate(at)
    except OSError as e:
        raise MachineError(f"cannot unpack {name}: {e.strerror}") from e
