"""`bistable artifact build`: write an artifact that a file describes."""

import os
import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from bistable.artifact.cli.attesting import Attesting, attesting_options
from bistable.artifact.cli.framework import Example, command, option
from bistable.artifact.cli.options import OUTPUT, output_options
from bistable.artifact.cli.render import Console
from bistable.artifact.cli.signing import Signing, signing_options
from bistable.artifact.cli.writing import Destination, write_out
from bistable.artifact.errors import MachineError, RequestError

if TYPE_CHECKING:
    from bistable.artifact.spec import BuildSpec

STANDARD: Final = "-"


@command(
    "build",
    examples=[
        Example("Build what release.toml describes", "bistable artifact build release.toml"),
        Example(
            "Fill in ${VERSION} and set a key in a pipeline",
            "VERSION=1.4 bistable artifact build release.toml --set artifact.compression=zstd:19 -o release-1.4.mender",
        ),
    ],
)
@option(
    "-o",
    "--output-path",
    metavar="FILE",
    section=OUTPUT,
    help="Write the artifact to this file instead of the one that the build file names; - is standard output.",
)
@option(
    "--set",
    "settings",
    multiple=True,
    metavar="TABLE.KEY=VALUE",
    help="Go before what the build file says; a list is written as in TOML. May be given several times.",
)
@signing_options
@attesting_options
@output_options
@click.argument("spec", metavar="SPEC.toml", type=click.Path(allow_dash=True))
def build(
    spec: str,
    output_path: str | None,
    settings: Sequence[str],
    signing: Signing,
    attesting: Attesting,
    console: Console,
) -> None:
    """Write an artifact that a build file (TOML) describes: docs/reference/build-file.md.

    Relative paths in the file start where the file is. ${NAME} in a string is replaced by a variable of the
    environment, which must be set. Signing options go before the file's [sign].
    """
    from bistable.artifact.image import ImageOptions
    from bistable.artifact.spec import is_tree, load

    loaded = load(
        _read(spec),
        Path() if spec == STANDARD else Path(spec).parent,
        variables=os.environ,
        settings=dict(map(_setting, settings)),
        origin="standard input" if spec == STANDARD else spec,
    )
    if loaded.image != ImageOptions() and not is_tree(loaded.files[0]):
        raise RequestError(
            f"cannot use [image] in {spec}: {loaded.files[0]} is an image already",
            hint="name a directory or a tar file, or take [image] out",
        )
    output = output_path or (None if loaded.output is None else str(loaded.output))
    if output is None:
        raise RequestError(
            "cannot write the artifact: no output is named", hint="write output in [artifact], or give -o FILE"
        )
    destination = Destination(
        output_path=output,
        compression=loaded.compression,
        max_artifact_size=None,
        warn_artifact_size=None,
        format_version="3",
    )
    write_out(loaded, destination, _signing(loaded, signing), console, attesting=attesting)


def _setting(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise RequestError(f"cannot set {text!r}: it is not of the form TABLE.KEY=VALUE")
    return name, value


def _signing(spec: "BuildSpec", given: Signing) -> Signing:
    """Return the key to sign with: the one on the command line, else the one in the file."""
    if given.given or spec.sign_with is None:
        return given
    said = spec.sign_with
    return replace(
        given,
        key=said.key,
        key_pkcs11=said.pkcs11,
        sign_command=shlex.join(said.command) or None,
        public_key=said.public_key,
    )


def _read(name: str) -> bytes:
    from bistable.artifact.spec import SIZE_LIMIT

    try:
        if name == STANDARD:
            return sys.stdin.buffer.read(SIZE_LIMIT + 1)
        with Path(name).open("rb") as file:
            return file.read(SIZE_LIMIT + 1)
    except OSError as e:
        raise MachineError(f"cannot read {name}: {e.strerror or e}") from e
