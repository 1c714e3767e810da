"""`bistable artifact write module`: an artifact of files for an update module."""

from collections.abc import Sequence
from pathlib import Path

from bistable.artifact.cli.attesting import Attesting, attesting_options
from bistable.artifact.cli.contents import (
    Contents,
    Version,
    contents_options,
    meta_data_option,
    script_option,
    version_options,
)
from bistable.artifact.cli.framework import Example, command, option
from bistable.artifact.cli.moving import refuse_moved
from bistable.artifact.cli.options import FILE, output_options
from bistable.artifact.cli.outputs import STANDARD
from bistable.artifact.cli.render import Console
from bistable.artifact.cli.signing import Signing, signing_options
from bistable.artifact.cli.writing import Destination, basic_spec, destination_options, write_out
from bistable.artifact.errors import RequestError

PAYLOAD = "Payload"


@command(
    "module",
    examples=[
        Example(
            "Two files and their meta-data, signed",
            "bistable artifact write module -T app -f app.bin -f app.conf -m app.json \\\n"
            "    -n app-1 -t beaglebone -k private.pem -o app-1.mender",
        ),
        Example(
            "A directory as a tar, straight from a pipe",
            "tar c -C site . | bistable artifact write module -T directory -f - --file-name site.tar \\\n"
            "    -n site-1 -t beaglebone",
        ),
    ],
)
@option(
    "-T",
    "--type",
    "payload_type",
    required=True,
    metavar="TYPE",
    section=PAYLOAD,
    help="Name of the update module on the device that installs the files.",
)
@option(
    "-f",
    "--file",
    "files",
    type=FILE,
    multiple=True,
    metavar="FILE",
    section=PAYLOAD,
    help="A file to carry, under its own name; - for standard input. May be given several times, or not at all.",
)
@option(
    "--file-name",
    metavar="NAME",
    section=PAYLOAD,
    help="Name in the artifact of the file that comes from standard input.",
)
@meta_data_option
@contents_options
@script_option
@version_options
@signing_options
@attesting_options
@destination_options
@output_options
@refuse_moved("--augment-type", "--augment-file", "--augment-provides", "--augment-depends", "--augment-meta-data")
def module(
    payload_type: str,
    files: Sequence[Path],
    file_name: str | None,
    meta_data: Path | None,
    contents: Contents,
    scripts: Sequence[Path],
    version: Version,
    signing: Signing,
    attesting: Attesting,
    destination: Destination,
    console: Console,
) -> None:
    """Write an artifact that carries files for an update module.

    Any number of files, in the order given; none is possible, too. What the module makes of them, and of the meta-data,
    is its own affair.
    """
    _check_stdin(files, file_name)
    spec = basic_spec(
        contents, version, payload_type=payload_type, files=tuple(files), scripts=tuple(scripts), meta_data=meta_data
    )
    write_out(spec, destination, signing, console, attesting=attesting, stdin_name=file_name)


def _check_stdin(files: Sequence[Path], file_name: str | None) -> None:
    count = sum(str(file) == STANDARD for file in files)
    if count > 1:
        raise RequestError("cannot read standard input twice")
    if count and file_name is None:
        raise RequestError("cannot carry standard input without a name", hint="--file-name NAME gives it one")
    if file_name is not None and not count:
        raise RequestError("cannot use --file-name without -f -", hint="else the name is that of the file")
