"""A slot that is mounted is not written: unless it was an automounter, which nobody asked."""

from collections.abc import Callable
from logging import getLogger
from pathlib import Path
from typing import Final

from bistable.client.errors import ProgramError, SlotError
from bistable.client.mounting import unmount
from bistable.client.slots import Slot, mounted_at

AUTOMOUNTERS: Final = (Path("/media"), Path("/run/media"))
"""Where udisks2, and the udev scripts of Yocto, mount whatever they find."""

MOST_MOUNTS: Final = 8

log = getLogger(__name__)


def free_from_automounts(
    slot: Slot,
    *,
    mounted: Callable[[Path], Path | None] = mounted_at,
    unmount: Callable[[Path], None] = unmount,
) -> None:
    """Unmount the slot from where automounters mount things.

    The Mender client unmounts a slot from wherever it is. But whoever mounts it at a place of his own works with it,
    and an update should not pull it away from under him.

    Raises:
        SlotError: it is mounted elsewhere, or an automounter's mount is in use.
    """
    for _ in range(MOST_MOUNTS):
        point = mounted(slot.device)
        if point is None:
            return
        if not any(point.is_relative_to(place) for place in AUTOMOUNTERS):
            break
        log.info("slot %s is mounted at %s by an automounter, which should leave slots alone", slot.name, point)
        try:
            unmount(point)
        except ProgramError as e:
            raise SlotError(f"cannot unmount {point}, where slot {slot.name} is mounted: {e}", hint=e.hint) from e
    else:
        point = mounted(slot.device)
    if point is not None:
        raise SlotError(
            f"cannot write slot {slot.name}: {slot.device} is mounted at {point}", hint=f"unmount it: umount {point}"
        )
