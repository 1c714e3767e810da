"""`bistable artifact cp`, `rm`, `mkdir`: change files inside the image that an artifact carries."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from bistable.artifact.cli.changing import Change, places
from bistable.artifact.cli.framework import Example, command, option
from bistable.artifact.cli.imageplaces import image_of, place, same_artifact
from bistable.artifact.cli.options import OUTPUT, bundle, output_options
from bistable.artifact.cli.outputs import STANDARD
from bistable.artifact.cli.reading import opened
from bistable.artifact.cli.render import Console, View, clean, rows, size_text
from bistable.artifact.cli.signing import SECTION as SIGNING
from bistable.artifact.cli.signing import Signing, signing_options
from bistable.artifact.errors import RequestError

if TYPE_CHECKING:
    from bistable.artifact.imageedit import Edited, Operation

F = TypeVar("F", bound=Callable[..., Any])

CHUNK: Final = 1024 * 1024


def mode_bits(text: str) -> int:
    """Read permission bits in octal, such as 0644."""
    if not text.isdecimal() or not set(text) <= set("01234567") or int(text, 8) > 0o7777:
        raise click.BadParameter(f"{text!r} is not a mode; write it in octal, such as 0644 or 4755")
    return int(text, 8)


def owner_numbers(text: str) -> tuple[int, int]:
    """Read user and group as numbers, such as 0:0."""
    user, colon, group = text.partition(":")
    if not colon or not user.isdecimal() or not group.isdecimal():
        raise click.BadParameter(f"{text!r} is not of the form UID:GID; write numbers, such as 0:0")
    return int(user), int(group)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewriting:
    """What the options said of the artifact that is written."""

    output_path: str | None
    compression: str | None
    drop_signature: bool


def rewriting_options(function: F) -> F:
    """Add the options on the artifact that is written, handed over as `rewriting`."""
    return bundle(
        "rewriting",
        Rewriting,
        [
            option(
                "-o",
                "--output-path",
                metavar="FILE",
                section=OUTPUT,
                help="Write the changed artifact to this file and leave the old one alone; - is standard output. By "
                "default the old one is replaced, when the new one is complete.",
            ),
            option(
                "--compression",
                metavar="KIND",
                section=OUTPUT,
                help="Compress the payload with this; by default with the kind that it had, at its default level.",
            ),
            option(
                "--drop-signature",
                is_flag=True,
                section=SIGNING,
                help="Leave the result unsigned. A change makes the old signature worthless; without a key and without "
                "this, a signed artifact is not changed.",
            ),
        ],
    )(function)


@command(
    "cp",
    examples=[
        Example(
            "Copy a file into the image and sign again",
            "bistable artifact cp -k private.pem motd release-1.mender:/etc/motd",
        ),
        Example(
            "Copy a script in, with its mode", "bistable artifact cp --mode 0755 start.sh release-1.mender:/usr/bin/"
        ),
        Example("Copy a file out", "bistable artifact cp release-1.mender:/etc/fstab ."),
    ],
)
@option(
    "--mode",
    type=mode_bits,
    metavar="MODE",
    help="Mode of a file copied in (octal); by default that of the file it replaces, else its own.",
)
@option(
    "--owner",
    type=owner_numbers,
    metavar="UID:GID",
    help="Owner of a file copied in; by default that of the file it replaces, else 0:0.",
)
@signing_options
@rewriting_options
@output_options
@click.argument("sources", metavar="SOURCE...", nargs=-1, required=True)
@click.argument("destination", metavar="DESTINATION")
def cp(
    sources: Sequence[str],
    destination: str,
    mode: int | None,
    owner: tuple[int, int] | None,
    signing: Signing,
    rewriting: Rewriting,
    console: Console,
) -> None:
    """Copy files into or out of the image that an artifact carries: one side is ARTIFACT:PATH, the other is local.

    A DESTINATION that is a directory, or ends in a slash, gets the files under their own names. A single - is standard
    input or output. Files can be copied into ext2, ext3 and ext4 images, and out of squashfs images, too. The artifact
    is written anew: the header stays, the digest in it is put right, and the payload is compressed again.
    """
    target = place(destination)
    if target.path is None:
        _refuse_ignored(mode, owner, signing, rewriting)
        _copy_out(sources, destination, console)
        return
    for source in sources:
        if place(source).path is not None:
            raise RequestError("cannot copy from artifact to artifact", hint="copy the file out first, then in")
    if len(sources) > 1 and STANDARD in sources:
        raise RequestError("cannot copy standard input together with files", hint="copy it by a command of its own")
    with _stored(sources, console) as paths:
        from bistable.artifact.imageedit import CopyIn

        uid, gid = owner or (None, None)
        shown = "standard input" if sources[0] == STANDARD else None
        operations = [CopyIn(source=path, shown=shown, path=target.path, mode=mode, uid=uid, gid=gid) for path in paths]
        edit(target.name, operations, signing, rewriting, console)


@command(
    "rm",
    examples=[
        Example(
            "Remove a file and a directory with all that is in it, then sign again",
            "bistable artifact rm -r -k private.pem release-1.mender:/etc/motd release-1.mender:/usr/share/doc",
        ),
    ],
)
@option("-r", "--recursive", is_flag=True, help="Remove directories with what is in them.")
@signing_options
@rewriting_options
@output_options
@click.argument("places_", metavar="ARTIFACT:PATH...", nargs=-1, required=True)
def rm(places_: Sequence[str], recursive: bool, signing: Signing, rewriting: Rewriting, console: Console) -> None:
    """Remove files from the ext2, ext3 or ext4 image that an artifact carries."""
    from bistable.artifact.imageedit import Remove, RemoveTree

    name, paths = same_artifact(places_)
    operations = [RemoveTree(path=path) if recursive else Remove(path=path) for path in paths]
    edit(name, operations, signing, rewriting, console)


@command(
    "mkdir",
    examples=[
        Example(
            "Make a directory and those above it",
            "bistable artifact mkdir -p -k private.pem release-1.mender:/data/app",
        ),
    ],
)
@option("-p", "--parents", is_flag=True, help="Make missing directories above, too; one that is there is no error.")
@option(
    "--mode", type=mode_bits, default="0755", show_default=True, metavar="MODE", help="Mode of the directory (octal)."
)
@signing_options
@rewriting_options
@output_options
@click.argument("places_", metavar="ARTIFACT:PATH...", nargs=-1, required=True)
def mkdir(
    places_: Sequence[str], parents: bool, mode: int, signing: Signing, rewriting: Rewriting, console: Console
) -> None:
    """Make directories in the ext2, ext3 or ext4 image that an artifact carries."""
    from bistable.artifact.imageedit import MakeDirectory

    name, paths = same_artifact(places_)
    edit(name, [MakeDirectory(path=path, mode=mode, parents=parents) for path in paths], signing, rewriting, console)


def edit(
    name: str, operations: "Sequence[Operation]", signing: Signing, rewriting: Rewriting, console: Console
) -> None:
    """Change the image in the artifact called `name`, write the artifact, and show what was done.

    Raises:
        RequestError, RejectedError, KeyUnusableError, MachineError: as the library says.
    """
    from bistable.artifact.imageedit import edit_image
    from bistable.artifact.streams import Codec
    from bistable.artifact.writer import source_date_epoch

    codec = None if rewriting.compression is None else Codec.parse(rewriting.compression)
    signer = signing.signer()
    change = Change(artifact=name, output_path=rewriting.output_path)
    with places(change, console) as found, console.progress("writing") as meter:
        edited = edit_image(
            found.source,
            found.target,
            operations,
            codec=codec,
            signer=signer,
            drop_signature=rewriting.drop_signature,
            epoch=source_date_epoch() if os.environ.get("SOURCE_DATE_EPOCH") else None,
            on_progress=meter.advance,
        )
    console.result(edited_view(change, edited), aside=change.to_stdout)


def edited_view(change: Change, edited: "Edited") -> View:
    """Return what was done inside the image, and what was written."""
    written = edited.written
    shown = "standard output" if change.to_stdout else change.output
    return View(
        schema="artifact.edit/1",
        document={
            "did": list(edited.done),
            "output": change.output,
            "artifact_name": written.name,
            "size": written.size,
            "signature": {"state": "signed" if written.key else "none", "key": written.key},
            "payload_sha256": written.files[0].digest,
        },
        lines=[
            f"changed {clean(shown)}, {size_text(written.size)}",
            *rows(
                [
                    ("artifact", clean(written.name)),
                    ("did", [clean(text) for text in edited.done]),
                    ("signature", f"by {clean(written.key)}" if written.key else "none"),
                ],
                indent="  ",
            ),
        ],
    )


def _refuse_ignored(mode: int | None, owner: object, signing: Signing, rewriting: Rewriting) -> None:
    """Refuse options that say how an artifact is to be changed where none is."""
    given = {
        "--mode": mode is not None,
        "--owner": owner is not None,
        "--output-path": rewriting.output_path is not None,
        "--compression": rewriting.compression is not None,
        "--drop-signature": rewriting.drop_signature,
        **dict.fromkeys(signing.given, True),
    }
    ignored = [name for name, is_given in given.items() if is_given]
    if ignored:
        raise RequestError(
            f"cannot use {' and '.join(ignored)}: files are copied out, no artifact is changed",
            hint="to copy into an artifact, let the last argument be ARTIFACT:/PATH",
        )


def _copy_out(sources: Sequence[str], destination: str, console: Console) -> None:
    from bistable.artifact.image import read_file

    into = Path(destination)
    many = into.is_dir() or destination.endswith("/")
    if len(sources) > 1 and not many and destination != STANDARD:
        raise RequestError(f"cannot copy {len(sources)} files to {destination}: it is not a directory")
    with image_of(sources, console) as (image, paths):
        for path in paths:
            if destination == STANDARD:
                read_file(image, path, console.data)
                continue
            _copy_file_out(image, path, into / Path(path).name if many else into)


def _copy_file_out(image: Path, path: str, target: Path) -> None:
    from bistable.artifact.files import replacing, write_all
    from bistable.artifact.image import read_file

    with replacing(target) as out:
        entry = read_file(image, path, lambda data: write_all(out, data))
        # Who may read and run it stays; the special bits were granted inside the image, not here.
        os.fchmod(out.fileno(), entry.mode & 0o777)


@contextmanager
def _stored(sources: Sequence[str], console: Console) -> Iterator[list[Path]]:
    """Give the files that are to be copied in; standard input is stored, without a name, first."""
    if STANDARD not in sources:
        yield [Path(source) for source in sources]
        return
    from bistable.artifact.files import write_all
    from bistable.artifact.scratch import scratch_file

    with scratch_file("stdin") as scratch:
        with opened(STANDARD, console, "reading") as source:
            while data := source.read(CHUNK):
                write_all(scratch.file, data)
        yield [scratch.path]
