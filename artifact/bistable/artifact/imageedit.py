"""Files inside the file system image that an artifact carries: read them, or write the artifact with others.

The payload is unpacked, and its digest checked, before anything of it is used. Changes go to the unpacked copy; then
the artifact is written anew with the same header, and appears under its name when it is complete.
"""

import hashlib
import posixpath
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Protocol

from bistable.artifact.errors import MachineError, RequestError
from bistable.artifact.image import (
    Entry,
    Kind,
    copy_in,
    list_directory,
    make_directory,
    open_image,
    remove,
    remove_tree,
    walk_image,
)
from bistable.artifact.image.volume import find, require
from bistable.artifact.keys import Signer
from bistable.artifact.model import Compression, Header
from bistable.artifact.reader import ArtifactReader
from bistable.artifact.rewrite import as_version_3, refuse_augmented, refuse_lost_signature
from bistable.artifact.scratch import only_file, scratch_file, unpack_file
from bistable.artifact.streams import Codec, Source
from bistable.artifact.trust import Policy
from bistable.artifact.writer import InputFile, Options, WriteRequest, Written, write_artifact
from bistable.artifact.writer.data import Progress
from bistable.artifact.writer.request import CHECKSUM_KEY, LEGACY_CHECKSUM_KEY
from bistable.artifact.writer.write import ignore_progress

CHECKSUM_KEYS: Final = (CHECKSUM_KEY, LEGACY_CHECKSUM_KEY)


