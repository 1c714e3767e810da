"""Change an ext2, ext3 or ext4 image through debugfs, and have e2fsck say whether it is sound.

debugfs ends with status 0 whatever happens and takes its commands as lines of text, so: every word is quoted or
refused, what it says on stderr is a failure, and e2fsck looks at the result.
"""

import os
import re
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO, Final

from bistable.artifact.errors import MachineError, RejectedError, RequestError
from bistable.artifact.image.ext.inode import TYPES
from bistable.artifact.image.model import Kind
from bistable.artifact.run import ProgramError, run_to

NAME_LIMIT: Final = 255
"""Longest name in a directory, in bytes; libext2fs does not check it."""

TARGET_LIMIT: Final = 900
_LINE_LIMIT: Final = 1000
"""debugfs reads lines into BUFSIZ bytes, which are 1024 with musl, and takes what does not fit for the next command."""

_BANNER: Final = re.compile(r"debugfs \d[\w.-]* \([^)]*\)")
_TIMEOUT: Final = 3600.0
_CHECK_TIMEOUT: Final = 1800.0
_SAID_LIMIT: Final = 64 * 1024

_SAFE_DELETION: Final = 1 << 30
"""10 January 2004: an inode that was deleted at a time below the number of inodes looks to e2fsck as if it were in the
list of orphans, which uses the same field."""

TIME_LIMIT: Final = (1 << 31) - 1
"""19 January 2038: the last second that every field, tool and old kernel takes. It is also the clock that e2fsck gets:
a superblock that was written "in the future" would count as damage."""


class Script:
    """Commands for debugfs, which runs them in order with the clock at `time` (seconds since 1970).

    Raises:
        RequestError: the time is before 1970 or after 2038.
    """

    def __init__(self, *, time: int) -> None:
        if not 0 <= time <= TIME_LIMIT:
            raise RequestError(f"cannot use the time {time}: it must be between 0 (1970) and {TIME_LIMIT} (2038)")
        self.time = time
        self._clock = time
        self._lines: list[bytes] = []
        self.set_clock(time)

    def __len__(self) -> int:
        return len(self._lines)

    def add(self, command: str, *words: str) -> None:
        """Add `command`, a fixed text, with `words`, which may hold anything.

        Raises:
            RequestError: a word cannot be said to debugfs.
        """
        line = b" ".join([command.encode(), *map(_quoted, words)])
        if len(line) > _LINE_LIMIT:
            raise RequestError(f"cannot tell debugfs to {command} {words[-1][:60]}...: the path is too long")
        self._lines.append(line)

    def set_clock(self, time: int) -> None:
        """Go on with the clock at `time`; new inodes get it, and the superblock gets the last one."""
        self._clock = time
        self.add("set_current_time", f"@{max(1, time)}")

    def add_removal(self, command: str, what: str) -> None:
        """Add `rm` or `rmdir`, with a clock that does no harm."""
        clock = self._clock
        if clock < _SAFE_DELETION:
            self.set_clock(_SAFE_DELETION)
        self.add(command, what)
        if clock < _SAFE_DELETION:
            self.set_clock(clock)

    def enter(self, inode: int) -> None:
        """Go on in the directory `inode`."""
        self.add("cd", f"<{inode}>")

    def set_fields(self, what: str, fields: Iterable[tuple[str, str]]) -> None:
        """Set inode fields of `what`, a path or `<number>`."""
        for name, value in fields:
            self.add("set_inode_field", what, name, value)

    def text(self) -> bytes:
        """Return the commands, and last the clock, so that the superblock gets it."""
        return b"\n".join([*self._lines, b"set_current_time @%d" % max(1, self.time), b""])


def mode_field(kind: Kind, mode: int) -> tuple[str, str]:
    """Return the field and value of set_inode_field for a kind and its 12 permission bits."""
    return "mode", f"0{TYPES[kind] | mode:o}"


def open_path(file: BinaryIO) -> str:
    """Return a name of the open `file` for programs that this one starts.

    Its own name could mean something else to them: libext2fs takes what follows a question mark for options.
    """
    return f"/proc/{os.getpid()}/fd/{file.fileno()}"


def run_script(image: BinaryIO, script: Script, *, cwd: Path) -> None:
    """Run `script` on `image`; relative host paths in it start at `cwd`.

    Raises:
        MachineError: debugfs is missing, or did not do as it was told; the image must then be thrown away.
    """
    with tempfile.TemporaryFile() as commands, Path(os.devnull).open("wb") as echo:
        commands.write(script.text())
        commands.flush()
        said = run_to(
            ["debugfs", "-w", "-f", open_path(commands), open_path(image)],
            echo,
            timeout=_TIMEOUT,
            variables={"E2FSPROGS_FAKE_TIME": str(max(1, script.time))},
            cwd=cwd,
        )
    lines = [line for line in said.decode("utf-8", "replace").splitlines() if line.strip() and not _is_banner(line)]
    if lines:
        raise MachineError("cannot change the file system: debugfs reports errors", hint="\n".join(lines[:12]))


def check(image: BinaryIO, name: str) -> None:
    """Have e2fsck look at all of the image; it changes nothing.

    Raises:
        RejectedError: it is not sound.
        MachineError: e2fsck is missing or does not end.
    """
    with tempfile.TemporaryFile() as said:
        try:
            run_to(
                ["e2fsck", "-f", "-n", open_path(image)],
                said,
                timeout=_CHECK_TIMEOUT,
                variables={"E2FSCK_TIME": str(TIME_LIMIT), "E2FSCK_CONFIG": os.devnull},
            )
        except ProgramError as e:
            if e.exit_status is None:
                raise
            said.seek(0)
            lines = [line for line in said.read(_SAID_LIMIT).decode("utf-8", "replace").splitlines() if line.strip()]
            raise RejectedError(
                f"cannot use the file system in {name}: e2fsck finds faults",
                hint="\n".join(lines[:12]) or e.hint,
                rule="image.damaged",
            ) from e


def _is_banner(line: str) -> bool:
    return _BANNER.fullmatch(line) is not None


def _quoted(word: str) -> bytes:
    raw = word.encode("utf-8", "surrogateescape")
    if re.search(rb"[\n\r\x00]", raw):
        raise RequestError(f"cannot use the name {word!r}: line breaks and zero bytes cannot be said to debugfs")
    return b'"' + raw.replace(b'"', b'""') + b'"'
