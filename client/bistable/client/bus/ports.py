"""What the D-Bus services show and offer: a view of the client, and the calls that the daemon has to provide."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from bistable.client.model import Point


@dataclass(frozen=True, slots=True, kw_only=True)
class HolderView:
    """Who holds an update, and why, in words for people; `until` is in CLOCK_BOOTTIME seconds, None for ever."""

    who: str
    why: str
    points: tuple[Point, ...]
    mode: str
    """`block`: until it lets go. `delay`: until it lets go, or a time is over."""
    until: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgressView:
    """How far the artifact is in: bytes of it that have come, of how many in all, bytes per second, seconds left."""

    done: int
    total: int | None
    rate: float | None
    left: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotView:
    """A slot as `bistablectl status` has it."""

    name: str
    device: str
    running: bool
    bootable: bool
    good: bool
    tries_left: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """All that can be seen of the client at one moment. Texts are empty where there is nothing to say."""

    state: str
    """A value of machine.State; `idle` if there is no update."""
    substate: str = ""
    """What is done in it just now, such as a script that runs."""
    update_id: str = ""
    artifact: str = ""
    """The artifact of the update."""
    current_artifact: str = ""
    """The artifact that the device runs."""
    held_at: str = ""
    """The point where the update waits; empty if it does not."""
    held_by: tuple[str, ...] = ()
    """Why it waits there, in words for people."""
    actions: tuple[str, ...] = ()
    """What may be called now: of `install`, `continue`, `abort`, `commit`, `rollback`."""
    holders: tuple[HolderView, ...] = ()
    """Everybody who would hold an update at some point, whether there is one or not."""
    progress: ProgressView | None = None
    reboot_required: bool = False
    slots: tuple[SlotView, ...] = ()
    last_result: str = ""
    """`success`, `failure`, `aborted` or `rolled-back`."""
    last_error_code: str = ""
    last_error: str = ""
    next_check: float | None = None
    """CLOCK_BOOTTIME seconds of the next question to the server; None if none is planned."""


class Held(Protocol):
    """A hold that was granted."""

    def release(self) -> None:
        """Let go; once or more."""
        ...


class Service(Protocol):
    """What the daemon offers. Failures are ClientErrors.

    Calls that lead an update return once it is clear that it can be led; how that ends is in the view.
    """

    def view(self) -> View:
        """Return what is to be seen now."""
        ...

    def subscribe(self, listener: Callable[[View, View], None]) -> None:
        """Have `listener` called, in the thread of the event loop, with the view before and after each change."""
        ...

    async def check(self) -> None:
        """Ask the server for an update now."""
        ...

    async def send_inventory(self) -> None:
        """Send the whole inventory now."""
        ...

    async def install(self, where: str, job: str, stops: Sequence[Point]) -> str:
        """Begin an update with an artifact; the same `job` again is the same update. Return its id at once."""
        ...

    async def pause(self, points: Sequence[Point], update_id: str, *, who: str) -> None:
        """Hold the update in progress at these points until `proceed`; an empty id means whichever it is.

        `who` is shown as the one who holds it.
        """
        ...

    async def proceed(self, update_id: str, point: Point, *, force: bool) -> None:
        """Let an update go on that waits at a point; `force` goes over what others hold as well."""
        ...

    async def abort(self, update_id: str, reason: str) -> None:
        """Stop the update; what was installed is rolled back."""
        ...

    async def commit(self) -> None:
        """Keep the update on trial."""
        ...

    async def rollback(self) -> None:
        """Undo the update that is not permanent yet."""
        ...

    def inhibit(self, points: Sequence[Point], who: str, why: str, mode: str, seconds: float | None) -> Held:
        """Hold updates at points until `release`: the caller does that when the holder goes away."""
        ...

    async def set_control_map(self, text: str) -> int:
        """Take an update control map (JSON); return after how many seconds it should be sent again."""
        ...

    def control_maps(self) -> str:
        """Return all maps and what they come to, as JSON."""
        ...

    async def history(self) -> Sequence[Mapping[str, str]]:
        """Return the updates that ended, the latest first."""
        ...

    async def support_bundle(self) -> bytes:
        """Return a support bundle (ZIP)."""
        ...

    def token(self) -> tuple[str, str]:
        """Return the token of the server and the server's address; both are empty without a login."""
        ...

    async def fetch_token(self) -> bool:
        """Begin a login; return whether one was begun."""
        ...

    def subscribe_token(self, listener: Callable[[str, str], None]) -> None:
        """Have `listener` called, in the thread of the event loop, after each login attempt."""
        ...
