"""The serial line of a machine: wait for what it says, send lines, and notice when it dies."""

import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pexpect
from pexpect.fdpexpect import fdspawn

from bistable.tools.bench.errors import DeathError, GoneError, LateError, MisuseError
from bistable.tools.bench.patience import scaled

DEATHS: Final = (
    "Kernel panic - not syncing",
    "BUG: unable to handle",
    "Internal error: Oops",
    "general protection fault",
    "watchdog: BUG: soft lockup",
    "EXT4-fs error",
    "grub rescue>",
    "### ERROR ### Please RESET the board ###",
    '"Synchronous Abort" handler',
    "resetting CPU ...",
    "BdsDxe: No bootable option or device was found.",
    "Press any key to enter the Boot Manager Menu",
    "initramfs: cannot find the root filesystem",
)
"""What a healthy machine never says. A test that breaks a machine on purpose tolerates what it will say."""

WINDOW: Final = 8192
"""Characters, from the newest, in which a pattern is looked for when there is more to read."""

ESCAPES: Final = re.compile(r"\x1b(?:\[[0-9;?=]*[A-Za-z]|\(B|[=>])|\r")


class Console:
    """A serial line over all power cycles of a machine; everything it ever said is in the file `log`."""

    def __init__(self, log: Path) -> None:
        self.log = log
        self._line: fdspawn[str] | None = None
        self._tolerated: list[str] = []

    def attach(self, line: socket.socket) -> None:
        """Listen to a machine that has just been switched on."""
        descriptor = line.detach()
        self._line = fdspawn(
            descriptor, encoding="utf-8", codec_errors="replace", searchwindowsize=WINDOW, use_poll=True
        )
        # No pause before each line that is sent: nobody types passwords here.
        self._line.delaybeforesend = None

    def detach(self) -> None:
        """Stop listening: the machine is off."""
        if self._line is not None:
            self._line.close()
        self._line = None

    def expect(self, wanted: str | re.Pattern[str], *, seconds: float) -> re.Match[str]:
        """Wait until the console says it, a text or a pattern, and return what matched; what came before is passed.

        Raises:
            DeathError: it said instead that it died.
            LateError: it did not come within `seconds`, which the environment's factor scales.
            GoneError: QEMU ended.
        """
        text = wanted if isinstance(wanted, str) else wanted.pattern
        pattern = re.compile(re.escape(wanted)) if isinstance(wanted, str) else wanted
        return self.expect_any({text: pattern}, seconds=seconds)[1]

    def expect_any(self, wanted: "dict[str, re.Pattern[str]]", *, seconds: float) -> tuple[str, re.Match[str]]:
        """Wait for the first of several patterns; return its key and what matched.

        Raises:
            DeathError, LateError, GoneError: as for `expect`.
        """
        if self._line is None:
            raise MisuseError("cannot listen to a machine that is off")
        names, limit = list(wanted), scaled(seconds)
        deaths = [death for death in DEATHS if death not in self._tolerated]
        patterns: list[re.Pattern[str] | type[pexpect.EOF | pexpect.TIMEOUT]]
        patterns = [*wanted.values(), *(re.compile(re.escape(death)) for death in deaths)]
        try:
            found = self._line.expect_list(patterns, timeout=limit)
        except pexpect.TIMEOUT as e:
            raise LateError(
                f"waited {limit:g} s for {' or '.join(map(repr, names))}", console=self.text(), log=self.log
            ) from e
        except (pexpect.EOF, OSError) as e:
            raise GoneError(
                f"QEMU ended, waiting for {' or '.join(map(repr, names))}", console=self.text(), log=self.log
            ) from e
        if found >= len(names):
            raise DeathError(
                f"the machine died: {deaths[found - len(names)]!r}, waiting for {' or '.join(map(repr, names))}",
                console=self.text(),
                log=self.log,
            )
        match = self._line.match
        assert isinstance(match, re.Match)
        return names[found], match

    @property
    def where(self) -> Path:
        """Return the file with all that was said."""
        return self.log

    @property
    def before(self) -> str:
        """Return what came before the last match, as far back as the match before it."""
        assert self._line is not None
        return str(self._line.before or "")

    def send(self, line: str) -> None:
        """Send a line."""
        if self._line is None:
            raise MisuseError("cannot speak to a machine that is off")
        self._line.sendline(line)

    @contextmanager
    def tolerating(self, *deaths: str) -> Iterator[None]:
        """Take these words as nothing special, inside the block.

        Raises:
            MisuseError: nobody would take them as special.
        """
        for death in deaths:
            if death not in DEATHS:
                raise MisuseError(f"cannot tolerate {death!r}: it is none of the words that mean a machine's death")
        self._tolerated += deaths
        try:
            yield
        finally:
            for death in deaths:
                self._tolerated.remove(death)

    def text(self) -> str:
        """Return all that the console ever said, also what nobody has waited for, without control characters."""
        content = self.log.read_bytes() if self.log.exists() else b""
        return ESCAPES.sub("", content.decode("utf-8", "replace"))

    def lines(self, beginning: str) -> list[str]:
        """Return all lines so far that contain and from there on begin with these words, such as `bistable: `."""
        return [line[line.index(beginning) :].rstrip() for line in self.text().splitlines() if beginning in line]
