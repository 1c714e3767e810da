"""Changes to artifacts: blind ones, and ones that keep everything else correct so that they reach deep."""

import contextlib
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final, TypeAlias

from fuzzing.artifacts import BLOCK, END, join, pack, settle, split, stored, summed, unpack

Change: TypeAlias = Callable[[random.Random, bytes], bytes]

TOKENS: Final = (
    *(
        b'"',
        b"\\u0000",
        b"\\ud800",
        b"{}",
        b"[]",
        b"[[[[",
        b"null",
        b"NaN",
        b"1e999",
        b"-0",
        b"9" * 30,
        b"\xff",
        b"\x00",
    ),
    *(b"\xef\xbb\xbf", b'"type":', b'"payloads":', b'"artifact_provides":', b'"artifact_name":"x"', b"rootfs-image"),
    *(b"  data/0000/", b"\n", b"\r\n", b"../../", b"/", b"header.tar", b"ustar  \x00", b"GNU.sparse.major=1\n"),
    *(b"x" * 300, b"1" * 200_000, b"{" * 2000, bytes(BLOCK), b"\x28\xb5\x2f\xfd", b"\x1f\x8b\x08\x04", b"\xfd7zXZ\x00"),
)
"""What parsers find interesting."""

FIELDS: Final = {
    "name": (0, 100),
    "mode": (100, 8),
    "size": (124, 12),
    "time": (136, 12),
    "checksum": (148, 8),
    "type": (156, 1),
    "link": (157, 100),
    "magic": (257, 8),
    "prefix": (345, 155),
    "sparse size": (483, 12),
}
"""Fields of a tar header: offset and width."""

VALUES: Final = (b"\x80" + b"\xff" * 7, b"\xff" * 12, b"7" * 12, b"0" * 12, b"-1", *(bytes([c]) for c in b" xgLKS15"))


# --- blind


def flip_bit(dice: random.Random, data: bytes) -> bytes:
    """Change one bit."""
    place, _ = _span(dice, data)
    return data[:place] + bytes(byte ^ 1 << dice.randrange(8) for byte in data[place : place + 1]) + data[place + 1 :]


def scramble(dice: random.Random, data: bytes) -> bytes:
    """Put noise in place of some bytes."""
    place, end = _span(dice, data)
    return data[:place] + dice.randbytes(end - place) + data[end:]


def drop(dice: random.Random, data: bytes) -> bytes:
    """Leave some bytes out."""
    place, end = _span(dice, data)
    return data[:place] + data[end:]


def repeat(dice: random.Random, data: bytes) -> bytes:
    """Put some bytes there twice."""
    place, end = _span(dice, data)
    return data[:end] + data[place:]


def insert_token(dice: random.Random, data: bytes) -> bytes:
    """Put something interesting in between."""
    place, _ = _span(dice, data)
    return data[:place] + dice.choice(TOKENS) + data[place:]


def overwrite(dice: random.Random, data: bytes) -> bytes:
    """Put something interesting in place of what is there."""
    place, _ = _span(dice, data)
    token = dice.choice(TOKENS)
    return data[:place] + token + data[place + len(token) :]


def cut_off(dice: random.Random, data: bytes) -> bytes:
    """End early."""
    return data[: dice.randrange(len(data) + 1)]


def _span(dice: random.Random, data: bytes) -> tuple[int, int]:
    place = dice.randrange(len(data) + 1)
    return place, min(place + dice.choice((1, 2, 8, 64, BLOCK, 4096)), len(data))


BLIND: Final[Sequence[Change]] = (flip_bit, scramble, drop, repeat, insert_token, insert_token, overwrite, cut_off)


def change_bytes(dice: random.Random, data: bytes) -> bytes:
    """Make a few blind changes."""
    for _ in range(dice.choice((1, 1, 1, 2, 5))):
        data = dice.choice(BLIND)(dice, data)
    return data


def change_blocks(dice: random.Random, data: bytes) -> bytes:
    """Exchange, repeat, drop or clear whole tar blocks."""
    blocks = [data[place : place + BLOCK] for place in range(0, len(data), BLOCK)] or [b""]
    one, other = dice.randrange(len(blocks)), dice.randrange(len(blocks))
    kind = dice.randrange(4)
    if kind == 0:
        blocks[one], blocks[other] = blocks[other], blocks[one]
    elif kind == 1:
        blocks.insert(other, blocks[one])
    elif kind == 2:
        del blocks[one]
    else:
        blocks[one] = bytes(BLOCK)
    return b"".join(blocks)


# --- with understanding


def change_body(dice: random.Random, data: bytes) -> bytes:
    """Change the content of a member."""
    members = split(data)
    place = dice.randrange(len(members))
    members[place] = replace(members[place], body=change_bytes(dice, members[place].body))
    return join(members)


