"""Keep a watchdog quiet while a phase of the work makes its way, and no longer than the phase may take."""

import logging
import threading
from collections.abc import Callable
from typing import Final

from bistable.client.errors import ClientError
from bistable.client.health.watchdog import Watchdog

PETS_PER_LIMIT: Final = 3
"""One that comes late must not be one too late."""

_log = logging.getLogger(__name__)


class Guard:
    """Pets a watchdog for at most `limit` seconds from `arm`; from then on it does not, and the device is rebooted.

    Petting alone proves only that some thread still runs. The limit is what makes a phase that hangs, or goes in
    circles, end in a reboot: the boot loader then falls back to the system before.
    """

    def __init__(self, watchdog: Watchdog, limit: float, clock: Callable[[], float], *, seconds: int = 60) -> None:
        self._watchdog, self._limit, self._clock, self._seconds = watchdog, limit, clock, seconds
        self._end = 0.0
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def arm(self) -> None:
        """Start the watchdog and the time of the phase; `seconds` is how long it waits for a sign of life.

        Raises:
            ClientError: it cannot be started.
        """
        self.disarm()
        self._end = self._clock() + self._limit
        interval = self._watchdog.start(self._seconds) / PETS_PER_LIMIT
        self._over.clear()
        self._thread = threading.Thread(target=self._keep_petting, args=(interval,), name="watchdog", daemon=True)
        self._thread.start()

    def pet(self) -> bool:
        """Pet the watchdog, unless the phase has taken too long; return whether that was done."""
        if self._clock() >= self._end:
            return False
        self._watchdog.pet()
        return True

    def disarm(self) -> None:
        """End the phase: it is done, and the watchdog is stopped."""
        if self._thread is None:
            return
        self._over.set()
        self._thread.join()
        self._thread = None
        self._watchdog.stop()

    def _keep_petting(self, interval: float) -> None:
        while not self._over.wait(interval):
            try:
                if not self.pet():
                    _log.info("not done after %g s: the watchdog is left alone and will reboot the device", self._limit)
                    return
            except ClientError as e:
                # It may work the next time; if not, the watchdog does what it is for.
                _log.info("%s", e)
