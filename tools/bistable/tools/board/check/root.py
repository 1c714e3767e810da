"""The root file system that a board's slots get, to see whether what the board names is in it."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from bistable.artifact.errors import RequestError
from bistable.artifact.image import ImageKind, image_kind
from bistable.artifact.image.model import EXT_KINDS
from bistable.artifact.image.tarball import add_tar
from bistable.artifact.image.tree import TreeBuilder
from bistable.artifact.run import run
from bistable.tools.disk.tree import BuildingTree, FolderTree, ReadableTree, reading

_TIMEOUT: Final = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Root:
    """A root file system: its files, and the bytes that it takes; `is_image`: it is written as it is."""

    tree: ReadableTree
    size: int
    is_image: bool


@contextmanager
def open_root(source: Path) -> Iterator[Root]:
    """Open a root file system: a directory, a tar file, or an ext4, squashfs or erofs image.

    Raises:
        RequestError: it is not there, or of no use.
        RejectedError: it is damaged.
        MachineError: a tool is missing or fails.
    """
    if not source.exists():
        raise RequestError(f"cannot read the root file system {source}: it does not exist")
    with tempfile.TemporaryDirectory(prefix="bistable-") as staging:
        if source.is_dir():
            yield Root(tree=FolderTree(source), size=_size_of(source), is_image=False)
            return
        kind = image_kind(source)
        size = source.stat().st_size
        content = Path(staging) / "content"
        if kind is ImageKind.UNKNOWN:
            content.mkdir()
            builder = TreeBuilder(str(source))
            add_tar(builder, source, content)
            tree = BuildingTree(builder, content, Path(staging), time=0)
            yield Root(tree=tree, size=_size_of(content), is_image=False)
        elif kind in EXT_KINDS or kind is ImageKind.SQUASHFS:
            with reading(source) as volume:
                yield Root(tree=volume, size=size, is_image=True)
        elif kind is ImageKind.EROFS:
            run(["fsck.erofs", f"--extract={content}", "--no-preserve", source], timeout=_TIMEOUT)
            yield Root(tree=FolderTree(content), size=size, is_image=True)
        else:
            raise RequestError(
                f"cannot use {source} as a root file system: it is {kind.value}",
                hint="a directory, a tar file, or an ext4, squashfs or erofs image is needed",
            )


def _size_of(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def content_of(root: Root, path: PurePosixPath) -> bytes | None:
    """Return the content of a file; None: there is none, or it is larger than any kernel."""
    try:
        return root.tree.read(str(path))
    except RequestError:
        return None
