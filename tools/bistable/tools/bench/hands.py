"""What a person at the bench has: a hand on the power and an eye on the serial line."""

from typing import Protocol

from bistable.tools.bench.console import Console


class Hands(Protocol):
    """The power and the serial line of one device."""

    @property
    def console(self) -> Console:
        """The serial line, over all power cycles."""

    @property
    def is_on(self) -> bool:
        """Whether it is on, as far as is known here: what nobody has switched on yet is off."""

    def power_on(self) -> None:
        """Switch it on, with the console listening from its first word.

        Raises:
            MachineError: that does not work.
        """

    def power_off(self) -> None:
        """Cut it off, at once."""

    def close(self) -> None:
        """Leave it switched off, and give back what was taken."""


class Switch(Protocol):
    """A power switch alone."""

    def on(self) -> None:
        """Switch on."""

    def off(self) -> None:
        """Switch off, at once."""
