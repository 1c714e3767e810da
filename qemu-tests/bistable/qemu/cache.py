"""What is costly to make is made once and kept, by what it is made from; many processes may want it at one time."""

import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

VARIABLE: Final = "BISTABLE_QEMU_CACHE"
"""Names the folder, where it is not to be `.cache/qemu` of the checkout."""

KEPT: Final = 6
"""Things of one name that are kept; older ones, which nobody has asked for longest, are removed."""


def folder() -> Path:
    """Return the folder of all that is kept; it is made if it is not there."""
    given = os.environ.get(VARIABLE)
    path = Path(given) if given else Path(__file__).parents[3] / ".cache" / "qemu"
    path.mkdir(parents=True, exist_ok=True)
    return path


def digest(*parts: str | bytes | Path) -> str:
    """Return a short name for what is made from the parts; of a path, the content of the file counts."""
    whole = hashlib.sha256()
    for part in parts:
        content = part.read_bytes() if isinstance(part, Path) else part.encode() if isinstance(part, str) else part
        whole.update(len(content).to_bytes(8, "little") + content)
    return whole.hexdigest()[:20]


def made(name: str, key: str, make: Callable[[Path], None], *, kept: int = KEPT) -> Path:
    """Return what is kept under the name and key, a file or a folder; if it is not there, `make` makes it.

    `make` gets a path that does not exist, in a private folder. Only what it finished is kept. `kept` is how many of
    one name there may be.
    """
    place = folder() / name
    place.mkdir(exist_ok=True)
    result = place / key
    with locked(place):
        if not result.exists():
            staging = place / f".making-{key}"
            shutil.rmtree(staging, ignore_errors=True)
            staging.mkdir()
            make(staging / "made")
            (staging / "made").rename(result)
            staging.rmdir()
            _forget(place, kept)
        os.utime(result)
    return result


@contextmanager
def locked(place: Path) -> Iterator[None]:
    """Keep all others out who want the folder as well, in this process and in others."""
    with (place / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _forget(place: Path, kept: int) -> None:
    found = sorted((item for item in place.iterdir() if not item.name.startswith(".")), key=lambda item: -_used(item))
    for old in found[kept:]:
        if old.is_dir() and not old.is_symlink():
            shutil.rmtree(old, ignore_errors=True)
        else:
            old.unlink(missing_ok=True)


def _used(item: Path) -> float:
    return item.stat().st_mtime
