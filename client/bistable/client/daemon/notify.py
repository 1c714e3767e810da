"""What the service tells systemd. sd_notify(3)"""

import socket
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

_PATIENCE: Final = 1.0


class Notifier:
    """Tells systemd how the service is; nobody is told where it does not run under systemd."""

    def __init__(self, environment: Mapping[str, str], pid: int) -> None:
        address = environment.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        limit = environment.get("WATCHDOG_USEC", "")
        meant = environment.get("WATCHDOG_PID", str(pid)) == str(pid)
        self.interval: float | None = int(limit) / 1e6 / 3 if limit.isdigit() and meant and int(limit) else None
        """Seconds between two signs of life; None if systemd does not wait for them."""

    def tell(self, words: str) -> None:
        """Send lines of `NAME=value`; that nobody takes them is no reason to fail."""
        if not self._address:
            return
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as to:
            to.settimeout(_PATIENCE)
            to.sendto(words.encode(), self._address)
