"""Options of mender-artifact that have no counterpart here: refused with what to do instead, rather than misread."""

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

import click

from bistable.artifact.cli.framework import option
from bistable.artifact.errors import RequestError

F = TypeVar("F", bound=Callable[..., Any])

_COMMAND: Final = "sign with --sign-command PROGRAM --public-key FILE: docs/how-to/sign-with-an-hsm.md"
_AUGMENT: Final = "augmented artifacts are not written: device clients from 4.0 on refuse them"
_IMAGE: Final = "put the file into the image: `bistable artifact cp FILE ARTIFACT:/PATH`"

MOVED: Final[Mapping[str, tuple[tuple[str, ...], str]]] = {
    "--gcp-kms-key": ((), _COMMAND),
    "--vault-transit-key": ((), _COMMAND),
    "--azure-key": ((), _COMMAND),
    "--keyfactor-signserver-worker": ((), _COMMAND),
    "--ssh-args": (("-S",), "pipe the device's image in: ssh DEVICE sudo mender-snapshot dump | ... -f -"),
    "--augment-type": ((), _AUGMENT),
    "--augment-file": ((), _AUGMENT),
    "--augment-provides": ((), _AUGMENT),
    "--augment-depends": ((), _AUGMENT),
    "--augment-meta-data": ((), _AUGMENT),
    "--server-uri": (("-u",), _IMAGE),
    "--server-cert": (("-c",), _IMAGE),
    "--verification-key": (("-v",), _IMAGE),
    "--tenant-token": (("-t",), _IMAGE),
}
"""Option -> its short forms, and what to do instead."""

KEY_SERVICES: Final = ("--gcp-kms-key", "--vault-transit-key", "--azure-key", "--keyfactor-signserver-worker")


def refuse_moved(*names: str) -> Callable[[F], F]:
    """Refuse these options of mender-artifact, and those of its key services, with a hint."""

    def decorate(function: F) -> F:
        decorated = function
        for name in (*names, *KEY_SERVICES):
            short, _ = MOVED[name]
            decorated = option(name, *short, callback=_refuse, expose_value=False, hidden=True)(decorated)
        return decorated

    return decorate


def _refuse(ctx: click.Context, parameter: click.Parameter, value: str | None) -> None:
    if value is not None and not ctx.resilient_parsing:
        name = next(name for name in parameter.opts if name.startswith("--"))
        raise RequestError(f"cannot use {name}: there is no such option here", hint=MOVED[name][1])
