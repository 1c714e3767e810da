"""An artifact on disk whose head was read and checked, and whose payload is still where it was."""

import fcntl
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from bistable.artifact.errors import MachineError, RejectedError, Where
from bistable.artifact.files import write_all
from bistable.artifact.limits import MIB
from bistable.artifact.model import Compression, Head
from bistable.artifact.reader import ArtifactReader
from bistable.artifact.tar import END, padding
from bistable.artifact.trust import Policy

_PIECE: Final = MIB

FICLONERANGE: Final = 0x4020940D
"""ioctl(2): share a range of another file. Not in Python's fcntl; where the number is another, the system says no."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Existing:
    """An open artifact: its head, the members before the payload as they are stored, and where the payload lies."""

    file: BinaryIO
    head: Head
    members: tuple[tuple[str, bytes], ...]
    data_span: tuple[int, int, int] | None
    data_compression: Compression | None

    def member(self, name: str) -> bytes | None:
        """Return the stored bytes of a member before the payload, or None."""
        return next((body for known, body in self.members if known == name), None)

    @property
    def header_name(self) -> str:
        """The header member's name."""
        return f"header.tar{self.head.header_compression.value}"


@contextmanager
def open_existing(path: Path, policy: Policy | None = None) -> Iterator[Existing]:
    """Open an artifact and read its head; the payload is not looked at.

    Raises:
        RejectedError: the head breaks a rule, or the file is too short for its payload.
        MachineError: the file cannot be read.
    """
    try:
        with path.open("rb", buffering=0) as file:
            yield _read(file, policy or Policy(allow_augment=True))
    except OSError as e:
        raise MachineError(f"cannot read {path}: {e.strerror or e}") from e


def _read(file: BinaryIO, policy: Policy) -> Existing:
    reader = ArtifactReader(file, policy)
    head = reader.read_head()
    size = os.fstat(file.fileno()).st_size
    if reader.data_span is not None and reader.data_span[2] > size:
        raise RejectedError(
            "cannot use this artifact: the payload is cut off",
            where=Where(member="artifact", offset=size),
            rule="tar.truncated",
        )
    return Existing(
        file=file,
        head=head,
        members=tuple(reader.members),
        data_span=reader.data_span,
        data_compression=reader.data_compression,
    )


def write_with_data(out: BinaryIO, head: bytes, existing: Existing) -> int:
    """Write a new head and the old data member, header block and all, behind it; return the size in bytes.

    Where the file system can share blocks between files, and the new head is as long as the old one up to a multiple of
    a block, the payload is not even copied.
    """
    write_all(out, head)
    if existing.data_span is not None:
        start, _, end = existing.data_span
        copy_range(existing.file, out, start, end - start)
    write_all(out, padding(out.tell()) + END)
    return out.tell()


def copy_range(source: BinaryIO, target: BinaryIO, offset: int, size: int) -> None:
    """Append `size` bytes of `source`, from `offset` on, to `target` where it stands.

    Raises:
        MachineError: the source cannot be read, or became shorter.
    """
    block = max(1, os.fstatvfs(target.fileno()).f_frsize)  # some file systems do not say
    lead = -target.tell() % block
    whole = (size - lead) // block * block
    if whole > 0 and (offset - target.tell()) % block == 0:
        _copy(source, target, offset, lead)
        shared = whole if _share(source, target, offset + lead, whole) else 0
        offset, size = offset + lead + shared, size - lead - shared
    _copy(source, target, offset, size)


def _share(source: BinaryIO, target: BinaryIO, offset: int, size: int) -> bool:
    """Let the file system enter whole blocks of `source` in `target` too (Btrfs, XFS); False if it cannot."""
    request = struct.pack("=qQQQ", source.fileno(), offset, size, target.tell())
    try:
        fcntl.ioctl(target.fileno(), FICLONERANGE, request)
    except OSError:
        return False
    target.seek(size, os.SEEK_CUR)
    return True


def _copy(source: BinaryIO, target: BinaryIO, offset: int, size: int) -> None:
    """Copy by reading and writing: quicker at odd offsets than copy_file_range(2), which moves 64 KiB a time."""
    buffer = memoryview(bytearray(min(_PIECE, size)))
    while size > 0:
        try:
            count = os.preadv(source.fileno(), [buffer[:size]], offset)
        except OSError as e:
            raise MachineError(f"cannot read the payload: {e.strerror or e}") from e
        if not count:
            raise MachineError("cannot copy the payload: the file became shorter while it was read")
        write_all(target, buffer[:count])
        offset += count
        size -= count
