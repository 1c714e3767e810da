"""What differs between an update led by hand and one led by the client, as data."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from bistable.client.model import Mode


class Act(Enum):
    """A part of a state's action whose place in the order differs between the modes."""

    LEAVE = "leave scripts"
    ASK = "ask the payload"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How an update is led.

    The orders are those of the device clients that existing update modules and state scripts were written for, which
    differ between their two modes.
    """

    after_download: tuple[Act, ...]
    after_install: tuple[Act, ...]
    asks_again: bool
    """Whether a rollback asks the payload anew whether it can be rolled back."""
    reboots: bool
    """Whether the client reboots, with all that belongs to it; else somebody does it by hand, and is told."""


PLANS: Final[Mapping[Mode, Plan]] = {
    Mode.STANDALONE: Plan(
        after_download=(Act.LEAVE, Act.ASK), after_install=(Act.LEAVE, Act.ASK), asks_again=True, reboots=False
    ),
    Mode.MANAGED: Plan(
        after_download=(Act.ASK, Act.LEAVE), after_install=(Act.ASK, Act.LEAVE), asks_again=False, reboots=True
    ),
}
