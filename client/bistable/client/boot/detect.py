"""Which scheme the environment of a U-Boot follows, seen from the variables that are in it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from bistable.client.boot.uboot.environment import make_environment
from bistable.client.errors import BootError

TIMEOUT: Final = 30.0
MARKS: Final[Mapping[str, str]] = {"mender": "mender_boot_part", "slots": "bistable_order"}
"""Scheme -> a variable that only its boot script uses."""


def detect_scheme(print_tool: str | None, set_tool: str | None, config: Path | None) -> str:
    """Return the scheme whose variables are there.

    Raises:
        BootError: the environment cannot be read, or holds the variables of none, or of both.
    """
    variables = make_environment(print_tool, set_tool, config, timeout=TIMEOUT).read()
    found = [scheme for scheme, mark in MARKS.items() if variables.get(mark)]
    if len(found) == 1:
        return found[0]
    names = " and ".join(MARKS.values())
    raise BootError(
        f"cannot tell how the boot loader chooses its slot: {'both' if found else 'neither'} of {names} "
        f"{'are' if found else 'is'} in its environment",
        hint="set boot.scheme; if neither is there, the boot loader never ran its script, or uses another environment",
    )
