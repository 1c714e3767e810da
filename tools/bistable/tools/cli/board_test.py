"""`bistable board test`: the conformance suite on a board, in QEMU or on the bench."""

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from bistable.artifact.cli.framework import Example, command, option
from bistable.artifact.cli.options import FILE, OUTPUT, bundle, output_options
from bistable.artifact.cli.render import Console, View, clean, rows, styled
from bistable.artifact.errors import MachineError, RequestError

if TYPE_CHECKING:
    from bistable.tools.bringup.report import Report
    from bistable.tools.bringup.suite import CaseResult
    from bistable.tools.bringup.suite.session import Emulated, Labgrid, Outcome, Serial

FAILED: Final = 1
"""Exit code if a case failed, or could not run."""

LEADER: Final = "Who leads the board"
UPDATES: Final = "Updates"

_COLOURS: Final = {"passed": "green", "failed": "red", "skipped": "cyan", "blocked": "yellow"}
_NAME_WIDTH: Final = 23


@dataclass(frozen=True, slots=True, kw_only=True)
class _Led:
    """Who leads the board, as the options say; none of them: QEMU."""

    labgrid: Path | None
    serial: str | None
    power_on: str | None
    power_off: str | None
    password_file: Path | None
    host: str | None
    listen: str | None

    def leader(self) -> "Emulated | Labgrid | Serial":
        """Return who leads it."""
        from bistable.tools.bench.switches import CommandSwitch, PersonSwitch
        from bistable.tools.bringup.suite.session import Emulated, Labgrid, Serial

        if self.labgrid is not None and self.serial is not None:
            raise RequestError("cannot test one board in two ways", hint="use --labgrid, or --serial")
        if (self.power_on is None) != (self.power_off is None) or (self.power_on and self.serial is None):
            raise RequestError("cannot switch the power: --serial, --power-on and --power-off belong together")
        if self.labgrid is not None:
            return Labgrid(environment=self.labgrid)
        if self.serial is None:
            return Emulated()
        if self.power_on is None or self.power_off is None:
            return Serial(port=self.serial, switch=PersonSwitch(_ask), by_hand=True)
        return Serial(port=self.serial, switch=CommandSwitch(self.power_on, self.power_off), by_hand=False)

    def password(self) -> str | None:
        """Return the password of who logs in; None: there is none."""
        if self.password_file is None:
            return None
        try:
            return self.password_file.read_text("utf-8").partition("\n")[0]
        except OSError as e:
            raise RequestError(f"cannot read the password in {self.password_file}: {e.strerror}") from e


@dataclass(frozen=True, slots=True, kw_only=True)
class _Made:
    """What updates are made of, and how many."""

    image: Path | None
    artifact: Path | None
    key: Path | None
    updates: int
    cuts: int


_LED: Final = [
    option(
        "--labgrid",
        type=FILE,
        metavar="FILE",
        section=LEADER,
        help="labgrid, by this environment file: its target 'main' has a console and a power switch.",
    ),
    option(
        "--serial",
        metavar="PORT",
        section=LEADER,
        help="A serial port, such as /dev/ttyUSB0 or socket://lab:4001. Without commands, a person switches the power.",
    ),
    option("--power-on", metavar="COMMAND", section=LEADER, help="Switches the power on. No shell runs it."),
    option("--power-off", metavar="COMMAND", section=LEADER, help="Takes the power away, at once."),
    option(
        "--password-file",
        type=FILE,
        metavar="FILE",
        section=LEADER,
        help="The password of who logs in on the console, if it asks for one; the user is that of board.toml.",
    ),
    option(
        "--host",
        metavar="ADDRESS",
        section=LEADER,
        help="What the board calls this computer, from which it fetches its updates. In QEMU that is known.",
    ),
    option(
        "--listen",
        metavar="ADDRESS",
        section=LEADER,
        help="Where this computer listens for it: by default everywhere, in QEMU on its loopback.",
    ),
]

