"""Change single files inside an ext2, ext3 or ext4 image, in place, without root and without mounting it.

The caller owns the image file and gives a copy: after an error it may be half changed and must be thrown away. The
`epoch` of every change (seconds since 1970) is the time that inodes and the superblock get, so that the same change of
the same image gives the same bytes.
"""

import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from bistable.artifact.errors import MachineError, RejectedError, RequestError
from bistable.artifact.image.debugfs import (
    NAME_LIMIT,
    TARGET_LIMIT,
    Script,
    check,
    mode_field,
    open_path,
    run_script,
)
from bistable.artifact.image.ext.volume import ExtVolume
from bistable.artifact.image.identify import PREFIX_SIZE, identify
from bistable.artifact.image.model import EXT_KINDS, Entry, ImageKind, Kind
from bistable.artifact.image.volume import Place, find_place, find_place_itself, walk

_LOST_AND_FOUND: Final = "/lost+found"
_LABEL: Final = "security.selinux"
"""The one attribute that a new version of a file keeps: without it a system that enforces labels cannot read it. What
else is attached to a file, capabilities above all, was granted to its old content."""


def copy_in(
    image: Path,
    source: Path,
    path: str,
    *,
    epoch: int,
    mode: int | None = None,
    uid: int | None = None,
    gid: int | None = None,
) -> str:
    """Copy the file `source` to `path` in `image` and return the path it has there; a file that was there is replaced.

    Symbolic links in the image are followed. As with install(1), other hard links of a replaced file keep its content.
    `mode` (12 bits), `uid` and `gid` are by default those of the replaced file, else the source's mode without special
    bits, and 0.

    Raises:
        RequestError: no such source or directory, something other than a file is there, or not enough space.
        MachineError, RejectedError: the image could not be changed soundly; throw it away.
    """
    with _open_source(source) as content, editing(image) as (file, volume):
        place = find_place(volume, path)
        size = os.fstat(content.fileno()).st_size
        old = _replaceable(place)
        _check_space(volume, size, old)
        script = Script(time=epoch)
        script.enter(place.parent.inode)
        if old is not None:
            script.add_removal("rm", f"./{place.name}")
        script.add("write", open_path(content), _new_name(place))
        chosen = mode if mode is not None else old.mode if old else os.fstat(content.fileno()).st_mode & 0o777
        owner = (uid if uid is not None else old.uid if old else 0, gid if gid is not None else old.gid if old else 0)
        _set_access(script, place.name, Kind.FILE, chosen, owner)
        with _kept_label(script, place.name, old):
            _commit(file, script, image)
        return place.parent.beneath(place.name)


def make_directory(image: Path, path: str, *, epoch: int, mode: int = 0o755, uid: int = 0, gid: int = 0) -> str:
    """Make the directory `path` in `image` and return the path it has there; the one above it must be there.

    Raises:
        RequestError: it is there already, or the directory above is not.
        MachineError, RejectedError: the image could not be changed soundly; throw it away.
    """
    with editing(image) as (file, volume):
        place = _free(volume, path)
        script = Script(time=epoch)
        script.enter(place.parent.inode)
        script.add("mkdir", _new_name(place))
        _set_access(script, place.name, Kind.DIRECTORY, mode, (uid, gid))
        _commit(file, script, image)
        return place.parent.beneath(place.name)


def make_symlink(image: Path, path: str, target: str, *, epoch: int) -> str:
    """Make the symbolic link `path` to `target` in `image` and return the path it has there.

    Raises:
        RequestError: something is there already, the directory is not, or `target` is empty or too long.
        MachineError, RejectedError: the image could not be changed soundly; throw it away.
    """
    if not 0 < len(target.encode("utf-8", "surrogateescape")) <= TARGET_LIMIT:
        raise RequestError(f"cannot make the link {path}: its target must have 1 to {TARGET_LIMIT} bytes")
    with editing(image) as (file, volume):
        place = _free(volume, path)
        script = Script(time=epoch)
        script.enter(place.parent.inode)
        script.add("symlink", _new_name(place), target)
        _commit(file, script, image)
        return place.parent.beneath(place.name)


def remove(image: Path, path: str, *, epoch: int) -> None:
    """Remove the file, link, device or empty directory `path` from `image`; a link itself, not what it points to.

    Raises:
        RequestError: there is nothing, or it is a directory with content.
        MachineError, RejectedError: the image could not be changed soundly; throw it away.
    """
    with editing(image) as (file, volume):
        place, entry = _removable(volume, path)
        if entry.kind is Kind.DIRECTORY and any(True for _ in volume.entries(entry)):
            raise RequestError(f"cannot remove {path}: the directory is not empty", hint="remove it with its content")
        script = Script(time=epoch)
        script.enter(place.parent.inode)
        _add_removal(script, entry)
        _commit(file, script, image)


def remove_tree(image: Path, path: str, *, epoch: int) -> int:
    """Remove `path` and everything beneath it from `image`; return how many entries that were.

    Raises:
        RequestError: there is nothing, or it is the root.
        MachineError, RejectedError: the image could not be changed soundly; throw it away.
    """
    with editing(image) as (file, volume):
        place, entry = _removable(volume, path)
        script = Script(time=epoch)
        count = _add_tree(volume, script, entry, place.parent.inode)
        _commit(file, script, image)
        return count


