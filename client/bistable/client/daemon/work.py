"""How the service works: threads for what blocks, tasks for what waits, and one timer for what comes next."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from bistable.client.daemon.brake import StoppingError

log = logging.getLogger(__name__)

T = TypeVar("T")


class Work:
    """All that is at work, and its end. Calls are made in the event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="leader")
        # A paused update asks a server that may take minutes to fail, and must hear everybody else in the meantime.
        self._aside = ThreadPoolExecutor(1, thread_name_prefix="aside")
        self._timer: asyncio.TimerHandle | None = None
        self._closing = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._jobs: set[asyncio.Future[Any]] = set()

    async def run(self, work: Callable[[], T]) -> T:
        """Have the worker thread do something, after all it has been given before."""
        return await self._run(self._worker, work)

    async def run_aside(self, work: Callable[[], T]) -> T:
        """Have a second thread do something, which the worker thread need not wait for."""
        return await self._run(self._aside, work)

    async def _run(self, thread: ThreadPoolExecutor, work: Callable[[], T]) -> T:
        if self._closing:
            raise asyncio.CancelledError
        job = self._loop.run_in_executor(thread, work)
        self._jobs.add(job)
        job.add_done_callback(self._jobs.discard)
        try:
            return await job
        except StoppingError as e:
            raise asyncio.CancelledError from e

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something that nobody waits for."""
        task = self._loop.create_task(_quietly(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def plan(self, seconds: float, then: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Do something later, in place of what was planned before."""
        self.plan_nothing()
        if not self._closing:
            self._timer = self._loop.call_later(seconds, lambda: self.spawn(then()))

    def plan_nothing(self) -> None:
        """Do nothing later."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def close(self, patience: float) -> bool:
        """Begin nothing more, and return whether what is at work ended within so many seconds."""
        self._closing = True
        self.plan_nothing()
        for thread in (self._worker, self._aside):
            thread.shutdown(wait=False, cancel_futures=True)
        at_work = [*self._tasks, *self._jobs]
        if not at_work:
            return True
        _, late = await asyncio.wait(at_work, timeout=patience)
        return not late


async def _quietly(work: Coroutine[Any, Any, None]) -> None:
    """Have a fault of the program in the log, and the service go on."""
    try:
        await work
    except asyncio.CancelledError:
        raise
    except Exception:
        log.exception("internal error; please report it")