_MADE: Final = [
    option(
        "--image",
        type=FILE,
        metavar="DISK",
        section=UPDATES,
        help="The disk image, or a compressed one (.zst). QEMU boots a copy of it; a board has it already. Updates are "
        "made of what is in slot a.",
    ),
    option(
        "--artifact",
        type=FILE,
        metavar="FILE",
        section=UPDATES,
        help="Make updates of the root file system in this artifact, and not of the image.",
    ),
    option(
        "--key",
        type=FILE,
        metavar="FILE",
        section=UPDATES,
        help="The private key that they are signed with, if the device wants signatures.",
    ),
    option(
        "--updates",
        type=click.IntRange(min=1, max=1000),
        default=3,
        show_default=True,
        metavar="N",
        section=UPDATES,
        help="How many updates many-updates makes.",
    ),
    option(
        "--cuts",
        type=click.IntRange(min=1, max=1000),
        default=6,
        show_default=True,
        metavar="N",
        section=UPDATES,
        help="How often power-cuts cuts the power.",
    ),
]


@command(
    "test",
    examples=[
        Example(
            "Test a board in QEMU", "bistable board test qemuarm64 --image disk.img --key release.key --report out"
        ),
        Example("Two of the cases", "bistable board test qemuarm64 --image disk.img --case first-boot --case canary"),
        Example(
            "A board that labgrid leads",
            "bistable board test ./acorn-2 --image disk.img --labgrid lab.yaml --host 192.0.2.10 --report out",
        ),
        Example(
            "A board on the desk: it is said when the plug has to be pulled",
            "bistable board test ./acorn-2 --image disk.img --serial /dev/ttyUSB0 --host 192.0.2.10 --report out",
        ),
        Example("See what would be tested", "bistable board test qemuarm64 --list"),
    ],
)
@option("--case", "cases", multiple=True, metavar="NAME", help="Only this one. May be given several times.")
@option("--list", "only_list", is_flag=True, help="Show the cases, and test nothing.")
@bundle("led", _Led, _LED)
@bundle("made", _Made, _MADE)
@option(
    "--report",
    "report_dir",
    type=FILE,
    metavar="DIR",
    section=OUTPUT,
    help="Write report.html, report.json and console.log into this directory, which is made if it is not there.",
)
@option(
    "--work",
    type=FILE,
    metavar="DIR",
    section=OUTPUT,
    help="Keep here what is made on the way: disk, slot, artifacts. By default it is made elsewhere, and deleted.",
)
@output_options
@click.argument("board")
@click.pass_context
def test(
    ctx: click.Context,
    board: str,
    cases: Sequence[str],
    only_list: bool,
    led: _Led,
    made: _Made,
    report_dir: Path | None,
    work: Path | None,
    console: Console,
) -> None:
    """Show on a board that it updates safely: the conformance suite.

    BOARD is one that comes with Bistable, a folder with a board.toml, or that file. It is booted, updated, broken, hung
    and switched off, many times; nothing is flashed in between. Without options it is a machine in QEMU, as its [qemu]
    says. The exit code is 1 if a case failed or could not run. What each case does: docs/reference/conformance.md.
    """
    from bistable.tools.board.catalogue import find_board

    found = find_board(board)
    _check_names(cases)
    if only_list:
        console.result(_list_view(cases))
        return
    from bistable.tools.bringup.report import write_report

    with _work_folder(work) as folder:
        report, outcome = _run(found, cases, led, made, folder)
        if report_dir is not None:
            write_report(report, report_dir)
            _keep_console(outcome, report_dir)
    console.result(_view(report, report_dir))
    if outcome.result.stopped_by is not None:
        raise outcome.result.stopped_by
    if not outcome.result.is_good:
        ctx.exit(FAILED)


