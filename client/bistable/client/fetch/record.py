"""What is known of a spooled prefix: the one door for the record that lies beside it."""

import re
from dataclasses import dataclass
from typing import Any, Final

from bistable.artifact.errors import RejectedError
from bistable.artifact.jsonio import encode, parse_object
from bistable.artifact.limits import MIB
from bistable.client.fetch.digest import MARK, Prefix
from bistable.client.fetch.identity import Identity

RECORD_SIZE: Final = 8 * MIB
"""Enough for the marks of 100 GiB."""

VERSION: Final = 1
_DIGEST: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """Whose prefix it is (`key`), where the rest is to be had, and the digests of its bytes."""

    key: str
    identity: Identity
    prefix: Prefix


def encode_record(record: Record) -> bytes:
    """Return the record as it is stored."""
    identity, prefix = record.identity, record.prefix
    return encode(
        {
            "version": VERSION,
            "key": record.key,
            "address_sha256": identity.place,
            "etag": identity.etag,
            "last_modified": identity.modified,
            "size": identity.size,
            "position": prefix.position,
            "sha256": prefix.digest.hex(),
            "marks": [mark.hex() for mark in prefix.marks],
        }
    )


def parse_record(raw: bytes) -> Record:
    """Read a stored record; whatever is odd about it makes all of it useless.

    Raises:
        RejectedError: it is not one.
    """
    fields = parse_object(raw, member="the record of a download", limit=RECORD_SIZE)
    if fields.get("version") != VERSION:
        raise RejectedError("cannot use the record of a download: it is of another version")
    position = _number(fields.get("position"))
    marks = fields.get("marks")
    if not isinstance(marks, list) or len(marks) != position // MARK:
        raise RejectedError("cannot use the record of a download: its marks are not as many as they should be")
    size = fields.get("size")
    identity = Identity(
        place=_digest(fields.get("address_sha256")).hex(),
        etag=_text(fields.get("etag")),
        modified=_text(fields.get("last_modified")),
        size=None if size is None else _number(size),
    )
    key = _text(fields.get("key"))
    if key is None or (identity.size is not None and identity.size < position):
        raise RejectedError("cannot use the record of a download: it contradicts itself")
    prefix = Prefix(
        position=position, digest=_digest(fields.get("sha256")), marks=tuple(_digest(mark) for mark in marks)
    )
    return Record(key=key, identity=identity, prefix=prefix)


def _number(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 62:
        raise RejectedError("cannot use the record of a download: a number is required")
    return value


def _text(value: Any) -> str | None:
    if value is not None and not (isinstance(value, str) and value.isprintable()):
        raise RejectedError("cannot use the record of a download: a text is required")
    return value


def _digest(value: Any) -> bytes:
    if not isinstance(value, str) or _DIGEST.fullmatch(value) is None:
        raise RejectedError("cannot use the record of a download: a digest is required")
    return bytes.fromhex(value)
