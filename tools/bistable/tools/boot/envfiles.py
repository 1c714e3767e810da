"""How GRUB finds its two environment blocks on a partition: a file system of a few sectors that nobody ever writes.

GRUB saves only into files: `save_env` of a block list is refused (2.06 does not tell it which sectors it has read). So
the partition holds an ISO 9660 file system with the files ENV0 and ENV1, whose content lies at fixed places. The client
writes these places directly and knows nothing of files. ISO 9660, because its directory is not at the start of the
partition but at 32 KiB, because nothing can mount it for writing, and because it has no state: GRUB changes the
content of files in place and nothing else.
"""

from typing import Final

FILES: Final = ("ENV0", "ENV1")
BLOCK: Final = 2048

START: Final = 16 * BLOCK
"""Where the directory starts, in bytes: what is before it may be used for anything, also by files (ECMA-119 6.2.1)."""
_PATHS_LITTLE, _PATHS_BIG, _ROOT = 18, 19, 20
END: Final = (_ROOT + 1) * BLOCK
"""Where it ends."""

_VERSION: Final = b";1"


def directory(offsets: tuple[int, int], size: int) -> bytes:
    """Return what belongs at START, for two files of `size` bytes at these offsets."""
    end = max(END, *(offset + size for offset in offsets))
    root = _record(b"\0", _ROOT, BLOCK, is_directory=True) + _record(b"\1", _ROOT, BLOCK, is_directory=True)
    for name, offset in zip(FILES, offsets, strict=True):
        root += _record(name.encode("ascii") + _VERSION, offset // BLOCK, size, is_directory=False)
    parts = (
        _primary(-(-end // BLOCK)),
        b"\xffCD001\x01",
        b"\x01\0" + _ROOT.to_bytes(4, "little") + b"\x01\0\0\0",
        b"\x01\0" + _ROOT.to_bytes(4, "big") + b"\0\x01\0\0",
        root,
    )
    return b"".join(part.ljust(BLOCK, b"\0") for part in parts)


def _primary(blocks: int) -> bytes:
    """Return the primary volume descriptor (ECMA-119 8.4)."""
    path_table = 10
    return b"".join(
        (
            b"\x01CD001\x01\0",
            b" " * 32,
            b"BOOT_ENV".ljust(32),
            bytes(8),
            _both(blocks, 4),
            bytes(32),
            _both(1, 2),
            _both(1, 2),
            _both(BLOCK, 2),
            _both(path_table, 4),
            _PATHS_LITTLE.to_bytes(4, "little"),
            bytes(4),
            _PATHS_BIG.to_bytes(4, "big"),
            bytes(4),
            _record(b"\0", _ROOT, BLOCK, is_directory=True),
            b" " * (4 * 128 + 3 * 37),
            (b"0" * 16 + b"\0") * 4,
            b"\x01",
        )
    )


def _record(name: bytes, block: int, size: int, *, is_directory: bool) -> bytes:
    """Return a directory record (ECMA-119 9.1), of an even length, without a date."""
    pad = b"" if len(name) % 2 else b"\0"
    length = 33 + len(name) + len(pad)
    flags = 2 if is_directory else 0
    return b"".join(
        (
            bytes([length, 0]),
            _both(block, 4),
            _both(size, 4),
            bytes(7),
            bytes([flags, 0, 0]),
            _both(1, 2),
            bytes([len(name)]),
            name,
            pad,
        )
    )


def _both(value: int, size: int) -> bytes:
    return value.to_bytes(size, "little") + value.to_bytes(size, "big")
