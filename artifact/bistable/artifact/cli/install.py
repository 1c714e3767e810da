"""`bistable artifact install`: `cp --mode` and `mkdir -p`, called as in mender-artifact."""

from collections.abc import Sequence
from pathlib import Path

import click

from bistable.artifact.cli.framework import Example, command, option
from bistable.artifact.cli.imagechanges import Rewriting, edit, mode_bits, rewriting_options
from bistable.artifact.cli.imageplaces import place, same_artifact
from bistable.artifact.cli.options import output_options
from bistable.artifact.cli.render import Console
from bistable.artifact.cli.signing import Signing, signing_options
from bistable.artifact.errors import RequestError


@command(
    "install",
    examples=[
        Example(
            "Copy a script in, with its mode, and sign again",
            "bistable artifact install -m 0755 -k private.pem start.sh release-1.mender:/usr/bin/start.sh",
        ),
        Example("Make a directory and those above it", "bistable artifact install -d release-1.mender:/data/app"),
    ],
)
@option("-m", "--mode", type=mode_bits, metavar="MODE", help="Mode of the file (octal), or of the directory.")
@option("-d", "--directory", is_flag=True, help="Make directories, and missing ones above; copy nothing.")
@signing_options
@rewriting_options
@output_options
@click.argument("words", metavar="[FILE] ARTIFACT:PATH", nargs=-1, required=True)
def install(
    words: Sequence[str],
    mode: int | None,
    directory: bool,
    signing: Signing,
    rewriting: Rewriting,
    console: Console,
) -> None:
    """Copy a file with its mode into the image that an artifact carries, or make directories there.

    It is there for pipelines that call mender-artifact; `cp --mode` and `mkdir -p` do the same, and more.
    """
    from bistable.artifact.imageedit import CopyIn, MakeDirectory

    if directory:
        name, paths = same_artifact(words)
        made = [MakeDirectory(path=path, mode=0o755 if mode is None else mode, parents=True) for path in paths]
        edit(name, made, signing, rewriting, console)
        return
    if len(words) != 2 or (target := place(words[1])).path is None:
        raise RequestError("cannot install: one FILE and one ARTIFACT:/PATH are needed", hint="or -d ARTIFACT:/PATH")
    if mode is None:
        raise RequestError("cannot install without a mode", hint="-m 0644; `cp` copies without one")
    edit(target.name, [CopyIn(source=Path(words[0]), path=target.path, mode=mode)], signing, rewriting, console)
