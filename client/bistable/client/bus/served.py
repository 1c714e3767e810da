"""What an object on the bus is to the server: who calls, what is called, and what is answered."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from bistable.artifact.errors import BistableError
from bistable.client.bus.authority import Caller, Kind
from bistable.client.bus.contract import Interface


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The result of a call; descriptors are handed over, and closed when they are sent."""

    body: Sequence[Any] = ()
    descriptors: Sequence[int] = ()


class Served(Protocol):
    """An object with one interface."""

    @property
    def interface(self) -> Interface:
        """The interface."""
        ...

    def kind(self, member: str, arguments: Sequence[Any]) -> Kind | None:
        """Return what the caller needs the right to; None if nothing."""
        ...

    async def call(self, caller: Caller, member: str, arguments: Sequence[Any]) -> Answer:
        """Do what was called.

        Raises:
            BistableError: it cannot be done.
        """
        ...

    def failure(self, error: BistableError) -> tuple[str, str]:
        """Return the name and the text of an error, as callers of this object expect them."""
        ...

    def value(self, name: str) -> Any:
        """Return a property; it is one of the interface's."""
        ...
