"""One 512-byte tar header block, to bytes and from bytes. FORMAT.md §1.1."""

from dataclasses import dataclass
from typing import Final, NoReturn

from bistable.artifact.errors import RejectedError, RequestError, Where, quoted
from bistable.artifact.limits import MEMBER_SIZE

BLOCK: Final = 512
END: Final = bytes(2 * BLOCK)
"""The end of an archive."""

_NAME_BYTES: Final = 100
_OCTAL_LIMIT: Final = 8**11
_USTAR: Final = b"ustar\x0000"
_USTAR_MAGIC: Final = b"ustar\x00"


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """The fields of a header block that matter; `name` is raw bytes with the ustar prefix joined."""

    name: bytes
    size: int
    type_flag: bytes
    raw: bytes


def encode_header(name: str, size: int, *, mode: int = 0o600, mtime: int = 0) -> bytes:
    """Return the ustar header block of a plain file, always 512 bytes.

    Sizes from 8 GiB on are written in base-256, which all known readers take, so that the block keeps its length
    whatever the size turns out to be.

    Raises:
        RequestError: the name is longer than 100 bytes, or the time does not fit.
    """
    if not 0 <= mtime < _OCTAL_LIMIT:
        raise RequestError(
            f"cannot stamp members with the time {quoted(mtime)}: it is not within 0 and {_OCTAL_LIMIT - 1}",
            hint="the time is in seconds since 1970, as in SOURCE_DATE_EPOCH",
        )
    raw_name = name.encode()
    if len(raw_name) > _NAME_BYTES:
        raise RequestError(f"cannot write {name}: names in the archive have at most {_NAME_BYTES} bytes")
    block = bytearray(BLOCK)
    block[: len(raw_name)] = raw_name
    block[100:108] = _octal(mode, 8)
    block[108:116] = block[116:124] = _octal(0, 8)
    block[124:136] = _octal(size, 12) if size < _OCTAL_LIMIT else b"\x80" + size.to_bytes(11, "big")
    block[136:148] = _octal(mtime, 12)
    block[156:157] = b"0"
    block[257:265] = _USTAR
    block[329:337] = block[337:345] = _octal(0, 8)
    block[148:156] = b"%06o\x00 " % checksum(block)
    return bytes(block)


def padding(size: int) -> bytes:
    """Return the zeros that fill a body of `size` bytes up to the block size."""
    return bytes(-size % BLOCK)


def checksum(block: bytes | bytearray) -> int:
    """Return the sum of all bytes, with the checksum field read as blanks."""
    return sum(block) - sum(block[148:156]) + 8 * ord(" ")


def decode_header(block: bytes, where: Where) -> Block:
    """Return the fields of a header block, whose checksum must be right.

    Raises:
        RejectedError: a wrong checksum or a number that is none.
    """
    if decode_number(block[148:156], "checksum", where) != checksum(block):
        _refuse("a tar header has a wrong checksum", where, "tar.checksum")
    name = block[:_NAME_BYTES].partition(b"\x00")[0]
    if block[257:263] == _USTAR_MAGIC:
        prefix = block[345:500].partition(b"\x00")[0]
        name = prefix + b"/" + name if prefix else name
    size = decode_number(block[124:136], "size", where)
    if size > MEMBER_SIZE:
        _refuse(f"a tar member claims {size} bytes", where, "tar.size")
    return Block(name=name, size=size, type_flag=block[156:157], raw=block)


def decode_number(field: bytes, what: str, where: Where) -> int:
    """Return a numeric field: octal digits, or base-256 if its first bit is set; never negative."""
    if field[0] & 0x80:
        if field[0] != 0x80:
            _refuse(f"a tar {what} field is negative or too large", where, "tar.number")
        return int.from_bytes(field[1:], "big")
    text = field.partition(b"\x00")[0].strip(b" ")
    if not text:
        return 0
    if text.strip(b"01234567"):
        _refuse(f"a tar {what} field is not a number", where, "tar.number")
    return int(text, 8)


def _octal(value: int, width: int) -> bytes:
    return b"%0*o\x00" % (width - 1, value)


def _refuse(why: str, where: Where, rule: str) -> NoReturn:
    raise RejectedError(f"cannot read {where.member}: {why}", where=where, rule=rule)
