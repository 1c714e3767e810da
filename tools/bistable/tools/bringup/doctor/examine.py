"""Look at a device, and compare what is found with its board."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from bistable.artifact.errors import MachineError
from bistable.tools.bench.shell import Answer
from bistable.tools.board.check import Level
from bistable.tools.board.model import Board
from bistable.tools.bringup.doctor.bootfiles import boot_mount, check_boot_files
from bistable.tools.bringup.doctor.client import check_client
from bistable.tools.bringup.doctor.environment import check_environment
from bistable.tools.bringup.doctor.expected import Expected, expected_of
from bistable.tools.bringup.doctor.facts import Facts, parse_facts
from bistable.tools.bringup.doctor.finding import START, Finding, error
from bistable.tools.bringup.doctor.hardware import check_watchdog
from bistable.tools.bringup.doctor.script import Section, first_look, second_look, sections
from bistable.tools.bringup.doctor.settings import check_mounts, check_settings
from bistable.tools.bringup.doctor.starting import check_starting
from bistable.tools.bringup.doctor.storage import check_storage

SECONDS: Final = 180.0
"""For a look: the client's own takes longest, half a minute on an emulated machine."""

_ANY: Final = tuple(range(256))

CHECKS: Final[tuple[Callable[[Expected, Facts], Iterator[Finding]], ...]] = (
    check_storage,
    check_starting,
    check_environment,
    check_settings,
    check_mounts,
    check_watchdog,
    check_client,
)


class Commands(Protocol):
    """A root shell on a device, however it is reached."""

    def run(self, command: str, *, seconds: float, allowed: tuple[int, ...]) -> Answer:
        """Run a command, and return what it wrote."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """What a device says it is, and what was found, errors first."""

    model: str
    kernel: str
    findings: tuple[Finding, ...]


def examine(board: Board, commands: Commands) -> Diagnosis:
    """Look at a device, twice at most, and compare it with its board.

    Raises:
        RequestError: what the board says cannot be.
        MachineError, MisbehavedError: the device does not answer.
    """
    expected = expected_of(board)
    kept = [path for path in (expected.device_type_file,) if path is not None]
    answer = commands.run(first_look(expected.variables, expected.files, kept), seconds=SECONDS, allowed=_ANY)
    facts = parse_facts(answer.output, kept=kept)
    if facts.command_line is None:
        raise MachineError("cannot examine the device: its shell did not understand the commands, or there is no /proc")
    files: Mapping[str, Section] = {}
    if (folder := boot_mount(expected, facts)) is not None:
        look = second_look(folder, expected.boot_files)
        files = sections(commands.run(look, seconds=SECONDS, allowed=_ANY).output)
    return Diagnosis(model=facts.model, kernel=facts.kernel, findings=diagnose(expected, facts, files))


def diagnose(expected: Expected, facts: Facts, boot_files: Mapping[str, Section]) -> tuple[Finding, ...]:
    """Return all that is not as it should be, errors first."""
    found: list[Finding] = []
    if facts.user not in {0, None}:
        found.append(_not_root(facts))
    for check in CHECKS:
        found += check(expected, facts)
    found += check_boot_files(expected, boot_files)
    return tuple(sorted(found, key=lambda finding: finding.level is not Level.ERROR))


def _not_root(facts: Facts) -> Finding:
    return error(
        START,
        "the commands do not run as root: much cannot be seen, and what follows may be wrong",
        "log in as root, with --user or in the destination of ssh",
        found=f"user {facts.user}",
        expected="user 0",
    )
