"""`bistable artifact extract`: take an artifact apart."""

from pathlib import Path
from typing import TYPE_CHECKING, Final

from bistable.artifact.cli.framework import Example, command, option
from bistable.artifact.cli.options import FILE, OUTPUT, artifact_argument, output_options
from bistable.artifact.cli.reading import opened
from bistable.artifact.cli.recreate import command_line
from bistable.artifact.cli.render import Console, View, clean, count_text, finding_document, finding_lines, rows
from bistable.artifact.cli.verifying import Verifying, verifying_options
from bistable.artifact.errors import RequestError
from bistable.artifact.model import SignatureState

if TYPE_CHECKING:
    from bistable.artifact.extract import Extracted, Layout

SHOWN: Final = 20
"""As many files are named in the text; more are counted."""


@command(
    "extract",
    examples=[
        Example(
            "Take everything out of a signed artifact",
            "bistable artifact extract -k public.pem -o release-1 release-1.mender",
        ),
        Example("Take only the image", "bistable artifact extract --files . release-1.mender"),
        Example(
            "Take it apart and see how it could be written again",
            "bistable artifact extract --files f --scripts s --meta-data m --print-cmdline app-1.mender",
        ),
    ],
)
@option(
    "-o",
    "--output-dir",
    type=FILE,
    metavar="DIR",
    section=OUTPUT,
    help="Write everything: payload files to DIR/files, state scripts to DIR/scripts, meta-data to DIR/0000.meta-data.",
)
@option("--files", type=FILE, metavar="DIR", section=OUTPUT, help="Write the payload files to this directory.")
@option("--scripts", type=FILE, metavar="DIR", section=OUTPUT, help="Write the state scripts to this directory.")
@option(
    "--meta-data", type=FILE, metavar="DIR", section=OUTPUT, help="Write the meta-data to DIR/0000.meta-data, if any."
)
@option("-f", "--force", is_flag=True, section=OUTPUT, help="Replace files that are there already.")
@option(
    "--print-cmdline",
    is_flag=True,
    help="Show, instead of what was written, the arguments of `bistable artifact` (and of mender-artifact) that write "
    "such an artifact from the files, quoted for a shell. A signature cannot be made again that way.",
)
@option(
    "--print0-cmdline", is_flag=True, help="The same, not quoted, each word ended by a zero byte, as xargs -0 wants it."
)
@verifying_options
@output_options
@artifact_argument
def extract(
    artifact: str,
    output_dir: Path | None,
    files: Path | None,
    scripts: Path | None,
    meta_data: Path | None,
    force: bool,
    print_cmdline: bool,
    print0_cmdline: bool,
    verifying: Verifying,
    console: Console,
) -> None:
    """Write an artifact's payload files, state scripts and meta-data to directories.

    All of the artifact is checked, and the files appear when all of it is good: nothing is left behind otherwise. A
    signature is checked if a key is given. Missing directories are made; zeros in files become holes.
    """
    from bistable.artifact.extract import Present, extract_artifact

    layout = _layout(output_dir, files, scripts, meta_data)
    if console.as_json and (print_cmdline or print0_cmdline):
        raise RequestError("cannot show both a command line and --json")
    policy = verifying.policy(artifact, allow_unchecked=True)
    with opened(artifact, console, "extracting") as source:
        done = extract_artifact(source, layout, policy, present=Present.REPLACE if force else Present.REFUSE)
    if print_cmdline or print0_cmdline:
        console.data(command_line(done, zero=print0_cmdline))
        return
    console.result(_view(source.name, done))


def _layout(everything: Path | None, files: Path | None, scripts: Path | None, meta_data: Path | None) -> "Layout":
    from bistable.artifact.extract import Layout

    parts = Layout(files=files, scripts=scripts, meta_data=meta_data)
    if everything is not None and parts != Layout():
        raise RequestError(
            "cannot use --output-dir with --files, --scripts or --meta-data", hint="use one or the others"
        )
    if everything is not None:
        return Layout(files=everything / "files", scripts=everything / "scripts", meta_data=everything)
    if parts == Layout():
        raise RequestError("cannot extract: no directory is named", hint="-o DIR for everything, or --files DIR")
    return parts


def _view(source: str, done: "Extracted") -> View:
    head = done.artifact.head
    signature = (
        f"verified with {clean(head.key or '')}" if head.signature is SignatureState.VERIFIED else head.signature.value
    )
    names = [clean(str(path)) for path in done.paths]
    more = [f"... and {len(names) - SHOWN} more"] if len(names) > SHOWN else []
    return View(
        schema="artifact.extract/1",
        document={
            "source": source,
            "artifact_name": head.header.info.artifact_name,
            "signature": {"state": head.signature.value.replace(" ", "-"), "key": head.key},
            "written": [str(path) for path in done.paths],
            "findings": [finding_document(finding) for finding in done.artifact.findings],
        },
        lines=[
            f"extracted {count_text(len(names), 'file')} from {clean(source)}",
            *rows(
                [
                    ("artifact", clean(head.header.info.artifact_name)),
                    ("signature", signature),
                    ("files", names[:SHOWN] + more),
                ],
                indent="  ",
            ),
            *finding_lines(done.artifact.findings),
        ],
    )
