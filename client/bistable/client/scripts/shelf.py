"""Where the scripts of an artifact are kept between the steps of its update, through power cuts.

They are written beside their place and moved there in one step, and leave it in one step: all are there, or none is.
"""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bistable.artifact.errors import quoted
from bistable.artifact.files import write_all
from bistable.artifact.model import Script
from bistable.client.errors import ScriptError
from bistable.client.files import make_directory, sync_directory
from bistable.client.scripts import names

MODE: Final = 0o755
UNFINISHED, REMOVED = ".new", ".old"
"""What is appended to the name of a directory that is not yet, or no longer, the one that counts."""


def store(directory: Path, scripts: Sequence[Script]) -> None:
    """Replace what is in `directory` by these scripts and their version file.

    Raises:
        ScriptError: a name is not one of an artifact's script, or they cannot be written.
    """
    _require_names(scripts)
    clear(directory)
    unfinished = _beside(directory, UNFINISHED)
    try:
        make_directory(directory.parent)
        unfinished.mkdir()
        unfinished.chmod(MODE)
        for script in scripts:
            _write(unfinished / script.name, script.content)
        _write(unfinished / names.VERSION_FILE, names.WRITTEN_VERSION)
        sync_directory(unfinished)
        unfinished.rename(directory)
        sync_directory(directory.parent)
    except OSError as e:
        raise ScriptError(f"cannot keep the scripts of the artifact in {directory}: {e.strerror}") from e


def clear(directory: Path) -> None:
    """Remove the scripts, and what an interrupted `store` has left.

    Raises:
        ScriptError: they cannot be removed.
    """
    _require_removable(directory)
    try:
        for path in (_beside(directory, UNFINISHED), _beside(directory, REMOVED)):
            _remove(path)
        if directory.is_symlink() or directory.exists():
            directory.rename(_beside(directory, REMOVED))
            sync_directory(directory.parent)
            _remove(_beside(directory, REMOVED))
    except OSError as e:
        raise ScriptError(f"cannot remove the scripts of the artifact from {directory}: {e.strerror}") from e


def _beside(directory: Path, ending: str) -> Path:
    return directory.with_name(directory.name + ending)


def _remove(path: Path) -> None:
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.exists():
        shutil.rmtree(path)


def _require_names(scripts: Sequence[Script]) -> None:
    # The reader of artifacts has looked at the names already. They become paths here, and that is worth a second look.
    seen: set[str] = set()
    for script in scripts:
        if not names.is_artifact_script(script.name):
            raise ScriptError(f"cannot keep the script {quoted(script.name)}: it is not the name of a state script")
        if script.name in seen:
            raise ScriptError(f"cannot keep the script {quoted(script.name)}: it is there twice")
        seen.add(script.name)


def _require_removable(directory: Path) -> None:
    if not directory.is_absolute() or directory == directory.parent or ".." in directory.parts:
        raise ScriptError(
            f"cannot keep scripts in {directory}: everything in that directory is removed before each update",
            hint="give the absolute path of a directory that is for nothing else",
        )


def _write(path: Path, content: bytes) -> None:
    with path.open("xb", buffering=0) as file:
        write_all(file, content)
        os.fchmod(file.fileno(), MODE)
        os.fsync(file.fileno())
