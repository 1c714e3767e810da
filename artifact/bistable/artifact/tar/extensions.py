"""What tar adds in front of a member: PAX records, GNU long names, the maps of sparse members. FORMAT.md §1.1."""

from collections.abc import Mapping
from typing import Final, NoReturn, TypeAlias

from bistable.artifact.errors import LimitError, RejectedError, Where
from bistable.artifact.limits import MEMBER_SIZE, SPARSE_REGIONS, SPARSE_SIZE
from bistable.artifact.tar.block import Block, decode_number

Regions: TypeAlias = tuple[tuple[int, int], ...]
"""(offset in the expanded file, length) of what is stored, in order."""

_KNOWN_RECORDS: Final = {
    "path",
    "size",
    "GNU.sparse.major",
    "GNU.sparse.map",
    "GNU.sparse.name",
    "GNU.sparse.realsize",
    "GNU.sparse.size",
}
_OLD_GNU_MAP: Final = range(386, 482, 24)
_EXTENDED_MAP: Final = range(0, 504, 24)


def parse_pax(body: bytes, where: Where) -> dict[str, str]:
    """Return the records of a PAX header that matter to a reader.

    The numbers of a sparse map 0.0 are gathered under `GNU.sparse.map`.
    """
    records: dict[str, str] = {}
    pairs: list[str] = []
    position = 0
    while position < len(body):
        length_text, blank, _ = body[position : position + 20].partition(b" ")
        if not blank or not length_text.isdigit():
            _refuse("a PAX record has no length", where)
        end = position + int(length_text)
        record = body[position + len(length_text) + 1 : end]
        key, equals, value = record.partition(b"=")
        if end > len(body) or not equals or not value.endswith(b"\n"):
            _refuse("a PAX record is cut off", where)
        name, text = _text(key, where), _text(value[:-1], where)
        if name in {"GNU.sparse.offset", "GNU.sparse.numbytes"}:
            pairs.append(text)
        elif name in _KNOWN_RECORDS:
            records[name] = text
        position = end
    if pairs:
        records["GNU.sparse.map"] = ",".join(pairs)
    return records


def pax_number(records: Mapping[str, str], key: str, where: Where) -> int | None:
    """Return a numeric PAX record, or None if it is not there."""
    text = records.get(key)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit()) or len(text) > 20 or int(text) > MEMBER_SIZE:
        _refuse(f"the PAX record {key} is not a sane number", where)
    return int(text)


def pax_sparse_map(text: str, where: Where) -> Regions:
    """Return the regions of a sparse map in PAX form 0.0 or 0.1."""
    numbers = text.split(",") if text else []
    if len(numbers) % 2 or len(numbers) > 2 * SPARSE_REGIONS:
        _refuse("a sparse map has a sane, even count of numbers or it is none", where)
    values = [_number(number, where) for number in numbers]
    return tuple(zip(values[::2], values[1::2], strict=True))


def old_gnu_regions(block: Block, where: Where) -> tuple[Regions, int, bool]:
    """Return (regions, expanded size, whether a further block follows) of an old GNU sparse header."""
    regions = _raw_regions(block.raw, _OLD_GNU_MAP, where)
    return regions, decode_number(block.raw[483:495], "sparse size", where), block.raw[482] != 0


def extended_gnu_regions(raw: bytes, where: Where) -> tuple[Regions, bool]:
    """Return (regions, whether a further block follows) of a continuation block."""
    return _raw_regions(raw, _EXTENDED_MAP, where), raw[504] != 0


def check_regions(regions: Regions, *, stored: int, expanded: int, where: Where) -> Regions:
    """Return the regions without empty ones, if they are in order, inside the file, and as long as what is stored."""
    end = 0
    for offset, length in regions:
        if offset < end or offset + length > expanded:
            _refuse("a sparse map overlaps or leads out of the file", where)
        end = offset + length
    if sum(length for _, length in regions) != stored:
        _refuse("a sparse map does not fit the size of its member", where)
    if expanded > SPARSE_SIZE:
        raise LimitError(
            f"cannot read {where.member}: a sparse member of {expanded} bytes, at most {SPARSE_SIZE} are allowed",
            where=where,
            rule="limit.sparse",
        )
    return tuple(region for region in regions if region[1])


def _raw_regions(raw: bytes, starts: range, where: Where) -> Regions:
    found = []
    for start in starts:
        if not raw[start]:
            break
        offset = decode_number(raw[start : start + 12], "sparse offset", where)
        found.append((offset, decode_number(raw[start + 12 : start + 24], "sparse length", where)))
    return tuple(found)


def _number(text: str, where: Where) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > 20:
        _refuse("a sparse map holds something that is not a number", where)
    return int(text)


def _text(raw: bytes, where: Where) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        # Names of build users in other encodings are seen in the field; only file names matter, and those are ASCII.
        return raw.decode("latin-1")
    finally:
        if b"\x00" in raw:
            _refuse("a PAX record holds a zero byte", where)


def _refuse(why: str, where: Where) -> NoReturn:
    raise RejectedError(f"cannot read {where.member}: {why}", where=where, rule="tar.extension")
