"""A configuration of U-Boot: what a build was made with, or what a board asks for."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

_LINE: Final = re.compile(r"CONFIG_([A-Z0-9_]+)=(.*)")
_UNSET: Final = re.compile(r"# CONFIG_([A-Z0-9_]+) is not set")
_COMPLETE: Final = "Automatically generated file"
"""What a configuration begins with that a build has written; a defconfig has only what differs from the defaults."""

OFF: Final = "n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """Options of U-Boot, without `CONFIG_`; `complete`: what is not there is off."""

    options: Mapping[str, str]
    complete: bool


def parse_configuration(text: str) -> Configuration:
    """Return the options in a `.config`, a defconfig or a fragment."""
    found = {}
    for line in text.splitlines():
        if match := _LINE.fullmatch(line.strip()):
            found[match[1]] = match[2]
        elif match := _UNSET.fullmatch(line.strip()):
            found[match[1]] = OFF
    return Configuration(options=found, complete=_COMPLETE in text)
