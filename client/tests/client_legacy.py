"""A device that the Mender client left, made of files."""

import json
from pathlib import Path
from typing import Any

from client_lmdb import Forge

from bistable.client.adopt import Legacy, read_legacy

ARTIFACT = {
    "Source": {"URI": "https://x/artifact", "Expire": ""},
    "device_types_compatible": ["board"],
    "PayloadTypes": ["rootfs-image"],
    "artifact_name": "release-2",
    "artifact_group": "stable",
    "artifact_provides": {"rootfs-image.version": "release-2"},
    "clears_artifact_provides": ["rootfs-image.*"],
}
INFO: dict[str, Any] = {
    "Artifact": ARTIFACT,
    "ID": "deployment-1",
    "RebootRequested": ["reboot-type-automatic"],
    "SupportsRollback": "rollback-supported",
    "StateDataStoreCount": 7,
    "HasDBSchemaUpdate": False,
}
STANDALONE: dict[str, Any] = {
    "Version": 2,
    "ArtifactName": "release-2",
    "ArtifactGroup": "",
    "ArtifactTypeInfoProvides": {"a": "b"},
    "PayloadTypes": ["single-file"],
    "InState": "Before_ArtifactCommit_Enter",
    "Failed": False,
    "RolledBack": False,
}


def state(name: str = "reboot", *, version: int = 2, **changes: Any) -> bytes:
    """Return the daemon's record."""
    return json.dumps({"Version": version, "Name": name, "UpdateInfo": {**INFO, **changes}}).encode()


def standalone(**changes: Any) -> bytes:
    """Return the command line's record."""
    return json.dumps({**STANDALONE, **changes}).encode()


class OldDevice:
    """The directories of a device."""

    def __init__(self, root: Path) -> None:
        self.data = root / "data"
        self.data.mkdir()
        self.info = root / "artifact_info"
        self.store = self.data / "mender-store"

    def hold(self, **values: bytes) -> None:
        """Have the store hold these values; a key's dashes are underscores here."""
        self.store.write_bytes(Forge().store({key.replace("_", "-"): value for key, value in values.items()}))

    def read(self) -> Legacy:
        return read_legacy(self.data, artifact_info=self.info)
