"""The Mender client's records of an update in progress, and what the update has come to."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final, NoReturn, TypeVar

from bistable.artifact.errors import RejectedError, quoted
from bistable.artifact.jsonio import parse_object
from bistable.client.errors import StoreError
from bistable.client.model import Mode, Offer, RebootNeed

STATE: Final = "state"
UNCOMMITTED: Final = "state-uncommitted"
STANDALONE: Final = "standalone-state"

HINT: Final = "finish the update, or roll it back, with the client that began it"
ROOTFS: Final = "rootfs-image"


class Stage(Enum):
    """How far an update came, as its record says, and so what is left to do in the other client's place."""

    NOTHING = "nothing"
    """Nothing on the device has changed; there is nothing to do."""
    DOWNLOADED = "downloaded"
    """The payload was stored, or half of it; it can be dropped. Nothing is installed."""
    INSTALLED = "installed"
    """Installed, and rebooted if it had to be: verify that, then commit or roll back."""
    INTERRUPTED = "interrupted"
    """A step was cut off that is not repeated: roll back if that is supported."""
    COMMITTED = "committed"
    """The update is permanent: run what comes after the commit, and clean up."""
    ROLLING_BACK = "rolling-back"
    """The rollback was begun: do it again."""
    ROLLED_BACK = "rolled-back"
    """Rolled back, and rebooted if it had to be: verify that."""
    FAILED = "failed"
    """The payload and the scripts are to be told that the update failed."""
    CLEANING = "cleaning"
    """It is over; what it needed on its way is to be removed."""


_MANAGED_STAGES: Final[Mapping[Stage, tuple[str, ...]]] = {
    Stage.NOTHING: (
        "init",
        "idle",
        "authorize",
        "authorize-wait",
        "inventory-update",
        "inventory-update-retry-wait",
        "check-wait",
        "update-check",
        "update-fetch",
        "fetch-install-retry-wait",
        "status-report-error",
        "update-report-status-error",
    ),
    Stage.DOWNLOADED: ("update-store", "update-after-store"),
    Stage.INSTALLED: ("reboot",),
    # A client that finds `after-reboot` was itself cut off after the reboot; it takes that for a failed boot.
    Stage.INTERRUPTED: (
        "update-install",
        "update-verify",
        "verify-reboot",
        "after-reboot",
        "update-commit",
        "update-pre-commit-status-report-retry",
        "error",
    ),
    Stage.COMMITTED: ("update-after-first-commit", "update-after-commit"),
    Stage.ROLLING_BACK: ("rollback",),
    Stage.ROLLED_BACK: ("rollback-reboot", "verify-rollback-reboot", "after-rollback-reboot"),
    Stage.FAILED: ("update-error",),
    Stage.CLEANING: ("cleanup", "update-status-report", "update-retry-report", "finished"),
}

_STANDALONE_STAGES: Final[Mapping[Stage, tuple[str, ...]]] = {
    Stage.DOWNLOADED: ("Before_ArtifactInstall_Enter",),
    Stage.INSTALLED: ("Before_ArtifactCommit_Enter",),
    Stage.INTERRUPTED: ("ArtifactInstall_Enter", "ArtifactCommit_Enter"),
    Stage.COMMITTED: ("Before_ArtifactCommit_Leave", "ArtifactCommit_Leave"),
    Stage.ROLLING_BACK: ("ArtifactRollback_Enter",),
    Stage.FAILED: ("ArtifactFailure_Enter",),
    Stage.CLEANING: ("Cleanup",),
}

MANAGED_STAGES: Final = {name: stage for stage, names in _MANAGED_STAGES.items() for name in names}
STANDALONE_STAGES: Final = {name: stage for stage, names in _STANDALONE_STAGES.items() for name in names}

_STANDALONE_1_STATE: Final = "Before_ArtifactCommit_Enter"
"""What the only state that version 1 of the record knows is called in version 2."""

_REBOOTS: Final = {
    "": RebootNeed.NONE,
    "reboot-type-custom": RebootNeed.CUSTOM,
    "reboot-type-automatic": RebootNeed.AUTOMATIC,
}
_ROLLBACKS: Final = {"": None, "rollback-not-supported": False, "rollback-supported": True}


@dataclass(frozen=True, slots=True, kw_only=True)
class InFlight:
    """An update that the other client began and did not end."""

    mode: Mode
    stage: Stage
    state: str
    """The other client's name of the state."""
    offer: Offer | None
    """The artifact; None if the record was written before it was known."""
    record: str
    """The key in the store that holds the record."""
    version: int
    deployment_id: str | None = None
    url: str | None = None
    reboot_need: RebootNeed | None = None
    """None if the payload was not asked yet, or the answer was not kept."""
    supports_rollback: bool | None = None
    failed: bool = False
    rolled_back: bool = False


T = TypeVar("T")


def read_in_flight(store: Mapping[str, bytes]) -> InFlight | None:
    """Return the update that a store tells of.

    Raises:
        StoreError: a record makes no sense, or is of a kind that is not known. Then nobody knows what runs on trial,
            and nothing may be taken over.
    """
    found = [update for update in (_managed(store), _standalone(store)) if update is not None]
    if len(found) > 1 and found[0].stage is Stage.NOTHING:
        del found[0]
    if len(found) > 1:
        raise StoreError("cannot take over: the store tells of two updates at once", hint=HINT)
    return found[0] if found else None


