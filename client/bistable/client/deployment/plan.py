"""What differs between an update led by hand and one led by the client, as data."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from bistable.client.model import Mode


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How an update is led.

    The orders are those of the device clients that existing update modules and state scripts were written for, which
    differ between their two modes.
    """

    asks_before_leave: bool
    """Whether a payload's answer belongs to the state, so that its Leave scripts come after it, and its Error scripts
    if there is none that makes sense; else the state is over before the payload is asked."""
    asks_again: bool
    """Whether a rollback asks the payload anew whether it can be rolled back."""
    reboots: bool
    """Whether the client reboots, with all that belongs to it; else somebody does it by hand, and is told."""


PLANS: Final[Mapping[Mode, Plan]] = {
    Mode.STANDALONE: Plan(asks_before_leave=False, asks_again=True, reboots=False),
    Mode.MANAGED: Plan(asks_before_leave=True, asks_again=False, reboots=True),
}
