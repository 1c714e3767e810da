"""What the client on the device is told, in files of its settings."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from metaota.signing import words

if TYPE_CHECKING:
    from metaota import Get

KEYS = "/etc/bistable/keys"
UNITS = {"service": "bistabled.service", "timer": "bistable-once.timer", "by-hand": "bistable-recover.service"}
"""BISTABLE_START -> the unit of systemd that starts by itself."""


def keys(get: Get) -> list[str]:
    """Return the public keys that devices trust: none if nothing is signed."""
    return (get("BISTABLE_VERIFY_KEYS") or "").split() if words(get) else []


def files(get: Get) -> dict[str, str]:
    """Return name -> text of the files for /etc/bistable/conf.d."""
    found = {}
    names = [f"{KEYS}/{os.path.basename(path)}" for path in keys(get)]
    if names:
        found["20-keys.toml"] = _setting("trust", "verify-keys", names)
    servers = (get("BISTABLE_SERVER_URLS") or "").split()
    if servers:
        found["60-server.toml"] = _setting("server", "urls", servers)
    return found


def mistakes(get: Get) -> list[str]:
    """Return why the client cannot be told what the variables say."""
    start = get("BISTABLE_START") or ""
    found = [
        *_twice("BISTABLE_VERIFY_KEYS", keys(get)),
        *_twice("BISTABLE_CONFIG_FILES", [*files(get), *(get("BISTABLE_CONFIG_FILES") or "").split()]),
    ]
    if start == "timer" and "systemd" not in (get("DISTRO_FEATURES") or "").split():
        found.append(
            "BISTABLE_START is 'timer', and timers need systemd. "
            'Set INIT_MANAGER = "systemd", or BISTABLE_START = "service".'
        )
    if start != "by-hand" and "meta-python" not in (get("BBFILE_COLLECTIONS") or "").split():
        found.append(
            f"BISTABLE_START is '{start}', and without the layer meta-python, which has python3-dbus-fast, there is no "
            'service. Add the layer, or set BISTABLE_START = "by-hand".'
        )
    return found


def _twice(variable: str, paths: list[str]) -> list[str]:
    names = [os.path.basename(path) for path in paths]
    return [
        f"{variable} names a file {name}, and there is another one with that name: on the device they lie in one "
        "folder. Rename one of them."
        for name in sorted({name for name in names if names.count(name) > 1})
    ]


def _setting(table: str, key: str, values: list[str]) -> str:
    # JSON's strings and lists are TOML's, but for how it escapes characters.
    return f"[{table}]\n{key} = {json.dumps(values, ensure_ascii=False)}\n"
