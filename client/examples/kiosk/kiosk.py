"""A screen that asks: holds updates for a person, asks when one is ready, and shows how it goes.

The rule that everything here follows: hold first, look then, and let go only of the one point that the person said yes
to. So there is no moment in which an update could pass a point before this program came to hold it.
"""

import argparse
import asyncio
import json
import logging
import os
import pwd
import signal
import sys
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from updates import RefusedError, Updates
from web import Board, Site

log = logging.getLogger("kiosk")

POINTS: Final = ("install", "reboot", "commit")
WHO: Final = "the screen"
ON: Final = "waits for the answer of a person"
OFF: Final = "updates are switched off there"

PASSING: Final = {
    "install": {"paused-before-install", "gate-install"},
    "reboot": {"paused-before-reboot", "gate-reboot"},
    "commit": {"paused-before-commit", "check", "gate-commit"},
}
"""Point -> states in which an update is on its way through it. In all others, this point is held."""

AGAIN: Final = 1.0
"""Seconds until a bus, or a hold, that was not to be had is tried again."""


def own_user() -> str:
    """Return how the service calls who asked for a pause, if it was this program."""
    try:
        return f"user {pwd.getpwuid(os.geteuid()).pw_name}"
    except KeyError:
        return f"user {os.geteuid()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What is remembered over restarts and reboots."""

    enabled: bool = False
    paused: str = ""
    """The update that was asked to wait before its commit, over a reboot that ends every hold."""


