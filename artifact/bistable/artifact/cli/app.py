"""The program and its groups: which commands there are, and where they live."""

import sys
from collections.abc import Callable
from typing import Any, Final

import click

from bistable.artifact.cli.failures import reported
from bistable.artifact.cli.framework import LazyGroup, option

_HERE: Final = "bistable.artifact.cli"

PROGRAM: Final = {
    "artifact": f"{_HERE}.app:artifact",
    "completion": f"{_HERE}.completion:completion",
}
COMMANDS: Final = {
    "write": f"{_HERE}.app:write",
    "build": f"{_HERE}.build:build",
    "show": f"{_HERE}.show:show",
    "verify": f"{_HERE}.verify:verify",
    "lint": f"{_HERE}.lint:lint",
    "diff": f"{_HERE}.diff:diff",
    "sign": f"{_HERE}.sign:sign",
    "modify": f"{_HERE}.modify:modify",
    "attest": f"{_HERE}.attest:attest",
    "repack": f"{_HERE}.repack:repack",
    "extract": f"{_HERE}.extract:extract",
    "ls": f"{_HERE}.imagefiles:ls",
    "cat": f"{_HERE}.imagefiles:cat",
    "cp": f"{_HERE}.imagefiles:cp",
    "rm": f"{_HERE}.imagefiles:rm",
    "mkdir": f"{_HERE}.imagefiles:mkdir",
    "install": f"{_HERE}.install:install",
    "keys": f"{_HERE}.app:keys",
}
WRITE: Final = {
    "rootfs": f"{_HERE}.write_rootfs:rootfs",
    "module": f"{_HERE}.write_module:module",
    "bootstrap": f"{_HERE}.write_bootstrap:bootstrap",
}
KEYS: Final = {
    "generate": f"{_HERE}.keys_generate:generate",
    "public": f"{_HERE}.keys_public:public",
    "show": f"{_HERE}.keys_show:show",
}
COMMAND_ALIASES: Final = {"read": "show", "validate": "verify", "dump": "extract"}
WRITE_ALIASES: Final = {"rootfs-image": "rootfs", "module-image": "module", "bootstrap-artifact": "bootstrap"}
"""What mender-artifact calls them, so that a pipeline moves by changing the program's name."""


class Program(LazyGroup):
    """The outermost group: everything that goes wrong inside ends in a message and an exit code.

    Other parts of the product add commands by entry points, so that this one need not know them.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of our own commands and of those that others add."""
        return sorted({*super().list_commands(ctx), *_added_commands()})

    def place_of(self, name: str) -> str | None:
        """Return where the command is; others are looked up only if it is not one of ours, which is quicker."""
        return super().place_of(name) or _added_commands().get(name)

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run and exit; output that the terminal cannot show is escaped rather than fatal."""
        for stream in (sys.stdout, sys.stderr):
            if callable(reconfigure := getattr(stream, "reconfigure", None)):
                reconfigure(errors="backslashreplace")
        return super().main(*args, **kwargs)

    def make_context(self, info_name: str | None, args: list[str], *rest: Any, **extra: Any) -> click.Context:
        """Parse the program's own options."""
        self._arguments = list(args)
        with reported(self._arguments):
            return super().make_context(info_name, args, *rest, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that is asked for."""
        with reported(self._arguments):
            return super().invoke(ctx)


def _added_commands() -> dict[str, str]:
    from importlib.metadata import entry_points

    return {point.name: point.value for point in entry_points(group="bistable.commands")}


def _show_version(ctx: click.Context, _option: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        from importlib.metadata import version

        click.echo(f"bistable {version('bistable')}")
        ctx.exit()


@click.group(cls=Program, table=PROGRAM, context_settings={"help_option_names": ["-h", "--help"]})
@option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_show_version, help="Show the version.")
def bistable() -> None:
    """Over-the-air updates for embedded Linux: an update lands in one slot or does not happen.

    Results go to standard output, everything else to standard error. Exit codes: 0 done, 1 the answer is no,
    2 wrong usage, 3 artifact rejected, 4 signature rejected, 5 not supported, 6 key unusable, 7 the machine failed,
    8 refused by policy, 70 internal error, 130 interrupted.
    """


@click.group(cls=LazyGroup, table=COMMANDS, aliases=COMMAND_ALIASES)
@option(
    "--compression", metavar="KIND", hidden=True, help="Default of --compression for `write`, as in mender-artifact."
)
@click.pass_context
def artifact(ctx: click.Context, compression: str | None) -> None:
    """Build, sign, verify, inspect and change update artifacts.

    Reads and writes the format of Mender's artifacts, version 3; version 2 is read. An ARTIFACT is a file or `-` for
    standard input; commands that only read take an http(s) address, too. Files are written whole or not at all.
    """
    if compression is not None:
        ctx.default_map = {"write": {name: {"compression": compression} for name in WRITE}}


def _group(table: dict[str, str], aliases: dict[str, str] | None = None) -> Callable[[Callable[..., Any]], click.Group]:
    return click.group(cls=LazyGroup, table=table, aliases=aliases)


@_group(WRITE, WRITE_ALIASES)
def write() -> None:
    """Write an artifact from a root filesystem, from files, or without a payload."""


@_group(KEYS)
def keys() -> None:
    """Make signing keys and look at them."""
