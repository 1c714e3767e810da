"""The update control maps of this device: one pool for all threads, and in the store before anybody acts on it."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock
from typing import Final, Protocol

from bistable.client.errors import StoreError
from bistable.client.maps import (
    KEEP_KEY,
    ControlMap,
    Decision,
    Moment,
    OfflinePolicy,
    Pool,
    Question,
    Source,
    decode_pool,
    encode_pool,
    parse_map,
)
from bistable.client.model import Point

log = logging.getLogger(__name__)

OFTEN: Final = 60.0
"""Seconds. Lives are not written down more often than this, for the sake of the flash."""

SHARE: Final = 10
"""A power cut gives a map back at most this part of its life: what went by since lives were last written down."""


class Values(Protocol):
    """The part of the store that is used here.

    It is a connection of its own: what is kept here must not wait in, or fall with, a transaction of somebody else.
    """

    def value(self, key: str) -> str | None:
        """Return what was last kept under a key."""
        ...

    def keep_value(self, key: str, value: str) -> None:
        """Keep a value under a key, durably."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class MapSettings:
    """How long maps live, in seconds, and what is done without the server.

    `life` counts from when a map came, `boot_life` from this start on, for those taken over from another client. While
    it holds an update the server is asked every `ask_every` seconds, or at half of a map's life if that is earlier.
    """

    life: float
    boot_life: float
    ask_every: float = 1800.0
    offline: OfflinePolicy = field(default_factory=OfflinePolicy)


class KeptMaps:
    """The maps in force. `clock` is CLOCK_BOOTTIME in seconds; every method may be called from any thread.

    `on_change` is told that a paused update has to be reconsidered, in the thread that changed something.
    """

    def __init__(
        self,
        store: Values,
        settings: MapSettings,
        *,
        boot_id: str,
        clock: Callable[[], float],
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self._store, self._settings = store, settings
        self._boot_id, self._clock, self._on_change = boot_id, clock, on_change
        self._lock = Lock()
        self._pool = self._read()
        self._kept_at = clock()
        if self._pool.entries:
            # What this boot has taken of their lives must be known in the next one.
            self._write(self._pool, self._kept_at)

    # --- what changes

    def set_local(self, text: str, *, deployment: str | None = None) -> int:
        """Take a map from an application, and return the seconds after which it should be sent again.

        With `deployment` the map has that identifier, and holds for that deployment only.

        Raises:
            MapError: it is not valid, or there are too many.
            StoreError: it cannot be kept; nothing has changed.
        """
        control_map, life = parse_map(text, required_id=deployment), self._settings.life
        scoped = deployment is not None
        self._change(lambda pool, now: pool.insert(control_map, Source.LOCAL, now=now, life=life, scoped=scoped))
        return int(life / 2)

    def set_server(self, deployment: str, control_map: ControlMap | None) -> None:
        """Take what a server said about a deployment: its map, or that there is none.

        Raises:
            StoreError: it cannot be kept; nothing has changed.
        """
        if control_map is None:
            self._change(lambda pool, _: pool.remove_server_maps(deployment))
            return
        life = self._settings.life
        self._change(lambda pool, now: pool.insert(control_map, Source.SERVER, now=now, life=life))

    def end_deployment(self, deployment: str) -> None:
        """Forget the maps of a deployment that is over.

        Raises:
            StoreError: that cannot be kept; nothing has changed.
        """
        self._change(lambda pool, _: pool.remove_deployment(deployment))

    def forget_expired(self) -> None:
        """Forget what is expired; for when there is no update in progress.

        Raises:
            StoreError: that cannot be kept; nothing has changed.
        """
        self._change(lambda pool, now: pool.remove_expired(now))

    def _change(self, change: Callable[[Pool, float], Pool]) -> None:
        with self._lock:
            now = self._clock()
            changed = change(self._pool, now)
            if changed is self._pool:
                return
            self._write(changed, now)
        self._on_change()

    # --- what is asked

    def decide(self, question: Question) -> Decision:
        """Return what the maps say at a point. That they were asked is kept before this returns.

        Raises:
            StoreError: that cannot be kept; then there is no answer either.
        """
        with self._lock:
            now = self._clock()
            decision, changed = self._pool.decide(question, now)
            if changed is not self._pool:
                self._write(changed, now)
        return decision

    def look(self, question: Question) -> Decision:
        """Return what the maps would say at a point, without asking them."""
        with self._lock:
            return self._pool.look(question, self._clock())

    def standing(self, question: Question) -> Decision | None:
        """Return what the maps said when they were asked last, if it was this question and nothing changed since."""
        with self._lock:
            return self._pool.standing(question, self._clock())

    def merged(self, deployment: str) -> dict[Point, Decision]:
        """Return what all maps together say at each point of a deployment, and which of them say it."""
        with self._lock:
            return self._pool.merged(deployment, self._clock())

    def pool(self) -> Pool:
        """Return all maps as they are now, for showing them."""
        with self._lock:
            return self._pool

    def has_server_map(self, deployment: str) -> bool:
        """Return whether the server has to be asked before each point."""
        with self._lock:
            return self._pool.has_server_map(deployment)

    def refresh_due(self, deployment: str) -> bool:
        """Return whether the server's map should be asked for again."""
        with self._lock:
            return self._pool.refresh_due(deployment, self._clock(), self._settings.ask_every)

    # --- what comes by itself

    def wait(self) -> float | None:
        """Return after how many seconds to call `tick`, ask the server if that is due, and reconsider a paused update.

        None if nothing comes by itself.
        """
        with self._lock:
            now = self._clock()
            change, keep = self._pool.next_change(now, self._settings.ask_every), self._keep_after(now)
        if change is None or keep is None:
            return change
        return min(change, max(self._kept_at + keep - now, OFTEN / SHARE))

    def tick(self) -> None:
        """Write down how much of the lives is left, if it is time to.

        Raises:
            StoreError: it cannot be kept.
        """
        with self._lock:
            now = self._clock()
            keep = self._keep_after(now)
            if keep is not None and now >= self._kept_at + keep:
                self._write(self._pool, now)

    def _keep_after(self, now: float) -> float | None:
        lives = [entry.life for entry in self._pool.entries.values() if now < entry.expires]
        return max(min(lives) / SHARE, OFTEN) if lives else None

    # --- the store

    def _read(self) -> Pool:
        text, policy = self._store.value(KEEP_KEY), self._settings.offline
        if not text:
            return Pool(policy=policy)
        moment = Moment(boot_id=self._boot_id, now=self._clock())
        try:
            return decode_pool(text, moment, policy, boot_life=self._settings.boot_life)
        except StoreError as e:
            # The server's map comes again with the next question; nobody could ever repair what is there.
            log.info("%s; they are forgotten", e.what)
            return Pool(policy=policy)

    def _write(self, pool: Pool, now: float) -> None:
        """Keep a pool, and only then have it."""
        moment = Moment(boot_id=self._boot_id, now=now)
        self._store.keep_value(KEEP_KEY, encode_pool(pool, moment) if pool.entries else "")
        self._pool, self._kept_at = pool, now
