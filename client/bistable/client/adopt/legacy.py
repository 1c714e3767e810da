"""What a device that runs the Mender client knows of itself, read from where that client keeps it."""

import errno
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bistable.artifact.errors import RejectedError
from bistable.artifact.jsonio import parse_object
from bistable.client.adopt.lmdb import read_store
from bistable.client.adopt.records import InFlight, read_in_flight
from bistable.client.errors import ClientError, StoreError
from bistable.client.files import read_limited
from bistable.client.model import Provides

DATA_DIR: Final = Path("/var/lib/mender")
ARTIFACT_INFO: Final = Path("/etc/mender/artifact_info")
STORE: Final = "mender-store"
DEVICE_TYPE: Final = "device_type"
KEY_FILE: Final = "mender-agent.pem"

NAME: Final = "artifact-name"
GROUP: Final = "artifact-group"
PROVIDES: Final = "artifact-provides"
CONTROL_MAPS: Final = "update-control-maps"
KNOWN: Final = frozenset(
    {NAME, GROUP, PROVIDES, CONTROL_MAPS, "state", "state-uncommitted", "standalone-state"}
    # Not used any more; 3.x and later delete them.
    | {"authtoken", "auth-token-cache-invalidator"}
)

INCONSISTENT: Final = "_INCONSISTENT"
MAX_LINES: Final = 64 * 1024
MAX_VALUE: Final = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Legacy:
    """What was found. `sources` says for each of name, group, provides, device_type, key_file, control_maps where.

    `provides` includes `artifact_name` and `artifact_group`. `key_file` is where the device's login key is; the key
    itself is not read. `not_understood` tells in words of what was there and could not be used.
    """

    name: str | None = None
    group: str | None = None
    provides: Provides = field(default_factory=dict)
    device_type: str | None = None
    in_flight: InFlight | None = None
    control_maps: bytes | None = None
    key_file: Path | None = None
    store: Path | None = None
    sources: Mapping[str, str] = field(default_factory=dict)
    not_understood: tuple[str, ...] = ()


def read_legacy(
    data_dir: Path = DATA_DIR, *, artifact_info: Path = ARTIFACT_INFO, device_type_file: Path | None = None
) -> Legacy:
    """Return what the Mender client left in `data_dir`. Nothing is changed there, so that it can go on as before.

    Raises:
        StoreError: the store is damaged or of another program; a file cannot be read; or an update is in progress
            whose record cannot be understood.
    """
    found = _Findings()
    path = data_dir / STORE
    store = read_store(path) if _exists(path) else {}
    name = found.value(store, NAME, path) or found.line("artifact_name", artifact_info, "name")
    group = found.value(store, GROUP, path)
    provides = {key: text for key, text in (("artifact_name", name), ("artifact_group", group)) if text}
    provides |= found.provides(store, path)
    device_type = found.line("device_type", device_type_file or data_dir / DEVICE_TYPE, "device_type")
    found.look(name, store, path)
    key_file = data_dir / KEY_FILE
    if _exists(key_file):
        found.sources["key_file"] = str(key_file)
    return Legacy(
        name=name,
        group=group,
        provides=provides,
        device_type=device_type,
        in_flight=read_in_flight(store),
        control_maps=store.get(CONTROL_MAPS) or None,
        key_file=key_file if "key_file" in found.sources else None,
        store=path if _exists(path) else None,
        sources=found.sources,
        not_understood=tuple(found.not_understood),
    )


@dataclass(slots=True)
class _Findings:
    """Collects where values come from, and what could not be used."""

    sources: dict[str, str] = field(default_factory=dict)
    not_understood: list[str] = field(default_factory=list)

    def value(self, store: Mapping[str, bytes], key: str, path: Path) -> str | None:
        """Return the text that the store has for a key."""
        try:
            text = store.get(key, b"").decode("utf-8")
        except UnicodeDecodeError:
            self.not_understood.append(f"{path}: {key} is not text")
            return None
        if text:
            self.sources[key.removeprefix("artifact-")] = f"{path}: {key}"
        return text or None

    def provides(self, store: Mapping[str, bytes], path: Path) -> dict[str, str]:
        """Return what the payloads provide; name and group have keys of their own."""
        if not store.get(PROVIDES):
            return {}
        try:
            values = parse_object(store[PROVIDES], member=f"{path}: {PROVIDES}", limit=MAX_VALUE)
        except RejectedError as e:
            self.not_understood.append(e.what.removeprefix("cannot read "))
            return {}
        self.sources["provides"] = f"{path}: {PROVIDES}"
        texts = {key: value for key, value in values.items() if isinstance(value, str)}
        self.not_understood += [
            f"{path}: {PROVIDES}: the value of {key!r} is not text" for key in values.keys() - texts
        ]
        return {key: value for key, value in texts.items() if key not in {"artifact_name", "artifact_group"}}

    def line(self, key: str, path: Path, what: str) -> str | None:
        """Return the value from the line `key=value` of a file; None if there is no such file."""
        for line in _lines(path):
            name, equals, value = line.partition("=")
            if name.strip() == key and equals and value.strip():
                self.sources[what] = str(path)
                return value.strip()
        if _exists(path):
            self.not_understood.append(f"{path}: there is no line {key}=…")
        return None

    def look(self, name: str | None, store: Mapping[str, bytes], path: Path) -> None:
        """Note what is strange about the rest."""
        if name is not None and name.endswith(INCONSISTENT):
            self.not_understood.append(f"{name}: an update failed half way, so nobody knows what is installed")
        self.not_understood += [f"{path}: the key {key!r} is not known" for key in store if key not in KNOWN]
        if store.get(CONTROL_MAPS):
            self.sources["control_maps"] = f"{path}: {CONTROL_MAPS}"


def _exists(path: Path) -> bool:
    try:
        path.stat()
    except OSError as e:
        if e.errno in {errno.ENOENT, errno.ENOTDIR}:
            return False
        raise StoreError(f"cannot read {path}: {e.strerror or e}") from e
    return True


def _lines(path: Path) -> list[str]:
    if not _exists(path):
        return []
    try:
        return read_limited(path, MAX_LINES).decode("utf-8", "replace").splitlines()
    except OSError as e:
        raise StoreError(f"cannot read {path}: {e.strerror or e}") from e
    except ClientError as e:
        raise StoreError(e.what) from e
