"""Takes an artifact apart into files, which appear together, once everything was checked."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Final

from bistable.artifact.errors import MachineError, RequestError
from bistable.artifact.files import write_all
from bistable.artifact.limits import KIB
from bistable.artifact.model import Artifact
from bistable.artifact.reader import ArtifactReader, IncomingFile
from bistable.artifact.streams.source import Source
from bistable.artifact.trust import Policy

META_DATA_NAME: Final = "0000.meta-data"
"""As mender-artifact calls it."""

SCRIPT_MODE: Final = 0o755
DATA_MODE: Final = 0o644

_PIECE: Final = 64 * KIB
_ZEROS: Final = bytes(_PIECE)


class Present(Enum):
    """What to do with files that are there already."""

    REFUSE = "refuse"
    REPLACE = "replace"


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Into which directories payload files, state scripts and meta-data go; None leaves them out."""

    files: Path | None = None
    scripts: Path | None = None
    meta_data: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Extracted:
    """The artifact, and the files that were written."""

    artifact: Artifact
    files: tuple[Path, ...]
    scripts: tuple[Path, ...]
    meta_data: Path | None

    @property
    def paths(self) -> tuple[Path, ...]:
        """All files that were written."""
        return (*self.files, *self.scripts, *(() if self.meta_data is None else (self.meta_data,)))


def extract_artifact(
    source: Source, layout: Layout, policy: Policy | None = None, *, present: Present = Present.REFUSE
) -> Extracted:
    """Read a whole artifact and write what is wanted of it; nothing appears unless all of it is good.

    Missing directories are made. Zeros in payload files become holes.

    Raises:
        RejectedError: the artifact breaks a rule (and its kinds: SignatureError, UnsupportedError, LimitError).
        PolicyError: it is sound but refused.
        RequestError: a file is there already.
        MachineError: a file cannot be written.
    """
    reader = ArtifactReader(source, policy)
    head = reader.read_head()
    files = {name: layout.files / name for name in head.payload_digests()} if layout.files is not None else {}
    scripts = [] if layout.scripts is None else [(layout.scripts / s.name, s.content) for s in head.header.scripts]
    meta_data = layout.meta_data / META_DATA_NAME if layout.meta_data is not None and head.header.meta_data else None
    small = [*scripts, *([] if meta_data is None else [(meta_data, head.header.meta_data or b"")])]
    _check_places([*files.values(), *(path for path, _ in small)], present)
    with _staging() as staging:
        for incoming in reader.files():
            if incoming.name in files:
                _write_sparse(incoming, staging.stage(files[incoming.name]))
        for path, content in small:
            place = staging.stage(path)
            place.write_bytes(content)
            place.chmod(DATA_MODE if path == meta_data else SCRIPT_MODE)
        artifact = reader.finish()
        staging.put_in_place()
    return Extracted(
        artifact=artifact,
        files=tuple(files.values()),
        scripts=tuple(path for path, _ in scripts),
        meta_data=meta_data,
    )


class _Staging:
    """Holds files in hidden directories beside their places until all of them are good."""

    def __init__(self) -> None:
        self._hidden: dict[Path, Path] = {}
        self._made: list[Path] = []
        self._moves: list[tuple[Path, Path]] = []
        self._done = False

    def stage(self, path: Path) -> Path:
        """Return where the content of `path` goes until then."""
        directory = path.parent
        if directory not in self._hidden:
            self._make(directory)
            self._hidden[directory] = Path(tempfile.mkdtemp(prefix=".bistable-", dir=directory))
        place = self._hidden[directory] / path.name
        self._moves.append((place, path))
        return place

    def put_in_place(self) -> None:
        """Give every file its name."""
        for place, path in self._moves:
            place.replace(path)
        self._done = True

    def clean_up(self) -> None:
        """Remove the hidden directories, and if nothing was put in place, those that were made."""
        for hidden in self._hidden.values():
            shutil.rmtree(hidden, ignore_errors=True)
        for directory in reversed(self._made if not self._done else []):
            with suppress(OSError):
                directory.rmdir()

    def _make(self, directory: Path) -> None:
        missing = [path for path in (directory, *directory.parents) if not path.exists()]
        for path in reversed(missing):
            path.mkdir()
            self._made.append(path)


@contextmanager
def _staging() -> Iterator[_Staging]:
    staging = _Staging()
    try:
        yield staging
    except OSError as e:
        raise MachineError(f"cannot write {e.filename or 'the files'}: {e.strerror or e}") from e
    finally:
        staging.clean_up()


def _check_places(paths: list[Path], present: Present) -> None:
    seen: set[Path] = set()
    for path in paths:
        if path in seen:
            raise RequestError(f"cannot write {path}: two files have this name", hint="use a directory for each kind")
        seen.add(path)
        if present is Present.REFUSE and os.path.lexists(path):
            raise RequestError(f"cannot write {path}: it is there already", hint="--force replaces what is there")


def _write_sparse(incoming: IncomingFile, path: Path) -> None:
    with path.open("wb", buffering=0) as out:
        for chunk in incoming.chunks():
            view = memoryview(chunk)
            for start in range(0, len(view), _PIECE):
                piece = view[start : start + _PIECE]
                if piece == _ZEROS[: len(piece)]:
                    out.seek(len(piece), os.SEEK_CUR)
                else:
                    write_all(out, piece)
        out.truncate(out.tell())
    incoming.finish()
