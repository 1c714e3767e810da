"""Read files, directories and links out of a squashfs image through unsquashfs, which lists it once."""

import os
import re
import tempfile
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import BinaryIO, Final

from bistable.artifact.errors import LimitError, RejectedError, UnsupportedError
from bistable.artifact.image.model import DEVICES, Entry, Kind
from bistable.artifact.limits import MIB
from bistable.artifact.run import run_to

_TIMEOUT: Final = 3600.0
_CHUNK: Final = MIB
_ENTRY_LIMIT: Final = 2_000_000
_ROOT: Final = "squashfs-root"
_LINE: Final = re.compile(
    r"(?P<mode>[bcdlps-][rwxsStT-]{9}) (?P<uid>\d+)/(?P<gid>\d+) +(?P<size>\d+(?:, *\d+)?) "
    rf"(?P<time>\d{{4}}-\d\d-\d\d \d\d:\d\d) {_ROOT}(?P<path>/.*)?",
)
_KINDS: Final = {
    "-": Kind.FILE,
    "d": Kind.DIRECTORY,
    "l": Kind.SYMLINK,
    "c": Kind.CHARACTER_DEVICE,
    "b": Kind.BLOCK_DEVICE,
    "p": Kind.PIPE,
    "s": Kind.SOCKET,
}
_SPECIAL_BITS: Final = {3: 0o4000, 6: 0o2000, 9: 0o1000}


class SquashVolume:
    """A file system in `file`, a real file, which is called `name` in errors; times have minutes, links are not told.

    Raises:
        RejectedError: it is damaged.
        UnsupportedError: a name holds a line break.
        ProgramError: unsquashfs is missing or fails.
    """

    def __init__(self, file: BinaryIO, name: str) -> None:
        # The number of an open file says which image is meant, whatever its name looks like to a command line.
        self._image = f"/proc/{os.getpid()}/fd/{file.fileno()}"
        self._children: dict[str, dict[str, Entry]] = {}
        with tempfile.TemporaryFile() as listing:
            run_to(["unsquashfs", "-lln", self._image], listing, timeout=_TIMEOUT)
            listing.seek(0)
            self._root = self._take(listing, name)

    def root(self) -> Entry:
        """Return the root directory."""
        return self._root

    def child(self, directory: Entry, name: str) -> Entry | None:
        """Return what is called `name` in `directory`, or None."""
        return self._children.get(directory.path, {}).get(name)

    def entries(self, directory: Entry) -> Iterator[Entry]:
        """Yield what is in `directory`, by name."""
        for _, entry in sorted(self._children.get(directory.path, {}).items()):
            yield entry

    def chunks(self, entry: Entry) -> Iterator[bytes]:
        """Yield the content of a file in pieces of 1 MiB (the last may be shorter)."""
        path = entry.path.encode("utf-8", "surrogateescape")
        with tempfile.TemporaryFile() as content:
            run_to(["unsquashfs", "-no-wildcards", "-cat", self._image, os.fsdecode(path)], content, timeout=_TIMEOUT)
            content.seek(0)
            while piece := content.read(_CHUNK):
                yield piece

    def _take(self, listing: Iterable[bytes], name: str) -> Entry:
        root = None
        for count, raw in enumerate(listing):
            if count > _ENTRY_LIMIT:
                raise LimitError(f"cannot look into {name}: it holds more than {_ENTRY_LIMIT} files")
            line = raw.rstrip(b"\n").decode("utf-8", "surrogateescape")
            if not line and root is None:
                continue
            entry = _parse(line)
            if entry is None:
                raise UnsupportedError(
                    f"cannot look into {name}: unsquashfs lists something strange, perhaps a name with a line break",
                    rule="image.listing",
                )
            if root is None:
                root = entry
            else:
                self._children.setdefault(entry.path.rpartition("/")[0] or "/", {})[entry.name] = entry
        if root is None or root.path != "/":
            raise RejectedError(f"cannot look into {name}: it is empty or damaged", rule="image.damaged")
        return root


def _parse(line: str) -> Entry | None:
    match = _LINE.fullmatch(line)
    if match is None:
        return None
    text = match["mode"]
    kind = _KINDS[text[0]]
    path, target, size = match["path"] or "/", "", 0
    device = _device(match["size"]) if kind in DEVICES else None
    if device is None:
        size = int(match["size"])
    if kind is Kind.SYMLINK:
        # An arrow may be part of both names; the length of the target tells where it begins.
        raw = path.encode("utf-8", "surrogateescape")
        path, target = (part.decode("utf-8", "surrogateescape") for part in (raw[: -size - 4], raw[-size:]))
    return Entry(
        path=path,
        kind=kind,
        mode=_mode(text),
        uid=int(match["uid"]),
        gid=int(match["gid"]),
        size=size,
        mtime=int(datetime.strptime(match["time"], "%Y-%m-%d %H:%M").replace(tzinfo=UTC).timestamp()),
        target=target,
        device=device,
    )


def _mode(text: str) -> int:
    bits = sum(1 << (9 - at) for at, letter in enumerate(text) if at and letter in "rwxst")
    return bits | sum(special for at, special in _SPECIAL_BITS.items() if text[at] in "sStT")


def _device(text: str) -> tuple[int, int]:
    major, minor = (int(number) for number in text.split(","))
    if major < 1 << 12:
        return major, minor
    # unsquashfs 4.5 prints the upper bits of a packed number as the major one.
    packed = major << 8 | minor
    return packed >> 8 & 0xFFF, (packed & 0xFF) | (packed >> 12 & 0xFFF00)
