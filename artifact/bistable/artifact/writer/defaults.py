"""The provides and clears that the real tools write when nothing is said. FORMAT.md §5.5."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from bistable.artifact.model import ROOTFS_IMAGE

LEGACY_KEYS: Final = ("artifact_group", "rootfs_image_checksum")
"""What a whole root file system replaces beside its own keys."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SoftwareVersion:
    """How the installed software is recorded on the device: as `<filesystem>[.<name>].version`.

    With `use_defaults` a missing name is the payload type (module images only) and a missing version is the
    artifact's name.
    """

    filesystem: str = ROOTFS_IMAGE
    name: str | None = None
    version: str | None = None
    use_defaults: bool = True

    def provides(self, payload_type: str | None, artifact_name: str) -> Mapping[str, str]:
        """Return the provides entry, if any."""
        version = self.version or (artifact_name if self.use_defaults else None)
        if payload_type is None or version is None:
            return {}
        return {f"{self._prefix(payload_type)}.version": version}

    def clears(self, payload_type: str | None) -> tuple[str, ...]:
        """Return the patterns of provides that an installation replaces."""
        if payload_type is None or not self.use_defaults:
            return ()
        prefix = self._prefix(payload_type)
        # An image under a name of its own is not the whole system, and clears nothing but its own keys.
        whole = payload_type == prefix == ROOTFS_IMAGE
        return (*(LEGACY_KEYS if whole else ()), f"{prefix}.*")

    def _prefix(self, payload_type: str) -> str:
        name = self.name
        if name is None and self.use_defaults and payload_type != ROOTFS_IMAGE:
            name = payload_type
        return f"{self.filesystem}.{name}" if name else self.filesystem
