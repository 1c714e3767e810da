"""Environment blocks of GRUB as bytes: read and changed as GRUB itself does it.

A block has 1024 bytes: the header `# GRUB Environment Block`, then lines `name=value`, then `#` up to the end. GRUB
writes it as two sectors without a flush, so all lines have to be in the first one.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from bistable.artifact.errors import RejectedError, RequestError

SIZE: Final = 1024
SECTOR: Final = 512
HEADER: Final = b"# GRUB Environment Block\n"

_FREE: Final = ord("#")
_LINE_END: Final = ord("\n")
_BACKSLASH: Final = ord("\\")


def build_block(variables: Mapping[str, str]) -> bytes:
    """Return a block with the variables in their order.

    Raises:
        RequestError: they do not fit into the first sector.
    """
    block = HEADER + b"".join(f"{name}={value}\n".encode("ascii") for name, value in variables.items())
    if len(block) > SECTOR:
        raise RequestError(f"cannot make an environment block: {len(block)} bytes do not fit into the first {SECTOR}")
    return block.ljust(SIZE, b"#")


def read_block(raw: bytes, names: Iterable[str]) -> dict[str, str]:
    """Return the named variables of a block, as `load_env` sets them: of two with one name the last counts.

    Raises:
        RejectedError: it is not a block.
    """
    check_block(raw)
    wanted = set(names)
    found: dict[str, str] = {}
    at = len(HEADER)
    while at < SIZE:
        if raw[at] == _FREE:
            at = _next_line(raw, at)
            continue
        equals = raw.find(b"=", at)
        if equals < 0:
            break
        end = _value_end(raw, equals + 1)
        if end is None:
            break
        name = raw[at:equals].decode("latin-1")
        if name in wanted:
            found[name] = _unescaped(raw[equals + 1 : end])
        at = _next_line(raw, end)
    return found


def change_block(raw: bytes, variables: Mapping[str, str]) -> bytes:
    """Return the block after `save_env`: values are replaced where they are, new ones added at the end.

    Raises:
        RejectedError: it is not a block, or has no room; then GRUB does not save.
    """
    check_block(raw)
    block = raw
    for name, value in variables.items():
        block = _set(block, name, value)
    return block


def check_block(raw: bytes) -> None:
    """Raise RejectedError unless GRUB takes the bytes as an environment block."""
    if len(raw) != SIZE or not raw.startswith(HEADER):
        raise RejectedError("cannot read the environment block: its header is wrong")


def _set(block: bytes, name: str, value: str) -> bytes:
    """Follow grub_envblk_set: the free space is what is `#` at the end."""
    used = len(block.rstrip(b"#"))
    if block[used - 1] != _LINE_END:
        raise RejectedError("cannot save the environment block: its last line has no end")
    free = SIZE - used
    key = f"{name}=".encode("ascii")
    new = value.encode("ascii")
    at = len(HEADER)
    while at < used:
        if block.startswith(key, at) and at + len(key) < used:
            start = at + len(key)
            end = start
            while end < used and block[end] != _LINE_END:
                end += 2 if block[end] == _BACKSLASH else 1
            if end >= used:
                break
            if len(new) - (end - start) > free:
                raise RejectedError("cannot save the environment block: there is no room left")
            return (block[:start] + new + block[end:used]).ljust(SIZE, b"#")
        at = _next_line(block, at)
    line = key + new + b"\n"
    if len(line) > free:
        raise RejectedError("cannot save the environment block: there is no room left")
    return (block[:used] + line).ljust(SIZE, b"#")


def _next_line(raw: bytes, at: int) -> int:
    while at < len(raw):
        if raw[at] == _BACKSLASH:
            at += 2
        elif raw[at] == _LINE_END:
            return at + 1
        else:
            at += 1
    return len(raw)


def _value_end(raw: bytes, at: int) -> int | None:
    while at < len(raw):
        if raw[at] == _LINE_END and raw[at - 1] != _BACKSLASH:
            return at
        at += 1
    return None


def _unescaped(raw: bytes) -> str:
    out = bytearray()
    at = 0
    while at < len(raw):
        if raw[at] == _BACKSLASH and at + 1 < len(raw):
            at += 1
        out.append(raw[at])
        at += 1
    return out.decode("latin-1")
