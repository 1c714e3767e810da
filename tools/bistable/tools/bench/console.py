"""The serial line of a machine: wait for what it says, send lines, and notice when it dies."""

import codecs
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from bistable.tools.bench.errors import DeathError, GoneError, LateError, MisuseError
from bistable.tools.bench.patience import scaled
from bistable.tools.bench.wires import Wire

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
"""Characters that a match may reach back over what was searched before."""

ESCAPES: Final = re.compile(r"\x1b(?:\[[0-9;?=]*[A-Za-z]|\(B|[=>])|\r")


class Console:
    """A serial line over all power cycles of a machine; everything that was read from it is in the file `log`.

    `heard` has the same in pieces, each with the time when it was read (`time.monotonic`).
    """

    def __init__(self, log: Path) -> None:
        self.log = log
        self.heard: list[tuple[float, str]] = []
        self._wire: Wire | None = None
        self._ended = False
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._unread, self._before = "", ""
        self._tolerated: list[str] = []

    def attach(self, wire: Wire) -> None:
        """Listen to a machine, in place of what was listened to. What was not waited for so far is passed."""
        self.detach()
        # Errors name it, also where nothing was heard.
        self.log.touch()
        self._wire, self._ended, self._unread = wire, False, ""

    def detach(self) -> None:
        """Read what is there, and stop listening: the machine is off."""
        if self._wire is not None:
            self._drain()
            self._wire.close()
        self._wire = None

    def expect(self, wanted: str | re.Pattern[str], *, seconds: float) -> re.Match[str]:
        """Wait until the console says it, a text or a pattern, and return what matched; what came before is passed.

        Raises:
            DeathError: it said instead that it died.
            LateError: it did not come within `seconds`, which the environment's factor scales.
            GoneError: the line ended.
        """
        text = wanted if isinstance(wanted, str) else wanted.pattern
        pattern = re.compile(re.escape(wanted)) if isinstance(wanted, str) else wanted
        return self.expect_any({text: pattern}, seconds=seconds)[1]

    def expect_any(self, wanted: Mapping[str, re.Pattern[str]], *, seconds: float) -> tuple[str, re.Match[str]]:
        """Wait for the first of several patterns; return its key and what matched.

        Raises:
            DeathError, LateError, GoneError: as for `expect`.
        """
        if self._wire is None:
            raise MisuseError("cannot listen to a machine that is off")
        limit, what = scaled(seconds), " or ".join(map(repr, wanted))
        deaths = {death: re.compile(re.escape(death)) for death in DEATHS if death not in self._tolerated}
        deadline, searched = time.monotonic() + limit, 0
        while (found := self._first({**wanted, **deaths}, searched)) is None:
            searched, left = len(self._unread), deadline - time.monotonic()
            if self._ended:
                raise GoneError(f"the serial line ended, waiting for {what}", console=self.text(), log=self.log)
            if left <= 0:
                raise LateError(f"waited {limit:g} s for {what}", console=self.text(), log=self.log)
            self._read(left)
        name, match = found
        self._before, self._unread = self._unread[: match.start()], self._unread[match.end() :]
        if name not in wanted:
            raise DeathError(f"the machine died: {name!r}, waiting for {what}", console=self.text(), log=self.log)
        return found

    @property
    def before(self) -> str:
        """Return what came before the last match, as far back as the match before it."""
        return self._before

    def send(self, line: str) -> None:
        """Send a line.

        Raises:
            GoneError: the line has ended.
        """
        if self._wire is None:
            raise MisuseError("cannot speak to a machine that is off")
        try:
            self._wire.write(f"{line}\n".encode())
        except OSError as e:
            raise GoneError("the serial line ended: nothing can be sent", console=self.text(), log=self.log) from e

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
        if self._wire is not None:
            self._drain()
        content = self.log.read_bytes() if self.log.exists() else b""
        return ESCAPES.sub("", content.decode("utf-8", "replace"))

    def lines(self, beginning: str) -> list[str]:
        """Return all lines so far that contain and from there on begin with these words, such as `bistable: `."""
        return [line[line.index(beginning) :].rstrip() for line in self.text().splitlines() if beginning in line]

    def _first(self, patterns: Mapping[str, re.Pattern[str]], searched: int) -> tuple[str, re.Match[str]] | None:
        """Return which of the patterns comes first in what was not waited for, and what matched."""
        start = max(0, searched - WINDOW)
        found = ((name, pattern.search(self._unread, start)) for name, pattern in patterns.items())
        there = [(name, match) for name, match in found if match is not None]
        return min(there, key=lambda it: it[1].start(), default=None)

    def _drain(self) -> None:
        """Read what is there."""
        while not self._ended and self._read(0):
            pass

    def _read(self, seconds: float) -> bool:
        """Read once; return whether something came."""
        assert self._wire is not None
        data = self._wire.read(seconds)
        if data is None:
            return False
        self._ended = not data
        text = self._decoder.decode(data, final=self._ended)
        if text:
            self.heard.append((time.monotonic(), text))
            self._unread += text
            with self.log.open("ab") as file:
                file.write(text.encode())
        return bool(data)
