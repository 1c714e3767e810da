"""A root shell on a serial line, made one for programs: no prompt, no echo, no editing of lines."""

import re
import shlex
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from bistable.tools.bench import patience
from bistable.tools.bench.console import Console
from bistable.tools.bench.errors import CommandError, LateError, MisuseError

SHELL_READY: Final = "bistable-shell: ready"
"""What the serial line says before a root shell listens there that asks for no login."""

_ESCAPES: Final = r"(?:\x1b\[[0-9;?]*[A-Za-z])*"
PROMPT: Final = re.compile(
    rf"[\r\n]{_ESCAPES}(?:\[?root@[^\r\n#]{{1,80}}|[^\s#\x1b]{{0,40}} ?)#{_ESCAPES} (?=$|\[|\x1b)"
)
"""Of root: `/ # `, `sh-5.2# `, `[root@acorn ~]# `. Right after it may come words of the kernel, or an escape sequence.

At most one word may be before the `#`, at the start of its line: U-Boot says `virtio read: device 0 block # 18432`, may
pause after any character of that, and must not get anything to read.
"""

_LOGIN: Final = re.compile(r"(?<!Last )\blogin: ")
_PASSWORD: Final = re.compile(r"[Pp]assword: ?")
_REFUSED: Final = re.compile(r"Login incorrect")
_SHELLS: Final = {"a root prompt": PROMPT, SHELL_READY: re.compile(re.escape(SHELL_READY))}
_RESTARTS: Final = {
    "the kernel's last words": re.compile(r"reboot: (?:Restarting|Power)|Restarting system"),
    "a boot loader": re.compile(r"U-Boot \S|bistable: "),
    "a kernel": re.compile(r"Linux version |Booting Linux on physical CPU"),
}
"""By these a system that was told to reboot is gone, and what comes next is by the new one."""

_TAKEN: Final = "<<0>>\n"
_TALK: Final = (
    # The marks are put together by the shell, so that the echo of this line has none.
    """stty -echo -onlcr cols 4000; export BISTABLE_LEVEL="${BISTABLE_LEVEL:-$(cut -c1 /proc/sys/kernel/printk)}" """
    """TERM=dumb PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"; dmesg -n 1; """
    """exec /bin/sh -c 'n=$(printf "\\nx"); n=${n%x}; echo "<""<0>>"; while IFS= read -r l; do eval "$l"; done'"""
)
"""Replaces the shell by one that reads lines and runs them: then only commands and answers are on the line."""

_RELEASE: Final = 'dmesg -n "${BISTABLE_LEVEL:-7}"; stty echo onlcr; exit'

_TRIES: Final = 3
"""What is typed while the kernel has something to say may be mixed with it, and then it is typed again."""

_LONGEST: Final = 900
"""Characters of a command that are sent in one line; a terminal takes 4095, quotes and all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """Who logs in where a device asks for it; no password: it must not ask for one."""

    user: str = "root"
    password: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a command said, stdout and stderr together, and its exit status."""

    status: int
    output: str


class Shell:
    """A root shell on a serial line."""

    def __init__(self, console: Console, login: Login | None = None) -> None:
        self._console = console
        self._login = login or Login()
        self._number = 0

    def attach(self) -> None:
        """Wait for the shell of a device that starts, log in if it asks for that, and take the shell over.

        Raises:
            MisuseError: user or password are wrong.
            MisbehavedError: there is no shell in time, or the device dies.
        """
        found, _ = self._console.expect_any({"login: ": _LOGIN, **_SHELLS}, seconds=patience.BOOT)
        if found == "login: ":
            self._log_in()
        if found == SHELL_READY:
            # What is typed between that and the prompt, while the line is set up, can be lost, and all that follows it.
            with suppress(LateError):
                self._console.expect(PROMPT, seconds=patience.ANSWER)
        self._take_over()

    def join(self) -> None:
        """Take over the shell of a device that has been on for a while; log in if it asks for that.

        Raises:
            MisuseError: user or password are wrong.
            MisbehavedError: nobody answers, or the device dies.
        """
        self._console.send("")
        # There may be a shell that was taken over before, and was not given back: it has no prompt.
        with suppress(LateError):
            found, _ = self._console.expect_any({"login: ": _LOGIN, **_SHELLS}, seconds=patience.ANSWER)
            if found == "login: ":
                self._log_in()
        self._take_over()

    def wait_for_restart(self) -> None:
        """Wait until a system that was told to reboot is gone."""
        self._console.expect_any(_RESTARTS, seconds=patience.BOOT)

    def release(self) -> None:
        """Give the shell back: it ends, and whatever started it asks for the next login."""
        self._console.send(_RELEASE)

    def run(self, command: str, *, seconds: float = patience.COMMAND, allowed: tuple[int, ...] = (0,)) -> Answer:
        """Run a command between two marks that no other command has.

        Raises:
            CommandError: its exit status is not among the allowed ones.
        """
        self._number += 1
        begin, end = f"<<{self._number}", re.compile(rf"{self._number}:(\d+)>>\n")
        *first, last = _in_lines(command)
        for line in first:
            self._console.send(line)
        self._console.send(f'echo "{begin}"; (eval {last}) </dev/null 2>&1; echo "{self._number}:$?>>"')
        self._console.expect(f"{begin}\n", seconds=patience.COMMAND)
        found = self._console.expect(end, seconds=seconds)
        answer = Answer(status=int(found[1]), output=self._console.before.replace("\r", "").rstrip("\n"))
        if answer.status not in allowed:
            raise CommandError(
                f"'{command}' ended with exit status {answer.status}", console=answer.output, log=self._console.log
            )
        return answer

    def _log_in(self) -> None:
        self._console.send(self._login.user)
        answers = {**_SHELLS, "Login incorrect": _REFUSED}
        found, _ = self._console.expect_any({"Password: ": _PASSWORD, **answers}, seconds=patience.COMMAND)
        if found == "Password: ":
            if self._login.password is None:
                raise MisuseError(f"cannot log in as {self._login.user}: the device asks for a password")
            self._console.send(self._login.password)
            found, _ = self._console.expect_any(answers, seconds=patience.COMMAND)
        if found == "Login incorrect":
            raise MisuseError(f"cannot log in as {self._login.user}: the device takes neither that nor the password")

    def _take_over(self) -> None:
        for left in reversed(range(_TRIES)):
            self._console.send(_TALK)
            try:
                self._console.expect(_TAKEN, seconds=patience.ANSWER)
                return
            except LateError:
                if not left:
                    raise


def _in_lines(command: str) -> Iterator[str]:
    """Yield lines that put a command together in a variable, and last what `eval` is to run."""
    if len(command) <= _LONGEST and "\n" not in command:
        yield shlex.quote(command)
        return
    yield "c="
    for number, line in enumerate(command.split("\n")):
        if number:
            yield 'c="$c$n"'
        for start in range(0, len(line), _LONGEST):
            yield f'c="$c"{shlex.quote(line[start : start + _LONGEST])}'
    yield '"$c"'
