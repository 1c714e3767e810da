"""The text of a build file: parsed, with `${VARIABLES}` filled in, and able to say in which line something stands."""

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping
from typing import Any, Final, NoReturn

from bistable.artifact.errors import RequestError
from bistable.artifact.limits import MIB

SIZE_LIMIT: Final = 1 * MIB
LONGEST_LINE: Final = 8192
"""Bytes. A key with very many dots takes minutes to read."""

_VARIABLE: Final = re.compile(r"\$(\$\{|\{(?P<name>[^}]*)\}|\{)")
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_TABLE_LINE: Final = re.compile(r"""\s*\[\s*(?P<name>[^\[\]]+?)\s*\]\s*(?:#.*)?$""")
_KEY_LINE: Final = re.compile(r"""\s*(?P<key>"[^"]*"|'[^']*'|[A-Za-z0-9_.-]+)\s*=""")


class BuildText:
    """A build file's text, `origin` names it in messages.

    Raises:
        RequestError: it is not TOML.
    """

    def __init__(self, data: bytes, *, origin: str) -> None:
        self.origin = origin
        if len(data) > SIZE_LIMIT:
            self.refuse(f"it has more than {SIZE_LIMIT // MIB} MiB")
        try:
            self._text = data.decode("utf-8")
        except UnicodeDecodeError:
            self.refuse("it is not text in UTF-8")
        for number, line in enumerate(data.split(b"\n"), start=1):
            if len(line) > LONGEST_LINE:
                self.refuse(f"line {number} has more than {LONGEST_LINE} bytes")
        try:
            self.document: dict[str, Any] = tomllib.loads(self._text)
        except tomllib.TOMLDecodeError as e:
            self.refuse(f"it is not TOML: {_lowered(str(e))}", hint="strings stand in quotes, tables begin with [name]")
        except RecursionError:
            self.refuse("it is not TOML: lists or tables are nested too deeply")
        except ValueError:
            self.refuse("it is not TOML: a number has too many digits")

    def refuse(
        self, why: str, *, table: str | None = None, key: str | None = None, hint: str | None = None
    ) -> NoReturn:
        """Raise RequestError that says why the file cannot be used, and where."""
        line = self.line_of(table, key) if table is not None else None
        place = "" if table is None else f"[{table}]" + (f" {key}" if key is not None else "") + ": "
        at = f"line {line}, " if line is not None else ""
        raise RequestError(f"cannot use {self.origin}: {at}{place}{why}", hint=hint)

    def line_of(self, table: str | None, key: str | None) -> int | None:
        """Return the line (from 1) where a key, or else its table, begins; None if it is not written the usual way."""
        current, found = None, None
        for number, line in enumerate(self._text.splitlines(), start=1):
            heading = _TABLE_LINE.match(line)
            if heading:
                current = heading["name"].strip("\"'")
                if current == (table if key is None else f"{table}.{key}"):
                    return number
                found = number if current == table else found
                continue
            match = _KEY_LINE.match(line)
            if match is None:
                continue
            name = match["key"].strip("\"'")
            if (current == table and name == key) or (current is None and name in {f"{table}.{key}", table}):
                return number
        return found

    def fill_in(self, variables: Mapping[str, str]) -> None:
        """Replace `${NAME}` in all strings by the variable's value; `$${` stands for `${`.

        Raises:
            RequestError: a variable is not set.
        """
        for table, content in self.document.items():
            if isinstance(content, dict):
                for key, value in content.items():
                    content[key] = self._filled(value, variables, table, key)

    def _filled(self, value: Any, variables: Mapping[str, str], table: str, key: str) -> Any:
        if isinstance(value, list):
            return [self._filled(item, variables, table, key) for item in value]
        if isinstance(value, dict):
            return {name: self._filled(item, variables, table, key) for name, item in value.items()}
        if not isinstance(value, str):
            return value

        def replacement(match: re.Match[str]) -> str:
            name = match["name"]
            if match[1] == "${":
                return "${"
            if name is None or not _NAME.fullmatch(name):
                self.refuse("after ${ the name of a variable and } are due", table=table, key=key, hint="$${ means ${")
            if name not in variables:
                self.refuse(f"the variable {name} is not set", table=table, key=key, hint=f"set it: export {name}=...")
            return variables[name]

        return _VARIABLE.sub(replacement, value)


def _lowered(text: str) -> str:
    return text[:1].lower() + text[1:]


def suggestion(word: str, known: Iterable[str]) -> str:
    """Return as a hint what may be meant by a word that is not known."""
    names = list(known)
    close = difflib.get_close_matches(word, names, n=1)
    return f"did you mean {close[0]}?" if close else f"there are {', '.join(names)}"
