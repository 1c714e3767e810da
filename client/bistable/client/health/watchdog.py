"""What reboots a device that hangs: the kernel's watchdog devices, or systemd for a service that it watches.

Facts: Linux, Documentation/watchdog/watchdog-api.rst and include/uapi/linux/watchdog.h; sd_notify(3) and
sd_watchdog_enabled(3).
"""

import errno
import fcntl
import logging
import os
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, Protocol, Self

from bistable.client.errors import ConfigError, HealthError

WDIOC_SETTIMEOUT: Final = 0xC0045706
"""_IOWR('W', 6, int): the same number on all architectures, also where directions are encoded in another way."""

PET: Final = b"\0"
"""Any byte but the one that follows."""

MAGIC_CLOSE: Final = b"V"
"""Says that closing the device is meant to stop the watchdog."""

SYSFS: Final = Path("/sys/class/watchdog")
SHORTEST: Final = 1
FOR_EVER: Final = (1 << 64) - 1
"""The time that never comes, to systemd (USEC_INFINITY)."""

_ANSWERS_WITHIN: Final = 5.0
"""Seconds in which systemd takes a message, however busy it is."""

_log = logging.getLogger(__name__)


class Watchdog(Protocol):
    """Reboots the device if it was started and then not petted for too long."""

    def start(self, seconds: int) -> float:
        """Start with a limit of about `seconds`; return the limit that it really has."""
        ...

    def pet(self) -> None:
        """Show that all is well: the time begins anew."""
        ...

    def stop(self) -> None:
        """Stop: nothing happens any more without petting."""
        ...


class NoWatchdog:
    """For devices without one: nothing reboots them."""

    def start(self, seconds: int) -> float:
        """Start nothing."""
        return float(seconds)

    def pet(self) -> None:
        """Pet nothing."""

    def stop(self) -> None:
        """Stop nothing."""


class HardwareWatchdog:
    """A watchdog device of the kernel. While it runs, the end of this process, however it comes, ends in a reboot.

    One that cannot be stopped (`nowayout`) is not even started: it would reboot the device after the work is done.
    """

    def __init__(
        self, device: Path, *, sysfs: Path = SYSFS, ioctl: Callable[[int, int, bytes], bytes] = fcntl.ioctl
    ) -> None:
        self._device, self._sysfs, self._ioctl = device, sysfs, ioctl
        self._descriptor: int | None = None

    def start(self, seconds: int) -> float:
        """Open the device, which starts it, and set its limit; drivers may round it, or know one limit only.

        Raises:
            ConfigError: it is not there, used by another program, or cannot be stopped again.
        """
        if self._descriptor is None:
            self._require_a_way_out()
            try:
                self._descriptor = os.open(self._device, os.O_WRONLY | os.O_CLOEXEC)
            except OSError as e:
                raise self._unusable(e) from e
        return self._set_timeout(self._descriptor, max(SHORTEST, seconds))

    def pet(self) -> None:
        """Write a byte to the device.

        Raises:
            HealthError: it does not take it.
        """
        if self._descriptor is None:
            return
        try:
            os.write(self._descriptor, PET)
        except OSError as e:
            raise HealthError(f"cannot pet the watchdog {self._device}: {e.strerror}") from e

    def stop(self) -> None:
        """Tell the device that its closing is meant, and close it."""
        if self._descriptor is None:
            return
        descriptor, self._descriptor = self._descriptor, None
        try:
            os.write(descriptor, MAGIC_CLOSE)
        except OSError as e:
            _log.info("cannot stop the watchdog %s, it will reboot the device: %s", self._device, e.strerror)
        finally:
            os.close(descriptor)

    def _require_a_way_out(self) -> None:
        if _line_of(self._sysfs / self._name() / "nowayout") == "1":
            raise ConfigError(
                f"cannot use the watchdog {self._device}: once started it cannot be stopped (nowayout)",
                hint="leave it to systemd (RuntimeWatchdogSec= in system.conf), or load its driver with nowayout=0",
            )

    def _name(self) -> str:
        # /dev/watchdog is the old name of the first one.
        return "watchdog0" if self._device.name == "watchdog" else self._device.name

    def _unusable(self, error: OSError) -> ConfigError:
        if error.errno == errno.EBUSY:
            return ConfigError(
                f"cannot use the watchdog {self._device}: another program uses it, most likely systemd",
                hint="configure another watchdog or none, or take RuntimeWatchdogSec= out of systemd's system.conf",
            )
        return ConfigError(f"cannot use the watchdog {self._device}: {error.strerror}")

    def _set_timeout(self, descriptor: int, seconds: int) -> float:
        try:
            granted = self._ioctl(descriptor, WDIOC_SETTIMEOUT, struct.pack("i", seconds))
        except OSError as e:
            # It runs all the same, with a limit that it does not tell.
            _log.info("cannot set the limit of the watchdog %s to %d s: %s", self._device, seconds, e.strerror)
            return float(seconds)
        return float(struct.unpack("i", granted)[0])


class SystemdWatchdog:
    """systemd as watchdog of the service that this process is: it ends a service that hangs, and may then reboot.

    The unit has to say so: `WatchdogSec=` (or NotifyAccess=main at least) and `FailureAction=reboot`.
    """

    def __init__(self, address: str) -> None:
        self._address = "\0" + address[1:] if address.startswith("@") else address

    @classmethod
    def of_service(cls, environment: Mapping[str, str], pid: int) -> Self | None:
        """Return the watchdog that systemd tells this process of, or None if it does not watch it."""
        address, limit = environment.get("NOTIFY_SOCKET", ""), environment.get("WATCHDOG_USEC", "")
        meant = environment.get("WATCHDOG_PID", str(pid))
        if not address.startswith(("/", "@")) or not limit.isascii() or not limit.isdigit() or meant != str(pid):
            return None
        return cls(address)

    def start(self, seconds: int) -> float:
        """Have systemd wait for `seconds`, whatever the unit says."""
        self._say(f"WATCHDOG_USEC={seconds * 1_000_000}\nWATCHDOG=1")
        return float(seconds)

    def pet(self) -> None:
        """Send a sign of life.

        Raises:
            HealthError: systemd cannot be reached.
        """
        self._say("WATCHDOG=1")

    def stop(self) -> None:
        """Have systemd wait for ever."""
        self._say(f"WATCHDOG_USEC={FOR_EVER}")

    def _say(self, message: str) -> None:
        import socket

        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as connection:
                connection.settimeout(_ANSWERS_WITHIN)
                connection.connect(self._address)
                connection.sendall(message.encode())
        except OSError as e:
            raise HealthError(f"cannot tell systemd that all is well: {e.strerror or e}") from e


def _line_of(path: Path) -> str:
    try:
        with path.open(encoding="ascii", errors="replace") as file:
            return file.readline(16).strip()
    except OSError:
        return ""