def _run(board: Any, cases: Sequence[str], led: _Led, made: _Made, folder: Path) -> "tuple[Report, Outcome]":
    from importlib.metadata import version

    from bistable.tools.bringup.report import Report
    from bistable.tools.bringup.suite import Wishes
    from bistable.tools.bringup.suite.session import Session, run_session

    date = _date()
    session = Session(
        board=board,
        leader=led.leader(),
        image=made.image,
        artifact=made.artifact,
        key=made.key,
        host=led.host,
        listen=led.listen,
        password=led.password(),
        work=folder,
        date=date,
        # Of now, whatever the date: what an earlier run has left in a slot must not be taken for what was installed.
        wishes=Wishes(updates=made.updates, cuts=made.cuts, stamp=f"{datetime.now(UTC):%Y%m%d%H%M%S}"),
        cases=cases,
    )
    outcome = run_session(session, on_case=_show_case)
    report = Report(
        board=board,
        place=outcome.place,
        source=outcome.source,
        wishes=session.wishes,
        date=date,
        version=version("bistable"),
        program=outcome.program,
        result=outcome.result,
    )
    return report, outcome


def _check_names(names: Sequence[str]) -> None:
    from bistable.artifact.spec.text import suggestion
    from bistable.tools.bringup.suite import CASES

    for name in names:
        if name not in CASES:
            raise RequestError(f"cannot run the case {name}: there is none", hint=suggestion(name, list(CASES)))


def _date() -> datetime:
    """Return the time of this run: SOURCE_DATE_EPOCH, or now."""
    from bistable.tools.cli.imageoutput import epoch

    given = epoch()
    return datetime.now(UTC) if given is None else datetime.fromtimestamp(given, UTC)


@contextmanager
def _work_folder(given: Path | None) -> Iterator[Path]:
    if given is None:
        with tempfile.TemporaryDirectory(prefix="bistable-test-") as folder:
            yield Path(folder)
        return
    try:
        given.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise RequestError(f"cannot work in {given}: {e.strerror}") from e
    yield given


def _keep_console(outcome: "Outcome", report_dir: Path) -> None:
    if outcome.console.exists():
        try:
            shutil.copyfile(outcome.console, report_dir / outcome.console.name)
        except OSError as e:
            raise MachineError(f"cannot copy the console's log to {report_dir}: {e.strerror}") from e


def _ask(words: str) -> None:
    """Have a person do something, and wait until it is done."""
    click.echo(f"\n{styled('>>>', fg='yellow', bold=True)} {words}", err=True)
    click.prompt("    Then press Enter", default="", show_default=False, prompt_suffix=" ", err=True)


def _show_case(result: "CaseResult") -> None:
    from bistable.tools.bringup.report.timeline import duration

    verdict = styled(f"{result.verdict.value:8}", fg=_COLOURS[result.verdict.value])
    seconds = "" if result.verdict.value == "skipped" else duration(result.seconds)
    line = f"{result.name:{_NAME_WIDTH}} {verdict} {seconds:>8}"
    click.echo(f"{line}  {clean(result.reason)}" if result.reason else line.rstrip(), err=True)


# --- for people and for programs


def _list_view(names: Sequence[str]) -> View:
    from bistable.tools.bringup.suite.session import chosen_cases

    cases = chosen_cases(names)
    return View(
        schema="board.test-cases/1",
        document={"cases": [{"name": case.name, "proves": case.proves} for case in cases]},
        lines=rows([(case.name, case.proves) for case in cases]),
    )


def _view(report: "Report", report_dir: Path | None) -> View:
    from bistable.tools.bringup.report import HTML_NAME, report_document
    from bistable.tools.bringup.report.timeline import duration

    result = report.result
    counts = ", ".join(f"{count} {verdict.value}" for verdict, count in result.counts.items() if count)
    lines = [f"{clean(report.board.name)}: {counts}, in {duration(result.seconds)}"]
    for case in result.cases:
        if case.trouble is None:
            continue
        trouble = case.trouble
        pairs: list[tuple[str, str | list[str]]] = [
            ("looked at", clean(trouble.what)),
            ("expected", clean(trouble.expected or "")),
            ("seen", [clean(line) for line in (trouble.seen or "").splitlines()]),
            ("hint", [clean(line) for line in (trouble.hint or "").splitlines()]),
        ]
        lines += ["", f"{case.name}: {case.verdict.value}", *rows(pairs, indent="  ")]
    if report_dir is not None:
        lines += ["", f"report: {clean(str(report_dir / HTML_NAME))}"]
    return View(schema="board.test/1", document=report_document(report), lines=lines)
