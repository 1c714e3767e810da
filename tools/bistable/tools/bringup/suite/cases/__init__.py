"""The cases of the conformance suite, in the order in which they run."""

from collections.abc import Mapping
from typing import Final

from bistable.tools.bringup.suite.cases import choice, cuts, fallback, first, updates
from bistable.tools.bringup.suite.cases.case import Case

_ALL: Final = (
    first.FIRST_BOOT,
    choice.ENVIRONMENT_ROUND_TRIP,
    choice.CANARY,
    updates.INSTALL_COMMIT,
    updates.BOTH_SLOTS,
    fallback.NO_COMMIT_ROLLBACK,
    fallback.BROKEN_KERNEL,
    fallback.BROKEN_ROOTFS,
    fallback.HANG_WATCHDOG,
    cuts.POWER_CUTS,
    updates.MANY_UPDATES,
)

CASES: Final[Mapping[str, Case]] = {case.name: case for case in _ALL}
