"""The file `autoboot.txt`, as a pure value."""

import re
from dataclasses import dataclass
from typing import Final

MOST: Final = 512
"""Bytes of the file that the firmware reads."""

LARGEST_PARTITION: Final = 128
"""Entries of a GPT as it usually is."""

_NUMBER: Final = re.compile(r"[0-9]{1,3}")
_SECTION: Final = re.compile(r"\[([a-z0-9_-]+)\]", re.IGNORECASE)


class BadAutobootError(Exception):
    """The file cannot be used: why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Autoboot:
    """Which partition is booted, and which with the word `tryboot`; `others` are lines for all that are not ours."""

    default: int
    trial: int
    others: tuple[str, ...] = ()


def parse_autoboot(data: bytes) -> Autoboot:
    """Return what the file says, as the firmware reads it: the last value of a section counts.

    Raises:
        BadAutobootError: it is too long, or does not say from which partition to boot.
    """
    if len(data) > MOST:
        raise BadAutobootError(f"it has {len(data)} bytes, of which the firmware reads {MOST}")
    section, values, others = "all", dict[str, int](), list[str]()
    for line in (line.strip() for line in data.decode("utf-8", "replace").splitlines()):
        if not line or line.startswith("#"):
            continue
        if found := _SECTION.fullmatch(line):
            section = found[1].lower()
            continue
        key, _, value = (part.strip() for part in line.partition("="))
        if key == "boot_partition":
            values[section] = _partition(value)
        elif section == "all" and key != "tryboot_a_b":
            others.append(line)
    if "all" not in values:
        raise BadAutobootError("it names no boot_partition for [all]")
    return Autoboot(default=values["all"], trial=values.get("tryboot", values["all"]), others=tuple(others))


def render_autoboot(autoboot: Autoboot) -> bytes:
    """Return the file.

    Raises:
        BadAutobootError: it would be too long.
    """
    lines = ["[all]", *autoboot.others, "tryboot_a_b=1", f"boot_partition={autoboot.default}"]
    lines += ["[tryboot]", f"boot_partition={autoboot.trial}"]
    data = "".join(f"{line}\n" for line in lines).encode("utf-8")
    if len(data) > MOST:
        raise BadAutobootError(f"it would have {len(data)} bytes, of which the firmware reads {MOST}")
    return data


def _partition(value: str) -> int:
    if not _NUMBER.fullmatch(value) or not 1 <= int(value) <= LARGEST_PARTITION:
        raise BadAutobootError(f"boot_partition is {value!r}")
    return int(value)
