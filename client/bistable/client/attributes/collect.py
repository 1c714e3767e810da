"""Run the programs that tell what the device is, with limits; one that fails costs its own values only."""

import logging
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from bistable.artifact.errors import quoted
from bistable.client.attributes.lines import Attributes, gathered, parse_lines
from bistable.client.errors import ProgramError
from bistable.client.run import run

TIMEOUT: Final = 60.0
"""Seconds for one program: enough for one that asks a slow network, too few to hold up the client for long."""

OUTPUT_SIZE: Final = 64 * 1024
"""Bytes of output of one program; a server would not take more for a device."""

GIVEN: Final = frozenset({"provides"})
"""Mender's program of this name asks the client what the client tells by itself."""

_PROGRAM: Final = re.compile(r"(?:bistable|mender)-inventory-(.+)")
_EXECUTABLE: Final = 0o111

_log = logging.getLogger(__name__)


def identity(programs: Sequence[Path], *, timeout: float = TIMEOUT) -> Attributes:
    """Return what the first of `programs` that exists says the device is; this must never change in the device's life.

    Unlike an inventory an identity is whole or not there at all: with a part of it the device would be another one.

    Raises:
        ProgramError: there is none of the programs, it fails, or it prints anything but `key=value` lines.
    """
    program = next((path for path in programs if path.exists()), None)
    if program is None:
        tried = ", ".join(str(path) for path in programs)
        raise ProgramError(
            "cannot tell the device's identity: there is no program that prints it", hint=f"tried: {tried}"
        )
    raw = _output(program, timeout)
    pairs, bad = parse_lines(raw)
    if bad or not pairs:
        why = f"it printed {quoted(bad[0])}" if bad else "it printed nothing"
        raise ProgramError(f"cannot tell the device's identity: {program} has to print lines of key=value, but {why}")
    return gathered(pairs)


def inventory(
    directories: Sequence[Path],
    given: Attributes,
    *,
    timeout: float = TIMEOUT,
    check: Callable[[], None] = lambda: None,
) -> Attributes:
    """Return what all inventory programs print, and `given`, which counts more than what they print.

    Programs are called `bistable-inventory-NAME` or `mender-inventory-NAME`; of several with one NAME the one in the
    first of `directories` is run. `check` is called before each of them and may raise. A key printed several times,
    also by several programs, has all the values.
    """
    pairs: list[tuple[str, str]] = []
    for program in _programs_in(directories):
        check()
        try:
            found, bad = parse_lines(_output(program, timeout))
        except ProgramError as e:
            _log.info("%s: its attributes are left out", e)
            continue
        for line in bad:
            _log.info("%s printed %s, which is not key=value: left out", program, quoted(line))
        pairs += found
    return gathered(pairs) | dict(given)


def _output(program: Path, timeout: float) -> bytes:
    # Programs written for other clients count on the environment of the service.
    raw = run([program], timeout=timeout, inherit=True).stdout
    if len(raw) > OUTPUT_SIZE:
        raise ProgramError(f"cannot use what {program} prints: it is more than {OUTPUT_SIZE} bytes")
    return raw


def _programs_in(directories: Sequence[Path]) -> list[Path]:
    """Return the programs to run, sorted by what they tell."""
    chosen: dict[str, Path] = {}
    for directory in directories:
        for path in _listed(directory):
            found = _PROGRAM.fullmatch(path.name)
            if found and found[1] not in GIVEN and _executable(path):
                chosen.setdefault(found[1], path)
    return [path for _, path in sorted(chosen.items())]


def _listed(directory: Path) -> list[Path]:
    try:
        return sorted(directory.iterdir())
    except FileNotFoundError:
        return []
    except OSError as e:
        _log.info("cannot read the directory of inventory programs %s: %s", directory, e.strerror)
        return []


def _executable(path: Path) -> bool:
    return path.is_file() and bool(path.stat().st_mode & _EXECUTABLE)
