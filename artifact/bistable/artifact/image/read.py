"""Look into an image by its path: list, read, compare."""

from collections.abc import Callable, Iterator
from itertools import zip_longest
from pathlib import Path

from bistable.artifact.errors import RequestError
from bistable.artifact.image.model import Change, Entry, FileChange, Kind
from bistable.artifact.image.volume import Volume, open_image, require, walk


def list_directory(image: Path, path: str) -> tuple[Entry, ...]:
    """Return what is in the directory `path` of `image`, by name; for anything but a directory, that alone.

    Raises:
        RequestError: there is no such path.
        RejectedError: the image is damaged.
    """
    with open_image(image) as volume:
        entry = require(volume, path)
        return tuple(volume.entries(entry)) if entry.kind is Kind.DIRECTORY else (entry,)


def read_file(image: Path, path: str, write: Callable[[bytes], object]) -> Entry:
    """Give the content of the file `path` in `image` to `write`, piece by piece, and return what the file is.

    Raises:
        RequestError: there is no such path, or it is no file.
        RejectedError: the image is damaged.
    """
    with open_image(image) as volume:
        entry = require(volume, path)
        if entry.kind is not Kind.FILE:
            raise RequestError(f"cannot read {path} in the image: it is a {entry.kind.value}")
        for chunk in volume.chunks(entry):
            write(chunk)
        return entry


def walk_image(image: Path) -> Iterator[Entry]:
    """Yield every entry of `image`, the root first, a directory before its content, names in order.

    Raises:
        RejectedError: the image is damaged.
    """
    with open_image(image) as volume:
        yield from walk(volume)


def compare_images(old: Path, new: Path) -> tuple[FileChange, ...]:
    """Return the paths that differ between two images, in order; times alone make no difference.

    Content is compared byte by byte and stops at the first difference; nothing is unpacked.

    Raises:
        RejectedError: an image is damaged.
        UnsupportedError: an image is of a kind that cannot be read.
    """
    with open_image(old) as old_volume, open_image(new) as new_volume:
        return tuple(_changes(old_volume, new_volume))


def _changes(old: Volume, new: Volume) -> Iterator[FileChange]:
    """Merge two walks, which are in the same order."""
    old_walk, new_walk = walk(old), walk(new)
    before, after = next(old_walk, None), next(new_walk, None)
    while before or after:
        if after is None or (before and _key(before) < _key(after)):
            assert before is not None
            yield FileChange(path=before.path, changes=(Change.REMOVED,), old=before, new=None)
            before = next(old_walk, None)
        elif before is None or _key(after) < _key(before):
            yield FileChange(path=after.path, changes=(Change.ADDED,), old=None, new=after)
            after = next(new_walk, None)
        else:
            found = tuple(_differences(old, before, new, after))
            if found:
                yield FileChange(path=before.path, changes=found, old=before, new=after)
            before, after = next(old_walk, None), next(new_walk, None)


def _key(entry: Entry) -> list[str]:
    return entry.path.split("/")


def _differences(old: Volume, before: Entry, new: Volume, after: Entry) -> Iterator[Change]:
    if before.kind is not after.kind:
        yield Change.KIND
    elif before.kind is Kind.FILE and (before.size != after.size or not _same(old.chunks(before), new.chunks(after))):
        yield Change.CONTENT
    if before.target != after.target:
        yield Change.TARGET
    if before.device != after.device:
        yield Change.DEVICE
    if before.mode != after.mode:
        yield Change.MODE
    if (before.uid, before.gid) != (after.uid, after.gid):
        yield Change.OWNER
    if before.attributes != after.attributes:
        yield Change.ATTRIBUTES


def _same(old: Iterator[bytes], new: Iterator[bytes]) -> bool:
    return all(a == b for a, b in zip_longest(old, new))
