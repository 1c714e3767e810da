"""What a root file system says of itself: its release, its artifact name, and what looks after its packages."""

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from bistable.artifact.errors import LimitError
from bistable.artifact.image.model import Entry, Kind
from bistable.artifact.image.packages import DATABASES
from bistable.artifact.image.volume import Volume, find, open_image
from bistable.artifact.limits import KIB

_TEXT_LIMIT: Final = 64 * KIB
_OS_RELEASE: Final = ("/etc/os-release", "/usr/lib/os-release")
_ARTIFACT_INFO: Final = "/etc/mender/artifact_info"
_CONFIGURATION: Final = "/etc/mender/mender.conf"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRelease:
    """What was found; `os_release` and `artifact_info` are empty if their files are missing.

    `package_database` is `dpkg`, `opkg`, `apk` or `rpm`, if there is one.
    """

    os_release: Mapping[str, str]
    artifact_info: Mapping[str, str]
    has_client_configuration: bool
    package_database: str | None

    @property
    def artifact_name(self) -> str | None:
        """Return the artifact name that the image was built with, which an artifact around it should have too."""
        return self.artifact_info.get("artifact_name")


def read_release(image: Path) -> ImageRelease:
    """Read what the root file system in `image` says of itself.

    Raises:
        UnsupportedError: the image is of a kind that cannot be read.
        RejectedError: it is damaged, or a file in it is unreasonably large.
    """
    with open_image(image) as volume:
        return release_in(volume)


def release_in(volume: Volume) -> ImageRelease:
    """Read what the root file system in an open image says of itself.

    Raises:
        RejectedError: it is damaged, or a file in it is unreasonably large.
    """
    os_release = next((text for path in _OS_RELEASE if (text := _text(volume, path)) is not None), "")
    present = (name for name, paths in DATABASES.items() if any(find(volume, path) for path in paths))
    return ImageRelease(
        os_release=MappingProxyType(dict(_assignments(os_release))),
        artifact_info=MappingProxyType(dict(_assignments(_text(volume, _ARTIFACT_INFO) or ""))),
        has_client_configuration=find(volume, _CONFIGURATION) is not None,
        package_database=next(present, None),
    )


def _text(volume: Volume, path: str) -> str | None:
    entry: Entry | None = find(volume, path)
    if entry is None or entry.kind is not Kind.FILE:
        return None
    if entry.size > _TEXT_LIMIT:
        raise LimitError(f"cannot read {path} in the image: it has {entry.size} bytes", rule="limit.image-text")
    return b"".join(volume.chunks(entry)).decode("utf-8", "replace")


def _assignments(text: str) -> Iterator[tuple[str, str]]:
    """Yield name and value of lines as a shell would read them; what is none is skipped."""
    for line in text.splitlines():
        name, equals, value = line.strip().partition("=")
        if equals and not name.startswith("#"):
            yield name.strip(), _unquoted(value.strip())


def _unquoted(value: str) -> str:
    try:
        return "".join(shlex.split(value)) if value[:1] in {'"', "'"} else value
    except ValueError:
        return value
