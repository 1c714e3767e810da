"""Make an ext4 image from a tree: mke2fs for the empty one, debugfs for what is in it, e2fsck at the end.

`mke2fs -d` is not used: version 1.47.0 takes access and change times from the build machine and owners from the user,
and knows no tar files.
"""

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from bistable.artifact.errors import MachineError, RequestError
from bistable.artifact.image.debugfs import Script, check, mode_field, open_path, run_script
from bistable.artifact.image.ext.inode import Inode
from bistable.artifact.image.ext.volume import ExtVolume
from bistable.artifact.image.ext4size import BLOCK, needed_blocks
from bistable.artifact.image.model import DEVICES, Attributes, Entry, Kind
from bistable.artifact.image.options import Work
from bistable.artifact.image.tree import Node, Tree
from bistable.artifact.image.volume import walk
from bistable.artifact.limits import KIB, MIB
from bistable.artifact.run import run

SMALLEST: Final = 8 * MIB
"""Below this mke2fs leaves out the journal."""

_NAME: Final = "the new image"
_LOST_AND_FOUND: Final = "/lost+found"
_ATTRIBUTES: Final = "ext_attr"
_LABEL_LIMIT: Final = 16
_INODE_SIZE: Final = 256
_BYTES_PER_INODE: Final = 16 * KIB
"""One inode for so much room, as mke2fs does by default, but never fewer than the tree needs."""

_OWN_INODES: Final = 11
_SPARE_INODES: Final = 64
_DEVICE_LIMIT: Final = 65535
_TRIES: Final = 12
_TIMEOUT: Final = 600.0
_SUPERBLOCK: Final = (
    # The kind of directory hash: mke2fs takes it from the kind of `char` of the build machine.
    ("flags", "1"),
    # user_xattr and acl, which mke2fs.conf sets elsewhere.
    ("default_mount_opts", "12"),
)


def make_ext4(work: Work) -> None:
    """Make an ext4 image.

    Raises:
        RequestError: the size does not suffice (the message says what does), or something cannot be stored.
        MachineError: a tool is missing or fails.
    """
    if len(work.options.label.encode()) > _LABEL_LIMIT:
        raise RequestError(f"cannot use the label {work.options.label!r}: ext4 takes at most {_LABEL_LIMIT} bytes")
    with_attributes = next((node.entry for node in work.tree.nodes if node.entry.attributes), None)
    if with_attributes and _ATTRIBUTES not in work.options.features:
        raise RequestError(
            f"cannot put {with_attributes.path} into the image: it has extended attributes, but {_ATTRIBUTES} is "
            "not among the chosen features"
        )
    script = _creation(work.tree)
    _make_empty(work)
    run_script(work.file, script, cwd=work.tree.base)
    _correct(work)
    check(work.file, _NAME)


# --- the empty file system


