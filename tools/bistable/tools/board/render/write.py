"""What is rendered, compared with what lies in the folder of a board, and put there."""

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import unified_diff
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import Final

from bistable.artifact.errors import MachineError, RequestError
from bistable.artifact.files import replacing
from bistable.tools.board.render.layoutfile import FOLDER
from bistable.tools.disk.tree import FolderTree

_SCRIPT: Final = b"#!"


class ChangeKind(StrEnum):
    """What becomes of a file."""

    NEW = "new"
    CHANGED = "changed"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A file, by its path in the folder, whose content is not what is rendered; None: there is none."""

    path: PurePosixPath
    before: bytes | None
    after: bytes | None

    @property
    def kind(self) -> ChangeKind:
        """Return what becomes of it."""
        if self.before is None:
            return ChangeKind.NEW
        return ChangeKind.REMOVED if self.after is None else ChangeKind.CHANGED

    def diff(self) -> list[str]:
        """Return the difference as lines, as `diff -u` shows it."""
        before, after = (_lines(content) for content in (self.before, self.after))
        old, new = (
            "/dev/null" if content is None else f"{side}/{self.path}"
            for side, content in (("a", self.before), ("b", self.after))
        )
        return [line.rstrip("\n") for line in unified_diff(before, after, old, new)]


def changes(folder: Path, files: Mapping[PurePosixPath, bytes]) -> tuple[Change, ...]:
    """Return what is different in `folder` from the files that are rendered; nothing is written.

    Files beneath `rendered` that are not among them are to be removed; others in the folder are not looked at.

    Raises:
        MachineError: something cannot be read.
    """
    try:
        there = {
            path: (folder / path).read_bytes() for path in {*files, *_rendered(folder)} if (folder / path).is_file()
        }
    except OSError as e:
        raise MachineError(f"cannot read {e.filename}: {e.strerror}") from e
    found = (Change(path=path, before=there.get(path), after=files.get(path)) for path in sorted({*files, *there}))
    return tuple(change for change in found if change.before != change.after)


def write_changes(folder: Path, files: Mapping[PurePosixPath, bytes], found: Sequence[Change]) -> None:
    """Put the files into `folder`, which is made if it is not there; `found` says which of them have changed.

    The folder `rendered` appears as a whole, in place of the one that is there.

    Raises:
        RequestError: something there is not what it should be.
        MachineError: the files cannot be written.
    """
    for path in files:
        assert not path.is_absolute()
        assert ".." not in path.parts
    inside = {path: content for path, content in files.items() if path.parts[0] == FOLDER.name}
    try:
        folder.mkdir(exist_ok=True)
        if any(change.path in inside or change.after is None for change in found):
            _replace(folder, inside)
        for change in found:
            if change.path not in inside and change.after is not None:
                with replacing(folder / change.path) as file:
                    file.write(change.after)
    except OSError as e:
        raise MachineError(f"cannot write into {folder}: {e.strerror or e}") from e


def _replace(folder: Path, files: Mapping[PurePosixPath, bytes]) -> None:
    target = folder / FOLDER
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise RequestError(f"cannot write {target}: it is not a directory", hint="remove it, or move it away")
    with tempfile.TemporaryDirectory(dir=folder, prefix=".bistable-") as staging:
        made, old = Path(staging, "made"), Path(staging, "old")
        made.mkdir()
        made.chmod(0o755)
        tree = FolderTree(made)
        for path, content in files.items():
            mode = 0o755 if content.startswith(_SCRIPT) else 0o644
            tree.file(f"/{path.relative_to(FOLDER)}", content, mode=mode)
        if not files:
            shutil.rmtree(target)
            return
        if target.exists():
            target.replace(old)
        try:
            made.replace(target)
        except OSError:
            if old.exists():
                old.replace(target)
            raise


def _rendered(folder: Path) -> Iterator[PurePosixPath]:
    top = folder / FOLDER
    if not top.is_symlink():
        for directory, _, names in os.walk(top):
            for name in names:
                yield PurePosixPath(*Path(directory, name).relative_to(folder).parts)


def _lines(content: bytes | None) -> list[str]:
    return [] if content is None else content.decode("utf-8", "replace").splitlines(keepends=True)
