"""Which scheme the environment of a U-Boot follows, seen from the variables that are in it."""

from pathlib import Path

from bistable.client.boot.uboot.environment import MENDER_TOOLS, ToolEnvironment, Tools
from bistable.client.errors import BootError

TIMEOUT = 30.0
MARKS = {"mender": "mender_boot_part", "slots": "bistable_order"}
"""Scheme -> a variable that only its boot script uses."""


def detect_scheme(print_tool: str | None, set_tool: str | None, config: Path | None) -> str:
    """Return the scheme whose variables are there.

    Raises:
        BootError: the environment cannot be read, or holds the variables of none, or of both.
    """
    own = Tools(print=print_tool, set=set_tool) if print_tool and set_tool else None
    variables = ToolEnvironment(MENDER_TOOLS if own is None else (own,), timeout=TIMEOUT, config=config).read()
    found = [scheme for scheme, mark in MARKS.items() if variables.get(mark)]
    if len(found) == 1:
        return found[0]
    names = " and ".join(MARKS.values())
    raise BootError(
        f"cannot tell how the boot loader chooses its slot: {'both' if found else 'neither'} of {names} "
        f"{'are' if found else 'is'} in its environment",
        hint="set boot.scheme; if neither is there, the boot loader never ran its script, or uses another environment",
    )
