"""The tree of files that an image is to hold, put in one order and freed of what depends on the machine."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final
from uuid import UUID

from bistable.artifact.errors import RequestError
from bistable.artifact.image.debugfs import NAME_LIMIT, TIME_LIMIT
from bistable.artifact.image.model import Entry, Kind

ROOT_MODE: Final = 0o755


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """An entry and, for a file, where its content is: a path relative to the tree's `base`.

    `linked` is the path of an earlier node that this one is a hard link of.
    """

    entry: Entry
    content: str = ""
    linked: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """All nodes, the root first, a directory before its content, names in order; `time` is the image's own.

    `left_out` says what of the source is not in it, and why.
    """

    nodes: tuple[Node, ...]
    base: Path
    time: int
    left_out: tuple[str, ...]

    def identity(self) -> UUID:
        """Return a number that is the same for the same tree, and that no other is likely to have.

        It is made from names, sizes, owners and times, not from content: reading it all would double the work.
        """
        digest = hashlib.sha256()
        for node in self.nodes:
            entry = node.entry
            facts = (entry.path, entry.kind.value, entry.mode, entry.uid, entry.gid, entry.size, entry.mtime)
            more = (entry.target, entry.device, entry.attributes, node.linked)
            digest.update(repr((facts, more)).encode("utf-8", "backslashreplace"))
        return UUID(bytes=digest.digest()[:16], version=4)


class TreeBuilder:
    """Collects entries in any order; `source` is named in errors."""

    def __init__(self, source: str) -> None:
        self.left_out: list[str] = []
        self._source = source
        self._found: dict[str, tuple[Entry, str, object]] = {}

    def add(self, entry: Entry, *, content: str = "", identity: object = None) -> None:
        """Add an entry, or replace the one of the same path; what has the same `identity` is one file with many names.

        Raises:
            RequestError: a name is too long, or a directory and something else share a path.
        """
        if any(len(part.encode("utf-8", "surrogateescape")) > NAME_LIMIT for part in entry.path.split("/")):
            raise self._refused(entry.path[:80], f"it has a name of more than {NAME_LIMIT} bytes")
        old = self._found.get(entry.path)
        if old and (old[0].kind is Kind.DIRECTORY) is not (entry.kind is Kind.DIRECTORY):
            raise self._refused(entry.path, "it is a directory and something else at once")
        self._found[entry.path] = (entry, content, identity or entry.path)

    def get(self, path: str) -> tuple[Entry, str, object] | None:
        """Return (entry, content, identity) of what was added under `path`, or None."""
        return self._found.get(path)

    def drop_directory(self, path: str) -> None:
        """Forget a directory, so that something else can be added under its path.

        Raises:
            RequestError: there is something in it.
        """
        if any(other.startswith(f"{path}/") for other in self._found):
            raise self._refused(path, "it is a directory with content there")
        del self._found[path]

    def build(self, *, base: Path, epoch: int | None) -> Tree:
        """Return the tree, with times that are later than `epoch` set to it, and `epoch` or else the latest as its own.

        Raises:
            RequestError: there is nothing in it, or something is beneath what is no directory.
        """
        if not any(path != "/" for path in self._found):
            raise RequestError(f"cannot make an image from {self._source}: it is empty")
        self._add_missing_directories()
        latest = TIME_LIMIT if epoch is None else min(max(epoch, 0), TIME_LIMIT)
        nodes = tuple(self._nodes(latest))
        time = max(node.entry.mtime for node in nodes) if epoch is None else latest
        return Tree(nodes=nodes, base=base, time=time, left_out=tuple(sorted(self.left_out)))

    def _nodes(self, latest: int) -> Iterator[Node]:
        first: dict[object, str] = {}
        for path in sorted(self._found, key=lambda path: path.rstrip("/").split("/")):
            entry, content, identity = self._found[path]
            entry = replace(entry, mtime=min(max(entry.mtime, 0), latest))
            known = first.setdefault(identity, path)
            yield Node(entry=entry, content=content, linked=None if known == path else known)

    def _add_missing_directories(self) -> None:
        for path in list(self._found):
            above = path.rpartition("/")[0] or "/"
            while above not in self._found:
                self._found[above] = (_plain_directory(above), "", above)
                above = above.rpartition("/")[0] or "/"
            if self._found[above][0].kind is not Kind.DIRECTORY:
                raise self._refused(path, f"{above} is a {self._found[above][0].kind.value}, not a directory")

    def _refused(self, path: str, why: str) -> RequestError:
        return RequestError(f"cannot put {path} of {self._source} into an image: {why}")


def _plain_directory(path: str) -> Entry:
    return Entry(path=path, kind=Kind.DIRECTORY, mode=ROOT_MODE, uid=0, gid=0, size=0, mtime=0)
