"""An update at work: its record, kept in step with the store, and the ports that its actions use."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from bistable.artifact.errors import BistableError
from bistable.client.deployment.plan import PLANS, Plan
from bistable.client.deployment.ports import (
    Gates,
    Health,
    Payload,
    Payloads,
    Reporter,
    Scripts,
    Sources,
    System,
    Watchdog,
)
from bistable.client.errors import StoreError
from bistable.client.machine import Facts, Mark, Record, encode_record
from bistable.client.model import OnProgress, ignore_progress
from bistable.client.store import Store

if TYPE_CHECKING:
    from bistable.artifact.trust import Policy

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """All that an update uses: the store and one implementation of each port."""

    store: Store
    system: System
    sources: Sources
    payloads: Payloads
    scripts: Scripts
    gates: Gates
    health: Health
    reporter: Reporter
    watchdog: Watchdog
    policy: Callable[[], "Policy"]
    """By which signatures artifacts are believed; ConfigError if that cannot be told."""
    device_type: Callable[[], str | None]
    on_progress: OnProgress = ignore_progress
    on_record: Callable[[Record], None] = lambda _record: None
    """Told each time the update is in another state, once that is durable."""


class Work:
    """The update in progress. `record` is what the store holds, at every moment."""

    def __init__(self, parts: Parts, record: Record) -> None:
        self.parts = parts
        self.record = record

    @property
    def plan(self) -> Plan:
        """How this update is led."""
        return PLANS[self.record.mode]

    def keep(self, **changes: Any) -> None:
        """Change the record, durably, before anything else is done.

        Raises:
            StoreError: it cannot be stored; then nothing may be done either.
        """
        changed = replace(self.record, **changes)
        self.parts.store.save_record(encode_record(changed))
        self.record = changed

    def mark(self, mark: Mark) -> None:
        """Remember how far the action came, and in which boot."""
        self.keep(mark=mark, boot_id=self.parts.system.boot_id())

    def payload(self) -> Payload | None:
        """Return what installs the payload, if the update came so far that there is one."""
        return self.parts.payloads.resume(self.record)

    def facts(self) -> Facts:
        """Look around."""
        return Facts(boot_id=self.parts.system.boot_id(), on_target=self.parts.payloads.on_target(self.record))

    def tell(self, status: str) -> None:
        """Tell a status.

        Raises:
            AbortedError: the update must not go on.
        """
        self.parts.reporter.tell(self.record, status)

    @contextmanager
    def scripted(self, state: str) -> Iterator[None]:
        """Run the Error scripts of a state if what is inside fails, its Enter and Leave scripts included."""
        try:
            yield
        except StoreError:
            # Without its memory the client must not call anything.
            raise
        except BistableError:
            self.parts.scripts.run(state, "Error", ignore_errors=True)
            raise

    def enter(self, state: str, *, ignore_errors: bool = False) -> None:
        """Run the Enter scripts of a state, once for each pass, whatever interrupts it."""
        if self.record.mark is Mark.FRESH:
            self.parts.scripts.run(state, "Enter", ignore_errors=ignore_errors)
            self.mark(Mark.READY)


@contextmanager
def tolerating(what: str) -> Iterator[None]:
    """Log what fails inside, and go on: on the way back and at the end nothing may stand in the way."""
    try:
        yield
    except StoreError:
        raise
    except BistableError as e:
        log.info("%s: %s", what, e.what)
