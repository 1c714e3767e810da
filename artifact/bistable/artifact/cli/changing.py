"""What the commands that change an artifact share: where it comes from, where it goes, and what they say."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from bistable.artifact.cli.framework import option
from bistable.artifact.cli.options import NAME, OUTPUT, artifact_argument, bundle
from bistable.artifact.cli.outputs import CHUNK, STANDARD, is_stdout, place_for, refuse_terminal
from bistable.artifact.cli.reading import opened
from bistable.artifact.cli.render import Console, View, clean, rows, size_text
from bistable.artifact.errors import RequestError

if TYPE_CHECKING:
    from bistable.artifact.rewrite import Changed

F = TypeVar("F", bound=Callable[..., Any])

BUNDLE_SUFFIX: Final = ".intoto.jsonl"
"""That of the attest package, which would have to be loaded to ask it; a test compares them."""

DID: Final = {"kept": "found nothing to repair in"}
"""What was done, where one word does not say it."""

HEAD_ONLY: Final = "head; the payload was moved as it is, not read"
ALL_READ: Final = "head and payload; all digests match"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Which artifact is to be changed, and where the changed one goes."""

    artifact: str
    output_path: str | None

    @property
    def output(self) -> str:
        """Return the output in the user's words: the artifact itself unless another is named."""
        return self.artifact if self.output_path is None else self.output_path

    @property
    def to_stdout(self) -> bool:
        """Return whether the changed artifact goes to standard output."""
        return is_stdout(self.output)


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Files that stand for what the user named, for as long as the change takes."""

    source: Path
    target: Path


def change_options(function: F) -> F:
    """Add the artifact and --output-path, handed over as `change`."""
    return bundle(
        "change",
        Change,
        [
            artifact_argument,
            option(
                "-o",
                "--output-path",
                type=NAME,
                metavar="FILE",
                section=OUTPUT,
                help="Write the changed artifact to this file and leave the old one alone; - is standard output. By "
                "default the old one is replaced, when the new one is complete.",
            ),
        ],
    )(function)


verify_option = option(
    "--verify",
    is_flag=True,
    help="Read the whole artifact first and check every digest. Without it only the head is read and checked, and the "
    "payload is moved as it is.",
)


@contextmanager
def places(change: Change, console: Console) -> Iterator[Places]:
    """Give files to read from and write to; what goes to standard output is put there when the block ended well.

    Raises:
        RequestError: the artifact is an address, or the output cannot take it.
        MachineError: a file cannot be read or written.
    """
    refuse_terminal(change.output, console)
    with local_file(change.artifact, console) as source, place_for(change.output, console) as target:
        yield Places(source=source, target=target)


def read_first(path: Path, console: Console) -> None:
    """Read an artifact to its end and check everything but the signature.

    Raises:
        RejectedError: it breaks a rule.
    """
    from bistable.artifact.reader import read_artifact
    from bistable.artifact.trust import Policy

    with opened(str(path), console, "verifying") as source:
        read_artifact(source, Policy(allow_augment=True))


def changed_view(change: Change, changed: "Changed", *, did: str, all_read: bool) -> View:
    """Return what was changed, what became of the signature, and what was looked at."""
    whole = all_read or changed.payload_read
    state = "signed" if changed.key else "kept" if changed.signature_kept else "none"
    signature = {"signed": f"by {clean(changed.key or '')}", "kept": "kept, still valid", "none": "none"}[state]
    shown = "standard output" if change.to_stdout else change.output
    return View(
        schema="artifact.change/1",
        document={
            "did": did,
            "output": change.output,
            "artifact_name": changed.name,
            "size": changed.size,
            "signature": {"state": state, "key": changed.key},
            "payload_checked": whole,
        },
        lines=[
            f"{DID.get(did, did)} {clean(shown)}, {size_text(changed.size)}",
            *rows(
                [
                    ("artifact", clean(changed.name)),
                    ("signature", signature),
                    ("checked", ALL_READ if whole else HEAD_ONLY),
                ],
                indent="  ",
            ),
        ],
    )


def warn_of_attestations(change: Change, console: Console) -> None:
    """Say that attestations beside the changed artifact are void now, if there are any."""
    bundle = Path(change.output + BUNDLE_SUFFIX)
    if not change.to_stdout and bundle.exists():
        console.warn(
            f"the attestations in {bundle} are about another artifact now", hint="make them again: `attest --replace`"
        )


@contextmanager
def local_file(artifact: str, console: Console) -> Iterator[Path]:
    """Give a file with the content of what was named: standard input is stored, without a name, first.

    Raises:
        RequestError: it is an address.
    """
    from bistable.artifact.source import is_address

    if is_address(artifact):
        raise RequestError(f"cannot change {artifact}: it is an address", hint="get the file first")
    if artifact != STANDARD:
        yield Path(artifact)
        return
    from bistable.artifact.files import write_all
    from bistable.artifact.scratch import scratch_file

    with scratch_file("standard input") as scratch, opened(STANDARD, console, "reading") as source:
        while chunk := source.read(CHUNK):
            write_all(scratch.file, chunk)
        yield scratch.path
