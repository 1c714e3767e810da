"""What installs a payload on this device: the built-in root file system, or an update module."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bistable.artifact.model import ROOTFS_IMAGE, Header
from bistable.client.deployment.ports import Payload
from bistable.client.deployment.suit import GROUP, NAME
from bistable.client.errors import ConfigError, ModuleError
from bistable.client.machine import Record
from bistable.client.model import Provides, SlotName
from bistable.client.slots import SlotPair

if TYPE_CHECKING:
    from bistable.client.boot import Bootloader
    from bistable.client.modules import Incoming, ModulePayload

NOTE: Final = "verified-image.json"
TREE: Final = Path("modules/v3/payloads/0000/tree")
"""Where existing modules are used to find theirs, below the data directory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PayloadSettings:
    """What payloads need to know of the device's settings."""

    data_dir: Path
    module_directories: Sequence[Path]
    module_timeout: float
    skip_identical: bool


class DevicePayloads:
    """Finds the payload handler of an update.

    `pair` is None on a device without slots; `running` and `boot` are asked only if an update needs slots. `check` is
    called during downloads and raises to end them.
    """

    def __init__(
        self,
        settings: PayloadSettings,
        *,
        pair: SlotPair | None,
        running: Callable[[], SlotName],
        boot: Callable[[], "Bootloader"],
        provides: Callable[[], Provides],
        device_type: Callable[[], str | None],
        check: Callable[[], None],
    ) -> None:
        self._settings, self._pair = settings, pair
        self._running, self._boot = running, boot
        self._provides, self._device_type, self._check = provides, device_type, check

    def prepare(self, header: Header, record: Record) -> Record:
        """Return the record with its slots filled in.

        Raises:
            ConfigError: the payload needs slots, and none are configured.
            ModuleError: there is no module for the payload.
            SlotError: it is not certain what runs.
        """
        if header.info.payload_type != ROOTFS_IMAGE:
            self._module(header.info.payload_type)
            return record
        pair, origin = self._needed_pair(), self._running()
        return replace(record, origin=origin, target=pair.other(origin).name)

    def begin(self, header: Header, record: Record) -> Payload:
        """Return the payload handler for the download.

        Raises:
            ModuleError: there is no module for the payload.
        """
        if record.origin is not None:
            return self._rootfs(record.origin)
        from bistable.client.modules import Incoming, Running

        provides = self._provides()
        running = Running(
            artifact_name=provides.get(NAME, ""),
            artifact_group=provides.get(GROUP, ""),
            device_type=self._device_type() or "",
        )
        return self._handler(header.info.payload_type, Incoming(header=header, running=running))

    def resume(self, record: Record) -> Payload | None:
        """Return the payload handler of an update whose head is known."""
        if record.origin is not None:
            return self._rootfs(record.origin)
        if record.offer is None or record.offer.payload_type is None:
            return None
        return self._handler(record.offer.payload_type, None)

    def on_target(self, record: Record) -> bool | None:
        """Return whether the slot that was written runs; None if there is none."""
        return None if record.target is None else self._running() == record.target

    def on_origin(self, record: Record) -> bool | None:
        """Return whether the slot that ran before runs; None if there is none."""
        return None if record.origin is None else self._running() == record.origin

    def _needed_pair(self) -> SlotPair:
        if self._pair is None:
            raise ConfigError(
                "cannot install a root file system: this device has no slots",
                hint="set slots.a and slots.b (or RootfsPartA and RootfsPartB in mender.conf)",
            )
        return self._pair

    def _rootfs(self, origin: SlotName) -> Payload:
        from bistable.client.install import RootfsPayload, RootfsSettings

        return RootfsPayload(
            self._needed_pair(),
            origin=origin,
            running=self._running,
            boot=self._boot(),
            note=self._settings.data_dir / NOTE,
            settings=RootfsSettings(skip_identical=self._settings.skip_identical),
            on_progress=lambda _done, _total: self._check(),
        )

    def _handler(self, payload_type: str | None, incoming: "Incoming | None") -> "ModulePayload":
        from bistable.client.modules import Limits, ModulePayload

        module: Path | None
        try:
            module = self._module(payload_type)
        except ModuleError:
            # Gone since the download: calls say so, and the tree can be removed all the same.
            if incoming is not None:
                raise
            module = None
        return ModulePayload(
            module,
            self._settings.data_dir / TREE,
            limits=Limits(call=self._settings.module_timeout),
            incoming=incoming,
            check=self._check,
        )

    def _module(self, payload_type: str | None) -> Path:
        from bistable.client.modules import find_module

        return find_module(payload_type or "", self._settings.module_directories)
