"""What is said about files and keys: where something stands, what is wrong with it, what was probably meant."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from bistable.artifact.errors import Where, quoted
from bistable.client.config.kinds import Kind
from bistable.client.errors import ClientError, ConfigError
from bistable.client.files import read_limited

MAX_FILE = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a setting was found: file, line if it could be told, and the key as it stands there."""

    path: Path
    key: str
    line: int | None = None

    def __str__(self) -> str:
        return str(self.path) if self.line is None else f"{self.path}:{self.line}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A value as it stands in a file."""

    value: object
    origin: Origin


def read_text(path: Path) -> str | None:
    """Return the text of a file, None if there is no such file.

    Raises:
        ConfigError: it cannot be read, is too large, or is not text.
    """
    try:
        # Windows editors put a mark at the start.
        return read_limited(path, MAX_FILE).decode("utf-8-sig")
    except FileNotFoundError:
        return None
    except UnicodeDecodeError as e:
        raise ConfigError(f"cannot use {path}: it is not UTF-8 text (byte {e.start})") from e
    except OSError as e:
        raise ConfigError(f"cannot read {path}: {e.strerror or e}") from e
    except ClientError as e:
        raise ConfigError(e.what) from e


def refuse(found: Found, key: str, kind: Kind[object]) -> NoReturn:
    """Say of which form the value of `key` must be."""
    not_this = "" if kind.secret else f", not {quoted(found.value)}"
    raise ConfigError(
        f"cannot use {found.origin.path}: {key} must be {kind.form}{not_this}",
        where=Where(member=str(found.origin.path), line=found.origin.line),
    )


def unknown(path: Path, what: str, name: str, known: Iterable[str]) -> str:
    """Return the warning about a name that means nothing, with the one that was probably meant."""
    import difflib

    names = {each.lower(): each for each in known}
    close = difflib.get_close_matches(name.lower().replace("_", "-"), names, n=1, cutoff=0.6)
    close = close or difflib.get_close_matches(name.lower(), names, n=1, cutoff=0.6)
    return f"{path}: {what} is not known" + (f"; did you mean {names[close[0]]!r}?" if close else "")


def line_of(text: str, pattern: str) -> int | None:
    """Return the number of the last line that `pattern` matches, the one that counts."""
    ends = [match.end() for match in re.finditer(pattern, text, re.MULTILINE)]
    return text.count("\n", 0, ends[-1]) + 1 if ends else None
