"""Two copies of our environment for GRUB, as pure values: which one counts, and what is written next.

A copy is an environment block whose variables all lie in its first sector, since GRUB writes the two sectors of a block
one after the other; so only the first one may ever change. In this order:

| variable                | value                    | meaning                                                         |
|-------------------------|--------------------------|-----------------------------------------------------------------|
| `bistable_seq`          | `0` to `9`               | each change has the successor of the one before; 0 follows 9    |
| `bistable_order`        | `a b`, `b a`, `a`, `b`   | these and the next ones are those of `boot.uboot.slots`         |
| `bistable_a_good`       | `0`, `1`                 |                                                                 |
| `bistable_a_tries`      | `0` to `9`               |                                                                 |
| `bistable_b_good`       | `0`, `1`                 |                                                                 |
| `bistable_b_tries`      | `0` to `9`               |                                                                 |
| `bistable_seen`         | `0`, `1`                 |                                                                 |
| `bistable_end`          | `1`                      | the last line: the block is complete                            |

A copy is valid if each of these is in it once, with such a value, and `bistable_end=1` is its last line. GRUB has no
checksums; in their place every value is one of a few. Of two valid copies that one is newer whose number is the
successor of the other's; if neither is (equal, or a gap), the first one counts. A change goes to the copy that does not
count, so that a power cut leaves the old state or the new one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from bistable.client.boot.grub.block import SECTOR, BadBlockError, decode_block, encode_block

SEQUENCE: Final = "bistable_seq"
END: Final = "bistable_end"

_DIGITS: Final = frozenset("0123456789")
_BITS: Final = frozenset("01")
ALLOWED: Final[Mapping[str, frozenset[str]]] = {
    SEQUENCE: _DIGITS,
    "bistable_order": frozenset({"a b", "b a", "a", "b"}),
    "bistable_a_good": _BITS,
    "bistable_a_tries": _DIGITS,
    "bistable_b_good": _BITS,
    "bistable_b_tries": _DIGITS,
    "bistable_seen": _BITS,
    END: frozenset("1"),
}
"""Variable -> the values that it may have; in the order in which they are written."""

LOST: Final[Mapping[str, str]] = {
    "bistable_order": "a b",
    "bistable_a_good": "0",
    "bistable_a_tries": "3",
    "bistable_b_good": "0",
    "bistable_b_tries": "3",
    "bistable_seen": "0",
}
"""What the boot script goes by if no copy is valid: what is in the slots is not known any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """A valid copy."""

    sequence: int
    variables: Mapping[str, str]
    """Those of the scheme, without number and end."""


def parse_copy(data: bytes) -> Copy:
    """Return what a copy says.

    Raises:
        BadBlockError: it is not valid.
    """
    found = decode_block(data)
    for name, allowed in ALLOWED.items():
        if name not in found:
            raise BadBlockError(f"{name} is not in it")
        if found[name] not in allowed:
            raise BadBlockError(f"{name} is {found[name]!r}")
    if not data.rstrip(b"#").endswith(f"\n{END}=1\n".encode()):
        raise BadBlockError(f"{END}=1 is not its last line")
    variables = {name: found[name] for name in LOST}
    return Copy(sequence=int(found[SEQUENCE]), variables=variables)


def render_copy(copy: Copy) -> bytes:
    """Return the bytes of a copy.

    Raises:
        BadBlockError: a variable is missing, not one of the scheme, or has a value that it cannot have.
    """
    values = {SEQUENCE: str(copy.sequence), **copy.variables, END: "1"}
    for name, value in values.items():
        if value not in ALLOWED.get(name, ()):
            raise BadBlockError(f"{name} cannot be {value!r}")
    return encode_block({name: values[name] for name in ALLOWED}, limit=SECTOR)


def valid_copy(data: bytes) -> Copy | None:
    """Return what a copy says, None if it is not valid."""
    try:
        return parse_copy(data)
    except BadBlockError:
        return None


def current(first: Copy | None, second: Copy | None) -> int | None:
    """Return which copy counts, 0 or 1; None if neither is valid."""
    if first is None or second is None:
        return None if first is second else int(first is None)
    return int(second.sequence == successor(first.sequence))


def successor(sequence: int) -> int:
    """Return the number of the change after the one of this number."""
    return (sequence + 1) % 10


def next_write(first: Copy | None, second: Copy | None, values: Mapping[str, str]) -> tuple[int, bytes]:
    """Return which copy has to be written, and with what, so that the newest one has these values, too.

    Raises:
        BadBlockError: the scheme has no such variable, or it cannot have such a value.
    """
    newest = current(first, second)
    if newest is None:
        return 0, render_copy(Copy(sequence=0, variables={**LOST, **values}))
    old = (first, second)[newest]
    assert old is not None
    changed = Copy(sequence=successor(old.sequence), variables={**old.variables, **values})
    return 1 - newest, render_copy(changed)
