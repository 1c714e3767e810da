"""Take artifacts apart and put them together again, as simply as can be and with nothing of the code under test."""

import contextlib
import gzip
import hashlib
import lzma
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import zstandard

BLOCK: Final = 512
END: Final = bytes(2 * BLOCK)


@dataclass(frozen=True, slots=True)
class Member:
    """A header block and the body that belongs to it."""

    header: bytes
    body: bytes

    @property
    def name(self) -> str:
        return self.header[:100].partition(b"\0")[0].decode("latin-1")


def split(raw: bytes) -> list[Member]:
    """Return the members of an archive, as far as it is one."""
    found, place = [], 0
    while len(header := raw[place : place + BLOCK]) == BLOCK and any(header):
        with contextlib.suppress(ValueError):
            size = max(int(header[124:136].strip(b"\0 ") or b"0", 8), 0)
            found.append(Member(header, raw[place + BLOCK : place + BLOCK + size]))
            place += size + -size % BLOCK
        place += BLOCK
    return found


def join(members: Sequence[Member]) -> bytes:
    """Return an archive, with sizes and checksums put right."""
    return b"".join(stored(member) for member in members) + END


def stored(member: Member) -> bytes:
    """Return a member as it stands in an archive, with its size and checksum put right."""
    header = member.header[:124] + b"%011o\0" % len(member.body) + member.header[136:]
    return summed(header) + member.body + bytes(-len(member.body) % BLOCK)


def summed(header: bytes) -> bytes:
    """Return a header block with its checksum put right."""
    total = sum(header) - sum(header[148:156]) + 8 * ord(" ")
    return header[:148] + b"%06o\0 " % total + header[156:]


def settle(members: list[Member]) -> list[Member]:
    """Return the members with a manifest that lists the digests they now have."""
    digests = {member.name: hashlib.sha256(member.body).hexdigest() for member in members}
    for member in members:
        if member.name.startswith("data/0000.tar"):
            with contextlib.suppress(Exception):
                inner = split(unpack(member))
                digests |= {f"data/0000/{file.name}": hashlib.sha256(file.body).hexdigest() for file in inner}

    def right(match: re.Match[bytes]) -> bytes:
        return digests.get(match[2].decode("latin-1"), match[1].decode()).encode() + b"  " + match[2]

    def settled(member: Member) -> Member:
        if member.name not in {"manifest", "manifest-augment"}:
            return member
        return replace(member, body=re.sub(rb"([0-9a-f]{64})  (\S+)", right, member.body))

    return [settled(member) for member in members]


def unpack(member: Member) -> bytes:
    """Return the content of a compressed member."""
    if member.name.endswith(".gz"):
        return gzip.decompress(member.body)
    if member.name.endswith(".xz"):
        return lzma.decompress(member.body)
    if member.name.endswith(".zst"):
        return zstandard.ZstdDecompressor().decompressobj().decompress(member.body)
    return member.body


def pack(member: Member, content: bytes) -> Member:
    """Return the member with other content."""
    if member.name.endswith(".gz"):
        content = gzip.compress(content, 1)
    elif member.name.endswith(".xz"):
        content = lzma.compress(content, preset=0)
    elif member.name.endswith(".zst"):
        content = zstandard.compress(content, 1)
    return replace(member, body=content)
