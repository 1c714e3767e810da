"""What is asked about the system's health: executables in a directory, and systemd about its units."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from bistable.client.errors import ProgramError
from bistable.client.health.checks import Answer, Check, UnhealthyError, Verdict, all_good
from bistable.client.run import run

ASK_LATER: Final = 21
"""The exit status by which a check says that it cannot tell yet; the one of state scripts."""

PROGRAM_LIMIT: Final = 60.0
"""Seconds that one run of a check may take: one that hangs must not use up the deadline of all."""

LEAST_TIME: Final = 5.0
"""Seconds that a run gets in any case: with less a check that starts at the last moment could only fail."""

SYSTEMCTL: Final = "systemctl"

_NAME: Final = re.compile(r"[A-Za-z0-9_-]+")
"""As for run-parts(8): editors' and packages' leftovers (`x~`, `x.dpkg-old`) are no checks."""

SHOWN_LINES: Final = 5
_EXECUTABLE: Final = 0o111


class HealthChecks:
    """All that has to be true of an updated system; `check` asks it."""

    def __init__(
        self,
        directory: Path,
        units: Sequence[str],
        *,
        no_failed_units: bool,
        deadline: float,
        clock: Callable[[], float],
        sleep: Callable[[float], None],
        on_used: Callable[[float], None] = lambda _: None,
        systemctl: str = SYSTEMCTL,
    ) -> None:
        self._directory, self._units, self._no_failed_units = directory, tuple(units), no_failed_units
        self._deadline, self._clock, self._sleep, self._on_used = deadline, clock, sleep, on_used
        self._systemctl = systemctl

    def check(self, used: float) -> float:
        """Ask the programs in their order, then about units; return the seconds used of the deadline, `used` included.

        Raises:
            UnhealthyError: one is bad, or not good when the deadline is over.
        """
        return all_good(
            self._checks(),
            deadline=self._deadline,
            used=used,
            clock=self._clock,
            sleep=self._sleep,
            on_used=self._on_used,
        )

    def _checks(self) -> list[Check]:
        checks = _programs_in(self._directory)
        checks += [Check(name=f"the unit {unit}", ask=self._asks_for(unit)) for unit in self._units]
        if self._no_failed_units:
            # Last, so that it also sees what failed while the others were asked.
            checks.append(Check(name="the list of failed units", ask=self._ask_for_failed))
        return checks

    def _asks_for(self, unit: str) -> Callable[[float], Answer]:
        def ask(limit: float) -> Answer:
            command = [self._systemctl, "show", "--property=LoadState,ActiveState,SubState,Result", "--", unit]
            return unit_answer(_run(command, limit))

        return ask

    def _ask_for_failed(self, limit: float) -> Answer:
        command = [self._systemctl, "list-units", "--state=failed", "--no-legend", "--plain", "--no-pager", "--full"]
        return failed_answer(_run(command, limit))


def unit_answer(said: str | Answer) -> Answer:
    """Return whether `systemctl show` describes a unit that is active."""
    if isinstance(said, Answer):
        return said
    facts = dict(line.split("=", 1) for line in said.splitlines() if "=" in line)
    load, state = facts.get("LoadState", ""), facts.get("ActiveState", "")
    reasons = f"{load}, {state} ({facts.get('SubState', '')}), result: {facts.get('Result', '')}"
    if state == "active":
        return Answer(verdict=Verdict.GOOD)
    # A unit that is only inactive may be started later in the boot; one that has failed or is not there stays that way.
    final = state == "failed" or load in {"not-found", "bad-setting", "error", "masked"}
    return Answer(verdict=Verdict.BAD if final else Verdict.LATER, reasons=reasons)


def failed_answer(said: str | Answer) -> Answer:
    """Return whether `systemctl list-units --state=failed` lists nothing."""
    if isinstance(said, Answer):
        return said
    return Answer(verdict=Verdict.BAD if said.strip() else Verdict.GOOD, reasons=said.strip())


def _run(command: Sequence[str], limit: float) -> str | Answer:
    """Return what systemctl printed, or the answer that it gave none."""
    try:
        return run(command, timeout=_allowed(limit)).text
    except ProgramError as e:
        # Early in a boot systemd may not be ready for questions.
        return Answer(verdict=Verdict.LATER, reasons="\n".join(filter(None, (e.what, e.hint))))


def _programs_in(directory: Path) -> list[Check]:
    try:
        paths = sorted(path for path in directory.iterdir() if _NAME.fullmatch(path.name))
    except FileNotFoundError:
        return []
    except OSError as e:
        raise UnhealthyError(f"cannot read the directory of health checks {directory}: {e.strerror}") from e
    return [Check(name=str(path), ask=_asks_program(path)) for path in paths]


def _asks_program(path: Path) -> Callable[[float], Answer]:
    def ask(limit: float) -> Answer:
        try:
            # A check that was forgotten to be made executable must not pass for a good one.
            if not path.is_file() or not path.stat().st_mode & _EXECUTABLE:
                return Answer(verdict=Verdict.BAD, reasons=f"it is not executable: chmod +x {path}")
            run([path], timeout=_allowed(limit))
        except OSError as e:
            return Answer(verdict=Verdict.BAD, reasons=str(e.strerror))
        except ProgramError as e:
            # What a check has to say it may as well say on stdout.
            said = "\n".join(e.stdout.decode("utf-8", "replace").splitlines()[-SHOWN_LINES:])
            if e.exit_status == ASK_LATER:
                return Answer(verdict=Verdict.LATER, reasons="\n".join(filter(None, (said, e.hint))))
            return Answer(verdict=Verdict.BAD, reasons="\n".join(filter(None, (e.what, said, e.hint))))
        return Answer(verdict=Verdict.GOOD)

    return ask


def _allowed(limit: float) -> float:
    return max(LEAST_TIME, min(limit, PROGRAM_LIMIT))
