"""`bistable image`: disk images with two slots."""

from typing import Final

import click

from bistable.artifact.cli.framework import LazyGroup

_HERE: Final = "bistable.tools.cli"
COMMANDS: Final = {
    "build": f"{_HERE}.image_build:build",
    "convert": f"{_HERE}.image_convert:convert",
    "files": f"{_HERE}.image_files:files",
    "inspect": f"{_HERE}.image_inspect:inspect",
}


@click.group(cls=LazyGroup, table=COMMANDS)
def image() -> None:
    """Build, convert and inspect disk images with two slots, and write files for other image builders."""
