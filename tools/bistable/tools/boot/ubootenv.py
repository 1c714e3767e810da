"""Environments of U-Boot as bytes: built as mkenvimage builds them, read as U-Boot reads them.

A copy is a CRC32 of the data (4 bytes, little endian), in a redundant environment a counter (1 byte), and the data up
to the end of the copy: `name=value` and a zero byte for each variable, then one more zero byte, then anything.
"""

import re
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from bistable.artifact.errors import LimitError, RejectedError, RequestError, quoted
from bistable.artifact.limits import MIB

SMALLEST: Final = 64
LARGEST: Final = MIB
"""Bytes of one copy. Boards have 4 to 256 KiB."""

MKENVIMAGE_FILL: Final = 0xFF
"""What mkenvimage puts behind the variables: it is what erased flash holds."""
UBOOT_FILL: Final = 0
"""What U-Boot and libubootenv put there."""

_NAME: Final = re.compile(r"[A-Za-z0-9_.-]+")
_VALUE: Final = re.compile(r"[ -~]+")
_BLANK: Final = b" \t"
_BACKSLASH: Final = "\\"


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """One copy of an environment whose CRC is right."""

    counter: int | None
    """None: the environment is not a redundant one."""
    data: bytes

    def variables(self, only: Iterable[str] | None = None) -> dict[str, str]:
        """Return what `env import` makes of the data, with the named variables or all.

        U-Boot's rules: a name without a value deletes, `#` starts a comment, a backslash takes the next character as it
        is. Of a name that is there twice the first counts if names are given, otherwise the last.

        Raises:
            RejectedError: U-Boot gives up, because a variable has no name.
        """
        wanted = None if only is None else set(only)
        found: dict[str, str] = {}
        for entry in self.data.split(b"\0"):
            # The first empty entry ends the list. It may only be empty to begin with: U-Boot reads " " as a name.
            if not entry:
                break
            name, equals, raw = entry.lstrip(_BLANK).partition(b"=")
            if name.startswith(b"#"):
                continue
            key = name.decode("latin-1")
            if equals and raw and not key:
                raise RejectedError("cannot import the environment: a variable has no name")
            if wanted is not None:
                if key not in wanted:
                    continue
                wanted.discard(key)
            if equals and raw:
                found[key] = _unescaped(raw)
            else:
                found.pop(key, None)
        return found


@dataclass(slots=True, kw_only=True)
class Saver:
    """Saves as U-Boot does: into the copy that is not the current one, which then is; without one, into the first."""

    offsets: tuple[int, int]
    size: int
    current: int | None
    counter: int
    """That of the current copy, or 0."""

    def save(self, environment: bytes, variables: Mapping[str, str]) -> bytes:
        """Return the bytes of both copies' partition afterwards."""
        self.current = 1 if self.current == 0 else 0
        self.counter = (self.counter + 1) % 256
        # What others have put there is kept as it is.
        entries = [
            f"{name}={value.replace(_BACKSLASH, 2 * _BACKSLASH)}\0".encode("latin-1")
            for name, value in sorted(variables.items())
        ]
        copy = _built(entries, self.size, self.counter, UBOOT_FILL)
        offset = self.offsets[self.current]
        return environment[:offset] + copy + environment[offset + self.size :]


def build_copy(variables: Mapping[str, str], size: int, *, counter: int | None, fill: int = MKENVIMAGE_FILL) -> bytes:
    """Return a copy of `size` bytes with the variables in their order; `counter` None makes a plain environment.

    Raises:
        RequestError: a name or a value cannot be in an environment, or there is no room for all.
    """
    return _built([_entry(name, value) for name, value in variables.items()], size, counter, fill)


def _built(entries: list[bytes], size: int, counter: int | None, fill: int) -> bytes:
    from bistable.tools.boot import _wire

    _check_size(size)
    text = b"".join(entries) + b"\0"
    room = size - _wire.CRC - (0 if counter is None else _wire.COUNTER)
    if len(text) > room:
        raise RequestError(f"cannot make an environment of {size} bytes: {len(text)} bytes of variables do not fit")
    data = text.ljust(room, bytes([fill]))
    layout = _wire.plain(size) if counter is None else _wire.redundant(size)
    built: bytes = layout.build({"crc": zlib.crc32(data), "counter": counter, "data": data})
    return built


def read_redundant(raw: bytes) -> Copy:
    """Return one copy of a redundant environment; `raw` is all of it.

    Raises:
        RejectedError: its size cannot be, or its CRC is wrong.
    """
    from bistable.tools.boot import _wire

    _check_read(raw)
    wire = _wire.redundant(len(raw)).parse(raw)
    return Copy(counter=wire.counter, data=_checked(wire.data, wire.crc))


def read_plain(raw: bytes) -> Copy:
    """Return an environment that has no second copy; `raw` is all of it.

    Raises:
        RejectedError: its size cannot be, or its CRC is wrong.
    """
    from bistable.tools.boot import _wire

    _check_read(raw)
    wire = _wire.plain(len(raw)).parse(raw)
    return Copy(counter=None, data=_checked(wire.data, wire.crc))


def second_is_newer(first: int, second: int) -> bool:
    """Return whether, of two valid copies with these counters, U-Boot and libubootenv take the second."""
    if (first, second) == (255, 0):
        return True
    return second > first and (first, second) != (0, 255)


def _checked(data: bytes, crc: int) -> bytes:
    if zlib.crc32(data) != crc:
        raise RejectedError("cannot read the environment: its CRC is wrong")
    return data


def _check_read(raw: bytes) -> None:
    if len(raw) > LARGEST:
        raise LimitError(f"cannot read an environment of {len(raw)} bytes: at most {LARGEST} are allowed")
    if len(raw) < SMALLEST:
        raise RejectedError(f"cannot read an environment of {len(raw)} bytes: it has at least {SMALLEST}")


def _check_size(size: int) -> None:
    if not SMALLEST <= size <= LARGEST:
        raise RequestError(f"cannot make an environment of {size} bytes: it must have {SMALLEST} to {LARGEST}")


def _entry(name: str, value: str) -> bytes:
    if not _NAME.fullmatch(name):
        raise RequestError(f"cannot put {quoted(name)} into an environment: it is not a name")
    if not _VALUE.fullmatch(value) or "\\" in value:
        raise RequestError(
            f"cannot put {name}={quoted(value)} into an environment: a value is printable ASCII without backslash"
        )
    return f"{name}={value}\0".encode("ascii")


def _unescaped(raw: bytes) -> str:
    out = bytearray()
    at = 0
    while at < len(raw):
        if raw[at] == ord("\\") and at + 1 < len(raw):
            at += 1
        out.append(raw[at])
        at += 1
    return out.decode("latin-1")
