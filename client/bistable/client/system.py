"""The machine as a whole: which boot this is, its clocks, and its restart."""

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Protocol

from bistable.client.errors import ClientError

BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
NEW_UUID: Final = Path("/proc/sys/kernel/random/uuid")
SYSTEMD_RUNS: Final = Path("/run/systemd/system")
"""Exists exactly while systemd is the first process. sd_booted(3)"""

SYS_REBOOT: Final = {"x86_64": 169, "i686": 88, "armv6l": 88, "armv7l": 88}
"""Number of the system call by machine; the newer ones all have 142. linux/asm-generic/unistd.h"""

RESTART2: Final = 0xA1B2C3D4
"""LINUX_REBOOT_CMD_RESTART2: restart, and hand a word to the firmware. reboot(2)"""

_MAGIC: Final = (0xFEE1DEAD, 672274793)
_LONGEST_BOOT_ID: Final = 100
_REBOOT_SECONDS: Final = 120.0
"""Asking for a reboot returns at once; systemd may first have to finish starting something."""


def new_name() -> str:
    """Return a name that nothing else has, a UUID: that of an update which nobody gave one."""
    # The module `uuid` would do, and load modules for names of other kinds with each command.
    return NEW_UUID.read_text("ascii").strip()


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
    """The machine that this process runs on; `reboot_command` is what restarts it if it is not to be found out.

    `argument` says what a restart has to hand to the firmware, and `restart` hands it over at once.
    """

    def __init__(
        self,
        *,
        reboot_command: Sequence[str] | None = None,
        boot_id_file: Path = BOOT_ID,
        systemd_runs: Path = SYSTEMD_RUNS,
        argument: Callable[[], str | None] = lambda: None,
        restart: Callable[[str], None] | None = None,
    ) -> None:
        self._reboot_command = reboot_command
        self._boot_id_file = boot_id_file
        self._systemd_runs = systemd_runs
        self._argument = argument
        self._restart = restart or restart_with

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

        With an argument for the firmware, and without systemd, it takes place at once: no program in common use for a
        restart takes one.

        Raises:
            ProgramError: the machine does not take the request.
            ClientError: what has to be handed to the firmware is not known, or it is not taken.
        """
        from bistable.client.run import run  # what only asks for clocks does without

        argument = None if self._reboot_command else self._argument()
        if argument is None:
            run(self._command(), timeout=_REBOOT_SECONDS)
        elif self._systemd_runs.is_dir():
            run(["systemctl", "reboot", f"--reboot-argument={argument}"], timeout=_REBOOT_SECONDS)
        else:
            os.sync()
            self._restart(argument)

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


def restart_with(argument: str) -> None:
    """Restart the machine at once, and hand the argument to its firmware.

    Raises:
        ClientError: the kernel refuses.
    """
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    number = SYS_REBOOT.get(os.uname().machine, 142)
    if libc.syscall(ctypes.c_long(number), *map(ctypes.c_long, _MAGIC), ctypes.c_long(RESTART2), argument.encode()) < 0:
        why = os.strerror(ctypes.get_errno())
        raise ClientError(f"cannot restart with {argument!r}: {why}", hint="only root may restart the machine")
