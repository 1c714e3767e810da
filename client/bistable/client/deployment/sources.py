"""Where the artifact of an update comes from: what its record names, with what was fetched of it before."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bistable.client.deployment.ports import ByteSource
from bistable.client.machine import Record

if TYPE_CHECKING:
    from bistable.client.fetch import FetchSettings, Spool


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchedSources:
    """Opens artifacts as `settings` say; with a spool, a fetch that was cut off goes on where it was."""

    settings: "FetchSettings"
    spool: "Spool | None"

    @contextmanager
    def open(self, record: Record) -> Iterator[ByteSource]:
        """Open the artifact from its start."""
        from bistable.client.fetch import open_artifact

        # A server gives the same deployment another address each time it is asked.
        key = record.id if record.offered else None
        with open_artifact(record.where, self.settings, spool=self.spool, key=key) as source:
            yield source

    def discard(self, record: Record) -> None:
        """Throw away what was kept, unless the fetch itself failed: the next try then has less to fetch."""
        if self.spool is not None and not fetch_failed(record):
            self.spool.discard()


def fetch_failed(record: Record) -> bool:
    """Return whether the update ended because its artifact did not arrive, so that it may well be tried again."""
    return record.trouble is not None and record.trouble.code in {"fetch", "interrupted"}
