"""The boot loader's environment, through the programs that come with it.

All variables of one change go to the `set` program as one script, which writes once: into the older of the two copies,
so that a power cut leaves the one or the other state. libubootenv wants `name=value` in its scripts and passes over
lines without `=`; U-Boot's own fw_setenv of old wants a blank, and refuses a `=`. So we write the one form, read back,
and write the other if nothing has changed. What was written is compared with what can be read in any case.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Protocol

from bistable.client.errors import BootError, ProgramError
from bistable.client.run import Output, run

# Names are used in scripts of U-Boot; a value with a line end would become two variables.
_NAME: Final = re.compile(r"[A-Za-z0-9_]+")
_VALUE: Final = re.compile(r"[ -~]*")

_PROBE: Final = "bistable_probe"

# libubootenv's words when both copies are bad and it goes on with a file of defaults, which the boot loader never read.
_DEFAULTS: Final = b"using default"

_WHERE: Final = "check that /etc/fw_env.config names the place where the boot loader itself keeps its environment"


class Environment(Protocol):
    """Variables that the boot loader and we share."""

    def read(self) -> Mapping[str, str]:
        """Return the variables; those that do not exist are missing or empty."""

    def write(self, values: Mapping[str, str]) -> None:
        """Set all these variables at once, or none."""

    def probe(self) -> None:
        """Write something that means nothing to a boot script, and read it back; BootError if that does not work."""

    def faults(self) -> tuple[str, ...]:
        """Return a sentence for each thing that is wrong although it works; BootError if it does not."""

    @property
    def where(self) -> str:
        """What says where the environment is, for hints."""


PRINTERS: Final = ("grub-mender-grubenv-print", "systemd-boot-printenv", "fw_printenv")
SETTERS: Final = ("grub-mender-grubenv-set", "systemd-boot-setenv", "fw_setenv")
"""Programs of Mender's boot loaders and of U-Boot, in the order in which Mender's client looks for them."""


class ToolEnvironment:
    """The environment behind two programs; of each kind the first that is installed is taken.

    A printer prints all or the named variables, a setter sets those of a script (`-s -`). Both get `config` as `-c`.
    """

    def __init__(
        self,
        *,
        timeout: float,
        printers: Sequence[str],
        setters: Sequence[str],
        config: Path | None,
    ) -> None:
        self._printers, self._setters = list(printers), list(setters)
        self._timeout = timeout
        self._config = [] if config is None else ["-c", str(config)]
        self._separators: tuple[str, ...] = ("=", " ")

    def read(self) -> Mapping[str, str]:
        """Return the variables.

        Raises:
            BootError: no program is there, it fails, or neither copy of the environment is valid.
        """
        return self._print(())

    def write(self, values: Mapping[str, str]) -> None:
        """Set all these variables at once, and read them back.

        Raises:
            BootError: they cannot be set, or are not what was set.
        """
        for name, value in values.items():
            if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
                raise BootError(f"cannot set the boot loader's variable {name!r} to {value!r}")
        failure: BootError | None = None
        for separator in self._separators:
            try:
                self._set(values, separator)
            except BootError as e:
                # Perhaps it only refuses the form; if the other one does not help, this is what there is to say.
                failure = failure or e
                continue
            found = self._print(tuple(values))
            if all(found.get(name) == value for name, value in values.items()):
                self._separators = (separator,)
                return
        raise failure or BootError("cannot change the boot loader's environment: it reads as before", hint=_WHERE)

    def probe(self) -> None:
        """Set a variable that no boot script knows to another value than it has; `write` reads it back.

        Raises:
            BootError: that does not work.
        """
        self.write({_PROBE: "2" if self.read().get(_PROBE) == "1" else "1"})

    def faults(self) -> tuple[str, ...]:
        """Return nothing: the programs do not tell."""
        return ()

    @property
    def where(self) -> str:
        """The file that the programs read."""
        return self._config[1] if self._config else "/etc/fw_env.config"

    def _set(self, values: Mapping[str, str], separator: str) -> None:
        script = "".join(f"{name}{separator}{value}\n" for name, value in values.items())
        try:
            self._run(self._setters, ["-s", "-"], script.encode("ascii"))
        except ProgramError as e:
            raise BootError(f"cannot change the boot loader's environment: {e.what}", hint=e.hint) from e
        from logging import getLogger  # a quick question, which only reads, does without

        getLogger(__name__).info("set in the boot loader's environment: %s", script.replace("\n", " ").strip())

    def _print(self, names: Sequence[str]) -> Mapping[str, str]:
        try:
            return _variables(self._run(self._printers, names, None))
        except ProgramError as e:
            hint = e.hint if e.exit_status is None else "\n".join(filter(None, [e.hint, _WHERE]))
            raise BootError(f"cannot read the boot loader's environment: {e.what}", hint=hint) from e

    def _run(self, programs: list[str], words: Sequence[str], stdin: bytes | None) -> Output:
        """Run the first of the programs that is installed, and forget the others."""
        while True:
            try:
                output = run([programs[0], *self._config, *words], timeout=self._timeout, stdin=stdin)
            except ProgramError as e:
                if not isinstance(e.__cause__, FileNotFoundError) or len(programs) == 1:
                    raise
                del programs[0]
            else:
                del programs[1:]
                return output


def make_environment(
    printer: str | None, setter: str | None, config: Path | None, *, timeout: float
) -> ToolEnvironment:
    """Return the environment behind these programs, or, where there is None, behind the usual ones."""
    return ToolEnvironment(
        timeout=timeout,
        printers=PRINTERS if printer is None else (printer,),
        setters=SETTERS if setter is None else (setter,),
        config=config,
    )


def _variables(output: Output) -> dict[str, str]:
    if _DEFAULTS in output.stderr:
        raise BootError(
            "cannot read the boot loader's environment: neither copy is valid",
            hint=f"{_WHERE}, and that it has saved it once (saveenv)",
        )
    variables: dict[str, str] = {}
    for line in output.text.splitlines():
        name, found, value = line.partition("=")
        if found:
            variables[name] = value
    return variables
