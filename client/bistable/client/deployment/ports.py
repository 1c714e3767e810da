"""What an update needs of the world: ports, owned by the engine that uses them."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias

from bistable.client.machine import Record
from bistable.client.model import Point, RebootNeed

if TYPE_CHECKING:
    from bistable.artifact.model import Header, Script
    from bistable.artifact.reader import IncomingFile


class ByteSource(Protocol):
    """The artifact's bytes, read forward and once."""

    @property
    def size(self) -> int | None:
        """How many bytes there are, if that is known."""
        ...

    def read(self, size: int, /) -> bytes:
        """Return 1 to `size` bytes, or nothing at the end."""
        ...


class Sources(Protocol):
    """Where artifacts come from."""

    def open(self, record: Record) -> AbstractContextManager[ByteSource]:
        """Open the artifact of this update, from its start; what was fetched before need not come again."""
        ...

    def discard(self, record: Record) -> None:
        """Throw away what was kept of it for a later try."""
        ...


class Payload(Protocol):
    """What installs one kind of payload.

    Every call may come again after a power cut, in a new process that knows only the record. Failures are ClientErrors.
    """

    def download(self, files: "Iterable[IncomingFile]") -> None:
        """Take the files in, where nothing uses them yet."""
        ...

    def supports_rollback(self) -> bool:
        """Return whether the installation can be undone."""
        ...

    def install(self) -> None:
        """Install what was taken in."""
        ...

    def reboot_need(self) -> RebootNeed:
        """Return what kind of reboot the installation needs."""
        ...

    def arm(self) -> None:
        """Have the next boot try what was installed; the device is rebooted next."""
        ...

    def reboot(self) -> None:
        """Restart what has to be restarted; only for RebootNeed.CUSTOM."""
        ...

    def verify_reboot(self) -> None:
        """See whether what was installed runs."""
        ...

    def rearm(self) -> None:
        """Have the next boot try it again: it runs, and its commit is waited for."""
        ...

    def commit(self) -> None:
        """Make it permanent."""
        ...

    def rollback(self) -> None:
        """Undo the installation, as far as that goes without a reboot."""
        ...

    def rollback_reboot(self) -> None:
        """Restart what has to be restarted after the rollback; only for RebootNeed.CUSTOM."""
        ...

    def verify_rollback_reboot(self) -> None:
        """See whether what ran before runs again."""
        ...

    def failure(self) -> None:
        """Learn that the update failed."""
        ...

    def cleanup(self) -> None:
        """Remove what was needed on the way."""
        ...


class Payloads(Protocol):
    """Finds what installs a payload."""

    def prepare(self, header: "Header", record: Record) -> Record:
        """Return the record with what the payload needs to know filled in (slots), before anything is touched.

        Raises:
            ClientError: nothing here installs payloads of this type, or not now.
        """
        ...

    def begin(self, header: "Header", record: Record) -> Payload:
        """Return the payload handler for the download of an artifact."""
        ...

    def resume(self, record: Record) -> Payload | None:
        """Return the payload handler of an update whose download was begun; None if there is nothing to handle."""
        ...

    def on_target(self, record: Record) -> bool | None:
        """Return whether the device runs the slot that was written; None if the update has no slots."""
        ...

    def on_origin(self, record: Record) -> bool | None:
        """Return whether the device runs the slot from which the update began; None if the update has no slots."""
        ...


class Scripts(Protocol):
    """The state scripts of the root file system and of the artifact."""

    def store(self, scripts: "Sequence[Script]") -> None:
        """Replace the artifact's scripts."""
        ...

    def run(self, state: str, action: str, *, ignore_errors: bool = False) -> None:
        """Run the scripts of a state's Enter, Leave or Error; ScriptError at the first that fails."""
        ...

    def check_rootfs_version(self) -> None:
        """See whether the scripts of the running root file system can be run by this client."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Open:
    """Nobody holds the update."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """The update waits: who or what holds it, in words for people."""

    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Refuse:
    """The update must not go on."""

    reason: str


Verdict: TypeAlias = Open | Hold | Refuse


class Gates(Protocol):
    """Who may hold an update."""

    def decide(self, point: Point, record: Record) -> Verdict:
        """Return whether the update may pass a point now."""
        ...


class Health(Protocol):
    """What is asked of a new system before it may stay."""

    def check(self, used: float, on_used: Callable[[float], None]) -> float:
        """Check it and return the seconds that were used of the deadline, `used` before included.

        `on_used` is told them on the way, so that they can be kept through a power cut.

        Raises:
            HealthError: it is not healthy, or the deadline is over.
        """
        ...


class Reporter(Protocol):
    """Who is told how the update goes. AbortedError from `tell` means that it must not go on."""

    def tell(self, record: Record, status: str) -> None:
        """Tell a status; being out of reach is not an error."""
        ...

    def confirm_reachable(self, record: Record, /) -> None:
        """See whether the new system still reaches whom it has to.

        Raises:
            HealthError: it does not, and it should.
        """
        ...

    def finish(self, record: Record) -> None:
        """Tell how it ended, trying for as long as it is worth it."""
        ...


class Watchdog(Protocol):
    """Reboots the device when the client hangs while a new system is on trial."""

    def arm(self) -> None:
        """Begin (or go on): from now on, a hang ends in a reboot."""
        ...

    def disarm(self) -> None:
        """It is safe to hang again."""
        ...


class System(Protocol):
    """The machine itself."""

    def boot_id(self) -> str:
        """Return what is different in every boot."""
        ...

    def reboot(self) -> None:
        """Begin a reboot, and return."""
        ...

    def wall(self) -> float:
        """Return the wall clock, in seconds; it may be wrong."""
        ...
