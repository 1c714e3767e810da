"""A root file system in a directory of this machine; its links never lead out of it."""

import os
import stat
from contextlib import suppress
from pathlib import Path

from bistable.artifact.errors import MachineError, RequestError
from bistable.artifact.image import Kind
from bistable.tools.disk.tree.port import READ_LIMIT, real_path

_KINDS = {stat.S_IFDIR: Kind.DIRECTORY, stat.S_IFLNK: Kind.SYMLINK, stat.S_IFREG: Kind.FILE}


class FolderTree:
    """The tree in `root`; `time` (seconds since 1970) is what new files get, None leaves them the present."""

    def __init__(self, root: Path, *, time: int | None = None) -> None:
        self._root = root
        self._time = time

    def kind(self, path: str) -> Kind | None:
        """Return what is at `path`."""
        found = self._look(self._real(path))
        return None if found is None else found[0]

    def read(self, path: str) -> bytes | None:
        """Return the content of a file."""
        if self.kind(path) is not Kind.FILE:
            return None
        place = self._place(self._real(path))
        try:
            if place.stat().st_size > READ_LIMIT:
                raise RequestError(f"cannot read {place}: it has more than {READ_LIMIT} bytes")
            return place.read_bytes()
        except OSError as e:
            raise RequestError(f"cannot read {place}: {e.strerror}") from e

    def file(self, path: str, content: bytes | Path, *, mode: int = 0o644) -> None:
        """Put a file."""
        place = self._free(path)
        try:
            place.write_bytes(content if isinstance(content, bytes) else content.read_bytes())
            place.chmod(mode)
        except OSError as e:
            raise MachineError(f"cannot write {place}: {e.strerror}") from e
        self._stamp(place)

    def directory(self, path: str, *, mode: int = 0o755) -> None:
        """Make a directory."""
        if self.kind(path) is not Kind.DIRECTORY:
            self._make_directory(self._real(path), mode)

    def link(self, path: str, target: str) -> None:
        """Put a symbolic link."""
        place = self._free(path)
        try:
            place.symlink_to(target)
        except OSError as e:
            raise MachineError(f"cannot make the link {place}: {e.strerror}") from e
        self._stamp(place)

    def _free(self, path: str) -> Path:
        """Return the place for something new, with nothing there and a directory above."""
        real = real_path(path, self._look, follow_last=False)
        above = real.rpartition("/")[0] or "/"
        if self._look(above) is None:
            self._make_directory(above, 0o755)
        place = self._place(real)
        try:
            if place.is_dir() and not place.is_symlink():
                place.rmdir()
            place.unlink(missing_ok=True)
        except OSError as e:
            raise RequestError(f"cannot replace {place}: {e.strerror}") from e
        return place

    def _make_directory(self, real: str, mode: int) -> None:
        place = self._place(real)
        try:
            missing = [above for above in reversed(place.parents) if not above.exists()]
            for above in missing:
                above.mkdir()
                above.chmod(0o755)
                self._stamp(above)
            place.mkdir()
            place.chmod(mode)
        except OSError as e:
            raise MachineError(f"cannot make the directory {place}: {e.strerror}") from e
        self._stamp(place)

    def _stamp(self, place: Path) -> None:
        if self._time is not None:
            os.utime(place, (self._time, self._time), follow_symlinks=False)
        if os.geteuid() == 0:
            os.chown(place, 0, 0, follow_symlinks=False)

    def _real(self, path: str) -> str:
        return real_path(path, self._look, follow_last=True)

    def _place(self, real: str) -> Path:
        return self._root / real.lstrip("/")

    def _look(self, real: str) -> tuple[Kind, str] | None:
        place = self._place(real)
        with suppress(FileNotFoundError, NotADirectoryError):
            kind = _KINDS.get(stat.S_IFMT(place.lstat().st_mode), Kind.SOCKET)
            return kind, os.readlink(place) if kind is Kind.SYMLINK else ""  # noqa: PTH115 -- text is wanted
        return None
