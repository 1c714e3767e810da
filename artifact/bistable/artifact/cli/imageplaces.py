"""How the commands on files in images name them, `ARTIFACT:PATH`, and get at the image."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bistable.artifact.cli.outputs import STANDARD
from bistable.artifact.cli.reading import opened
from bistable.artifact.cli.render import Console
from bistable.artifact.errors import RequestError


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What the user named: an artifact and a path in its image; or, if `path` is None, something of this machine."""

    name: str
    path: str | None


def place(text: str) -> Place:
    """Take `ARTIFACT:PATH` apart: the artifact ends at the first colon behind the name of a file that is there.

    If there is no such file, it ends at the first colon that a slash follows, but not at that of an address.
    """
    if text == STANDARD or Path(text).exists():
        return Place(name=text, path=None)
    colons = [at for at, character in enumerate(text) if character == ":" and text[at : at + 3] != "://"]
    ends = [at for at in colons if text[:at] == STANDARD or Path(text[:at]).is_file()]
    ends += [at for at in colons if text[at + 1 : at + 2] == "/"]
    if not ends:
        return Place(name=text, path=None)
    return Place(name=text[: ends[0]], path=text[ends[0] + 1 :] or "/")


@contextmanager
def image_of(texts: Sequence[str], console: Console) -> Iterator[tuple[Path, list[str]]]:
    """Give the unpacked image of the artifact that all of `texts` name, and their paths in it."""
    from bistable.artifact.imageedit import unpacked_image

    name, paths = same_artifact(texts)
    with ExitStack() as stack:
        with opened(name, console, "unpacking") as source:
            image = stack.enter_context(unpacked_image(source))
        yield image, paths


def same_artifact(texts: Sequence[str]) -> tuple[str, list[str]]:
    """Return the artifact that all of `texts` name, and their paths in its image.

    Raises:
        RequestError: a path is missing, or there is more than one artifact.
    """
    found = [(place(text), text) for text in texts]
    paths = []
    for where, text in found:
        if where.path is None:
            raise RequestError(f"cannot use {text}: it names no path in an artifact", hint="write ARTIFACT:/PATH")
        if where.name != found[0][0].name:
            raise RequestError("cannot work on two artifacts at once", hint="name one artifact for each command")
        paths.append(where.path)
    return found[0][0].name, paths
