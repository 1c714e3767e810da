"""`bistable image`: disk images with two slots."""

from typing import Final

import click

from bistable.artifact.cli.framework import LazyGroup

COMMANDS: Final[dict[str, str]] = {}


@click.group(cls=LazyGroup, table=COMMANDS)
def image() -> None:
    """Build, convert and inspect disk images with two slots."""
