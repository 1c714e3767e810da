"""Says what taking over a device comes to: what is taken, from where, and what is not understood."""

from dataclasses import dataclass
from typing import Final

from bistable.client.adopt.legacy import Legacy
from bistable.client.adopt.records import InFlight, Stage
from bistable.client.config import Loaded
from bistable.client.config.kinds import HIDDEN, shown
from bistable.client.config.settings import SETTINGS

DUTIES: Final = {
    Stage.NOTHING: "nothing: it has changed nothing yet; the server offers it again",
    Stage.DOWNLOADED: "drop it: nothing is installed yet",
    Stage.INSTALLED: "see whether what runs is what was installed; then commit it, or roll it back",
    Stage.INTERRUPTED: "roll it back, if it can be: a step of it was cut off",
    Stage.COMMITTED: "clean up: it is permanent",
    Stage.ROLLING_BACK: "roll it back again: its rollback was cut off",
    Stage.ROLLED_BACK: "see whether the device runs again what it ran before; then clean up",
    Stage.FAILED: "tell its payload and scripts that it failed; then clean up",
    Stage.CLEANING: "clean up: it is over",
}
"""Stage -> what is left to do for the one who takes the update over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """One thing that is taken over."""

    what: str
    value: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unfinished:
    """An update that the Mender client began, and what Bistable has to do about it."""

    artifact: str | None
    payload_type: str | None
    mode: str
    state: str
    stage: str
    duty: str
    deployment: str | None
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Adoption:
    """All that is said about taking over a device."""

    taken: tuple[Taken, ...] = ()
    unfinished: Unfinished | None = None
    ignored: tuple[str, ...] = ()
    not_understood: tuple[str, ...] = ()


def describe(legacy: Legacy, loaded: Loaded) -> Adoption:
    """Return what is taken from what the Mender client left, and from its configuration; no secret is shown."""
    return Adoption(
        taken=(*_of_the_device(legacy), *_of_the_configuration(loaded)),
        unfinished=None if legacy.in_flight is None else _unfinished(legacy, legacy.in_flight),
        ignored=loaded.ignored,
        not_understood=(*legacy.not_understood, *loaded.warnings),
    )


def _of_the_device(legacy: Legacy) -> list[Taken]:
    source = legacy.sources
    taken = [
        Taken(what=what, value=value, source=source[key])
        for what, key, value in (
            ("artifact name", "name", legacy.name),
            ("artifact group", "group", legacy.group),
            ("device type", "device_type", legacy.device_type),
            ("login key", "key_file", None if legacy.key_file is None else HIDDEN),
            ("update control maps", "control_maps", _size(legacy.control_maps)),
        )
        if value is not None
    ]
    taken += [
        Taken(what=f"provides {key}", value=value, source=source["provides"])
        for key, value in sorted(legacy.provides.items())
        if key not in {"artifact_name", "artifact_group"}
    ]
    return taken


def _of_the_configuration(loaded: Loaded) -> list[Taken]:
    """Return the settings that come from mender.conf; the own files are no news."""
    taken = []
    for setting in SETTINGS:
        origin = loaded.origins.get(setting.name)
        if origin is None or origin.key not in {key.name for key in setting.mender}:
            continue
        group, attribute = setting.attributes
        value = getattr(getattr(loaded.settings, group), attribute)
        taken.append(
            Taken(what=f"[{setting.table}] {setting.key}", value=shown(value), source=f"{origin}: {origin.key}")
        )
    return taken


def _unfinished(legacy: Legacy, update: InFlight) -> Unfinished:
    return Unfinished(
        artifact=update.offer.name if update.offer else None,
        payload_type=update.offer.payload_type if update.offer else None,
        mode=update.mode.value,
        state=update.state,
        stage=update.stage.value,
        duty=DUTIES[update.stage],
        deployment=update.deployment_id,
        source=f"{legacy.store}: {update.record}",
    )


def _size(data: bytes | None) -> str | None:
    return None if data is None else f"{len(data)} bytes"