class Memory:
    """A file with what is remembered. One that cannot be read counts as a new one: updates are off."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.kept = Kept()
        with suppress(OSError, ValueError, TypeError, AttributeError):
            raw = json.loads(path.read_text())
            self.kept = Kept(enabled=raw.get("enabled") is True, paused=str(raw.get("paused", "")))

    def keep(self, **changes: Any) -> None:
        """Remember, durably."""
        self.kept = replace(self.kept, **changes)
        new = self._path.with_suffix(".new")
        with new.open("w") as file:
            json.dump(asdict(self.kept), file)
            file.flush()
            os.fsync(file.fileno())
        new.replace(self._path)


class Kiosk:
    """Stands between the update service and the person. All of it runs in one event loop."""

    def __init__(self, memory: Memory, board: Board) -> None:
        self._memory, self._board = memory, board
        self._updates: Updates | None = None
        self._properties: dict[str, Any] = {}
        self._changes: dict[str, Any] = {}
        """What changed since all properties were asked for the last time."""
        self._present = False
        self._hold: tuple[int, tuple[str, ...], str] | None = None
        self._let_go = ""
        """The point that the person said yes to, until the update is through it."""
        self._later = ""
        """The question that the person does not want to answer now."""
        self._problem = self._noted = ""
        self._turn, self._wanted = asyncio.Lock(), asyncio.Event()
        self._retry: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    # --- the service comes, changes, goes

    async def stay(self, address: str | None) -> None:
        """Be on the bus, again and again."""
        self._show()
        while True:
            try:
                self._updates = await Updates.connect(address, self._changed, self._owner)
                self._wanted.set()
                meeting = asyncio.ensure_future(self._keep_meeting())
                await self._updates.closed()
                meeting.cancel()
            except RefusedError as e:
                self._note(e)
            self._gone()
            await asyncio.sleep(AGAIN)

    async def _keep_meeting(self) -> None:
        """Meet the service whenever it comes, and again after what went wrong."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            with self._trying_again():
                await self._meet()

    async def _meet(self) -> None:
        """Hold everything, and only then look what there is."""
        assert self._updates is not None
        async with self._turn:
            self._release()
            self._let_go = self._later = ""
            self._changes = {}
            try:
                await self._hold_points()
                self._forget_retry()
            finally:  # who may hold nothing may still read
                # A change that was sent before the answer is in it, and is the newest of its name up to there: so it is
                # right to apply all of them. One sent after it may be handled first, and would be lost otherwise.
                self._properties = {**await self._updates.properties(), **self._changes}
                self._present, self._noted = True, ""
                self._show()
        await self._settle()

    @contextmanager
    def _trying_again(self) -> Iterator[None]:
        try:
            yield
        except RefusedError as e:
            self._note(e)
            self._forget_retry()
            self._retry = asyncio.get_running_loop().call_later(AGAIN, self._wanted.set)

    def _note(self, error: RefusedError) -> None:
        """Have it in the log once, and not with every try."""
        if str(error) != self._noted:
            self._noted = str(error)
            log.info("%s", error)

    def _forget_retry(self) -> None:
        """Not meet again what was met: that would take back a yes of the person in the meantime."""
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None

    def _owner(self, there: bool) -> None:
        if there:
            self._wanted.set()
        else:
            self._gone()

    def _gone(self) -> None:
        self._forget_retry()
        self._present = False
        self._release()
        self._show()

    def _changed(self, changes: Mapping[str, Any]) -> None:
        self._changes.update(changes)
        if not self._present:
            return
        self._properties.update(changes)
        self._show()
        self._spawn(self._settle())

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(self._tolerant(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _tolerant(self, work: Coroutine[Any, Any, None]) -> None:
        with self._trying_again():
            await work

    # --- holding

    async def _settle(self) -> None:
        """Hold what has to be held now."""
        async with self._turn:
            if not self._present:
                return
            if self._let_go and self._properties.get("State") not in PASSING[self._let_go]:
                self._let_go = ""
            await self._hold_points()
        self._show()

    async def _hold_points(self) -> None:
        """Hold every point but the one that was let go. The new hold is there before the old one is given up."""
        assert self._updates is not None
        points = tuple(point for point in POINTS if point != self._let_go)
        why = ON if self._memory.kept.enabled else OFF
        if self._hold is not None and self._hold[1:] == (points, why):
            return
        try:
            descriptor = await self._updates.inhibit(points, WHO, why)
        except RefusedError as e:
            self._problem = str(e)
            self._show()
            raise
        self._problem = ""
        self._release()
        self._hold = (descriptor, points, why)
        # It hangs up if the service gave the hold up by itself.
        asyncio.get_running_loop().add_reader(descriptor, self._hung_up, descriptor)

    def _hung_up(self, descriptor: int) -> None:
        if self._hold is not None and self._hold[0] == descriptor:
            self._release()
            if self._present:
                self._spawn(self._settle())

    def _release(self) -> None:
        if self._hold is not None:
            descriptor, self._hold = self._hold[0], None
            asyncio.get_running_loop().remove_reader(descriptor)
            os.close(descriptor)

    # --- what the person says

    async def enable(self, enabled: bool) -> None:
        """Ask about updates from now on, or leave them where they are."""
        self._memory.keep(enabled=enabled)
        self._later = ""
        self._show()
        await self._settle()

    async def answer(self, word: str, point: str, update: str) -> None:
        """Do what the person said to the question that they saw.

        Raises:
            RefusedError: it is not the question any more, or the service says no.
        """
        if not self._present or self._question() != point or self._properties.get("UpdateId") != update:
            raise RefusedError("This was answered already, or has changed in the meantime.")
        assert self._updates is not None
        if word == "later":
            self._later = f"{update} {point}"
        elif word == "back" and point == "commit":
            await self._updates.call("Rollback")
        elif word == "yes":
            await self._let_pass(point, update)
        else:
            raise RefusedError("There is no such answer.")
        self._show()

    async def _let_pass(self, point: str, update: str) -> None:
        assert self._updates is not None
        if point == "reboot":
            # The reboot ends every hold, and the service may be back before this program is. What it is asked to
            # remember is there from the first moment on.
            await self._updates.call("Pause", "ass", ["commit"], update)
            self._memory.keep(paused=update)
        if point == "commit" and self._memory.kept.paused == update:
            # Takes back that pause; the hold still stands, and is let go of last.
            await self._updates.call("Commit")
        self._let_go, self._later = point, ""
        await self._settle()

    async def check(self) -> None:
        """Look for an update now."""
        if self._updates is None or not self._present:
            raise RefusedError("The update service is not there.")
        await self._updates.call("Check")

    async def history(self) -> Sequence[Mapping[str, str]]:
        """Return the updates that ended, the latest first."""
        if self._updates is None or not self._present:
            raise RefusedError("The update service is not there.")
        reply = await self._updates.call("GetHistory")
        return [
            {
                **{key: one.get(key, "") for key in ("artifact", "result", "error", "ended")},
                # An address may have a password in it; its last part names what could not even be read.
                "file": urlsplit(one.get("where", "")).path.rpartition("/")[2],
            }
            for one in reply.body[0]
        ]

    # --- what the person sees

    def _question(self) -> str:
        """Return the point that the person is asked about; empty if there is nothing to ask."""
        held = str(self._properties.get("HeldAt", ""))
        waits = self._present and held in POINTS and held != self._let_go
        return held if waits and self._memory.kept.enabled and self._hold is not None else ""

    def _others(self) -> list[str]:
        """Return who else holds the update where it waits."""
        update, found = self._properties.get("UpdateId"), []
        for words in self._properties.get("HeldBy", []):
            asked_by_us = words.startswith(f"{own_user()}:") and self._memory.kept.paused == update
            if not words.startswith(f"{WHO}:") and not asked_by_us:
                found.append(words)
        return found

    def _show(self) -> None:
        """Publish everything that the page needs."""
        given, question = self._properties, self._question()
        later = bool(question) and self._later == f"{given.get('UpdateId')} {question}"
        self._board.publish(
            {
                "present": self._present,
                "enabled": self._memory.kept.enabled,
                "problem": self._problem,
                "state": given.get("State", "idle"),
                "substate": given.get("Substate", ""),
                "update": given.get("UpdateId", ""),
                "artifact": given.get("Artifact", ""),
                "current": given.get("CurrentArtifact", ""),
                "held_at": given.get("HeldAt", ""),
                "others": self._others(),
                "question": question,
                "later": later,
                "progress": given.get("Progress", {}),
                "slots": given.get("Slots", []),
                "last_result": given.get("LastResult", ""),
                "last_error": given.get("LastError", ""),
                "can_check": bool(given.get("NextCheck", 0)) and given.get("State") == "idle",
            }
        )


async def serve(options: argparse.Namespace) -> None:
    """Run until told to end."""
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    board = Board()
    kiosk = Kiosk(Memory(options.state), board)
    site = Site(options.port, board, kiosk, loop)
    site.start()
    sys.stdout.write(f"{site.address}\n")
    sys.stdout.flush()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    staying = loop.create_task(kiosk.stay(options.bus))
    await ended.wait()
    staying.cancel()
    site.stop()


def main() -> None:
    """Run the command line of this process."""
    parser = argparse.ArgumentParser(description="Show updates on a screen, and ask before they go on.")
    parser.add_argument("--port", type=int, default=8600, help="port on 127.0.0.1; 0 takes a free one")
    parser.add_argument("--bus", metavar="ADDRESS", help="the D-Bus to be on; the system bus by default")
    parser.add_argument(
        "--state", type=Path, metavar="FILE", default=Path("/var/lib/kiosk/updates.json"), help="what is remembered"
    )
    options = parser.parse_args()
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(levelname)s %(message)s")
    asyncio.run(serve(options))


if __name__ == "__main__":
    main()
