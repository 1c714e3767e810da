"""A new system that does not see to its own trial: its tries are used up as if it did not come up."""

from collections.abc import Sequence
from typing import Final

from bistable.tools.bringup.suite.cases.case import needs_changes
from bistable.tools.bringup.suite.changes import Put
from bistable.tools.bringup.suite.subject import Subject

_UNITS: Final = "/etc/systemd/system"
_RECOVERING: Final = ("bistable-recover.service", "bistabled.service")
"""They give a trial its tries again at every boot, which a system that does not come up would not do."""


def quiet_trial(subject: Subject) -> Sequence[Put]:
    """Return the changes of the new system that are needed for that."""
    if not subject.offers.has(_UNITS):
        return ()
    # An empty file masks the unit.
    return [Put(path=f"{_UNITS}/{unit}", content=b"", mode=0o644) for unit in _RECOVERING]


def needs_quiet_trial(subject: Subject) -> str | None:
    """Return why a case cannot be run where a new system cannot be kept from seeing to its trial."""
    return needs_changes(subject) if subject.offers.has(_UNITS) else None
