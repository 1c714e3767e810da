"""A root file system of which an image is being made: what is put goes into it, and the source stays as it is."""

from pathlib import Path

from bistable.artifact.errors import RequestError
from bistable.artifact.image import Entry, Kind
from bistable.artifact.image.tree import TreeBuilder
from bistable.tools.disk.tree.port import READ_LIMIT, real_path


class BuildingTree:
    """The tree in `builder`, whose contents are in the directory `base`; new contents go to `staging`."""

    def __init__(self, builder: TreeBuilder, base: Path, staging: Path, *, time: int) -> None:
        self._builder = builder
        self._base = base
        self._staging = staging
        self._time = time
        self._count = 0

    def kind(self, path: str) -> Kind | None:
        """Return what is at `path`."""
        found = self._look(self._real(path))
        return None if found is None else found[0]

    def read(self, path: str) -> bytes | None:
        """Return the content of a file."""
        found = self._builder.get(self._real(path))
        if found is None or found[0].kind is not Kind.FILE:
            return None
        entry, content, _ = found
        if entry.size > READ_LIMIT:
            raise RequestError(f"cannot read {entry.path} of the source: it has {entry.size} bytes")
        try:
            return (self._base / content).read_bytes()
        except OSError as e:
            raise RequestError(f"cannot read {entry.path} of the source: {e.strerror}") from e

    def file(self, path: str, content: bytes | Path, *, mode: int = 0o644) -> None:
        """Put a file."""
        real = self._free(path)
        if isinstance(content, bytes):
            self._count += 1
            source = (self._staging / f"added-{self._count}").absolute()
            source.write_bytes(content)
            size = len(content)
        else:
            source = content.absolute()
            size = source.stat().st_size
        self._builder.add(self._entry(real, Kind.FILE, mode, size=size), content=str(source))

    def directory(self, path: str, *, mode: int = 0o755) -> None:
        """Make a directory."""
        if self.kind(path) is not Kind.DIRECTORY:
            self._builder.add(self._entry(self._real(path), Kind.DIRECTORY, mode))

    def link(self, path: str, target: str) -> None:
        """Put a symbolic link."""
        self._builder.add(self._entry(self._free(path), Kind.SYMLINK, 0o777, target=target))

    def _free(self, path: str) -> str:
        real = real_path(path, self._look, follow_last=False)
        found = self._builder.get(real)
        if found is not None and found[0].kind is Kind.DIRECTORY:
            self._builder.drop_directory(real)
        return real

    def _entry(self, real: str, kind: Kind, mode: int, *, size: int = 0, target: str = "") -> Entry:
        return Entry(path=real, kind=kind, mode=mode, uid=0, gid=0, size=size, mtime=self._time, target=target)

    def _real(self, path: str) -> str:
        return real_path(path, self._look, follow_last=True)

    def _look(self, real: str) -> tuple[Kind, str] | None:
        found = self._builder.get(real)
        return None if found is None else (found[0].kind, found[0].target)
