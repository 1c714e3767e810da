"""Disks and logs for the tests of power cuts, made with QEMU's own tools."""

import shutil
import struct
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from bistable.qemu.writelog import MAGIC

NEEDS_QEMU_IO = pytest.mark.skipif(
    any(shutil.which(name) is None for name in ("qemu-io", "qemu-img")),
    reason="there is no qemu-io or qemu-img (package qemu-utils)",
)
SIZE = 1 << 20


def record(folder: Path, commands: Sequence[str]) -> Path:
    """Run qemu-io commands on a disk of `SIZE` bytes; the log of it, with base.img and work.img beside it."""
    base, work, log = folder / "base.img", folder / "work.img", folder / "log"
    base.write_bytes(bytes(range(256)) * (SIZE // 256))
    shutil.copy(base, work)
    log.touch()
    options = (
        f"driver=blklogwrites,file.driver=file,file.filename={work},log.driver=file,log.filename={log},"
        "log-sector-size=512,log-super-update-interval=1"
    )
    qemu_io(["--image-opts", options], commands)
    return log


def qemu_io(target: Sequence[str], commands: Sequence[str]) -> str:
    """Run qemu-io commands; what it said."""
    words = [word for command in commands for word in ("-c", command)]
    done = subprocess.run(
        ["qemu-io", "-t", "writeback", *words, *target], capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout


def synthetic(folder: Path, requests: Sequence[tuple[int, bytes, int]]) -> Path:
    """A log of requests (first byte, data, flags) with base.img beside it, for what qemu-io cannot be made to do."""
    (folder / "base.img").write_bytes(bytes(SIZE))
    parts = [struct.pack("<QQQI", MAGIC, 1, len(requests), 512)]
    for start, data, flags in requests:
        parts += [struct.pack("<QQQQ", start // 512, len(data) // 512, flags, 0).ljust(512, b"\0"), data]
    (folder / "log").write_bytes(parts[0].ljust(512, b"\0") + b"".join(parts[1:]))
    return folder / "log"
