"""The command line of the service. It is so short that a parser for long ones would only take memory."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bistable.client.errors import UsageError

HELP: Final = """\
usage: bistabled [--config FILE] [--bus ADDRESS] [--once]

Update this device as its server and its people say.

  --config FILE  use this configuration alone
  --bus ADDRESS  the D-Bus to be on; the system bus by default, 'none' for none
  --once         ask the server once, do what there is to do, and end
  --help         show this
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the command line says."""

    config: Path | None = None
    bus: str | None = None
    once: bool = False
    help: bool = False


def parse(words: Sequence[str]) -> Options:
    """Take the command line apart.

    Raises:
        UsageError: it makes no sense.
    """
    values: dict[str, str] = {}
    switches = {"--once": False, "--help": False}
    rest = list(words)
    while rest:
        name, equals, value = rest.pop(0).partition("=")
        if name in switches and not equals:
            switches[name] = True
        elif name in {"--config", "--bus"} and (equals or rest):
            values[name] = value if equals else rest.pop(0)
        else:
            raise UsageError(f"cannot understand {name!r} on the command line", hint="bistabled --help says what is")
    config = values.get("--config")
    return Options(
        config=None if config is None else Path(config),
        bus=values.get("--bus"),
        once=switches["--once"],
        help=switches["--help"],
    )
