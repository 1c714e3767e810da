"""How long is waited for what: generous numbers, for a machine that is emulated beside other work, times a factor."""

import os
from typing import Final

from bistable.tools.bench.errors import MisuseError

VARIABLE: Final = "BISTABLE_PATIENCE"
"""A factor for all of these; for computers that are slower than the two shared cores they were measured on."""

LOADER: Final = 90.0
"""Until the boot script speaks. OVMF takes 3 to 6 seconds, U-Boot one."""

BOOT: Final = 500.0
"""From a reset to a shell. 5 to 15 seconds alone (systemd: 40), minutes beside others; broken tries may come first."""

COMMAND: Final = 60.0
"""For a command that is not said to take longer."""

INSTALL: Final = 600.0
"""For an artifact with a root filesystem: 10 to 20 seconds alone."""

ANSWER: Final = 20.0
"""Until a shell that waits answers; it does at once, but for a machine that is emulated and has much to do."""

OFF: Final = 60.0
"""Until a machine that was told to is off."""

MONITOR: Final = 30.0
"""Until QEMU answers; it always does at once, unless this computer stands still."""


def scaled(seconds: float) -> float:
    """Return the time limit for this computer.

    Raises:
        MisuseError: the factor in the environment is not a positive number.
    """
    given = os.environ.get(VARIABLE, "1")
    try:
        factor = float(given)
    except ValueError:
        factor = 0.0
    if not 0 < factor < 1000:
        raise MisuseError(f"cannot use {VARIABLE}={given!r}: it is a factor for time limits, such as 2")
    return seconds * factor
