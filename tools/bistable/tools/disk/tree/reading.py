"""A root file system in an image that cannot be changed."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bistable.artifact.errors import RequestError
from bistable.artifact.image import Kind, open_image
from bistable.artifact.image.volume import Volume, find
from bistable.tools.disk.tree.port import READ_LIMIT


class ReadOnlyTree:
    """The tree of an open file system."""

    def __init__(self, volume: Volume) -> None:
        self._volume = volume

    def kind(self, path: str) -> Kind | None:
        """Return what is at `path`, symbolic links followed; None if there is nothing."""
        found = find(self._volume, path)
        return None if found is None else found.kind

    def read(self, path: str) -> bytes | None:
        """Return the content of the file at `path`, symbolic links followed; None if there is none."""
        entry = find(self._volume, path)
        if entry is None or entry.kind is not Kind.FILE:
            return None
        if entry.size > READ_LIMIT:
            raise RequestError(f"cannot read {path} in the image: it has {entry.size} bytes")
        return b"".join(self._volume.chunks(entry))


@contextmanager
def reading(image: Path) -> Iterator[ReadOnlyTree]:
    """Open a file system image (ext2 to ext4, squashfs).

    Raises:
        RejectedError: it is damaged.
        UnsupportedError: it is of a kind that cannot be read.
    """
    with open_image(image) as volume:
        yield ReadOnlyTree(volume)
