"""Reads the LMDB file of the Mender client, and never writes it.

Only what that client makes is taken: format version 1, plain keys and values in the main tree. Both word sizes and byte
orders are read, because a new root file system may have another one than the old. Every number in the file is a claim:
pages must lie inside the file, be visited once, and carry their own number; so damage is found and no walk is endless.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NoReturn

from bistable.client.errors import ClientError, StoreError
from bistable.client.files import read_limited

MAX_STORE: Final = 64 * 1024 * 1024
"""The client's LMDB map has 1 MiB (3.x) or 10 MiB (4.x and later); its file cannot outgrow it."""

READS: Final = 3
MAGIC: Final = 0xBEEFC0DE
VERSION: Final = 1
NEWER_VERSION: Final = "it is of LMDB format version {}, only {} is known"
MAX_DEPTH: Final = 32
SMALLEST_PAGE: Final = 256
LARGEST_PAGE: Final = 64 * 1024

BRANCH: Final = 0x01
LEAF: Final = 0x02
OVERFLOW: Final = 0x04
META: Final = 0x08
DIRTY: Final = 0x10
"""Only in memory a dirty page means anything; the flag may be left in what was written."""

ON_OVERFLOW_PAGES: Final = 0x01
"""Node flag: the value has pages of its own. The other node flags are for kinds of trees that are not taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How wide and which way round numbers are; LMDB writes what its machine has."""

    order: str
    word: str

    @property
    def word_size(self) -> int:
        """Return the size of page numbers and counts."""
        return 8 if self.word == "Q" else 4

    @property
    def header_size(self) -> int:
        """Return the size of the header that every page has."""
        return self.word_size + 8

    @property
    def none(self) -> int:
        """Return the page number that stands for no page."""
        return (1 << (8 * self.word_size)) - 1


LAYOUTS: Final = tuple(Layout(order=order, word=word) for order in "<>" for word in "QI")


@dataclass(frozen=True, slots=True, kw_only=True)
class Meta:
    """One of the two heads of the file: where the tree of one transaction is."""

    layout: Layout
    page_size: int
    transaction: int
    last_page: int
    tree_flags: int
    depth: int
    entries: int
    root: int


def read_store(path: Path) -> dict[str, bytes]:
    """Return the keys and values of an LMDB file.

    Raises:
        StoreError: it cannot be read, is not such a file, is damaged, or is being written.
    """
    data = _read(path)
    # A reader without LMDB's lock may see half of what a writer does; that shows when it is read again.
    for _ in range(READS):
        again = _read(path)
        if again == data:
            return parse_store(data, name=str(path))
        data = again
    raise StoreError(
        f"cannot read {path}: it changes while it is read", hint="stop the Mender client first: it still writes there"
    )


def _read(path: Path) -> bytes:
    try:
        return read_limited(path, MAX_STORE)
    except FileNotFoundError as e:
        raise StoreError(f"cannot read {path}: no such file") from e
    except OSError as e:
        raise StoreError(f"cannot read {path}: {e.strerror or e}") from e
    except ClientError as e:
        raise StoreError(e.what, hint="this is not the store of a Mender client") from e


def parse_store(data: bytes, *, name: str) -> dict[str, bytes]:
    """Return the keys and values of the newest complete transaction in `data`.

    Raises:
        StoreError: not an LMDB file of the kind that the Mender client writes, or damaged.
    """
    try:
        meta = _newest(data)
        return _Tree(data, meta).content()
    except _FaultError as e:
        raise StoreError(
            f"cannot read {name}: {e}", hint="this is not the store of a Mender client, or it is damaged"
        ) from e


class _FaultError(Exception):
    """Says what is wrong, until the name of the file is known."""


def _fault(why: str) -> NoReturn:
    raise _FaultError(why)


def _unpack(form: str, data: bytes, offset: int) -> tuple[int, ...]:
    try:
        return struct.unpack_from(form, data, offset)
    except struct.error:
        _fault("it ends too early")


# --- the two heads


def _newest(data: bytes) -> Meta:
    """Return the head with the highest transaction number; a torn one, which a power cut may leave, does not count."""
    first = _meta(data, 0)
    # If the first head is torn, the second one is found by trying the possible page sizes.
    sizes = [first.page_size] if first else [SMALLEST_PAGE << n for n in range(9)]
    found = [first, *(_meta(data, size, page_size=size) for size in sizes)]
    metas = [meta for meta in found if meta is not None]
    if not metas:
        _fault("it is empty" if not data else "it is not an LMDB file")
    return max(metas, key=lambda meta: meta.transaction)


def _meta(data: bytes, start: int, page_size: int | None = None) -> Meta | None:
    for layout in LAYOUTS:
        magic_at = start + layout.header_size
        if len(data) < magic_at + 8:
            continue
        magic, version = _unpack(f"{layout.order}II", data, magic_at)
        if magic != MAGIC:
            continue
        if version != VERSION:
            _fault(NEWER_VERSION.format(version, VERSION))
        meta = _meta_of(layout, data, start)
        if meta is not None and page_size in {None, meta.page_size}:
            return meta
    return None


def _meta_of(layout: Layout, data: bytes, start: int) -> Meta | None:
    word, order = layout.word, layout.order
    number, _pad, flags = _unpack(f"{order}{word}HH", data, start)
    tree = f"IHH{word * 5}"
    form = f"{order}II{word * 2}{tree}{tree}{word * 2}"
    start += layout.header_size
    if len(data) < start + struct.calcsize(form):
        return None
    _magic, _version, _address, _map_size, *numbers = _unpack(form, data, start)
    page_size = numbers[0]
    _key_size, tree_flags, depth, *_counts, entries, root, last_page, transaction = numbers[8:]
    fits = number in {0, 1} and flags & META and page_size in {SMALLEST_PAGE << n for n in range(9)}
    if not fits or (root != layout.none and not 2 <= root <= last_page):
        return None
    return Meta(
        layout=layout,
        page_size=page_size,
        transaction=transaction,
        last_page=last_page,
        tree_flags=tree_flags,
        depth=depth,
        entries=entries,
        root=root,
    )


