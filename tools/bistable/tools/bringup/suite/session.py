"""A whole run: from a board, an image and somebody who leads the device, to what came of the suite."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from bistable.artifact.errors import RequestError
from bistable.artifact.run import run
from bistable.tools.bench.device import LineDevice
from bistable.tools.bench.hands import Hands, Switch
from bistable.tools.bench.labgrid import LabgridHands
from bistable.tools.bench.serial import SerialHands
from bistable.tools.bench.serving import HOST
from bistable.tools.bench.shell import Login
from bistable.tools.board.model import Board
from bistable.tools.bringup.suite.cases import CASES
from bistable.tools.bringup.suite.cases.case import Case
from bistable.tools.bringup.suite.emulated import emulated
from bistable.tools.bringup.suite.journal import Journal
from bistable.tools.bringup.suite.offers import ArtifactOffers, StallingServer
from bistable.tools.bringup.suite.result import SuiteResult
from bistable.tools.bringup.suite.runner import OnBegin, OnCase, run_suite
from bistable.tools.bringup.suite.source import SourceFile, copied_disk, slot_of_artifact, slot_of_disk, source_file
from bistable.tools.bringup.suite.subject import Place, PlaceKind, Subject, Wishes
from bistable.tools.disk.outputs import COMPRESSED

CONSOLE_LOG: Final = "console.log"
_DISK: Final = "disk.img"
_LOOPBACK: Final = "127.0.0.1"
_EVERYWHERE: Final = "0.0.0.0"  # noqa: S104 -- a board is not on this computer's loopback
_QUICK: Final = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Emulated:
    """QEMU leads it, as the board's [qemu] says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Labgrid:
    """labgrid leads it, by an environment file."""

    environment: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Serial:
    """A serial port, and a switch, which may be a person (`by_hand`)."""

    port: str
    switch: Switch
    by_hand: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """What is to be run.

    Variants are made of slot a of the disk image `image`, or else of the root file system in `artifact`, and signed
    with the private key `key`. `host` is what the board calls this computer, `listen` where this computer listens for
    it. `work` is a folder for whatever is made. `date` is when it runs.
    """

    board: Board
    leader: Emulated | Labgrid | Serial
    image: Path | None
    artifact: Path | None
    key: Path | None
    host: str | None
    listen: str | None
    password: str | None
    work: Path
    date: datetime
    wishes: Wishes
    cases: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of it. `program` is the version of QEMU; `console` the log of the serial line."""

    place: Place
    source: SourceFile
    program: str | None
    result: SuiteResult
    console: Path


def chosen_cases(names: Sequence[str]) -> Sequence[Case]:
    """Return these cases in the order in which they run; all of them, if none is named."""
    return [case for case in CASES.values() if not names or case.name in names]


def run_session(
    session: Session, *, on_begin: OnBegin = lambda _case: None, on_case: OnCase = lambda _result: None
) -> Outcome:
    """Run the suite.

    Raises:
        RequestError: what is asked for does not fit together, or a file cannot be read.
        RejectedError, KeyUnusableError: the image, the artifact or the key cannot be used.
        MachineError: something is missing on this computer.
    """
    source = source_file(_base(session))
    with ExitStack() as stack:
        slot, disk = _files(session)
        hands = stack.enter_context(_closing(_hands(session, disk)))
        offers = stack.enter_context(_offers(session, slot))
        place = _place(session)
        subject = Subject(
            session.board,
            LineDevice(hands, Login(user=session.board.console.user, password=session.password)),
            offers,
            place,
            journal=Journal(),
            wishes=session.wishes,
        )
        result = run_suite(subject, chosen_cases(session.cases), on_begin=on_begin, on_case=on_case)
    return Outcome(
        place=place, source=source, program=_program(session), result=result, console=session.work / CONSOLE_LOG
    )


def _base(session: Session) -> Path:
    base = session.artifact or session.image
    if base is None:
        raise RequestError(
            f"cannot test {session.board.key}: there is nothing that updates could be made of",
            hint="--image DISK is the image that is on the board; or --artifact BASE.mender",
        )
    if isinstance(session.leader, Emulated) and session.image is None:
        raise RequestError(
            f"cannot test {session.board.key} in QEMU: there is no disk that it could boot", hint="--image DISK"
        )
    return base


def _files(session: Session) -> tuple[Path, Path | None]:
    """Return the root file system that variants are made of, and the disk for QEMU."""
    disk = None
    if session.image is not None and isinstance(session.leader, Emulated):
        disk = copied_disk(session.image, session.work / _DISK)
    if session.artifact is not None:
        return slot_of_artifact(session.artifact, session.work), disk
    assert session.image is not None
    if disk is not None:
        return _slot(session, disk, session.image), disk
    if session.image.suffix != COMPRESSED:
        return _slot(session, session.image, session.image), None
    unpacked = copied_disk(session.image, session.work / _DISK)
    slot = _slot(session, unpacked, session.image)
    unpacked.unlink()
    return slot, None


def _slot(session: Session, disk: Path, image: Path) -> Path:
    return slot_of_disk(disk, session.board, session.work, name=image.name)


def _hands(session: Session, disk: Path | None) -> Hands:
    log = session.work / CONSOLE_LOG
    match session.leader:
        case Emulated():
            assert disk is not None
            return emulated(session.board, disk, session.work)
        case Labgrid(environment=environment):
            return LabgridHands(environment, log)
        case Serial(port=port, switch=switch):
            return SerialHands(port, session.board.console.speed, switch, log)


def _offers(session: Session, slot: Path) -> ArtifactOffers:
    host, listen = session.host, session.listen
    if isinstance(session.leader, Emulated):
        host, listen = host or HOST, listen or _LOOPBACK
    if host is None:
        raise RequestError(
            f"cannot test {session.board.key}: it has to be told where it finds this computer",
            hint="--host ADDRESS, an address of this computer in the board's network",
        )
    return ArtifactOffers(
        slot,
        device_type=session.board.device_type,
        key=session.key,
        folder=session.work,
        server=StallingServer(host=host, listen=listen or _EVERYWHERE),
        epoch=int(session.date.timestamp()),
    )


def _place(session: Session) -> Place:
    match session.leader:
        case Emulated():
            qemu = session.board.qemu
            assert qemu is not None
            what = f"QEMU ({qemu.program} {' '.join(qemu.arguments)})"
            return Place(kind=PlaceKind.QEMU, what=what, is_new=True)
        case Labgrid(environment=environment):
            return Place(kind=PlaceKind.LABGRID, what=f"labgrid, by {environment.name}", is_new=False)
        case Serial(by_hand=True):
            return Place(kind=PlaceKind.BY_HAND, what="a serial port, and a person at the power switch", is_new=False)
        case Serial():
            return Place(kind=PlaceKind.SERIAL, what="a serial port, and a command for the power", is_new=False)


def _program(session: Session) -> str | None:
    if not isinstance(session.leader, Emulated) or session.board.qemu is None:
        return None
    return run([session.board.qemu.program, "--version"], timeout=_QUICK).text.partition("\n")[0].strip()


@contextmanager
def _closing(hands: Hands) -> Iterator[Hands]:
    try:
        yield hands
    finally:
        hands.close()
