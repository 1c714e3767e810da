"""Take the tree of an image from a directory."""

import os
import stat
from pathlib import Path
from typing import Final

from bistable.artifact.errors import RequestError
from bistable.artifact.image.ext.inode import KINDS
from bistable.artifact.image.model import DEVICES, Attributes, Entry, Kind
from bistable.artifact.image.tree import ROOT_MODE, TreeBuilder

_ATTRIBUTES_TAKEN: Final = ("security.capability", "security.ima", "user.")
"""What belongs to the files. Labels and access lists in a build directory are the build machine's."""


def add_directory(builder: TreeBuilder, source: Path, *, keep_owners: bool) -> None:
    """Add everything in the directory `source`, owned by root unless `keep_owners`; sockets are left out.

    The root gets mode 755, whatever `source` has: a directory made for building is often closed to others.

    Raises:
        RequestError: something cannot be read.
    """
    top = os.fsencode(source)
    try:
        found = source.stat()
        root = _entry("/", found, keep_owners=keep_owners)
        builder.add(
            Entry(path="/", kind=root.kind, mode=ROOT_MODE, uid=root.uid, gid=root.gid, size=0, mtime=root.mtime)
        )
        pending = [b""]
        while pending:
            pending += _add_content(builder, top, pending.pop(), keep_owners=keep_owners)
    except OSError as e:
        name = os.fsdecode(e.filename) if e.filename else source
        raise RequestError(
            f"cannot make an image from {source}: {name}: {e.strerror}",
            hint="the user who makes the image must be able to read every file",
        ) from e


def _add_content(builder: TreeBuilder, top: bytes, inside: bytes, *, keep_owners: bool) -> list[bytes]:
    """Add what is in the directory `inside` of `top`; return the directories among it."""
    directories = []
    with os.scandir(os.path.join(top, inside)) as found:  # noqa: PTH118 -- names are bytes here
        for item in found:
            status = item.stat(follow_symlinks=False)
            relative = os.path.join(inside, item.name)  # noqa: PTH118
            content = relative.decode("utf-8", "surrogateescape")
            if stat.S_ISSOCK(status.st_mode):
                builder.left_out.append(f"/{content}: a socket")
                continue
            entry = _entry(f"/{content}", status, keep_owners=keep_owners, host=item.path)
            identity = (
                (status.st_dev, status.st_ino) if status.st_nlink > 1 and entry.kind is not Kind.DIRECTORY else None
            )
            if entry.kind is Kind.FILE and not os.access(item.path, os.R_OK):
                raise PermissionError(13, "cannot be read", item.path)
            builder.add(entry, content=content, identity=identity)
            if entry.kind is Kind.DIRECTORY:
                directories.append(relative)
    return directories


def _entry(path: str, status: os.stat_result, *, keep_owners: bool, host: bytes | None = None) -> Entry:
    kind = KINDS[stat.S_IFMT(status.st_mode) >> 12]
    return Entry(
        path=path,
        kind=kind,
        mode=stat.S_IMODE(status.st_mode),
        uid=status.st_uid if keep_owners else 0,
        gid=status.st_gid if keep_owners else 0,
        size=status.st_size if kind is Kind.FILE else 0,
        mtime=int(status.st_mtime),
        target=_target(host) if host and kind is Kind.SYMLINK else "",
        device=(os.major(status.st_rdev), os.minor(status.st_rdev)) if kind in DEVICES else None,
        attributes=_attributes(host) if host else (),
    )


def _target(host: bytes) -> str:
    return os.readlink(host).decode("utf-8", "surrogateescape")  # noqa: PTH115 -- names are bytes here


def _attributes(host: bytes) -> Attributes:
    try:
        names = os.listxattr(host, follow_symlinks=False)
    except OSError:
        return ()  # the source lies on a file system without attributes
    taken = sorted(name for name in names if name.startswith(_ATTRIBUTES_TAKEN))
    return tuple((name, os.getxattr(host, name, follow_symlinks=False)) for name in taken)
