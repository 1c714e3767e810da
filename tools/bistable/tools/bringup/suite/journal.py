"""What happens while the suite runs, with the time: steps, events, remarks."""

import time
from collections.abc import Callable

from bistable.tools.bringup.suite.result import Event, EventKind, Step


class Journal:
    """Notes of one run. `now` is the clock of the console's times, in seconds."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self.began = now()
        """On that clock."""
        self.events: list[Event] = []
        self.steps: list[Step] = []
        """Of the case that runs."""
        self.remarks: list[str] = []
        """Of the case that runs."""

    def at(self) -> float:
        """Return the seconds since it began."""
        return self._now() - self.began

    def step(self, what: str) -> None:
        """Take down what is done next."""
        self.steps.append(Step(at=self.at(), what=what))

    def event(self, kind: EventKind, what: str = "") -> None:
        """Take down what happens."""
        self.events.append(Event(at=self.at(), kind=kind, what=what))

    def remark(self, what: str) -> None:
        """Take down what a reader of the report should know, once."""
        if what not in self.remarks:
            self.remarks.append(what)

    def new_case(self) -> None:
        """Begin with empty steps and remarks."""
        self.steps, self.remarks = [], []