def _managed(store: Mapping[str, bytes]) -> InFlight | None:
    """Return the update of the daemon."""
    if not store.get(STATE):
        return None
    record = _record(store, STATE)
    if record.version not in {0, 1, 2} and store.get(UNCOMMITTED):
        # A newer client has begun to change the form of the record; what it knew before stands here.
        record = _record(store, UNCOMMITTED)
    elif record.version in {0, 1} and store.get(UNCOMMITTED):
        newer = _record(store, UNCOMMITTED)
        if newer.part("UpdateInfo").text("ID") == record.part("UpdateInfo").text("ID"):
            record = newer
    if record.version not in {0, 1, 2}:
        record.fail(f"its version is {record.version}, known are 0 to 2")
    return _update_of(record)


def _update_of(record: "_Record") -> InFlight:
    name = record.text("Name")
    info = record.part("UpdateInfo")
    artifact = info.part("Artifact")
    offer = _offer(
        artifact,
        keys=("artifact_name", "artifact_group", "artifact_provides", "clears_artifact_provides"),
        types=artifact.texts("PayloadTypes") if record.version == 2 else (ROOTFS,),
        device_types=artifact.texts("device_types_compatible"),
    )
    reboots = tuple(info.one_of("RebootRequested", text, _REBOOTS) for text in info.texts("RebootRequested"))
    rollback = info.one_of("SupportsRollback", info.text("SupportsRollback"), _ROLLBACKS)
    if record.version != 2:  # Only root file systems could be installed, and nothing was written about them.
        reboots, rollback = (RebootNeed.AUTOMATIC,), True
    return InFlight(
        mode=Mode.MANAGED,
        stage=record.one_of("Name", name, MANAGED_STAGES),
        state=name,
        offer=offer,
        record=record.key,
        version=record.version,
        deployment_id=info.text("ID") or None,
        url=artifact.part("Source").text("URI") or None,
        reboot_need=reboots[0] if reboots else None,
        supports_rollback=rollback,
    )


def _standalone(store: Mapping[str, bytes]) -> InFlight | None:
    """Return the update that was begun at the command line."""
    if not store.get(STANDALONE):
        return None
    record = _record(store, STANDALONE)
    if record.version not in {1, 2}:
        record.fail(f"its version is {record.version}, known are 1 and 2")
    state = record.text("InState") if record.version == 2 else _STANDALONE_1_STATE
    offer = _offer(
        record,
        keys=("ArtifactName", "ArtifactGroup", "ArtifactTypeInfoProvides", "ArtifactClearsProvides"),
        types=record.texts("PayloadTypes"),
        device_types=(),
    )
    if offer is None:
        record.fail("it names no artifact")
    return InFlight(
        mode=Mode.STANDALONE,
        stage=record.one_of("InState", state, STANDALONE_STAGES),
        state=state,
        offer=offer,
        record=record.key,
        version=record.version,
        failed=record.flag("Failed"),
        rolled_back=record.flag("RolledBack"),
    )


def _offer(
    record: "_Record", *, keys: tuple[str, str, str, str], types: tuple[str, ...], device_types: tuple[str, ...]
) -> Offer | None:
    name_key, group_key, provides_key, clears_key = keys
    name = record.text(name_key)
    if not name:
        return None
    if len(types) > 1:
        record.fail(f"its artifact has {len(types)} payloads, only one can be taken over")
    group = record.text(group_key) or None
    provides = dict(record.mapping(provides_key))
    # As in the artifact's own answer: FORMAT.md §5.2.
    provides["artifact_name"] = name
    if group is not None:
        provides["artifact_group"] = group
    return Offer(
        name=name,
        payload_type=types[0] or None if types else None,
        group=group,
        device_types=device_types,
        provides=provides,
        clears=record.texts(clears_key) if record.has(clears_key) else None,
    )


def _record(store: Mapping[str, bytes], key: str) -> "_Record":
    try:
        return _Record(key, parse_object(store[key], member=f"the record {key!r}"))
    except RejectedError as e:
        raise StoreError(f"cannot take over: {e.what}", hint=HINT) from e


@dataclass(frozen=True, slots=True)
class _Record:
    """A JSON object of a store; every access says what is wrong, and with which record."""

    key: str
    values: Mapping[str, object]

    @property
    def version(self) -> int:
        return self._get("Version", int, 0)

    def fail(self, why: str) -> NoReturn:
        raise StoreError(f"cannot take over: the record {self.key!r} cannot be used: {why}", hint=HINT)

    def has(self, name: str) -> bool:
        return self.values.get(name) is not None

    def part(self, name: str) -> "_Record":
        values: dict[str, object] = self._get(name, dict, {})
        return _Record(self.key, values)

    def text(self, name: str) -> str:
        return self._get(name, str, "")

    def flag(self, name: str) -> bool:
        return self._get(name, bool, False)

    def texts(self, name: str) -> tuple[str, ...]:
        values: list[object] = self._get(name, list, [])
        return tuple(self._checked(name, value, str) for value in values)

    def mapping(self, name: str) -> Mapping[str, str]:
        values: dict[str, object] = self._get(name, dict, {})
        return {key: self._checked(name, value, str) for key, value in values.items()}

    def one_of(self, name: str, text: str, known: Mapping[str, T]) -> T:
        if text not in known:
            self.fail(f"{name} is {quoted(text)}, which is not known")
        return known[text]

    def _get(self, name: str, kind: type[T], default: T) -> T:
        value = self.values.get(name)
        return default if value is None else self._checked(name, value, kind)

    def _checked(self, name: str, value: object, kind: type[T]) -> T:
        # A Boolean is an integer for Python only.
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            self.fail(f"{name} is of the wrong kind")
        return value
