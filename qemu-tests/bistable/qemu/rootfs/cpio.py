"""The archive in which the kernel takes its first files: `newc`, the same bytes every time."""

import gzip
import stat
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Final

MAGIC: Final = b"070701"
END: Final = "TRAILER!!!"
ALIGNMENT: Final = 4
LEVEL: Final = 6


def pack(files: Mapping[PurePosixPath, tuple[int, bytes]]) -> bytes:
    """Return a gzip-compressed archive of the files: path without a leading `/` -> mode with its kind, and content.

    The content of a link is where it leads to. Missing folders are added. (Documentation/driver-api/early-userspace/
    buffer-format.rst of the kernel)
    """
    whole: dict[PurePosixPath, tuple[int, bytes]] = {}
    for path in files:
        for folder in reversed(path.parents[:-1]):
            whole.setdefault(folder, (stat.S_IFDIR | 0o755, b""))
        whole[path] = files[path]
    entries = [
        _entry(str(path), mode, content, number=number)
        for number, (path, (mode, content)) in enumerate(sorted(whole.items()), start=1)
    ]
    return gzip.compress(b"".join([*entries, _entry(END, 0, b"", number=0)]), LEVEL, mtime=0)


def _entry(name: str, mode: int, content: bytes, *, number: int) -> bytes:
    encoded = name.encode() + b"\0"
    links = 2 if stat.S_ISDIR(mode) else 1
    fields = (number, mode, 0, 0, links, 0, len(content), 0, 0, 0, 0, len(encoded), 0)
    header = MAGIC + b"".join(b"%08X" % field for field in fields) + encoded
    return _aligned(header) + _aligned(content)


def _aligned(data: bytes) -> bytes:
    return data + bytes(-len(data) % ALIGNMENT)
