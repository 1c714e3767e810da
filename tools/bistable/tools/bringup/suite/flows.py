"""What the suite may expect of each boot flow; the same as the tables of docs/reference/boot-loaders.md."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

from bistable.tools.board.model import Flow


class Canary(Enum):
    """How user space can take the boot loader's mark away."""

    FW_SETENV = "fw_setenv"
    GRUB_BLOCKS = "grub-blocks"
    """In both copies of GRUB's block, in place."""
    NOT_FROM_USERSPACE = "not from user space"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowFacts:
    """What a boot flow does.

    `counts`: the tries that are left can be seen in `bistablectl status`. `summary`: the boot script says on the
    console what it read. `trial_survives_cut`: a power cut takes one try, and does not end the trial.
    `cut_starts_trial`: after the installation a power cut starts the trial as well as a reboot does.
    `passes_bad_kernel`: a kernel that is there and cannot be started is passed over without help. None: it depends on
    the vendor's boot loader.
    """

    counts: bool
    summary: bool
    canary: Canary
    trial_survives_cut: bool | None
    cut_starts_trial: bool | None
    passes_bad_kernel: bool


_SCRIPT: Final = FlowFacts(
    counts=True,
    summary=True,
    canary=Canary.FW_SETENV,
    trial_survives_cut=True,
    cut_starts_trial=True,
    passes_bad_kernel=True,
)

_FIRMWARE: Final = FlowFacts(
    counts=False,
    summary=False,
    canary=Canary.NOT_FROM_USERSPACE,
    trial_survives_cut=False,
    cut_starts_trial=True,
    passes_bad_kernel=True,
)

FLOWS: Final[Mapping[Flow, FlowFacts]] = {
    Flow.UBOOT: _SCRIPT,
    Flow.UBOOT_ENVIRONMENT: _SCRIPT,
    Flow.UBOOT_UBI: _SCRIPT,
    Flow.GRUB: replace(_SCRIPT, canary=Canary.GRUB_BLOCKS),
    # If a kernel cannot be started, systemd-boot returns to the firmware, which may wait for a key.
    Flow.SYSTEMD_BOOT: replace(_SCRIPT, summary=False, canary=Canary.NOT_FROM_USERSPACE, passes_bad_kernel=False),
    Flow.EFI: _FIRMWARE,
    # The firmware forgets `tryboot` at any other reset, and waits for one if it cannot start a kernel.
    Flow.RASPBERRY_PI: replace(_FIRMWARE, cut_starts_trial=False, passes_bad_kernel=False),
    Flow.CUSTOM: FlowFacts(
        counts=False,
        summary=False,
        canary=Canary.NONE,
        trial_survives_cut=None,
        cut_starts_trial=None,
        passes_bad_kernel=True,
    ),
}

MOST_TRIES: Final = 9
"""What no boot flow exceeds."""


def tries_of(flow: Flow, tries: int) -> int | None:
    """Return how often a new slot is tried, where the board says `tries`; None: the vendor's boot loader knows."""
    if flow is Flow.CUSTOM:
        return None
    return tries if FLOWS[flow].counts else 1
