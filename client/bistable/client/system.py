"""The machine as a whole: which boot this is, its clocks, and its restart."""

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Protocol

from bistable.client.errors import ClientError

BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
SYSTEMD_RUNS: Final = Path("/run/systemd/system")
"""Exists exactly while systemd is the first process. sd_booted(3)"""

_LONGEST_BOOT_ID: Final = 100
_REBOOT_SECONDS: Final = 120.0
"""Asking for a reboot returns at once; systemd may first have to finish starting something."""


class System(Protocol):
    """What an update has to know of the machine it runs on, and to do to it."""

    def boot_id(self) -> str:
        """Return what is different after every boot."""

    def reboot(self) -> None:
        """Ask for a reboot; this returns, and the process is ended a little later."""

    def boottime(self) -> float:
        """Return the seconds since the boot, time in suspend included."""

    def wall(self) -> float:
        """Return the time of day in seconds since 1970; it may jump."""

    def sync(self) -> None:
        """Bring everything that was written to any disk."""


class LinuxSystem:
    """The machine that this process runs on; `reboot_command` is what restarts it if it is not to be found out."""

    def __init__(
        self,
        *,
        reboot_command: Sequence[str] | None = None,
        boot_id_file: Path = BOOT_ID,
        systemd_runs: Path = SYSTEMD_RUNS,
    ) -> None:
        self._reboot_command = reboot_command
        self._boot_id_file = boot_id_file
        self._systemd_runs = systemd_runs

    def boot_id(self) -> str:
        """Return the kernel's identifier of this boot.

        Raises:
            ClientError: the kernel does not tell it.
        """
        try:
            with self._boot_id_file.open(encoding="ascii") as file:
                found = file.read(_LONGEST_BOOT_ID).strip()
        except (OSError, UnicodeDecodeError) as e:
            raise ClientError(f"cannot tell this boot from others: {e}", hint="is /proc mounted?") from e
        if not found:
            raise ClientError(f"cannot tell this boot from others: {self._boot_id_file} is empty")
        return found

    def reboot(self) -> None:
        """Ask for a reboot through systemd where it runs, which ends services in order; otherwise with `reboot`.

        Raises:
            ProgramError: the machine does not take the request.
        """
        from bistable.client.run import run  # what only asks for clocks does without

        run(self._command(), timeout=_REBOOT_SECONDS)

    def boottime(self) -> float:
        """Return the seconds since the boot, time in suspend included."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def wall(self) -> float:
        """Return the time of day in seconds since 1970; it may jump."""
        return time.time()

    def sync(self) -> None:
        """Bring everything that was written to any disk."""
        os.sync()

    def _command(self) -> Sequence[str]:
        if self._reboot_command:
            return self._reboot_command
        return ["systemctl", "reboot"] if self._systemd_runs.is_dir() else ["reboot"]
