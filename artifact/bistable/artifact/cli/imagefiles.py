"""`bistable artifact ls`, `cat`: look at files inside the image that an artifact carries."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

import click

from bistable.artifact.cli.framework import Example, command, option
from bistable.artifact.cli.imagechanges import cp, mkdir, rm
from bistable.artifact.cli.imageplaces import image_of, place
from bistable.artifact.cli.options import output_options
from bistable.artifact.cli.reading import opened
from bistable.artifact.cli.render import Console, View, clean

if TYPE_CHECKING:
    from bistable.artifact.image import Entry

__all__ = ["cat", "cp", "ls", "mkdir", "rm"]


@command(
    "ls",
    examples=[
        Example("List the root directory of the image", "bistable artifact ls release-1.mender"),
        Example("List a directory with modes, owners, sizes", "bistable artifact ls -l release-1.mender:/etc"),
        Example("List all files", "bistable artifact ls -R --json release-1.mender | jq -r '.entries[].path'"),
    ],
)
@option("-l", "--long", is_flag=True, help="Show mode, owner, group, size and time (UTC), too.")
@option("-R", "--recursive", is_flag=True, help="List everything beneath, too, with whole paths.")
@output_options
@click.argument("place_", metavar="ARTIFACT[:PATH]")
def ls(place_: str, long: bool, recursive: bool, console: Console) -> None:
    """List files inside the image that an artifact carries (ext2, ext3, ext4, squashfs).

    The payload is unpacked to an unnamed file in TMPDIR, and its digest is checked, before it is looked into. The
    signature is not checked: `verify` does that.
    """
    from bistable.artifact.imageedit import list_files, list_tree

    where = place(place_)
    with opened(where.name, console, "unpacking") as source:
        entries = (list_tree if recursive else list_files)(source, where.path or "/")
    console.result(listing_view(source.name, where.path or "/", entries, long=long, whole_paths=recursive))


def listing_view(source: str, path: str, entries: "Sequence[Entry]", *, long: bool, whole_paths: bool) -> View:
    """Return a listing."""
    from bistable.artifact.cli.entries import entry_document, mode_text, time_text
    from bistable.artifact.image import Kind

    def name(entry: "Entry") -> str:
        slash = "/" if entry.kind is Kind.DIRECTORY and entry.path != "/" else ""
        arrow = f" -> {clean(entry.target)}" if long and entry.target else ""
        return clean(entry.path if whole_paths else entry.name or "/") + slash + arrow

    widths = [max((len(str(value(entry))) for entry in entries), default=0) for value in _NUMBERS]
    lines = []
    for entry in entries:
        numbers = (f"{value(entry):>{width}}" for value, width in zip(_NUMBERS, widths, strict=True))
        before = [mode_text(entry), *numbers, time_text(entry.mtime)] if long else []
        lines.append("  ".join([*before, name(entry)]))
    return View(
        schema="artifact.ls/1",
        document={"source": source, "path": path, "entries": [entry_document(entry) for entry in entries]},
        lines=lines,
    )


_NUMBERS: "Final[tuple[Callable[[Entry], int], ...]]" = (
    lambda entry: entry.uid,
    lambda entry: entry.gid,
    lambda entry: entry.size,
)


@command(
    "cat",
    examples=[
        Example("See what release the image says it is", "bistable artifact cat release-1.mender:/etc/os-release"),
    ],
)
@option("--no-progress", is_flag=True, help="Show no progress bar.")
@click.argument("places_", metavar="ARTIFACT:PATH...", nargs=-1, required=True)
def cat(places_: Sequence[str], no_progress: bool) -> None:
    """Write files inside the image that an artifact carries to standard output.

    Nothing is written before the payload's digest was checked.
    """
    console = Console(no_progress=no_progress)
    with image_of(places_, console) as (image, paths):
        from bistable.artifact.image import read_file

        for path in paths:
            read_file(image, path, console.data)
