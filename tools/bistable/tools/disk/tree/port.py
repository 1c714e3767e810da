"""What can be done with a root file system, and how paths in one lead through its symbolic links."""

from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

from bistable.artifact.errors import RejectedError
from bistable.artifact.image import Kind
from bistable.artifact.limits import MIB

READ_LIMIT: Final = 64 * MIB
"""Largest file that is read as a whole: a package database of thousands of packages has a tenth of it."""

_LINKS_FOLLOWED: Final = 40

Look = Callable[[str], tuple[Kind, str] | None]
"""Says of a path, without following a link at its end, what is there, and where a symbolic link points."""


class ReadableTree(Protocol):
    """A root file system that is looked at. Paths are absolute."""

    def kind(self, path: str) -> Kind | None:
        """Return what is at `path`, symbolic links followed; None if there is nothing."""

    def read(self, path: str) -> bytes | None:
        """Return the content of the file at `path`, symbolic links followed; None if there is none."""


class RootTree(ReadableTree, Protocol):
    """A root file system that is changed. What is put belongs to root; directories above are made if missing."""

    def file(self, path: str, content: bytes | Path, *, mode: int = 0o644) -> None:
        """Put a file, in place of a file or link that is there; `content` may be a file of this machine."""

    def directory(self, path: str, *, mode: int = 0o755) -> None:
        """Make a directory; one that is there stays as it is."""

    def link(self, path: str, target: str) -> None:
        """Put a symbolic link, in place of a file, link or empty directory that is there."""


def real_path(path: str, look: Look, *, follow_last: bool) -> str:
    """Return `path` without symbolic links on the way; what is not there is taken for what will be made.

    Raises:
        RejectedError: the links lead in circles.
    """
    parts = _parts(path)
    real: list[str] = []
    links = 0
    while parts:
        part = parts.pop()
        if part == "..":
            real = real[:-1]
            continue
        found = look("/" + "/".join([*real, part]))
        if found is not None and found[0] is Kind.SYMLINK and (parts or follow_last):
            links += 1
            if links > _LINKS_FOLLOWED:
                raise RejectedError(f"cannot follow {path}: its symbolic links lead in circles", rule="image.links")
            real = [] if found[1].startswith("/") else real
            parts += _parts(found[1])
            continue
        real.append(part)
    return "/" + "/".join(real)


def _parts(path: str) -> list[str]:
    """Return the parts of a path, the first one last."""
    return [part for part in reversed(path.split("/")) if part not in {"", "."}]
