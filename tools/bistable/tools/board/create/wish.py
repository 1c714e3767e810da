"""What somebody says of a new board."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """Facts in the words of `board.toml`; None: as the board has it that is taken as a beginning."""

    name: str
    soc: str
    page: str
    loader: str | None = None
    architecture: str | None = None
    storage: str | None = None
    device: str | None = None
    """The node of the storage in Linux."""
    capacity: str | None = None
    console: str | None = None
    """Terminal, and speed if it is not the usual one: `ttyS2,1500000`."""
    device_type: str | None = None
    machine: str | None = None
    kernel: str | None = None
    devicetree: str | None = None