class Operation(Protocol):
    """One change of an image."""

    def apply(self, image: Path, *, epoch: int) -> str:
        """Change the image and return what was done, in words; `epoch` is the time that inodes get."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyIn:
    """Copy a file of this machine to `path`; into it, if it is a directory or ends in a slash.

    `shown` is what messages call a source that has no name of its own, such as standard input.
    """

    source: Path
    path: str
    shown: str | None = None
    mode: int | None = None
    uid: int | None = None
    gid: int | None = None

    def apply(self, image: Path, *, epoch: int) -> str:
        """Copy."""
        path = self.path
        if path.endswith("/") or _is_directory(image, path):
            if self.shown is not None:
                raise RequestError(f"cannot copy {self.shown} to {path}: it needs a name there", hint="add the name")
            path = posixpath.join(path, self.source.name)
        written = copy_in(image, self.source, path, epoch=epoch, mode=self.mode, uid=self.uid, gid=self.gid)
        return f"copied {self.shown or self.source} to {written}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Remove:
    """Remove a file, a link or an empty directory."""

    path: str

    def apply(self, image: Path, *, epoch: int) -> str:
        """Remove."""
        remove(image, self.path, epoch=epoch)
        return f"removed {self.path}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveTree:
    """Remove a path and everything beneath it."""

    path: str

    def apply(self, image: Path, *, epoch: int) -> str:
        """Remove."""
        count = remove_tree(image, self.path, epoch=epoch)
        return f"removed {self.path}" + (f" and {count - 1} beneath it" if count > 1 else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class MakeDirectory:
    """Make a directory; with `parents` those above it, too, and it may be there already."""

    path: str
    mode: int = 0o755
    parents: bool = False

    def apply(self, image: Path, *, epoch: int) -> str:
        """Make."""
        missing = [self.path]
        if self.parents:
            missing = [path for path in _with_parents(self.path) if not _is_directory(image, path)]
        for path in missing:
            make_directory(image, path, epoch=epoch, mode=self.mode if path == missing[-1] else 0o755)
        return f"made {', '.join(missing)}" if missing else f"{self.path} was there already"


@dataclass(frozen=True, slots=True, kw_only=True)
class Edited:
    """What was done inside the image, in words, and what was written."""

    done: tuple[str, ...]
    written: Written


@contextmanager
def unpacked_image(source: Source, policy: Policy | None = None) -> Iterator[Path]:
    """Give the one payload file of an artifact as a sparse, temporary file on this machine, its digest checked.

    Raises:
        RequestError: the artifact has no file, or more than one.
        RejectedError: the artifact breaks a rule.
    """
    reader = ArtifactReader(source, policy)
    name = only_file(reader.read_head())
    with scratch_file(name) as scratch:
        unpack_file(reader, scratch)
        yield scratch.path


def list_files(source: Source, path: str = "/", policy: Policy | None = None) -> tuple[Entry, ...]:
    """Return what is in the directory `path` of the image in an artifact; for anything but a directory, that alone.

    Raises:
        RequestError: there is no such path.
        RejectedError: the artifact breaks a rule, or the image is damaged.
        UnsupportedError: the payload is of a kind that cannot be looked into.
    """
    with unpacked_image(source, policy) as image:
        return list_directory(image, path)


def list_tree(source: Source, path: str = "/", policy: Policy | None = None) -> tuple[Entry, ...]:
    """Return `path` and everything beneath it in the image in an artifact, a directory before its content.

    Raises:
        RequestError, RejectedError, UnsupportedError: as for `list_files`.
    """
    with unpacked_image(source, policy) as image:
        with open_image(image) as volume:
            top = require(volume, path).path
        below = top.rstrip("/") + "/"
        return tuple(entry for entry in walk_image(image) if entry.path == top or entry.path.startswith(below))


def edit_image(
    path: Path,
    target: Path,
    operations: Sequence[Operation],
    *,
    codec: Codec | None = None,
    signer: Signer | None = None,
    drop_signature: bool = False,
    epoch: int | None = None,
    on_progress: Progress = ignore_progress,
) -> Edited:
    """Write the artifact at `path` with a changed image to `target`, which may be the same.

    Name, provides and all else of the header stay, but for the image's checksum where the artifact provides it; the
    compression stays of its kind unless `codec` is given. `epoch` (seconds since 1970) is the time of all that changes,
    by default that of the image's root directory, so that the same change gives the same bytes.

    Raises:
        RequestError: an operation is impossible, or the change would make the signature worthless and neither a signer
            is given nor `drop_signature`.
        RejectedError: the artifact breaks a rule, or the image is damaged.
        MachineError: a file cannot be read or written, or a program is missing.
    """
    try:
        with path.open("rb", buffering=0) as file:
            reader = ArtifactReader(file, Policy(allow_augment=True))
            head = reader.read_head()
            refuse_augmented(head)
            refuse_lost_signature(head, signer, drop_signature=drop_signature)
            name = only_file(head)
            kind = reader.data_compression or Compression.NONE
            with scratch_file(name, beside=target.parent) as scratch:
                unpack_file(reader, scratch)
                time = _root_time(scratch.path) if epoch is None else epoch
                done = tuple(operation.apply(scratch.path, epoch=time) for operation in operations)
                request = _request(as_version_3(head), name, scratch.path)
                options = Options(
                    codec=codec or Codec(kind=kind), signer=signer, mtime=epoch or 0, on_progress=on_progress
                )
                return Edited(done=done, written=write_artifact(target, request, options))
    except OSError as e:
        raise MachineError(f"cannot read {path}: {e.strerror or e}") from e


def _request(header: Header, name: str, image: Path) -> WriteRequest:
    """Keep the header, but not the digest of the old image, under whichever names it is there."""
    keys = [key for key in CHECKSUM_KEYS if key in header.type_info.provides]
    checksum_key = keys[0] if keys else None
    if len(keys) > 1:
        with image.open("rb", buffering=0) as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        provides = {**header.type_info.provides, **dict.fromkeys(keys, digest)}
        header = replace(header, type_info=replace(header.type_info, provides=provides))
    return WriteRequest(header=header, files=(InputFile(name=name, path=image),), checksum_key=checksum_key)


def _root_time(image: Path) -> int:
    with open_image(image) as volume:
        return volume.root().mtime


def _is_directory(image: Path, path: str) -> bool:
    with open_image(image) as volume:
        entry = find(volume, path)
        return entry is not None and entry.kind is Kind.DIRECTORY


def _with_parents(path: str) -> list[str]:
    """Return a path and all directories above it but the root, the highest first."""
    parts = [part for part in path.split("/") if part]
    return ["/" + "/".join(parts[: count + 1]) for count in range(len(parts))]
