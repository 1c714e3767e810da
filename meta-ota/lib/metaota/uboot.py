"""Whether U-Boot is configured as the boot script and the client expect it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_LINE = re.compile(r"(CONFIG_[A-Z0-9_]+)=(.*)")
_UNSET = re.compile(r"# (CONFIG_[A-Z0-9_]+) is not set")

RENAMED = {
    "CONFIG_SYS_REDUNDAND_ENVIRONMENT": "CONFIG_ENV_REDUNDANT",
    "CONFIG_SYS_MMC_ENV_DEV": "CONFIG_ENV_MMC_DEVICE_INDEX",
    "CONFIG_SYS_MMC_ENV_PART": "CONFIG_ENV_MMC_EMMC_HW_PARTITION",
}
"""Options that later releases of U-Boot call otherwise: one of both has to be as it should be."""

WORDS = {
    "CONFIG_ENV_OFFSET": "where the first copy of the environment is, which /etc/fw_env.config says, too",
    "CONFIG_ENV_OFFSET_REDUND": "where the second copy of the environment is, which /etc/fw_env.config says, too",
    "CONFIG_ENV_SIZE": "the size of a copy of the environment, which /etc/fw_env.config says, too",
}


def settings(text: str) -> dict[str, str]:
    """Return option -> value of a configuration or a fragment; what is not set is `n`."""
    found = {}
    for line in text.splitlines():
        if match := _LINE.fullmatch(line.strip()):
            found[match[1]] = match[2]
        elif match := _UNSET.fullmatch(line.strip()):
            found[match[1]] = "n"
    return found


def mismatches(fragment: str, configuration: str) -> list[str]:
    """Return what is not in the configuration of U-Boot as the fragment has it; each names both values."""
    wanted, there = settings(fragment), settings(configuration)
    return [
        _message(name, value, there)
        for name, value in sorted(wanted.items())
        # Of two names for one thing, U-Boot knows one; what must not be set must not be under either.
        if not (all if value == "n" else any)(_same(there.get(each, "n"), value) for each in _names(name))
    ]


def _names(name: str) -> list[str]:
    """Return the names that an option has in some release of U-Boot."""
    pair = next(({old, new} for old, new in RENAMED.items() if name in (old, new)), {name})
    return sorted(pair)


def _message(name: str, value: str, there: Mapping[str, str]) -> str:
    said = WORDS.get(name)
    note = f" ({said})" if said else ""
    known = next((each for each in [name, *_names(name)] if each in there), name)
    has = there.get(known)
    return f"{known} is {'not there' if has is None else has} in U-Boot's configuration, and has to be {value}{note}"


def _same(one: str, other: str) -> bool:
    try:
        return int(one, 0) == int(other, 0)
    except ValueError:
        return one == other
