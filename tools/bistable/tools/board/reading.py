"""Typed values out of a document whose names and forms have been checked."""

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, NoReturn

from bistable.artifact.spec.text import BuildText
from bistable.tools.disk.layout.schema import REST, parse_size


@dataclass(frozen=True, slots=True)
class Reading:
    """One table of a document: `name` as it stands there, which may be `mtd.NAME`."""

    text: BuildText
    name: str

    @property
    def content(self) -> dict[str, Any]:
        """Return the table, empty if it is not there."""
        found: Any = self.text.document
        for part in self.name.split(".", 1):
            found = found.get(part, {})
        assert isinstance(found, dict)
        return found

    def refuse(self, key: str | None, why: str, hint: str | None = None) -> NoReturn:
        """Raise RequestError that says why the value of `key` cannot be."""
        self.text.refuse(why, table=self.name, key=key, hint=hint)

    def string(self, key: str, default: str = "") -> str:
        """Return a text."""
        return str(self.content.get(key, default))

    def optional(self, key: str) -> str | None:
        """Return a text, or None if it is not there."""
        return self.string(key) if key in self.content else None

    def strings(self, key: str, default: tuple[str, ...] = ()) -> tuple[str, ...]:
        """Return a list of texts."""
        return tuple(self.content.get(key, default))

    def pair(self, key: str, default: tuple[str, str] | None = None) -> tuple[str, str]:
        """Return a list of two different texts."""
        found = self.strings(key, default or ())
        if len(found) != 2 or found[0] == found[1]:
            self.refuse(key, "it must name two different ones, of slot a and of slot b")
        return found[0], found[1]

    def table(self, key: str) -> dict[str, str]:
        """Return a table of texts."""
        return dict(self.content.get(key, {}))

    def whole(self, key: str, default: int) -> int:
        """Return a whole number."""
        return int(self.content.get(key, default))

    def size(self, key: str, default: int | None = None) -> int:
        """Return bytes, more than 0."""
        found = parse_size(self.content[key]) if key in self.content else default
        if not found:
            self.refuse(key, "it must be more than 0")
        return found

    def offset(self, key: str) -> int | None:
        """Return bytes, or None if the key is not there."""
        return parse_size(self.content[key]) if key in self.content else None

    def size_or_rest(self, key: str) -> int | None:
        """Return bytes, None for `rest`."""
        return None if self.content.get(key, REST) == REST else self.size(key)

    def addresses(self, key: str) -> dict[str, int]:
        """Return name -> place in memory."""
        return {name: int(value, 16) for name, value in self.table(key).items()}

    def path_in_slot(self, key: str, default: str | None = None) -> PurePosixPath | None:
        """Return an absolute path in the slot."""
        found = self.content.get(key, default)
        if found is None:
            return None
        if not found.startswith("/") or ".." in found.split("/") or found.endswith("/"):
            self.refuse(key, "it must be an absolute path in the slot")
        return PurePosixPath(found)