# --- the tree


@dataclass(slots=True)
class _Tree:
    """The walk through one tree; `seen` holds every page that was taken, so that none is taken twice."""

    data: bytes
    meta: Meta
    seen: set[int] = field(default_factory=set)

    def content(self) -> dict[str, bytes]:
        meta = self.meta
        if meta.tree_flags:
            _fault("its main tree is of a kind that the Mender client does not make")
        if meta.depth > MAX_DEPTH:
            _fault(f"its tree claims to be {meta.depth} levels deep")
        found: dict[str, bytes] = {}
        last = b""
        if meta.root != meta.layout.none:
            for key, value in self._walk(meta.root, meta.depth):
                if key <= last:
                    _fault("its keys are not in order")
                last = key
                found[_text(key)] = value
        if len(found) != meta.entries:
            _fault(f"it holds {len(found)} entries and claims {meta.entries}")
        return found

    def _walk(self, number: int, depth: int) -> Iterator[tuple[bytes, bytes]]:
        if depth < 1:
            _fault("its tree is deeper than it claims")
        page = self._page(number)
        kind = self._flags(page)
        if kind not in {BRANCH, LEAF} or (kind == LEAF) != (depth == 1):
            _fault(f"page {number} is not the kind of page it should be")
        for node in self._nodes(page, number):
            if kind == LEAF:
                yield self._entry(page, node, number)
            else:
                yield from self._walk(self._child(page, node), depth - 1)

    def _page(self, number: int, count: int = 1) -> bytes:
        """Return a page, or several in a row, which must not have been used before."""
        size = self.meta.page_size
        # Pages 0 and 1 are the heads.
        if number < 2 or number + count - 1 > self.meta.last_page or (number + count) * size > len(self.data):
            _fault(f"page {number} lies outside the file")
        for n in range(number, number + count):
            if n in self.seen:
                _fault(f"page {n} is used twice")
            self.seen.add(n)
        page = self.data[number * size : (number + count) * size]
        (claimed,) = _unpack(self.meta.layout.order + self.meta.layout.word, page, 0)
        if claimed != number:
            _fault(f"page {number} says that it is page {claimed}")
        return page

    def _flags(self, page: bytes) -> int:
        (flags,) = _unpack(self.meta.layout.order + "H", page, self.meta.layout.word_size + 2)
        return flags & ~DIRTY

    def _nodes(self, page: bytes, number: int) -> list[int]:
        """Return the offsets of the nodes of a page."""
        layout = self.meta.layout
        lower, upper = _unpack(layout.order + "HH", page, layout.word_size + 4)
        if not layout.header_size < lower <= upper <= len(page) or lower % 2:
            _fault(f"page {number} has no sound list of nodes")
        count = (lower - layout.header_size) // 2
        nodes = list(_unpack(f"{layout.order}{count}H", page, layout.header_size))
        # Nodes that shared their bytes could make far more of a page than its size.
        if any(node < upper for node in nodes) or sum(self._size(page, node) for node in nodes) > len(page) - upper:
            _fault(f"page {number} has nodes that overlap")
        return nodes

    def _node(self, page: bytes, node: int) -> tuple[int, int, int]:
        """Return what a node's head says: the 32 bit number, the flags (or its third word), the size of the key."""
        first, second, flags, key_size = _unpack(self.meta.layout.order + "4H", page, node)
        low, high = (first, second) if self.meta.layout.order == "<" else (second, first)
        return low | high << 16, flags, key_size

    def _size(self, page: bytes, node: int) -> int:
        number, flags, key_size = self._node(page, node)
        if self._flags(page) == BRANCH:
            return 8 + key_size
        return 8 + key_size + (self.meta.layout.word_size if flags & ON_OVERFLOW_PAGES else number)

    def _child(self, page: bytes, node: int) -> int:
        number, high, _key_size = self._node(page, node)
        return number | high << 32 if self.meta.layout.word_size == 8 else number

    def _entry(self, page: bytes, node: int, number: int) -> tuple[bytes, bytes]:
        size, flags, key_size = self._node(page, node)
        start = node + 8 + key_size
        key = page[node + 8 : start]
        if flags & ~ON_OVERFLOW_PAGES or not key or start > len(page):
            _fault(f"page {number} has an entry of a kind that the Mender client does not make")
        if flags & ON_OVERFLOW_PAGES:
            (first,) = _unpack(self.meta.layout.order + self.meta.layout.word, page, start)
            return key, self._large_value(first, size)
        if start + size > len(page):
            _fault(f"page {number} has an entry that is longer than the page")
        return key, page[start : start + size]

    def _large_value(self, number: int, size: int) -> bytes:
        layout = self.meta.layout
        count = (layout.header_size + size - 1) // self.meta.page_size + 1
        pages = self._page(number, count)
        (claimed,) = _unpack(layout.order + "I", pages, layout.word_size + 4)
        if self._flags(pages) != OVERFLOW or claimed < count:
            _fault(f"page {number} is not the kind of page it should be")
        return pages[layout.header_size : layout.header_size + size]


def _text(key: bytes) -> str:
    try:
        return key.decode("ascii")
    except UnicodeDecodeError:
        _fault("it has a key that the Mender client does not make")
