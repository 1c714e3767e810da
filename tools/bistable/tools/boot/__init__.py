"""What a device needs to boot one of two slots, and what it would boot, told from the bytes on its disk."""

from bistable.tools.boot.decide import CopyState, Decision, SlotState, decide
from bistable.tools.boot.plan import BootFiles, BootPlan, EnvironmentPlace, Loader, SlotPlace
from bistable.tools.boot.prepare import prepare_boot, prepare_scripts

__all__ = [
    "BootFiles",
    "BootPlan",
    "CopyState",
    "Decision",
    "EnvironmentPlace",
    "Loader",
    "SlotPlace",
    "SlotState",
    "decide",
    "prepare_boot",
    "prepare_scripts",
]
