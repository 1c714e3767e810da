"""Opening what a command reads: with a progress bar, and with a word when a download has to be resumed."""

from contextlib import contextmanager
from typing import TYPE_CHECKING

from bistable.artifact.cli.render import Console

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bistable.artifact.source import NamedSource


@contextmanager
def opened(name: str, console: Console, what: str) -> "Iterator[NamedSource]":
    """Open a file, address or standard input for one pass; `what` names the work in the progress bar.

    Raises:
        MachineError, RequestError: it cannot be opened or read.
    """
    from bistable.artifact.source import HttpSettings, open_source

    def tell(why: str, seconds: float) -> None:
        console.note(f"{why}; trying again in {seconds:.0f} s")

    with (
        console.progress(what) as meter,
        open_source(name, on_progress=meter.advance, settings=HttpSettings(on_retry=tell)) as source,
    ):
        meter.total = source.size
        yield source
