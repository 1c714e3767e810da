"""Open an image of any readable kind, find paths in it as a shell inside it would, and walk it."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, Protocol

from bistable.artifact.errors import MachineError, RejectedError, RequestError, UnsupportedError
from bistable.artifact.image.ext.volume import ExtVolume
from bistable.artifact.image.identify import PREFIX_SIZE, identify
from bistable.artifact.image.model import Entry, ImageKind, Kind
from bistable.artifact.image.squash import SquashVolume

_LINKS_FOLLOWED: Final = 40
"""Symbolic links in one path, as in Linux."""


class Volume(Protocol):
    """A file system that can be read."""

    def root(self) -> Entry:
        """Return the root directory."""
        ...

    def child(self, directory: Entry, name: str, /) -> Entry | None:
        """Return what is called `name` in `directory`, or None."""
        ...

    def entries(self, directory: Entry, /) -> Iterator[Entry]:
        """Yield what is in `directory`, by name."""
        ...

    def chunks(self, entry: Entry, /) -> Iterator[bytes]:
        """Yield the content of a file in bounded pieces, which have the same sizes for files of the same size."""
        ...


READERS: Final[Mapping[ImageKind, Callable[[BinaryIO, str], Volume]]] = {
    ImageKind.EXT2: ExtVolume,
    ImageKind.EXT3: ExtVolume,
    ImageKind.EXT4: ExtVolume,
    ImageKind.SQUASHFS: SquashVolume,
}


@contextmanager
def open_image(image: Path) -> Iterator[Volume]:
    """Open a file system image (ext2, ext3, ext4 or squashfs) for reading.

    Raises:
        MachineError: the file cannot be read.
        RejectedError: it is damaged.
        UnsupportedError: it is of another kind, or uses a feature that this reader does not know.
    """
    try:
        file = image.open("rb", buffering=0)
    except OSError as e:
        raise MachineError(f"cannot open {image}: {e.strerror}") from e
    with file:
        kind = identify(file.read(PREFIX_SIZE))
        if kind not in READERS:
            what = "an unknown kind of data" if kind is ImageKind.UNKNOWN else kind.value
            raise UnsupportedError(
                f"cannot look into {image.name}: it is {what}",
                hint="files can be read from ext2, ext3, ext4 and squashfs images",
                rule="image.kind",
            )
        yield READERS[kind](file, image.name)


def image_kind(image: Path) -> ImageKind:
    """Return the kind of the file system in the file `image`.

    Raises:
        MachineError: the file cannot be read.
    """
    try:
        with image.open("rb", buffering=0) as file:
            return identify(file.read(PREFIX_SIZE))
    except OSError as e:
        raise MachineError(f"cannot open {image}: {e.strerror}") from e


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a path leads: the directory, the name in it, and what is there, if anything."""

    parent: Entry
    name: str
    entry: Entry | None


def find(volume: Volume, path: str) -> Entry | None:
    """Return what `path` leads to, symbolic links followed, or None; it never leads out of the image.

    Raises:
        RejectedError: symbolic links lead in circles.
    """
    place = _follow(volume, path, follow_last=True)
    return place.entry if place else None


def find_place(volume: Volume, path: str) -> Place:
    """Return where `path` leads, symbolic links followed, the last part too; that part need not exist.

    Raises:
        RequestError: a directory on the way is missing or is none.
    """
    return _place(volume, path, follow_last=True)


def find_place_itself(volume: Volume, path: str) -> Place:
    """Return where `path` is, as `find_place` does, but do not follow a symbolic link that is its last part."""
    return _place(volume, path, follow_last=False)


def walk(volume: Volume, top: Entry | None = None) -> Iterator[Entry]:
    """Yield `top` (the root if None) and every entry beneath it, a directory before its content, names in order.

    Raises:
        RejectedError: a directory contains itself.
    """
    seen: set[int] = set()
    stack: list[Iterator[Entry]] = [iter((top or volume.root(),))]
    while stack:
        entry = next(stack[-1], None)
        if entry is None:
            stack.pop()
            continue
        yield entry
        if entry.kind is Kind.DIRECTORY:
            if entry.inode and entry.inode in seen:
                raise RejectedError(
                    f"cannot read the file system: the directory {entry.path} is there twice", rule="image.damaged"
                )
            seen.add(entry.inode)
            stack.append(volume.entries(entry))


def require(volume: Volume, path: str) -> Entry:
    """Return what `path` leads to.

    Raises:
        RequestError: there is nothing.
    """
    entry = find(volume, path)
    if entry is None:
        raise RequestError(f"cannot find {path} in the image", hint="list the directory above it")
    return entry


def _place(volume: Volume, path: str, *, follow_last: bool) -> Place:
    place = _follow(volume, path, follow_last=follow_last)
    if place is None:
        raise RequestError(
            f"cannot find the directory of {path} in the image", hint="make it first, or correct the path"
        )
    return place


def _follow(volume: Volume, path: str, *, follow_last: bool) -> Place | None:
    """Return where `path` leads, or None if the way breaks off before its last part."""
    way = [volume.root()]
    parts = _parts(path)
    links = 0
    while parts:
        part = parts.pop()
        if part == "..":
            way = way[:-1] or way
            continue
        entry = volume.child(way[-1], part)
        if entry is not None and entry.kind is Kind.SYMLINK and (parts or follow_last):
            links += 1
            if links > _LINKS_FOLLOWED:
                raise RejectedError(f"cannot follow {path}: its symbolic links lead in circles", rule="image.links")
            parts += _parts(entry.target)
            way = way[:1] if entry.target.startswith("/") else way
        elif not parts:
            return Place(parent=way[-1], name=part, entry=entry)
        elif entry is None or entry.kind is not Kind.DIRECTORY:
            return None
        else:
            way.append(entry)
    return Place(parent=way[-2] if len(way) > 1 else way[0], name=way[-1].name, entry=way[-1])


def _parts(path: str) -> list[str]:
    """Return the parts of a path, the first one last."""
    return [part for part in reversed(path.split("/")) if part not in {"", "."}]
