"""What helps others to find a fault on this device, without what must not leave it."""

import io
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from platform import python_version
from typing import Any, Final

from bistable.artifact.errors import BistableError
from bistable.client.config import Loaded, Secret
from bistable.client.config.kinds import shown
from bistable.client.config.settings import SETTINGS
from bistable.client.deployment.device import Device
from bistable.client.deployment.doctor import examine
from bistable.client.errors import ClientError, ProgramError
from bistable.client.files import replacing
from bistable.client.run import run
from bistable.client.store import Store
from bistable.client.version import VERSION

LOG_SECONDS: Final = 30.0
LOG_LINES: Final = "2000"
_LOGIN: Final = re.compile(r"//[^/@\s]*@")

PROGRAMS: Final[Mapping[str, tuple[str, ...]]] = {
    "journal.txt": ("journalctl", "--no-pager", "-n", LOG_LINES, "-t", "bistablectl"),
    "kernel.txt": ("dmesg",),
    "boot-environment.txt": ("fw_printenv",),
    "block-devices.txt": ("lsblk", "-b", "-o", "NAME,SIZE,TYPE,FSTYPE,PARTUUID,PARTLABEL,MOUNTPOINT"),
    "failed-units.txt": ("systemctl", "--no-pager", "--failed"),
}
"""Part of the bundle -> the program whose output it is."""

FILES: Final = (
    "/proc/cmdline",
    "/proc/self/mountinfo",
    "/proc/partitions",
    "/etc/os-release",
    "/etc/fw_env.config",
    "/proc/uptime",
)


def collect(loaded: Loaded, device: Device) -> dict[str, str]:
    """Return name -> text of all parts; what cannot be had says why."""
    parts = {
        "versions.txt": f"bistable {VERSION}, Python {python_version()}\n",
        "settings.json": _tried(lambda: _json(_settings(loaded))),
        "doctor.json": _tried(
            lambda: _json([{**asdict(one), "grade": one.grade.value} for one in examine(loaded, device)])
        ),
        "store.json": _tried(lambda: _json(_store(device))),
    }
    for path in FILES:
        parts[path.strip("/").replace("/", "-") + ".txt"] = _tried(partial(_text, path))
    for name, command in PROGRAMS.items():
        parts[name] = _tried(partial(_said, command))
    # Addresses may carry logins, wherever they stand.
    return {name: _LOGIN.sub("//…@", text) for name, text in parts.items()}


def write_bundle(path: Path, parts: Mapping[str, str]) -> None:
    """Write the parts as a ZIP file.

    Raises:
        ClientError: there is such a file already, or it cannot be written.
    """
    if path.exists():
        raise ClientError(f"cannot write {path}: it exists", hint="name another one with -o")
    with replacing(path) as file:
        file.write(_zipped(path.stem, parts))


def bundle(loaded: Loaded, device: Device) -> bytes:
    """Return all parts as a ZIP file."""
    return _zipped("bistable-support", collect(loaded, device))


def _zipped(folder: str, parts: Mapping[str, str]) -> bytes:
    import zipfile

    with io.BytesIO() as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, text in sorted(parts.items()):
                archive.writestr(f"{folder}/{name}", text)
        return file.getvalue()


def _text(path: str) -> str:
    return Path(path).read_text(errors="replace")


def _said(command: Sequence[str]) -> str:
    return run(command, timeout=LOG_SECONDS).text


def _findings(loaded: Loaded, device: Device) -> list[dict[str, Any]]:
    return [{**asdict(one), "grade": one.grade.value} for one in examine(loaded, device)]


def _settings(loaded: Loaded) -> dict[str, Any]:
    found = {}
    for setting in SETTINGS:
        group, attribute = setting.attributes
        value = getattr(getattr(loaded.settings, group), attribute)
        origin = loaded.origins.get(setting.name)
        text = "(not shown)" if isinstance(value, Secret) else shown(value)
        found[setting.name] = {"value": text, "from": None if origin is None else str(origin)}
    return {"settings": found, "warnings": list(loaded.warnings), "ignored": list(loaded.ignored)}


def _store(device: Device) -> dict[str, Any]:
    store = Store.open_for_reading(device.settings.device.data_dir)
    if store is None:
        return {}
    with store:
        record = store.record()
        return {
            "record": None if record is None else json.loads(record),
            "provides": store.provides(),
            "history": [asdict(one) for one in store.history()],
        }


def _json(value: object) -> str:
    return json.dumps(value, indent=2, default=str) + "\n"


def _tried(make: Callable[[], str]) -> str:
    try:
        return make()
    except (BistableError, ProgramError, OSError, ValueError) as e:
        return f"not available: {e}\n"
