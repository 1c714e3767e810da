"""The first time on a device: learn what it provides, and take over what another client has begun.

It is done once, when the store is new; what it finds becomes the store's in one transaction.
"""

import logging
from dataclasses import replace
from pathlib import Path
from typing import Final

from bistable.artifact.errors import BistableError
from bistable.artifact.model import ROOTFS_IMAGE
from bistable.client.deployment.device import Device, line_of
from bistable.client.deployment.ports import Health
from bistable.client.deployment.suit import NAME, offer_of, provides_after
from bistable.client.errors import StoreDamagedError, StoreError
from bistable.client.machine import Record, State, decode_record, encode_record
from bistable.client.model import RebootNeed, SlotName
from bistable.client.store import Store, put_aside
from bistable.client.system import new_name

log = logging.getLogger(__name__)

SETTLED: Final = "settled"
UNKNOWN: Final = "unknown"
"""The artifact's name where nothing tells it, as existing clients have it."""

BOOTSTRAP: Final = "bootstrap.mender"
LEGACY: Final = Path("/var/lib/mender")


def open_store(directory: Path) -> tuple[Store, str | None]:
    """Open the store; a damaged one is put aside, because a device that waits for somebody may wait for ever.

    An update that was on trial is forgotten with it. It was never confirmed, so the boot loader gives it up by itself.
    Return what is to be told about that, too.

    Raises:
        StoreError: there can be no store.
    """
    try:
        return _readable(Store.open(directory)), None
    except StoreDamagedError as e:
        aside = put_aside(directory)
        return Store.open(directory), f"{e.what}; it is kept as {aside}, and a new one is begun"


def _readable(store: Store) -> Store:
    """Return the store if its record can be understood: else no command could ever do anything."""
    text = store.record()
    try:
        if text is not None:
            decode_record(text)
    except StoreError as e:
        store.close()
        raise StoreDamagedError(e.what) from e
    return store


def settle(store: Store, device: Device, legacy_dir: Path = LEGACY) -> tuple[str, ...]:
    """Fill a new store, and return what is worth telling about it; nothing is done to one that was filled.

    Raises:
        StoreError: the store cannot be written, or what another client left cannot be used safely.
    """
    if store.value(SETTLED) is not None:
        return ()
    from bistable.client.adopt import read_legacy
    from bistable.client.maps import KEEP_KEY

    settings = device.settings.device
    legacy = read_legacy(
        legacy_dir, artifact_info=settings.artifact_info_file, device_type_file=settings.device_type_file
    )
    told: list[str] = list(legacy.not_understood)
    record = None if legacy.in_flight is None else _taken_over(device, legacy.in_flight, told)
    provides = dict(legacy.provides)
    if legacy.store is not None:
        told.append(f"took over what {legacy.store} says; that file is left as it is")
    elif bootstrapped := _bootstrap(settings.data_dir / BOOTSTRAP, device, told):
        provides = bootstrapped
    name = provides.get(NAME) or line_of(settings.artifact_info_file, NAME) or UNKNOWN
    provides[NAME] = name
    with store.transaction():
        store.replace_provides(provides)
        if record is not None:
            store.save_record(encode_record(record))
        if legacy.control_maps is not None:
            # In the other client's form, which the reader of ours knows: they live on for a while.
            store.keep_value(KEEP_KEY, legacy.control_maps.decode("utf-8", "replace"))
        store.keep_value(SETTLED, "1")
    return tuple(told)


def heal(device: Device, health: Health) -> tuple[str, ...]:
    """Confirm a slot that runs on trial although no update is in progress, and return what is to be told about it.

    The boot loader's environment was lost, or the store was. Nothing else would ever confirm the slot, and without a
    good one the boot loader lets nothing be installed. It has to be healthy, as before every commit.

    Raises:
        HealthError: it is not.
        BootError: the boot loader cannot be asked or told.
    """
    if device.pair is None:
        return ()
    running, boot = device.running(), device.bootloader
    if boot.status(running).good or boot.primary() != running:
        # One that the boot loader is to leave again is what an update left behind that was given up.
        return ()
    health.check(0.0, lambda _used: None)
    boot.confirm(running)
    return (f"slot {running} ran on trial without an update in progress: it is healthy, and now confirmed",)


def _bootstrap(path: Path, device: Device, told: list[str]) -> dict[str, str] | None:
    """Read what the image's builder says that it provides; an artifact without a payload, and so without a signature.

    It lies on the device from the start: whoever could change it could change everything else.
    """
    if not path.exists():
        return None
    from bistable.artifact.reader import read_artifact
    from bistable.artifact.trust import Policy

    try:
        with path.open("rb") as file:
            header = read_artifact(file, Policy()).head.header
    except (OSError, BistableError) as e:
        told.append(f"cannot use {path}: {e}")
        return None
    offer = offer_of(header)
    if offer.payload_type is not None or device.device_type() not in offer.device_types:
        told.append(f"cannot use {path}: it has a payload, or is for another type of device")
        return None
    return provides_after({}, offer)


def _taken_over(device: Device, flight: "object", told: list[str]) -> Record | None:
    """Return the record of an update that another client began."""
    from bistable.client.adopt import InFlight, Stage

    assert isinstance(flight, InFlight)
    state = {
        Stage.DOWNLOADED: State.CLEANUP,
        Stage.INTERRUPTED: State.ROLLBACK,
        Stage.COMMITTED: State.AFTER_COMMIT,
        Stage.ROLLING_BACK: State.ROLLBACK,
        Stage.ROLLED_BACK: State.VERIFY_ROLLBACK,
        Stage.FAILED: State.FAILURE,
        Stage.CLEANING: State.CLEANUP,
        Stage.INSTALLED: State.VERIFY,
    }.get(flight.stage)
    if state is None or flight.offer is None:
        return None
    if flight.offer.payload_type != ROOTFS_IMAGE:
        raise StoreError(
            f"cannot take over from the other client: its update {flight.offer.name!r} is in progress, in the state "
            f"{flight.state}",
            hint="let the other client finish it, or roll it back, first",
        )
    committed = flight.stage in {Stage.COMMITTED, Stage.CLEANING} and not flight.failed
    origin, target = _slots(device, committed=committed)
    told.append(f"took over the update {flight.offer.name}, which another client began")
    record = Record(
        id=flight.deployment_id or new_name(),
        mode=flight.mode,
        state=state,
        where=flight.url or "another client",
        boot_id=device.system.boot_id(),
        offer=flight.offer,
        origin=origin,
        target=target,
        supports_rollback=True,
        reboot_need=RebootNeed.AUTOMATIC,
        # Another boot than this one: which, only the other client knew.
        install_boot_id="",
        restarted=True,
        committed=committed,
        rolled_back=flight.rolled_back,
        began=device.system.wall(),
    )
    return record if not flight.failed else replace(record, aborted=not flight.rolled_back)


def _slots(device: Device, *, committed: bool) -> tuple[SlotName, SlotName]:
    """Return the slot from which the update began, and the one it is in.

    What runs is what was installed if the boot loader has it on trial. Otherwise it was not booted yet, or the boot
    loader fell back, and what runs is what ran before.
    """
    running = device.running()
    assert device.pair is not None
    other = device.pair.other(running).name
    installed_runs = committed or not device.bootloader.status(running).good
    return (other, running) if installed_runs else (running, other)
