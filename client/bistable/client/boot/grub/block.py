"""A GRUB environment block: 1024 bytes with a header line, a line `name=value` for each variable, and `#` to the end.

GRUB reads and saves such a block as two sectors, without a flush between them. A value has a backslash before a
backslash and before an end of line. Lines that begin with `#` are passed over.
"""

import re
from collections.abc import Mapping
from typing import Final

HEADER: Final = b"# GRUB Environment Block\n"
SIZE: Final = 1024
SECTOR: Final = 512

_LINE: Final = re.compile(rb"([^=\n]+)=((?:\\[\x00-\xff]|[^\\\n])*)\n")
_SPECIAL: Final = re.compile(r"([\\\n])")
_BACKSLASHED: Final = r"\\\1"
_ESCAPED: Final = re.compile(r"\\([\s\S])")


class BadBlockError(Exception):
    """The bytes are not an environment block, or not a block of the kind that is wanted: why."""


def decode_block(data: bytes) -> dict[str, str]:
    """Return the variables of a block, in their order.

    Raises:
        BadBlockError: it is not a block, or a variable is in it twice: GRUB takes the last, its tools the first.
    """
    if len(data) != SIZE or not data.startswith(HEADER):
        raise BadBlockError("it has no header")
    variables: dict[str, str] = {}
    position = len(HEADER)
    while position < SIZE:
        if data[position : position + 1] == b"#":
            end = data.find(b"\n", position)
            position = SIZE if end < 0 else end + 1
            continue
        line = _LINE.match(data, position)
        if line is None:
            raise BadBlockError("it holds a line that is not name=value")
        name, value = line[1].decode("utf-8", "replace"), line[2].decode("utf-8", "replace")
        if name in variables:
            raise BadBlockError(f"{name} is in it twice")
        variables[name] = _ESCAPED.sub(r"\1", value)
        position = line.end()
    return variables


def encode_block(variables: Mapping[str, str], *, limit: int = SIZE) -> bytes:
    """Return the block with these variables, in this order, all of them within the first `limit` bytes.

    Raises:
        BadBlockError: they do not fit.
    """
    lines = "".join(f"{name}={_SPECIAL.sub(_BACKSLASHED, value)}\n" for name, value in variables.items())
    content = HEADER + lines.encode("utf-8")
    if len(content) > limit:
        raise BadBlockError(f"its variables need {len(content)} of {limit} bytes")
    return content.ljust(SIZE, b"#")
