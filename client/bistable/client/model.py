"""The words that all parts of the client share: frozen values without any I/O."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import NewType, TypeAlias

SlotName = NewType("SlotName", str)

Provides: TypeAlias = Mapping[str, str]
"""What the device provides, `artifact_name` and `artifact_group` included. FORMAT.md §5.2"""

OnProgress: TypeAlias = Callable[[int, int | None], None]
"""Told how many bytes are done, and of how many in all if that is known."""


def ignore_progress(done: int, total: int | None) -> None:
    """Do nothing with a report of progress."""


class Mode(Enum):
    """Who leads the update: a person at a command line who reboots by hand, or the client, which goes on by itself."""

    STANDALONE = "standalone"
    MANAGED = "managed"


class Point(Enum):
    """Where an update may be held until somebody lets it go on."""

    DOWNLOAD = "download"
    INSTALL = "install"
    REBOOT = "reboot"
    COMMIT = "commit"


class RebootNeed(Enum):
    """What a payload answers when it is asked whether a reboot is needed."""

    NONE = "none"
    CUSTOM = "custom"
    """The payload brings the restart about by itself, in its own call."""
    AUTOMATIC = "automatic"
    """The device has to be rebooted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What an artifact is and wants, as read from its verified head; the part of it that a record has to keep."""

    name: str
    payload_type: str | None
    group: str | None = None
    device_types: tuple[str, ...] = ()
    provides: Mapping[str, str] = field(default_factory=dict)
    depends: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Key -> values of which one must be provided; artifact_name and artifact_group included."""
    clears: tuple[str, ...] | None = None
