"""What the client would say after a boot, told from the data partition alone: by the client's own code, on a copy.

The file system is brought in order as a kernel does it (its journal is played back), the client's directory is taken
out of it, and the store in there is opened as on the device.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bistable.artifact.errors import BistableError
from bistable.artifact.run import ProgramError, run
from bistable.client.deployment.suit import NAME
from bistable.client.machine import Facts, Record, State, decode_record, recover
from bistable.client.store import Store

CHECK_SECONDS: Final = 120.0
_ANOTHER_BOOT: Final = "not the boot in which anything was recorded"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientView:
    """What is in the client's memory, or why nothing can be."""

    trouble: tuple[str, ...] = ()
    """What is wrong with the file system or the store."""
    record: Record | None = None
    artifact: str | None = None
    """What the store says that the device runs; None: it says nothing."""
    last: str | None = None
    """How the last update ended."""

    def continues_in(self, running: str) -> State | None:
        """Return the state in which the update goes on if that slot runs after a reboot; None: there is no update."""
        if self.record is None:
            return None
        on_target = None if self.record.target is None else self.record.target == running
        return recover(self.record, Facts(boot_id=_ANOTHER_BOOT, on_target=on_target))


def view(image: Path, folder: str) -> ClientView:
    """Return what the client would know if `image` were its data partition; `folder` is its directory in there.

    The image is brought in order, as a boot would; take a copy.
    """
    trouble = _recovered(image)
    with tempfile.TemporaryDirectory(prefix="bistable-", dir=image.parent) as taken:
        # debugfs fails only by what it says; that nothing was taken out is seen below.
        run(["debugfs", "-R", f"rdump /{folder} {taken}", image], timeout=CHECK_SECONDS)
        return _opened(Path(taken, folder), trouble)


def _recovered(image: Path) -> tuple[str, ...]:
    """Bring the file system in order; return what a kernel would not have done by itself."""
    if not (status := _fsck(image, "-fp")) & ~1:
        return ()
    said = f"data: e2fsck -p gives up on the file system (exit status {status})"
    if not (status := _fsck(image, "-fy")) & ~3:
        return (f"{said}, e2fsck -y repairs it",)
    return (said, f"data: the file system cannot be repaired (exit status {status})")


def _fsck(image: Path, how: str) -> int:
    try:
        run(["e2fsck", how, image], timeout=CHECK_SECONDS)
    except ProgramError as e:
        if e.exit_status is None:
            raise
        return e.exit_status
    return 0


def _opened(directory: Path, trouble: tuple[str, ...]) -> ClientView:
    if not directory.is_dir():
        return ClientView(trouble=trouble)
    try:
        store = Store.open_for_reading(directory)
        if store is None:
            return ClientView(trouble=trouble)
        with store:
            store.check()
            text = store.record()
            history = store.history()
            return ClientView(
                trouble=trouble,
                record=None if text is None else decode_record(text),
                artifact=store.provides().get(NAME),
                last=history[0].result if history else None,
            )
    except BistableError as e:
        return ClientView(trouble=(*trouble, f"client: {e.what}"))
