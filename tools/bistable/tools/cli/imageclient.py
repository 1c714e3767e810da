"""Options on the client that is put into a disk image."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from bistable.artifact.cli.framework import option
from bistable.artifact.cli.options import FILE, bundle

if TYPE_CHECKING:
    from bistable.tools.disk.client import ClientSource, Configuration, Start
    from bistable.tools.disk.tree import Change, RootTree

F = TypeVar("F", bound=Callable[..., Any])

CLIENT: Final = "Client"
OWN: Final = "own"
NONE: Final = "none"
STARTS: Final = ("service", "timer", "by-hand")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientChoice:
    """What the options said of the client."""

    client: str
    start: str
    artifact_name: str | None
    verify_keys: tuple[Path, ...]
    servers: tuple[str, ...]

    def source(self) -> "ClientSource | None":
        """Return the client that is to be installed, None if none is.

        Raises:
            RequestError: there is none where the option says.
        """
        from bistable.tools.disk.client import client_source

        if self.client == NONE:
            return None
        return client_source(None if self.client == OWN else Path(self.client))

    def start_mode(self) -> "Start":
        """Return who leads updates."""
        from bistable.tools.disk.client import Start

        return Start(self.start)

    def configuration(self) -> "Configuration":
        """Return what the client is told."""
        from bistable.tools.disk.client import Configuration

        return Configuration(
            artifact_name=self.artifact_name, verify_keys=tuple(self.verify_keys), servers=tuple(self.servers)
        )

    def change(self) -> "Change":
        """Return what puts the client, and what it is told, into a root file system.

        Raises:
            RequestError: there is no client where the option says.
        """
        from bistable.tools.disk.client import put_client, put_configuration

        source, start, configuration = self.source(), self.start_mode(), self.configuration()

        def change(tree: "RootTree") -> None:
            if source is not None:
                put_client(tree, source=source, start=start)
            put_configuration(tree, configuration)

        return change


def client_options(*, default: str) -> Callable[[F], F]:
    """Add the options, handed over as `client`; `default` is what --client is by default."""

    def decorate(function: F) -> F:
        return bundle(
            "client",
            ClientChoice,
            [
                option(
                    "--client",
                    metavar="FROM",
                    default=default,
                    show_default=True,
                    section=CLIENT,
                    help=f"Install the update client: `{OWN}` is that of this installation; or a folder with the "
                    f"sources, or a wheel; or `{NONE}`.",
                ),
                option(
                    "--start",
                    type=click.Choice(STARTS),
                    default=STARTS[0],
                    show_default=True,
                    section=CLIENT,
                    help="Who leads updates: a server and a service that always runs, the same with a service that "
                    "runs now and then, or people with bistablectl.",
                ),
                option(
                    "--artifact-name",
                    metavar="NAME",
                    section=CLIENT,
                    help="The name of the system in the slots, as an artifact with it would be called.",
                ),
                option(
                    "--verify-key",
                    "verify_keys",
                    type=FILE,
                    multiple=True,
                    metavar="FILE",
                    section=CLIENT,
                    help="A public key by which artifacts have to be signed. May be given several times. Without one, "
                    "any artifact is installed.",
                ),
                option(
                    "--server",
                    "servers",
                    multiple=True,
                    metavar="URL",
                    section=CLIENT,
                    help="A server that is asked for updates. May be given several times.",
                ),
            ],
        )(function)

    return decorate
