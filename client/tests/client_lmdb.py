"""Makes LMDB files, of both word sizes and byte orders, sound ones and others; for tests of the reader."""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

PAGE: Final = 4096
BRANCH, LEAF, OVERFLOW, META = 1, 2, 4, 8
MAGIC: Final = 0xBEEFC0DE


@dataclass(frozen=True, kw_only=True)
class Forge:
    """Writes with one layout; `word` is Q (64 bits) or I (32 bits), `order` is < or >."""

    order: str = "<"
    word: str = "Q"
    page_size: int = PAGE
    per_page: int = 1000

    @property
    def header(self) -> int:
        return 16 if self.word == "Q" else 12

    def store(self, values: Mapping[str, bytes], *, transaction: int = 3, torn: int | None = None) -> bytes:
        """Return a file with these values; the other head is one transaction older and has an empty tree."""
        pages: list[bytes] = []
        leaves: list[tuple[bytes, int]] = []
        items = sorted((key.encode(), value) for key, value in values.items())
        for start in range(0, len(items), self.per_page):
            chunk = items[start : start + self.per_page]
            nodes = [self._leaf_node(key, value, pages) for key, value in chunk]
            leaves.append((chunk[0][0], len(pages) + 2))
            pages.append(self._page(len(pages) + 2, LEAF, nodes))
        root, depth = ~0, 0
        if leaves:
            root, depth = leaves[0][1], 1
        if len(leaves) > 1:
            root, depth = len(pages) + 2, 2
            nodes = [self._node(number, b"" if n == 0 else key) for n, (key, number) in enumerate(leaves)]
            pages.append(self._page(root, BRANCH, nodes))
        last = len(pages) + 1
        heads = [
            self.head(0, transaction=transaction - 1, last=last),
            self.head(1, transaction=transaction, last=last, root=root, depth=depth, entries=len(items)),
        ]
        if torn is not None:
            heads[torn] = bytes(self.page_size)
        return b"".join([*heads, *pages])

    def head(
        self,
        number: int,
        *,
        transaction: int,
        last: int,
        root: int = ~0,
        depth: int = 0,
        entries: int = 0,
        flags: int = 0,
        version: int = 1,
    ) -> bytes:
        none = ~0 & self._most
        tree = f"IHH{self.word * 5}"
        content = struct.pack(
            f"{self.order}{self.word}HHI II{self.word * 2}{tree}{tree}{self.word * 2}".replace(" ", ""),
            *(number, 0, META, 0),
            *(MAGIC, version, 0, 1 << 20),
            *(self.page_size, 0, 0, 0, 0, 0, 0, none),
            *(0, flags, depth, 0, 0, 0, entries, root & self._most),
            *(last, transaction),
        )
        return content.ljust(self.page_size, b"\0")

    @property
    def _most(self) -> int:
        return (1 << (64 if self.word == "Q" else 32)) - 1

    def _page(self, number: int, flags: int, nodes: list[bytes]) -> bytes:
        """Return a page with its nodes at the end, the first one last, as LMDB lays them."""
        offsets, end = [], self.page_size
        for node in nodes:
            end -= len(node)
            offsets.append(end)
        lower = self.header + 2 * len(nodes)
        head = struct.pack(f"{self.order}{self.word}HHHH", number, 0, flags, lower, end)
        table = struct.pack(f"{self.order}{len(nodes)}H", *offsets)
        return (head + table).ljust(end, b"\0") + b"".join(reversed(nodes))

    def _node(self, number: int, key: bytes, data: bytes = b"", flags: int = 0) -> bytes:
        """Return a node; `number` is the child's page or the size of the value."""
        words = [number & 0xFFFF, number >> 16 & 0xFFFF]
        if self.order == ">":
            words.reverse()
        node = struct.pack(f"{self.order}4H", *words, flags or number >> 32, len(key)) + key + data
        return node + bytes(len(node) % 2)

    def _leaf_node(self, key: bytes, value: bytes, pages: list[bytes]) -> bytes:
        if 8 + len(key) + len(value) <= self.page_size // 4:
            return self._node(len(value), key, value)
        number, count = len(pages) + 2, (self.header - 1 + len(value)) // self.page_size + 1
        head = struct.pack(f"{self.order}{self.word}HHI", number, 0, OVERFLOW, count)
        whole = (head + value).ljust(count * self.page_size, b"\0")
        pages += [whole[n * self.page_size : (n + 1) * self.page_size] for n in range(count)]
        return self._node(len(value), key, struct.pack(self.order + self.word, number), flags=1)
