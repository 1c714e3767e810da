"""Whether the boot partition has the files of the board, where it is mounted and can be looked at."""

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Final

from bistable.tools.board.render.templates import commented
from bistable.tools.bringup.doctor.expected import RENDERED, Expected
from bistable.tools.bringup.doctor.facts import Facts
from bistable.tools.bringup.doctor.finding import START, Finding, error
from bistable.tools.bringup.doctor.script import SCRIPT_HEADER, SCRIPT_SUFFIX, Section

_MISSING: Final = 1


def boot_mount(expected: Expected, facts: Facts) -> str | None:
    """Return where the boot partition is mounted, if it is."""
    block = None if expected.boot_partition is None else facts.source(f"PARTUUID={expected.boot_partition}")
    if block is None:
        return None
    return next((mount.point for mount in facts.mounts if mount.device == block.device), None)


def check_boot_files(expected: Expected, found: Mapping[str, Section]) -> Iterator[Finding]:
    """Yield which files are not those of the board; `found` is what was said of each, by its path in the partition."""
    for path, content in expected.boot_files.items():
        said = found.get(str(path))
        if said is None or said.status is None or said.status > _MISSING:
            # Nobody has looked, or there is nothing to look with.
            continue
        digest = " ".join(said.lines).split(" ")[0]
        if said.status == _MISSING or digest not in _digests(path, content):
            yield error(
                START,
                f"{path} on the boot partition is " + ("missing" if said.status else "not that of the board"),
                f"write {RENDERED}/boot/{_readable(path)} to the boot partition"
                + (", as `bistable image files` makes it" if path.suffix == SCRIPT_SUFFIX else ""),
                found="no such file" if said.status else f"SHA-256 {digest}",
                expected=f"SHA-256 {hashlib.sha256(_text(path, content)).hexdigest()}",
            )


def _digests(path: PurePosixPath, content: bytes) -> frozenset[str]:
    """Return those of the file as `bistable image` makes it, and as it is rendered beside the board."""
    text = _text(path, content)
    return frozenset(hashlib.sha256(variant).hexdigest() for variant in (text, commented(text)))


def _text(path: PurePosixPath, content: bytes) -> bytes:
    return content[SCRIPT_HEADER:] if path.suffix == SCRIPT_SUFFIX else content


def _readable(path: PurePosixPath) -> PurePosixPath:
    return path.with_suffix(".cmd") if path.suffix == SCRIPT_SUFFIX else path
