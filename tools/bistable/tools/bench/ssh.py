"""A root shell on a device over the network, by the program ssh."""

import os
import re
import shlex
from collections.abc import Sequence
from typing import Final

from bistable.artifact.errors import MachineError
from bistable.artifact.run import ProgramError, run
from bistable.tools.bench import patience
from bistable.tools.bench.errors import CommandError
from bistable.tools.bench.shell import Answer

_END: Final = re.compile(r"\n?<<(\d+)>>\n\Z")
_ANSWERS_IN: Final = 20
_AGENT: Final = "SSH_AUTH_SOCK"
_FAILED: Final = 255
"""What ssh itself ends with when there is no connection, or it is cut."""


class SshShell:
    """A root shell at `destination`, as ssh takes it (`root@192.0.2.7`); `options` are more words for ssh."""

    def __init__(self, destination: str, options: Sequence[str] = ()) -> None:
        self._words = ["ssh", "-T", "-o", f"ConnectTimeout={_ANSWERS_IN}", *options, "--", destination]
        self._destination = destination

    def run(self, command: str, *, seconds: float = patience.COMMAND, allowed: tuple[int, ...] = (0,)) -> Answer:
        """Run a command, in a connection of its own.

        Raises:
            MachineError: there is no ssh, or no connection.
            CommandError: its exit status is not among the allowed ones.
        """
        path = "PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin"
        script = f'{path}; (eval {shlex.quote(command)}) </dev/null 2>&1; s=$?; echo; echo "<<$s>>"'
        variables = {_AGENT: os.environ[_AGENT]} if _AGENT in os.environ else {}
        try:
            said = run(
                [*self._words, f"/bin/sh -c {shlex.quote(script)}"],
                timeout=patience.scaled(seconds),
                variables=variables,
            ).text
        except ProgramError as e:
            if e.exit_status is None:
                raise
            why = (e.hint or "").splitlines()[-1:] or [f"ssh ended with exit status {e.exit_status}"]
            hint = "try `ssh` with the same words by hand first" if e.exit_status == _FAILED else None
            raise MachineError(f"cannot run a command on {self._destination}: {why[0]}", hint=hint) from e
        end = _END.search(said)
        if end is None:
            raise MachineError(f"cannot run a command on {self._destination}: the connection was cut")
        answer = Answer(status=int(end[1]), output=said[: end.start()].rstrip("\n"))
        if answer.status not in allowed:
            raise CommandError(f"'{command}' ended with exit status {answer.status}", console=answer.output)
        return answer