@contextmanager
def editing(image: Path) -> Iterator[tuple[BinaryIO, ExtVolume]]:
    """Open an image that can be changed and that is sound before; what is changed in it is for the block to see to.

    Raises:
        RequestError: it is none of ext2, ext3 or ext4.
        RejectedError: the file system is damaged, or not marked as clean.
        MachineError: the file cannot be changed.
    """
    try:
        file = image.open("r+b", buffering=0)
    except OSError as e:
        raise MachineError(f"cannot change {image}: {e.strerror}") from e
    with file:
        kind = identify(file.read(PREFIX_SIZE))
        if kind not in EXT_KINDS:
            what = "an unknown kind of data" if kind is ImageKind.UNKNOWN else kind.value
            raise RequestError(
                f"cannot change files in {image.name}: it is {what}",
                hint="only ext2, ext3 and ext4 images can be changed; build other kinds again from their directory",
            )
        volume = ExtVolume(file, image.name)
        if not volume.superblock.is_clean:
            raise RejectedError(
                f"cannot change files in {image.name}: the file system is marked as not clean",
                hint="run 'e2fsck -fp' on the image first",
                rule="image.unclean",
            )
        check(file, image.name)
        yield file, volume


def _commit(file: BinaryIO, script: Script, image: Path) -> None:
    with tempfile.TemporaryDirectory() as nowhere:
        run_script(file, script, cwd=Path(nowhere))
    check(file, image.name)


@contextmanager
def _open_source(source: Path) -> Iterator[BinaryIO]:
    try:
        with source.open("rb", buffering=0) as content:
            if not stat.S_ISREG(os.fstat(content.fileno()).st_mode):
                raise RequestError(f"cannot copy {source} into the image: it is not a file")
            yield content
    except FileNotFoundError as e:
        raise RequestError(f"cannot copy {source} into the image: it does not exist") from e
    except OSError as e:
        raise RequestError(f"cannot copy {source} into the image: {e.strerror}") from e


def _replaceable(place: Place) -> Entry | None:
    if place.entry is not None and place.entry.kind is not Kind.FILE:
        raise RequestError(
            f"cannot replace {place.entry.path} in the image: it is a {place.entry.kind.value}",
            hint="name the file that is to be made in it" if place.entry.kind is Kind.DIRECTORY else "remove it first",
        )
    return place.entry


def _check_space(volume: ExtVolume, size: int, old: Entry | None) -> None:
    block = volume.superblock.block_size
    freed = old.size if old and old.links == 1 else 0
    free = volume.superblock.free_blocks * block
    if size + block > free + freed:
        raise RequestError(
            f"cannot copy {size} bytes into the image: {free} bytes are free",
            hint="build the image with more room",
        )


def _free(volume: ExtVolume, path: str) -> Place:
    place = find_place_itself(volume, path)
    if place.entry is not None:
        raise RequestError(f"cannot make {path} in the image: a {place.entry.kind.value} is there already")
    return place


def _new_name(place: Place) -> str:
    """libext2fs would cut a longer name and damage the directory."""
    if len(place.name.encode("utf-8", "surrogateescape")) > NAME_LIMIT:
        raise RequestError(f"cannot use the name {place.name[:40]}...: it has more than {NAME_LIMIT} bytes")
    return place.name


def _set_access(script: Script, name: str, kind: Kind, mode: int, owner: tuple[int, int]) -> None:
    if not 0 <= mode <= 0o7777 or not all(0 <= number < 1 << 32 for number in owner):
        raise RequestError(f"cannot set mode {mode:o} and owner {owner[0]}:{owner[1]}: out of range")
    fields = [mode_field(kind, mode), ("uid", str(owner[0])), ("gid", str(owner[1]))]
    script.set_fields(f"./{name}", fields)


@contextmanager
def _kept_label(script: Script, name: str, old: Entry | None) -> Iterator[None]:
    value = dict(old.attributes).get(_LABEL) if old else None
    with tempfile.TemporaryFile() as file:
        if value is not None:
            file.write(value)
            file.flush()
            script.add("ea_set -f", open_path(file), f"./{name}", _LABEL)
        yield


def _removable(volume: ExtVolume, path: str) -> tuple[Place, Entry]:
    place = find_place_itself(volume, path)
    if place.entry is None:
        raise RequestError(f"cannot remove {path} from the image: it is not there")
    if place.entry.path in {"/", _LOST_AND_FOUND}:
        raise RequestError(f"cannot remove {place.entry.path} from the image: the file system needs it")
    return place, place.entry


def _add_removal(script: Script, entry: Entry) -> None:
    script.add_removal("rmdir" if entry.kind is Kind.DIRECTORY else "rm", f"./{entry.name}")


def _add_tree(volume: ExtVolume, script: Script, top: Entry, parent: int) -> int:
    """Add the removal of `top` and of all that is in it, content before its directory; return how many there are."""
    entries = list(walk(volume, top))
    directories = {entry.path: entry.inode for entry in entries}
    for entry in reversed(entries):
        script.enter(directories.get(entry.path.rpartition("/")[0], parent))
        _add_removal(script, entry)
    return len(entries)
