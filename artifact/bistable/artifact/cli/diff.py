"""`bistable artifact diff`: what is different between two artifacts."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import click

from bistable.artifact.cli.entries import entry_document
from bistable.artifact.cli.framework import Example, command, option
from bistable.artifact.cli.options import output_options
from bistable.artifact.cli.reading import opened
from bistable.artifact.cli.render import Console, Meter, View, clean, count_text, size_text, styled
from bistable.artifact.errors import RequestError

if TYPE_CHECKING:
    from bistable.artifact.diff import ArtifactDiff, Difference, PayloadDifference
    from bistable.artifact.image import Entry, FileChange
    from bistable.artifact.model import PayloadFile
    from bistable.artifact.streams import Source

DIFFERENT: Final = 1
"""Exit code if the answer is no (FORMAT.md §13)."""

_SHOWN_DIGEST: Final = 16


@command(
    "diff",
    examples=[
        Example(
            "Show what a release changes, down to the files", "bistable artifact diff release-1.mender release-2.mender"
        ),
        Example(
            "Ask whether two builds came out the same",
            "bistable artifact diff --no-files --json a.mender b.mender | jq .identical",
        ),
    ],
)
@option("--no-files", is_flag=True, help="Compare images as a whole; do not look for the files that differ in them.")
@output_options
@click.argument("old", type=click.Path(allow_dash=True))
@click.argument("new", type=click.Path(allow_dash=True))
@click.pass_context
def diff(ctx: click.Context, old: str, new: str, no_files: bool, console: Console) -> None:
    """Show what is different between two artifacts: header, compression, signature, payload, and files in images.

    Both are read to their end and all digests are checked; signatures are not. Images (ext2, ext3, ext4, squashfs) are
    compared file by file if they differ, for which they are unpacked to unnamed files in TMPDIR. The exit code is 0 if
    both say and carry the same, even if they are not the same to the byte, and 1 if not.
    """
    from bistable.artifact.diff import diff_artifacts, diff_artifacts_and_images

    if old == new == "-":
        raise RequestError("cannot compare standard input with itself", hint="name at least one file")
    compare = diff_artifacts if no_files else diff_artifacts_and_images
    quiet = replace(console, no_progress=True)
    with opened(old, quiet, "reading") as one, opened(new, quiet, "reading") as other:
        with console.progress("reading") as meter:  # one bar for both: a terminal has room for one
            meter.total = None if one.size is None or other.size is None else one.size + other.size
            found = compare(_Counted(one, meter), _Counted(other, meter))
        view = diff_view(one.name, other.name, found)
    console.result(view)
    if not found.same:
        ctx.exit(DIFFERENT)


class _Counted:
    """A source whose bytes are counted by a meter."""

    def __init__(self, source: "Source", meter: Meter) -> None:
        self._source = source
        self._meter = meter

    def read(self, size: int, /) -> bytes:
        data = self._source.read(size)
        self._meter.advance(len(data))
        return data


def diff_view(old: str, new: str, found: "ArtifactDiff") -> View:
    """Return how two artifacts differ."""
    return View(
        schema="artifact.diff/1",
        document={
            "old": old,
            "new": new,
            "same": found.same,
            "identical": found.identical,
            "facts": [{"what": fact.what, "name": fact.name, "old": fact.old, "new": fact.new} for fact in found.facts],
            "payload": [
                {"name": file.name, "old": _file_document(file.old), "new": _file_document(file.new)}
                for file in found.payload
            ],
            "files": None if found.image_files is None else [_change_document(change) for change in found.image_files],
            "files_not_compared": found.why_not,
        },
        lines=[f"--- {clean(old)}", f"+++ {clean(new)}", *_lines(found)],
    )


def _lines(found: "ArtifactDiff") -> Iterator[str]:
    if found.same:
        yield (
            "the same, byte by byte" if found.identical else "the same content; the files are not the same to the byte"
        )
        return
    heading = ""
    for fact in found.facts:
        if fact.what != heading:
            heading = fact.what
            yield styled(heading, bold=True)
        yield from _fact_lines(fact)
    if found.payload:
        yield styled("payload", bold=True)
        for file in found.payload:
            yield from _payload_lines(file)
    if found.image_files is not None:
        yield styled(f"files in the image: {count_text(len(found.image_files), 'difference')}", bold=True)
        for change in found.image_files:
            yield _change_line(change)
    if found.why_not is not None:
        yield f"files were not compared: {clean(found.why_not)}"


def _fact_lines(fact: "Difference") -> Iterator[str]:
    label = clean(fact.name)
    for value, sign, colour in ((fact.old, "-", "red"), (fact.new, "+", "green")):
        if value is not None:
            shown = label if value == fact.name else f"{label}: {clean(value)}" if label else clean(value)
            yield styled(f"  {sign} {shown}", fg=colour)


def _payload_lines(file: "PayloadDifference") -> Iterator[str]:
    for side, sign, colour in ((file.old, "-", "red"), (file.new, "+", "green")):
        if side is not None:
            text = f"{clean(side.name)}: {size_text(side.size)}, SHA-256 {side.digest[:_SHOWN_DIGEST]}..."
            yield styled(f"  {sign} {text}", fg=colour)


def _change_line(change: "FileChange") -> str:
    from bistable.artifact.image import Change

    path = clean(change.path)
    if change.changes == (Change.ADDED,):
        return styled(f"  + {path}{_entry_text(change.new)}", fg="green")
    if change.changes == (Change.REMOVED,):
        return styled(f"  - {path}{_entry_text(change.old)}", fg="red")
    return styled(f"  ~ {path}: {', '.join(_change_texts(change))}", fg="yellow")


def _change_texts(change: "FileChange") -> Iterator[str]:
    """Say what changed, with both values where they are short."""
    from bistable.artifact.image import Change

    old, new = change.old, change.new
    assert old is not None
    assert new is not None
    values = {
        Change.KIND: (old.kind.value, new.kind.value),
        Change.TARGET: (old.target, new.target),
        Change.MODE: (f"{old.mode:04o}", f"{new.mode:04o}"),
        Change.OWNER: (f"{old.uid}:{old.gid}", f"{new.uid}:{new.gid}"),
    }
    if old.size != new.size:
        values[Change.CONTENT] = (str(old.size), f"{new.size} bytes")
    for one in change.changes:
        before, after = values.get(one, ("", ""))
        yield one.value + (f" {clean(before)} -> {clean(after)}" if after or before else "")


def _entry_text(entry: "Entry | None") -> str:
    from bistable.artifact.image import Kind

    if entry is None:
        return ""
    if entry.kind is Kind.FILE:
        return f" ({entry.size} bytes)"
    return "/" if entry.kind is Kind.DIRECTORY else f" -> {clean(entry.target)}" if entry.target else ""


def _file_document(file: "PayloadFile | None") -> Mapping[str, Any] | None:
    return None if file is None else {"size": file.size, "sha256": file.digest}


def _change_document(change: "FileChange") -> Mapping[str, Any]:
    return {
        "path": clean(change.path),
        "changes": [one.value for one in change.changes],
        "old": entry_document(change.old),
        "new": entry_document(change.new),
    }
