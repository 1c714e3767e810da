"""How much room a tree takes in an ext4 file system, before there is one."""

import os
from pathlib import Path
from typing import Final

from bistable.artifact.image.ext.inode import FAST_SYMLINK_SIZE
from bistable.artifact.image.model import Kind
from bistable.artifact.image.tree import Node, Tree
from bistable.artifact.limits import KIB, MIB

BLOCK: Final = 4 * KIB

_SPARE: Final = 32
_LARGE: Final = MIB
"""From this size on it pays to look for holes: a file of logins can claim hundreds of GiB."""


def needed_blocks(tree: Tree) -> int:
    """Return an upper bound of the blocks of 4 KiB that `tree` takes, without what an empty file system has."""
    names: dict[str, int] = {}
    blocks = _SPARE
    for node in tree.nodes:
        entry = node.entry
        above = entry.path.rpartition("/")[0] or "/"
        names[above] = names.get(above, 0) + 8 + -(-_length(entry.name) // 4) * 4
        if node.linked is None:
            blocks += _blocks_of(node, tree.base)
    # Names do not cross blocks, which end in a checksum: a tenth more, and one block at least.
    directories = sum(size * 11 // 10 // BLOCK + 1 for size in names.values())
    empty = sum(node.entry.kind is Kind.DIRECTORY and node.entry.path not in names for node in tree.nodes)
    return blocks + directories + empty


def _blocks_of(node: Node, base: Path) -> int:
    entry = node.entry
    blocks = 1 if entry.attributes else 0
    if entry.kind is Kind.SYMLINK and _length(entry.target) >= FAST_SYMLINK_SIZE:
        return blocks + 1
    content = -(-entry.size // BLOCK) if entry.size < _LARGE else _stored_blocks(base, node)
    # More than four extents need a block of their own. Holes make more of them, but save more than that.
    return blocks + content + (1 + content // 10_000 if content * BLOCK > _LARGE else 0)


def _stored_blocks(base: Path, node: Node) -> int:
    """Count what is not a hole."""
    path = os.path.join(os.fsencode(base), node.content.encode("utf-8", "surrogateescape"))  # noqa: PTH118
    descriptor = os.open(path, os.O_RDONLY)
    try:
        blocks = end = 0
        while end < node.entry.size:
            try:
                start = os.lseek(descriptor, end, os.SEEK_DATA)
            except OSError:  # nothing but a hole follows
                break
            end = os.lseek(descriptor, start, os.SEEK_HOLE)
            blocks += -(-end // BLOCK) - start // BLOCK
        return blocks
    finally:
        os.close(descriptor)


def _length(text: str) -> int:
    return len(text.encode("utf-8", "surrogateescape"))
