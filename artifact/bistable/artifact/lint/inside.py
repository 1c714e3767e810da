"""What the root file system in an artifact says of itself."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bistable.artifact.errors import RejectedError, UnsupportedError
from bistable.artifact.image import Kind, open_image
from bistable.artifact.image.volume import Volume, find
from bistable.artifact.limits import KIB

RELEASE_FILE: Final = "/etc/mender/artifact_info"
RELEASE_KEY: Final = "artifact_name"
"""Where device clients look up what is installed, as long as no update has told them."""

_FILE_LIMIT: Final = 64 * KIB


@dataclass(frozen=True, slots=True, kw_only=True)
class Inside:
    """What was found in an image: the release name, None if it names none; or why it could not be looked into."""

    release: str | None = None
    damage: str | None = None
    unreadable: str | None = None


def look_inside(image: Path) -> Inside:
    """Return what is to be known of the root file system in the file `image`.

    Raises:
        MachineError: a tool is missing.
    """
    try:
        with open_image(image) as volume:
            return Inside(release=_release(volume))
    except UnsupportedError as e:
        return Inside(unreadable=e.what)
    except RejectedError as e:
        return Inside(damage=e.what)


def _release(volume: Volume) -> str | None:
    entry = find(volume, RELEASE_FILE)
    if entry is None or entry.kind is not Kind.FILE or entry.size > _FILE_LIMIT:
        return None
    content = b"".join(volume.chunks(entry)).decode("utf-8", "replace")
    for line in content.splitlines():
        key, equals, value = line.partition("=")
        if equals and key.strip() == RELEASE_KEY:
            return value.strip()
    return None
