"""The provides and clears that the real tools write when nothing is said. FORMAT.md §5.5."""

from collections.abc import Mapping
from dataclasses import dataclass

from bistable.artifact.model import ROOTFS_IMAGE


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
        parts = [self.filesystem, self._name(payload_type), "version"]
        return {".".join(part for part in parts if part): version}

    def clears(self, payload_type: str | None) -> tuple[str, ...]:
        """Return the patterns of provides that an installation replaces."""
        if payload_type is None or not self.use_defaults:
            return ()
        if payload_type == ROOTFS_IMAGE:
            legacy = ("artifact_group", "rootfs_image_checksum") if self.filesystem == ROOTFS_IMAGE else ()
            return (*legacy, f"{self.filesystem}.*")
        name = self._name(payload_type)
        return (f"{self.filesystem}.{name}.*" if name else f"{self.filesystem}.*",)

    def _name(self, payload_type: str) -> str | None:
        if self.name is not None or not self.use_defaults or payload_type == ROOTFS_IMAGE:
            return self.name
        return payload_type
