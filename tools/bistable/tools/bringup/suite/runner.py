"""Runs cases one after the other, and makes a verdict of how each ends."""

import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Final

from bistable.artifact.errors import BistableError
from bistable.tools.bench.errors import SHOWN_LINES, CommandError, MisbehavedError
from bistable.tools.bringup.suite.cases.case import Case
from bistable.tools.bringup.suite.errors import NotHereError, UnexpectedError
from bistable.tools.bringup.suite.flows import MOST_TRIES
from bistable.tools.bringup.suite.result import CaseResult, SuiteResult, Trouble, Verdict
from bistable.tools.bringup.suite.start import bring_to_start, settle
from bistable.tools.bringup.suite.subject import ANY, Subject
from bistable.tools.bringup.suite.trace import Line, lines_of, merged, phases_of, seen_in, telling

OnBegin = Callable[[Case], object]
OnCase = Callable[[CaseResult], object]

_VERSION: Final = re.compile(r"bistablectl (\S+)")
_SEEN_LINES: Final = 12
_TOLD_LINES: Final = 80


def run_suite(
    subject: Subject,
    cases: Iterable[Case],
    *,
    on_begin: OnBegin = lambda _case: None,
    on_case: OnCase = lambda _result: None,
) -> SuiteResult:
    """Run the cases in their order on the device, which is off, and return how each ended.

    An error of the test itself, or of this computer, ends the run: it is `stopped_by`, and what is left is blocked.
    """
    run = _Run(subject)
    results: list[CaseResult] = []
    for case in cases:
        on_begin(case)
        results.append(run.case(case))
        on_case(results[-1])
    heard = list(lines_of(subject.device.console.heard, subject.journal.began))
    events, seconds = merged(subject.journal.events, seen_in(heard)), subject.journal.at()
    return SuiteResult(
        cases=tuple(results),
        seconds=seconds,
        events=tuple(events),
        phases=tuple(phases_of(events, seconds)),
        client_version=run.version,
        stopped_by=run.stopped_by,
    )


class _Run:
    """One run of the suite."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self.version: str | None = None
        self.stopped_by: BistableError | None = None
        self._before: Verdict | None = None
        """How the last case ended that was not skipped; None: the device was not switched on yet."""

    def case(self, case: Case) -> CaseResult:
        """Run one case."""
        subject = self._subject
        subject.journal.new_case()
        start = subject.journal.at()
        verdict, reason, trouble = self._verdict(case)
        if verdict is not Verdict.SKIPPED:
            self._before = verdict
        subject.offers.go_on()
        subject.offers.clear()
        end = subject.journal.at()
        return CaseResult(
            name=case.name,
            proves=case.proves,
            verdict=verdict,
            start=start,
            seconds=end - start,
            reason=reason,
            remarks=tuple(subject.journal.remarks),
            steps=tuple(subject.journal.steps),
            trouble=trouble,
            console=self._console(verdict, start, end),
        )

    def _verdict(self, case: Case) -> tuple[Verdict, str | None, Trouble | None]:
        if self.stopped_by is not None:
            return Verdict.BLOCKED, f"the suite did not go on: {self.stopped_by.what}", None
        try:
            why = case.why_not(self._subject)
            if why is not None:
                return Verdict.SKIPPED, why, None
            return self._tried(case)
        except NotHereError as e:
            return Verdict.SKIPPED, e.what, None
        except (MisbehavedError, UnexpectedError) as e:
            return Verdict.FAILED, None, trouble_of(e)
        except BistableError as e:
            self.stopped_by = e
            return Verdict.BLOCKED, f"the suite stopped here: {e.what}", None

    def _tried(self, case: Case) -> tuple[Verdict, str | None, Trouble | None]:
        try:
            self._start()
        except (MisbehavedError, UnexpectedError) as e:
            if case.start_counts:
                raise
            return Verdict.BLOCKED, "the device cannot be brought to a known state", trouble_of(e)
        case.run(self._subject)
        return Verdict.PASSED, None, None

    def _start(self) -> None:
        subject = self._subject
        match self._before:
            case None:
                subject.journal.step("switch it on")
                subject.boot()
                with suppress(MisbehavedError):
                    found = _VERSION.fullmatch(subject.device.run("bistablectl --version", allowed=ANY).output.strip())
                    self.version = None if found is None else found[1]
                settle(subject)
            case Verdict.PASSED:
                bring_to_start(subject, cuts=0)
            case Verdict.FAILED:
                # A new system that does not come up has to use its tries up.
                bring_to_start(subject, cuts=1 + (subject.tries or MOST_TRIES))
            case _:
                bring_to_start(subject, cuts=1)

    def _console(self, verdict: Verdict, start: float, end: float) -> tuple[str, ...]:
        console = self._subject.device.console
        if verdict in {Verdict.FAILED, Verdict.BLOCKED}:
            return tuple(line.rstrip() for line in console.text().splitlines()[-SHOWN_LINES:])
        lines: Sequence[Line] = list(lines_of(console.heard, self._subject.journal.began))
        return tuple(telling(lines, start, end))[:_TOLD_LINES]


def trouble_of(error: BistableError) -> Trouble:
    """Return why a case failed."""
    match error:
        case UnexpectedError():
            return Trouble(what=error.what, expected=error.expected, seen=error.seen, hint=error.hint)
        case CommandError():
            last = error.console.splitlines()[-_SEEN_LINES:]
            return Trouble(what=error.what, expected="it succeeds", seen="\n".join(last))
        case _:
            return Trouble(what=error.what)
