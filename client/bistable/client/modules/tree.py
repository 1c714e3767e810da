"""The work tree of a module: the directory that tells it what is installed, and keeps what it needs to remember."""

import os
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bistable.artifact.errors import quoted
from bistable.artifact.jsonio import parse_object
from bistable.artifact.model import Header
from bistable.client.errors import ModuleError
from bistable.client.files import make_directory, sync_directory
from bistable.client.modules.gojson import encode_indented, sort_keys

PROTOCOL: Final = "3"
STREAMS: Final = "streams"
STREAM_NEXT: Final = "stream-next"
FILES: Final = "files"
FILE_NAME: Final = re.compile(r"[A-Za-z0-9_.,-]+", re.ASCII)

_OCTAL: Final = re.compile(r"\\([0-7]{3})")
"""A blank and its like in /proc/self/mountinfo."""

_FILE_MODE: Final = 0o600
_DIRECTORY_MODE: Final = 0o700


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """What the device is and runs now, as a module is told."""

    artifact_name: str
    device_type: str
    artifact_group: str = ""


class ModuleTree:
    """The tree of one payload at `path`, a directory of which nothing else may be kept."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def exists(self) -> bool:
        """Return whether there is a tree."""
        return self.path.is_dir()

    def build(self, header: Header, running: Running) -> None:
        """Make the tree anew, without what a former one held, so that it is there after a power cut.

        Raises:
            ModuleError: it cannot be made.
        """
        self.remove()
        try:
            make_directory(self.path)
            for name in ("header", "tmp"):
                (self.path / name).mkdir(mode=_DIRECTORY_MODE)
            for place, content in _contents(header, running):
                with _new_file(self.path / place) as descriptor:
                    os.write(descriptor, content)
            for directory in (self.path / "header", self.path):
                sync_directory(directory)
        except OSError as e:
            raise ModuleError(f"cannot prepare {self.path} for the update module: {e.strerror or e}") from e

    def open_streams(self) -> None:
        """Make the places where a module may ask for the payload files.

        Raises:
            ModuleError: they cannot be made.
        """
        try:
            (self.path / STREAMS).mkdir(mode=_DIRECTORY_MODE)
            os.mkfifo(self.path / STREAM_NEXT, _FILE_MODE)
        except OSError as e:
            raise ModuleError(f"cannot prepare {self.path} for the update module: {e.strerror or e}") from e

    def close_streams(self) -> None:
        """Take away what `open_streams` made.

        Raises:
            ModuleError: it cannot be removed.
        """
        try:
            (self.path / STREAM_NEXT).unlink(missing_ok=True)
            shutil.rmtree(self.path / STREAMS, ignore_errors=False)
        except FileNotFoundError:
            pass
        except OSError as e:
            raise ModuleError(f"cannot remove {e.filename}: {e.strerror or e}") from e

    def make_files(self) -> None:
        """Make the place of stored payload files, if it is not there yet.

        Raises:
            ModuleError: it cannot be made.
        """
        try:
            (self.path / FILES).mkdir(mode=_DIRECTORY_MODE, exist_ok=True)
            sync_directory(self.path)
        except OSError as e:
            raise ModuleError(f"cannot prepare {self.path} for the update module: {e.strerror or e}") from e

    def store(self, name: str, chunks: Iterable[bytes]) -> None:
        """Store a payload file for the module, for good.

        Raises:
            ModuleError: it cannot be stored.
        """
        directory = self.path / FILES
        self.make_files()
        try:
            with _new_file(directory / name) as descriptor:
                for chunk in chunks:
                    view = memoryview(chunk)
                    while view:
                        view = view[os.write(descriptor, view) :]
            sync_directory(directory)
        except OSError as e:
            raise ModuleError(
                f"cannot store the payload file {name} in {directory}: {e.strerror or e}",
                hint=f"it has to fit on the file system of {self.path.parent}, unless its module takes streams",
            ) from e

    def remove(self) -> None:
        """Remove the tree and all that is in it, if there is one.

        Raises:
            ModuleError: it cannot be removed, or something is mounted in it.
        """
        if not os.path.lexists(self.path):
            return
        # What a module mounted and forgot would be emptied, and it may be the data partition.
        mounted = _mounts_below(self.path)
        if mounted:
            raise ModuleError(
                f"cannot remove {self.path}: something is mounted on {mounted[0]}",
                hint=f"the update module left it there; say `umount {mounted[0]}`",
            )
        try:
            shutil.rmtree(self.path)
            sync_directory(self.path.parent)
        except OSError as e:
            raise ModuleError(f"cannot remove {self.path}: {e.strerror or e}") from e


def check_payload_name(name: str) -> str:
    """Return the name of a payload file if it cannot lead out of the tree; the artifact's reader looked, too.

    Raises:
        ModuleError: it could, or it cannot be told to a module in a line.
    """
    if not FILE_NAME.fullmatch(name) or name in {".", ".."}:
        raise ModuleError(f"cannot hand over the payload file {quoted(name)}: its name is not allowed")
    return name


@contextmanager
def _new_file(path: Path) -> Iterator[int]:
    """Give the descriptor of a file that was not there before, and that survives a power cut after the block."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _FILE_MODE)
    try:
        yield descriptor
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _mounts_below(directory: Path) -> list[str]:
    """Return the mount points in a directory, the deepest first."""
    start = os.path.realpath(directory) + "/"
    lines = Path("/proc/self/mountinfo").read_text(errors="surrogateescape").splitlines()
    points = (_OCTAL.sub(lambda match: chr(int(match[1], 8)), line.split(" ")[4]) for line in lines)
    return sorted((point for point in points if point.startswith(start)), key=len, reverse=True)


def _contents(header: Header, running: Running) -> Iterator[tuple[str, bytes]]:
    info = header.info
    texts = {
        "version": PROTOCOL,
        "current_artifact_name": running.artifact_name,
        "current_artifact_group": running.artifact_group,
        "current_device_type": running.device_type,
        "header/artifact_group": info.artifact_group or "",
        "header/artifact_name": info.artifact_name,
        "header/payload_type": info.payload_type or "",
    }
    for place, text in texts.items():
        yield place, text.encode()
    yield "header/header-info", encode_indented(_header_info(header))
    yield "header/type-info", encode_indented(_type_info(header))
    meta_data = parse_object(header.meta_data, member="meta-data") if header.meta_data else None
    yield "header/meta-data", encode_indented(sort_keys(meta_data))


def _header_info(header: Header) -> dict[str, Any]:
    info = header.info
    provides = {"artifact_name": info.artifact_name, "artifact_group": info.artifact_group}
    depends = {
        "artifact_name": info.depends_names,
        "device_type": info.device_types,
        "artifact_group": info.depends_groups,
    }
    return {
        "payloads": [{"type": info.payload_type}],
        "artifact_provides": _given(provides),
        "artifact_depends": _given(depends),
    }


def _type_info(header: Header) -> dict[str, Any]:
    info = header.type_info
    optional = {
        "artifact_depends": sort_keys(dict(info.depends)),
        "artifact_provides": sort_keys(dict(info.provides)),
        "clears_artifact_provides": info.clears_provides,
    }
    return {"type": info.payload_type, **_given(optional)}


def _given(values: dict[str, Any]) -> dict[str, Any]:
    """Leave out what is not there or empty, as Go's `omitempty` does."""
    return {key: value for key, value in values.items() if value}
