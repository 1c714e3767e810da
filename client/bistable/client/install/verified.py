"""What is known of the image in a slot since it was read back: a small durable note, kept from download to cleanup."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from bistable.artifact.errors import MachineError
from bistable.client.errors import StoreError
from bistable.client.files import make_directory, read_limited, replacing, sync_directory
from bistable.client.model import SlotName

NOTE_SIZE: Final = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedImage:
    """The image in `slot` has `size` bytes and the SHA-256 `digest`; `edges` is over its first and last MiB."""

    slot: SlotName
    size: int
    digest: str
    edges: str


def remember(path: Path, image: VerifiedImage) -> None:
    """Write the note.

    Raises:
        StoreError: it cannot be written.
    """
    try:
        make_directory(path.parent)
        with replacing(path) as file:
            file.write(json.dumps(asdict(image)).encode())
    except (OSError, MachineError) as e:
        raise StoreError(f"cannot write {path}: {e}", hint="is the data partition full or read-only?") from e


def recall(path: Path) -> VerifiedImage | None:
    """Return what the note says, or None if there is none.

    Raises:
        StoreError: it cannot be read or is damaged.
    """
    try:
        found = json.loads(read_limited(path, NOTE_SIZE))
        return VerifiedImage(
            slot=SlotName(str(found["slot"])),
            size=int(found["size"]),
            digest=str(found["digest"]),
            edges=str(found["edges"]),
        )
    except FileNotFoundError:
        return None
    except OSError as e:
        raise StoreError(f"cannot read {path}: {e.strerror or e}") from e
    except (ValueError, KeyError, TypeError) as e:
        raise StoreError(f"cannot read {path}: it is damaged", hint="end this update and install it again") from e


def forget(path: Path) -> None:
    """Remove the note, if there is one.

    Raises:
        StoreError: it cannot be removed.
    """
    try:
        path.unlink()
        sync_directory(path.parent)
    except FileNotFoundError:
        pass
    except OSError as e:
        raise StoreError(f"cannot remove {path}: {e.strerror or e}") from e
