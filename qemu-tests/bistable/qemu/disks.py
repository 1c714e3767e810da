"""A machine's disk, as arguments of QEMU that define the block node `d0`."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

NODE: Final = "d0"
"""Name of the node that the machine's disk is made of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """What defines the node `d0`. Others than these functions may make some, too."""

    arguments: tuple[str, ...]


def plain(path: Path) -> Disk:
    """Return the image as a disk that is quick and keeps what is written to it."""
    return Disk(arguments=("-blockdev", _json({"driver": "raw", "node-name": NODE, "file": _file(path)})))


def snapshot(path: Path) -> Disk:
    """Return the image as a disk that forgets what was written when the power goes; the image stays as it is."""
    return Disk(arguments=("-drive", f"if=none,id={NODE},format=raw,file={path},snapshot=on,cache=unsafe"))


def failing(path: Path, *, first_sector: int, sectors: int = 1) -> Disk:
    """Return the image as a disk on which some sectors of 512 bytes cannot be written: EIO, for as long as it is on."""
    rules = [
        {"event": "none", "iotype": "write", "sector": first_sector + number, "errno": 5, "immediately": False}
        for number in range(sectors)
    ]
    broken = {"driver": "blkdebug", "image": _file(path), "inject-error": rules}
    return Disk(arguments=("-blockdev", _json({"driver": "raw", "node-name": NODE, "file": broken})))


def _file(path: Path) -> dict[str, object]:
    # No flush reaches this computer's disk: a functional test has no use for that, and other work would be in its way.
    return {"driver": "file", "filename": str(path), "cache": {"no-flush": True}, "discard": "unmap"}


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))