def change_order(dice: random.Random, data: bytes) -> bytes:
    """Exchange two members, put one there twice, or leave it out."""
    members = split(data)
    one, other = dice.randrange(len(members)), dice.randrange(len(members))
    kind = dice.randrange(3)
    if kind == 0:
        members[one], members[other] = members[other], members[one]
    elif kind == 1:
        members.insert(other, members[one])
    else:
        del members[one]
    return join(members)


def change_header(dice: random.Random, data: bytes) -> bytes:
    """Change a field of a tar header, and put its checksum right."""
    members = split(data)
    place = dice.randrange(len(members))
    odd = members[place]
    start, width = FIELDS[dice.choice(tuple(FIELDS))]
    value = dice.choice((*VALUES, dice.randbytes(width), *TOKENS))[:width]
    header = summed(odd.header[:start] + value + odd.header[start + len(value) :])
    before, after = (b"".join(map(stored, part)) for part in (members[:place], members[place + 1 :]))
    return before + header + odd.body + bytes(-len(odd.body) % BLOCK) + after + END


def change_json(dice: random.Random, data: bytes) -> bytes:
    """Put another value, or another key, into a JSON document."""
    members = split(data)
    place = dice.randrange(len(members))
    with contextlib.suppress(ValueError, RecursionError):  # not every member is one
        document = json.loads(members[place].body)
        members[place] = replace(members[place], body=json.dumps(_other_value(dice, document)).encode())
    return join(members)


def _other_value(dice: random.Random, value: Any) -> Any:
    if isinstance(value, dict) and value and dice.random() < 0.9:
        key = dice.choice(list(value))
        return value | {dice.choice((key, key, key, "type", "x")): _other_value(dice, value[key])}
    if isinstance(value, list) and value and dice.random() < 0.8:
        place = dice.randrange(len(value))
        return [*value[:place], _other_value(dice, value[place]), *value[place + dice.randrange(2) :]]
    return dice.choice(
        (None, True, 0, -1, 1.5, 10**30, "", "x" * 300, "a/b", ".", "\x00", "\ud800", [], {}, [7], {"x": 7})
    )


def make_sparse(dice: random.Random, data: bytes) -> bytes:
    """Store a member in the old GNU form of sparse members, with a map that may be wrong."""
    members = split(data)
    place = dice.randrange(len(members))
    member = members[place]
    size = len(member.body)
    cut = dice.randrange(size + 1)
    hole = dice.choice((0, 1, BLOCK, 1 << 20, -cut, 1 << 33))
    regions = [(0, cut), (max(cut + hole, 0), size - cut)]
    expanded = max(size + hole + dice.choice((0, 0, 0, -1, 1, BLOCK)), 0)
    table = b"".join(b"%011o\0%011o\0" % (offset, length) for offset, length in regions).ljust(96, b"\0")
    tail = bytes([dice.random() < 0.1]) + b"%011o\0" % expanded
    header = member.header[:156] + b"S" + member.header[157:257] + b"ustar  \0" + member.header[265:386] + table + tail
    members[place] = replace(member, header=header.ljust(BLOCK, b"\0"))
    return join(members)


IN_ARCHIVES: Final[Sequence[Change]] = (
    change_body,
    change_body,
    change_order,
    change_header,
    change_json,
    change_json,
    make_sparse,
)


def change_archive(dice: random.Random, data: bytes) -> bytes:
    """Change an archive in one way and keep it correct otherwise."""
    return dice.choice(IN_ARCHIVES)(dice, data) if split(data) else change_bytes(dice, data)


def change_inside(dice: random.Random, data: bytes) -> bytes:
    """Change what is inside a compressed member."""
    members = split(data)
    places = [place for place, member in enumerate(members) if ".tar" in member.name]
    if not places:
        return change_bytes(dice, data)
    place = dice.choice((places[0], *places))  # the header is where most of the meaning is
    with contextlib.suppress(Exception):  # what was changed before may no longer be compressed
        change = dice.choice((change_bytes, change_blocks, change_archive, change_archive))
        members[place] = pack(members[place], change(dice, unpack(members[place])))
    return join(members)


CHANGES: Final[Sequence[Change]] = (change_bytes, change_blocks, *[change_archive] * 2, *[change_inside] * 3)


def mutate(dice: random.Random, seeds: Sequence[bytes]) -> bytes:
    """Return a changed artifact, mostly with digests that agree with the change."""
    data = dice.choice(seeds)
    for _ in range(dice.choice((1, 1, 1, 1, 2, 3))):
        data = dice.choice(CHANGES)(dice, data)
    members = split(data) if dice.random() < 0.8 else []
    return join(settle(members)) if members else data
