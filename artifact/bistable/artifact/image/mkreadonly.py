"""Make squashfs and erofs images from a tree, which their makers get as a tar stream."""

import os
import tempfile
import time
from typing import Final

from bistable.artifact.errors import RequestError
from bistable.artifact.image.debugfs import open_path
from bistable.artifact.image.options import DEFAULT_COMPRESSION, NO_COMPRESSION, ImageOptions, Work
from bistable.artifact.image.tarball import stream_tar
from bistable.artifact.run import feed

_TIMEOUT: Final = 6 * 3600.0
_UNPACK_AND_RUN: Final = 'tar -xpf - --numeric-owner --xattrs "--xattrs-include=*" -C "$0" && exec "$@"'
_FAKEROOT: Final = ("fakeroot", "--")
_NOT_COMPRESSED: Final = ("-noI", "-noD", "-noF", "-noX")


def make_squashfs(work: Work) -> None:
    """Make a squashfs image; its root directory gets the image's time.

    sqfstar 4.5 gives the root directory the present time and the present user, whatever it is told. So it runs as root
    or believes that it does, and SOURCE_DATE_EPOCH, which caps all times, turns the present into the image's time.

    Raises:
        RequestError: an option that squashfs does not have, a root directory that is not root's, a time that is still
            to come, or a source that changes.
        MachineError: sqfstar or fakeroot is missing or fails.
    """
    _refuse_ext4_options(work.options)
    root = work.tree.nodes[0].entry
    if (root.uid, root.gid) != (0, 0):
        raise RequestError(f"cannot make a squashfs image whose root directory is owned by {root.uid}:{root.gid}")
    if work.tree.time > time.time():
        raise RequestError(
            "cannot make a squashfs image with a time that is still to come: it would hold the present time",
            hint="set SOURCE_DATE_EPOCH to an earlier time, or correct the clock",
        )
    compression = work.options.compression or DEFAULT_COMPRESSION[work.options.kind]
    how = _NOT_COMPRESSED if compression == NO_COMPRESSION else ("-comp", compression)
    feed(
        [
            *(*(() if os.geteuid() == 0 else _FAKEROOT), "sqfstar", "-quiet", "-no-progress", "-exit-on-error", *how),
            *("-root-mode", f"{root.mode:o}", "-root-time", str(work.tree.time), "-force", open_path(work.file)),
        ],
        stream_tar(work.tree.nodes[1:], work.tree.base),
        timeout=_TIMEOUT,
        variables={"SOURCE_DATE_EPOCH": str(work.tree.time)},
    )


def make_erofs(work: Work) -> None:
    """Make an erofs image.

    mkfs.erofs of Debian 12 takes a directory only, so the tree is unpacked for it, under fakeroot.

    Raises:
        RequestError: an option that erofs does not have, attributes without being root, or a source that changes.
        MachineError: mkfs.erofs, tar or fakeroot is missing or fails.
    """
    _refuse_ext4_options(work.options)
    compression = work.options.compression or DEFAULT_COMPRESSION[work.options.kind]
    how = () if compression == NO_COMPRESSION else (f"-z{compression}",)
    with tempfile.TemporaryDirectory(dir=work.staging) as unpacked:
        feed(
            [
                *(*_pretender(work), "sh", "-c", _UNPACK_AND_RUN, unpacked),
                *("mkfs.erofs", "--quiet", "-U", str(work.uuid), *how, open_path(work.file), unpacked),
            ],
            stream_tar(work.tree.nodes, work.tree.base),
            timeout=_TIMEOUT,
            variables={"SOURCE_DATE_EPOCH": str(work.tree.time)},
        )


def _pretender(work: Work) -> tuple[str, ...]:
    """Return the start of a command that lets tar believe it is root; two fakeroots cannot be one in the other.

    mkfs.erofs 1.5 fails on the attributes that fakeroot pretends, so these need the real root.
    """
    pretending = "FAKEROOTKEY" in os.environ
    with_attributes = next((node.entry for node in work.tree.nodes if node.entry.attributes), None)
    if with_attributes is None:
        return () if pretending else _FAKEROOT
    if pretending or os.geteuid() != 0:
        raise RequestError(
            f"cannot put {with_attributes.path} into an erofs image: it has extended attributes, "
            "which mkfs.erofs can be given by root only",
            hint="make an ext4 or squashfs image, or do it as root",
        )
    return ()


def _refuse_ext4_options(options: ImageOptions) -> None:
    if options.size is not None:
        raise RequestError(f"cannot give a size to a {options.kind.value} image: it is as large as its content")
    if options.label:
        raise RequestError(f"cannot give a label to a {options.kind.value} image: only ext4 has one here")
