"""Files inside images, in words and as JSON."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from bistable.artifact.cli.render import clean
from bistable.artifact.image import Kind

if TYPE_CHECKING:
    from bistable.artifact.image import Entry

_LETTERS: Final[Mapping[Kind, str]] = {
    Kind.FILE: "-",
    Kind.DIRECTORY: "d",
    Kind.SYMLINK: "l",
    Kind.CHARACTER_DEVICE: "c",
    Kind.BLOCK_DEVICE: "b",
    Kind.PIPE: "p",
    Kind.SOCKET: "s",
}
_SPECIAL: Final = ((0o4000, 2, "s"), (0o2000, 5, "s"), (0o1000, 8, "t"))
"""Set-user, set-group and sticky bit, and the place of the execute bit that they are shown in."""


def entry_document(entry: "Entry | None") -> Mapping[str, Any] | None:
    """Return an entry as a document; a name that is not text is shown with escapes."""
    if entry is None:
        return None
    return {
        "path": clean(entry.path),
        "kind": entry.kind.value,
        "mode": f"{entry.mode:04o}",
        "uid": entry.uid,
        "gid": entry.gid,
        "size": entry.size,
        "mtime": entry.mtime,
        "target": clean(entry.target) or None,
    }


def mode_text(entry: "Entry") -> str:
    """Return kind and mode as ls(1) shows them: `-rwsr-xr-x`."""
    letters = [letter if entry.mode >> (8 - at) & 1 else "-" for at, letter in enumerate("rwxrwxrwx")]
    for bit, at, letter in _SPECIAL:
        if entry.mode & bit:
            letters[at] = letter if letters[at] == "x" else letter.upper()
    return _LETTERS[entry.kind] + "".join(letters)


def time_text(seconds: int) -> str:
    """Return a time in UTC, to the minute; the number of seconds where a calendar ends."""
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M")
    except (OverflowError, ValueError, OSError):
        return f"@{seconds}"
