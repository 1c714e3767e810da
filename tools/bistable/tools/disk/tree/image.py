"""A root file system in an ext4 image: what is put is collected, and written by debugfs in one go."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bistable.artifact.errors import RequestError
from bistable.artifact.image import Entry, Kind
from bistable.artifact.image.debugfs import Script, check, mode_field, run_script
from bistable.artifact.image.edit import editing
from bistable.artifact.image.ext.volume import ExtVolume
from bistable.artifact.image.volume import find
from bistable.tools.disk.tree.port import real_path
from bistable.tools.disk.tree.reading import ReadOnlyTree


@dataclass(slots=True)
class _New:
    """What is to be put at one path; `old` is what is there before."""

    kind: Kind
    mode: int
    old: Entry | None
    source: str = ""
    target: str = ""
    size: int = 0


@dataclass(slots=True)
class ImageTree:
    """The tree of an ext4 image, with changes that are not written yet."""

    volume: ExtVolume
    staging: Path
    new: dict[str, _New] = field(default_factory=dict)

    def kind(self, path: str) -> Kind | None:
        """Return what is at `path`."""
        found = self._look(real_path(path, self._look, follow_last=True))
        return None if found is None else found[0]

    def read(self, path: str) -> bytes | None:
        """Return the content of a file."""
        real = real_path(path, self._look, follow_last=True)
        change = self.new.get(real)
        if change is not None:
            return (self.staging / change.source).read_bytes() if change.kind is Kind.FILE else None
        return ReadOnlyTree(self.volume).read(real)

    def file(self, path: str, content: bytes | Path, *, mode: int = 0o644) -> None:
        """Put a file; one that is the same already stays as it is, so that the same image comes out."""
        if self._is_same(path, content, mode):
            return
        name = f"{len(self.new)}"
        staged = self.staging / name
        if isinstance(content, bytes):
            staged.write_bytes(content)
        else:
            staged.symlink_to(content.absolute())
        self._put(path, Kind.FILE, mode, source=name, size=staged.stat().st_size)

    def directory(self, path: str, *, mode: int = 0o755) -> None:
        """Make a directory."""
        if self.kind(path) is not Kind.DIRECTORY:
            self._put(real_path(path, self._look, follow_last=True), Kind.DIRECTORY, mode)

    def link(self, path: str, target: str) -> None:
        """Put a symbolic link."""
        if self._look(real_path(path, self._look, follow_last=False)) == (Kind.SYMLINK, target):
            return
        self._put(path, Kind.SYMLINK, 0o777, target=target)

    def _is_same(self, path: str, content: bytes | Path, mode: int) -> bool:
        real = real_path(path, self._look, follow_last=False)
        old = None if real in self.new else find(self.volume, real)
        if old is None or old.path != real or old.kind is not Kind.FILE or old.mode != mode:
            return False
        size = len(content) if isinstance(content, bytes) else content.stat().st_size
        if old.size != size:
            return False
        return self.read(real) == (content if isinstance(content, bytes) else content.read_bytes())

    def _put(self, path: str, kind: Kind, mode: int, *, source: str = "", target: str = "", size: int = 0) -> None:
        real = real_path(path, self._look, follow_last=False)
        above = real.rpartition("/")[0]
        if above and self._look(above) is None:
            self._put(above, Kind.DIRECTORY, 0o755)
        old = find(self.volume, above or "/")
        there = None if old is None else self.volume.child(old, real.rpartition("/")[2])
        if there is not None and there.kind is Kind.DIRECTORY and any(True for _ in self.volume.entries(there)):
            raise RequestError(f"cannot replace {real} in the image: it is a directory with content")
        # Taken out first: what is put again comes behind what was put meanwhile.
        self.new.pop(real, None)
        self.new[real] = _New(kind=kind, mode=mode, old=there, source=source, target=target, size=size)

    def _look(self, real: str) -> tuple[Kind, str] | None:
        change = self.new.get(real)
        if change is not None:
            return change.kind, change.target
        above, _, name = real.rpartition("/")
        if not name:
            return Kind.DIRECTORY, ""
        if above in self.new:
            return None
        directory = find(self.volume, above or "/")
        if directory is None or directory.kind is not Kind.DIRECTORY:
            return None
        found = self.volume.child(directory, name)
        return None if found is None else (found.kind, found.target)


@contextmanager
def changed_image(image: Path, *, epoch: int) -> Iterator[ImageTree]:
    """Give the tree of an ext4 image, and write what was put into it when the block ends well.

    The caller owns the image and gives a copy: after an error it may be half changed and must be thrown away. `epoch`
    (seconds since 1970) is the time of everything new.

    Raises:
        RequestError: not enough room.
        RejectedError: the image is damaged.
        MachineError: it cannot be read or written, or a tool is missing or fails.
    """
    with editing(image) as (file, volume), tempfile.TemporaryDirectory(prefix="bistable-") as staging:
        tree = ImageTree(volume=volume, staging=Path(staging))
        yield tree
        if tree.new:
            _check_room(tree, image)
            run_script(file, _script(tree, epoch), cwd=Path(staging))
            check(file, image.name)
            os.fsync(file.fileno())


def _check_room(tree: ImageTree, image: Path) -> None:
    block = tree.volume.superblock.block_size
    needed = sum(-(-change.size // block) + 1 for change in tree.new.values())
    free = tree.volume.superblock.free_blocks
    if needed > free:
        raise RequestError(
            f"cannot put what the device needs into {image.name}: it takes {needed * block} bytes, and {free * block} "
            "are free",
            hint="make the file system larger: resize2fs, or a directory or tar file instead of an image",
        )


def _script(tree: ImageTree, epoch: int) -> Script:
    script = Script(time=epoch)
    for path, change in tree.new.items():
        above, _, name = path.rpartition("/")
        _enter(tree, script, above)
        if change.old is not None:
            script.add_removal("rmdir" if change.old.kind is Kind.DIRECTORY else "rm", f"./{name}")
        if change.kind is Kind.SYMLINK:
            script.add("symlink", name, change.target)
            continue
        if change.kind is Kind.DIRECTORY:
            script.add("mkdir", name)
        else:
            script.add("write", change.source, name)
        owner = (change.old.uid, change.old.gid) if change.old is not None else (0, 0)
        script.set_fields(
            f"./{name}", [mode_field(change.kind, change.mode), ("uid", str(owner[0])), ("gid", str(owner[1]))]
        )
    return script


def _enter(tree: ImageTree, script: Script, above: str) -> None:
    """Go to a directory: to the deepest one that was there before by its number, and on by names."""
    names: list[str] = []
    while above in tree.new:
        above, _, name = above.rpartition("/")
        names.insert(0, name)
    entry = find(tree.volume, above or "/")
    assert entry is not None
    script.enter(entry.inode)
    for name in names:
        script.add("cd", f"./{name}")
