"""What is found in a board, and what it is looked for in."""

from dataclasses import dataclass
from enum import StrEnum

from bistable.tools.board.check.configuration import Configuration
from bistable.tools.board.check.root import Root
from bistable.tools.board.model import Board
from bistable.tools.disk.geometry import Geometry
from bistable.tools.disk.layout.model import Layout


class Level(StrEnum):
    """How bad it is."""

    ERROR = "error"
    """It does not work, or contradicts itself."""
    WARNING = "warning"
    """It may be right, but somebody has to look."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing: where in `board.toml` (`[boot] devicetree`, and its line if it is written), what, and a way out."""

    level: Level
    where: str
    line: int | None
    what: str
    hint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """A board with all that is known of it.

    `layout` and `geometry` are None where no layout says how the storage is used, or where it cannot be laid out.
    `configuration` is that of U-Boot, None where there is none to look at.
    """

    board: Board
    layout: Layout | None = None
    geometry: Geometry | None = None
    root: Root | None = None
    configuration: Configuration | None = None

    def error(self, table: str, key: str | None, what: str, hint: str) -> Finding:
        """Return a finding that the board cannot be used with."""
        return self._finding(Level.ERROR, table, key, what, hint)

    def warning(self, table: str, key: str | None, what: str, hint: str) -> Finding:
        """Return a finding that somebody has to look at."""
        return self._finding(Level.WARNING, table, key, what, hint)

    def _finding(self, level: Level, table: str, key: str | None, what: str, hint: str) -> Finding:
        where = f"[{table}]" + ("" if key is None else f" {key}")
        return Finding(level=level, where=where, line=self.board.text.line_of(table, key), what=what, hint=hint)
