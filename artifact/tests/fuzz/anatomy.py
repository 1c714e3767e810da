"""Artifacts taken apart into what a fuzzer changes, and put together again with sums that are right.

Deliberately careless: it takes what it can get, since whatever it makes is meant to be odd.
"""

import gzip
import io
import lzma
from dataclasses import dataclass, field
from typing import Final

from forge import BLOCK, END, compress, digest, manifest_of, tar_header

from bistable.artifact.model import Compression
from bistable.artifact.streams import open_decompressor

KINDS: Final = ("", ".gz", ".xz", ".zst")
LIMIT: Final = 4 << 20
"""Bytes of an archive that are looked at; a bomb is nothing to take apart."""


@dataclass
class Entry:
    """A tar member: its header block, and its body. `wrong` leaves the block's size and checksum as they are."""

    block: bytearray
    body: bytes
    wrong: bool = False

    @property
    def name(self) -> bytes:
        """The name in the block."""
        return bytes(self.block[:100]).partition(b"\0")[0]

    @name.setter
    def name(self, value: bytes) -> None:
        self.block[:100] = value[:100].ljust(100, b"\0")

    def render(self) -> bytes:
        """Return block, body and padding."""
        block = bytearray(self.block)
        if not self.wrong:
            block[124:136] = b"%011o\0" % len(self.body)
            block[148:156] = b" " * 8
            block[148:156] = b"%06o\0 " % sum(block)
        return bytes(block) + self.body + bytes(-len(self.body) % BLOCK)


def entry(name: str | bytes, body: bytes = b"", flag: bytes = b"0") -> Entry:
    """Return a plain member."""
    return Entry(bytearray(tar_header(name, len(body), flag=flag)), body)


@dataclass
class Archive:
    """Members and what ends them; `kind` is the compression and `after` changes the compressed bytes."""

    entries: list[Entry] = field(default_factory=list)
    end: bytes = END
    kind: str = ""
    after: bytes | None = None

    def render(self) -> bytes:
        """Return the archive as it is stored."""
        if self.after is not None:
            return self.after
        return compress(self.kind, b"".join(item.render() for item in self.entries) + self.end)


@dataclass
class Anatomy:
    """An artifact: its members, and the archives inside two of them, by their place."""

    outer: Archive
    inner: dict[int, Archive] = field(default_factory=dict)
    repair: bool = True

    def render(self) -> bytes:
        """Return the artifact; with `repair`, digests in the manifest are made to fit."""
        for place, archive in self.inner.items():
            if place < len(self.outer.entries):
                self.outer.entries[place].body = archive.render()
        if self.repair:
            self._repair()
        return self.outer.render()

    def _repair(self) -> None:
        bodies = {item.name: item.body for item in self.outer.entries}
        known = {name.decode("latin-1"): digest(body) for name, body in bodies.items()}
        for archive in self.inner.values():
            for before, item in zip([None, *archive.entries], archive.entries, strict=False):
                # What an extension header describes may have another name, or other content when it is expanded.
                if before is None or bytes(before.block[156:157]) not in (b"x", b"L"):
                    known.setdefault("data/0000/" + item.name.decode("latin-1"), digest(item.body))
        for item in self.outer.entries:
            if item.name in {b"manifest", b"manifest-augment"}:
                item.body = _repaired(item.body, known)


def _repaired(manifest: bytes, known: dict[str, str]) -> bytes:
    lines = [line.split("  ", 1) for line in manifest.decode("latin-1").splitlines()]
    if not all(len(line) == 2 for line in lines):
        return manifest
    return manifest_of([(known.get(name, value), name) for value, name in lines])


def manifest_for(anatomy: Anatomy) -> bytes:
    """Return a manifest that lists all that is there."""
    lines = []
    for place, archive in anatomy.inner.items():
        if anatomy.outer.entries[place].name.startswith(b"data/"):
            lines += [(digest(e.body), "data/0000/" + e.name.decode("latin-1")) for e in archive.entries]
    lines += [
        (digest(e.body), e.name.decode("latin-1"))
        for e in anatomy.outer.entries
        if e.name == b"version" or e.name.startswith(b"header.tar")
    ]
    return manifest_of(lines)


def dissect(data: bytes) -> Anatomy | None:
    """Take an artifact apart, or return None if there is nothing to take apart."""
    outer = Archive(entries=split(data))
    if not outer.entries:
        return None
    anatomy = Anatomy(outer)
    for place, item in enumerate(outer.entries):
        stem, dot, suffix = item.name.decode("latin-1").partition(".tar")
        if dot and suffix in KINDS and stem in {"header", "header-augment", "data/0000"}:
            content = expand(suffix, item.body)
            if content is not None:
                anatomy.inner[place] = Archive(entries=split(content), kind=suffix)
    return anatomy


def split(data: bytes) -> list[Entry]:
    """Return the members of an archive, extension headers among them."""
    entries = []
    place = 0
    while place + BLOCK <= min(len(data), LIMIT) and any(data[place : place + BLOCK]):
        block = bytearray(data[place : place + BLOCK])
        try:
            size = int(bytes(block[124:136]).strip(b" \0") or b"0", 8)
        except ValueError:
            size = 0
        entries.append(Entry(block, data[place + BLOCK : place + BLOCK + size]))
        place += BLOCK + size + -size % BLOCK
    return entries


def expand_xz(data: bytes) -> bytes:
    """Return the content of all streams, padding left out, up to LIMIT bytes."""
    content = b""
    while data and len(content) < LIMIT:
        decoder = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=1 << 28)
        content += decoder.decompress(data, LIMIT)
        data = decoder.unused_data.lstrip(b"\0") if decoder.eof else b""
    return content


def expand_zstd(data: bytes) -> bytes:
    """Return the content of all frames, up to LIMIT bytes; the standard library has no decoder everywhere."""
    source = open_decompressor(io.BytesIO(data), Compression.ZSTD, member="seed")
    content = b""
    while len(content) < LIMIT and (piece := source.read(LIMIT)):
        content += piece
    return content


def expand(kind: str, data: bytes) -> bytes | None:
    """Return decompressed bytes, or None."""
    try:
        if kind == ".gz":
            with gzip.open(io.BytesIO(data)) as file:
                return file.read(LIMIT)
        if kind == ".xz":
            return expand_xz(data)
        if kind == ".zst":
            return expand_zstd(data)
    except Exception:  # noqa: BLE001 - a seed that cannot be expanded is changed as bytes only
        return None
    return data[:LIMIT]
