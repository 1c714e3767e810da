"""Read what a slot really holds, past the page cache."""

import hashlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from bistable.client.errors import SlotError
from bistable.client.install.direct import UNIT, DirectFile, aligned, up
from bistable.client.install.medium import slot_error
from bistable.client.model import OnProgress, ignore_progress

BLOCK: Final = 1024 * 1024


def digest_of(device: Path, size: int, *, on_progress: OnProgress = ignore_progress) -> str:
    """Return the SHA-256 of the first `size` bytes, in hexadecimal.

    Raises:
        SlotError: it cannot be read, or has fewer bytes.
    """
    digest = hashlib.sha256()
    done = 0
    for block in _blocks(device, 0, size):
        digest.update(block)
        done += len(block)
        on_progress(done, size)
    return digest.hexdigest()


def digest_of_edges(device: Path, size: int) -> str:
    """Return a SHA-256 over the first and the last MiB of the first `size` bytes.

    Mounting a file system for writing changes its superblock, which lies at the start of it: so this shows, at little
    cost, what most likely happens to a slot between two steps of an update.

    Raises:
        SlotError: it cannot be read, or has fewer bytes.
    """
    digest = hashlib.sha256(str(size).encode())
    first, last = min(size, BLOCK), max(0, size - BLOCK) // UNIT * UNIT
    for start, end in ((0, first), (last, size)):
        for block in _blocks(device, start, end):
            digest.update(block)
    return digest.hexdigest()


def _blocks(device: Path, start: int, end: int) -> Iterator[memoryview]:
    """Yield the content from `start` (a whole unit) to `end`; a thread reads one block ahead."""
    try:
        file = DirectFile(device, os.O_RDONLY)
    except OSError as e:
        raise slot_error(f"read {device} back", e) from e
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="slot-reader") as worker:
        try:
            now, following = aligned(BLOCK), aligned(BLOCK)
            pending = worker.submit(file.read, now[: up(min(BLOCK, end - start))], start)
            for offset in range(start, end, BLOCK):
                length = min(BLOCK, end - offset)
                if pending.result() < length:
                    raise SlotError(f"cannot read {device} back: it ends before byte {offset + length}")
                pending = worker.submit(
                    file.read, following[: up(max(0, min(BLOCK, end - offset - BLOCK)))], offset + BLOCK
                )
                yield now[:length]
                now, following = following, now
            pending.result()
        except OSError as e:
            raise slot_error(f"read {device} back", e) from e
        finally:
            worker.shutdown(wait=True)
            file.close()