def _make_empty(work: Work) -> None:
    needed = needed_blocks(work.tree)
    wanted = work.options.size
    if wanted is None:
        _grow(work, needed * (100 + work.options.margin_percent) // 100)
        return
    size = wanted // BLOCK * BLOCK
    if size < SMALLEST or _format(work, size) < needed:
        smallest = _grow(work, needed)
        raise RequestError(
            f"cannot make an image of {wanted} bytes: the content needs {smallest}",
            hint=f"give a size of at least {smallest} bytes ({smallest // MIB} MiB), or leave it out",
        )


def _grow(work: Work, blocks: int) -> int:
    """Make it as large as it must be to have so many free blocks; what it needs itself, only mke2fs knows."""
    size = _whole_mib(max(blocks * BLOCK, SMALLEST))
    for _ in range(_TRIES):
        missing = blocks - _format(work, size)
        if missing <= 0:
            return size
        size = _whole_mib(size + missing * BLOCK)
    raise MachineError("cannot find a size of image that has room for the content")


def _format(work: Work, size: int) -> int:
    """Make an empty file system of `size` bytes and return how many blocks are free in it."""
    inodes = max(len(work.tree.nodes) * 5 // 4 + _OWN_INODES + _SPARE_INODES, size // _BYTES_PER_INODE)
    work.file.truncate(0)
    work.file.truncate(size)
    run(
        [
            *("mke2fs", "-q", "-F", "-b", str(BLOCK), "-I", str(_INODE_SIZE), "-N", str(inodes), "-m", "0"),
            *("-U", str(work.uuid), "-L", work.options.label, "-O", ",".join(("none", *work.options.features))),
            *("-E", f"hash_seed={work.uuid},root_owner=0:0,lazy_itable_init=0,lazy_journal_init=0"),
            *(open_path(work.file), str(size // BLOCK)),
        ],
        timeout=_TIMEOUT,
        variables={"E2FSPROGS_FAKE_TIME": str(max(1, work.tree.time)), "MKE2FS_CONFIG": os.devnull},
    )
    return ExtVolume(work.file, _NAME).superblock.free_blocks


def _whole_mib(size: int) -> int:
    return -(-size // MIB) * MIB


# --- what is in it


def _creation(tree: Tree) -> Script:
    """Return the commands that make every entry, in the order of the tree, so that all numbers follow from it."""
    script = Script(time=tree.time)
    for field, value in _SUPERBLOCK:
        script.add("set_super_value", field, value)
    here = "/"
    clock = tree.time
    for node in tree.nodes[1:]:
        entry = node.entry
        above = entry.path.rpartition("/")[0] or "/"
        if above != here:
            script.add("cd", above)
            here = above
        if entry.mtime != clock:
            script.set_clock(entry.mtime)
            clock = entry.mtime
        _add_entry(script, node)
    return script


def _add_entry(script: Script, node: Node) -> None:
    entry = node.entry
    if entry.path == _LOST_AND_FOUND:
        if entry.kind is not Kind.DIRECTORY:
            raise RequestError(f"cannot put {entry.path} into an ext4 image: it must be a directory there")
    elif node.linked is not None:
        # `ln` fails where the directory's last block is full; a name made before and taken away leaves the room.
        script.add("mknod", entry.name, "p")
        script.add_removal("rm", f"./{entry.name}")
        script.add("ln", node.linked, entry.name)
    elif entry.kind is Kind.FILE:
        script.add("write", node.content, entry.name)
    elif entry.kind is Kind.DIRECTORY:
        script.add("mkdir", entry.name)
    elif entry.kind is Kind.SYMLINK:
        script.add("symlink", entry.name, entry.target)
    else:
        _add_special(script, entry)


def _add_special(script: Script, entry: Entry) -> None:
    if entry.kind is Kind.PIPE:
        script.add("mknod", entry.name, "p")
        return
    assert entry.kind in DEVICES
    assert entry.device is not None
    if max(entry.device) > _DEVICE_LIMIT:
        raise RequestError(f"cannot put {entry.path} into an ext4 image: its device number is too large for debugfs")
    letter = "c" if entry.kind is Kind.CHARACTER_DEVICE else "b"
    script.add("mknod", entry.name, letter, *(str(number) for number in entry.device))


# --- what debugfs does not set while it makes an entry


@dataclass(frozen=True, slots=True, kw_only=True)
class _Correction:
    inode: int
    fields: tuple[tuple[str, str], ...]
    attributes: Attributes


def _correct(work: Work) -> None:
    """Set owners, modes, times, link counts and attributes where they differ, and look again."""
    script = Script(time=work.tree.time)
    for number, correction in enumerate(_differences(work.tree, ExtVolume(work.file, _NAME))):
        inode = f"<{correction.inode}>"
        script.set_fields(inode, correction.fields)
        for index, (name, value) in enumerate(correction.attributes):
            path = work.staging / f"attribute-{number}-{index}"
            path.write_bytes(value)
            script.add("ea_set -f", path.name, inode, name)
    run_script(work.file, script, cwd=work.staging)
    if any(_differences(work.tree, ExtVolume(work.file, _NAME))):
        raise MachineError(
            "cannot make the image: debugfs did not do as it was told, and did not say so",
            hint="try another version of e2fsprogs",
        )


def _differences(tree: Tree, volume: ExtVolume) -> Iterator[_Correction]:
    made = {entry.path: entry for entry in walk(volume)}
    links = Counter(node.linked or node.entry.path for node in tree.nodes)
    for node in tree.nodes:
        entry = made.get(node.entry.path)
        if entry is None or entry.kind is not node.entry.kind:
            raise MachineError(f"cannot make the image: debugfs did not make {node.entry.path}")
        if node.linked is not None:
            continue
        if entry.kind is Kind.FILE and entry.size != node.entry.size:
            raise RequestError(f"cannot read {node.entry.path} of the source: it changed while it was read")
        fields = tuple(_fields(node.entry, entry, volume.inode(entry), links[entry.path]))
        present = dict(entry.attributes)
        attributes = tuple(pair for pair in node.entry.attributes if pair[0] not in present)
        if fields or attributes:
            yield _Correction(inode=entry.inode, fields=fields, attributes=attributes)


def _fields(wanted: Entry, made: Entry, inode: Inode, links: int) -> Iterator[tuple[str, str]]:
    if made.mode != wanted.mode and wanted.kind is not Kind.SYMLINK:
        yield mode_field(wanted.kind, wanted.mode)
    if made.uid != wanted.uid:
        yield "uid", str(wanted.uid)
    if made.gid != wanted.gid:
        yield "gid", str(wanted.gid)
    if inode.times != (wanted.mtime,) * 3:
        yield from ((field, f"@{wanted.mtime}") for field in ("atime", "ctime", "mtime"))
    if wanted.kind is not Kind.DIRECTORY and made.links != links:
        yield "links_count", str(links)
