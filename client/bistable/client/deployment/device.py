"""A device as its settings describe it: each part made when first needed, so that a quick question stays quick."""

import logging
import time
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from bistable.artifact.errors import BistableError
from bistable.client.config import BootBackend, BootScheme, Settings
from bistable.client.errors import BootError, ConfigError
from bistable.client.files import read_limited
from bistable.client.model import OnProgress, SlotName, ignore_progress
from bistable.client.slots import Slot, SlotPair

if TYPE_CHECKING:
    from bistable.artifact.trust import Policy
    from bistable.client.boot import Bootloader, BootSettings
    from bistable.client.deployment.payloads import DevicePayloads
    from bistable.client.deployment.trial import DeviceHealth
    from bistable.client.deployment.work import Parts
    from bistable.client.fetch import FetchSettings, Spool
    from bistable.client.machine import Record
    from bistable.client.scripts import ScriptRunner
    from bistable.client.store import Store
    from bistable.client.system import System

log = logging.getLogger(__name__)

T = TypeVar("T")

A: Final = SlotName("a")
B: Final = SlotName("b")

MIB: Final = 1024 * 1024
SPOOL_MIN_FREE: Final = 16 * MIB
"""What keeping a download leaves free on the data partition, for all that else has to be remembered."""

LINE_SIZE: Final = 4096


class Device:
    """The device as its settings describe it. `environment` is that of the process, for proxies.

    `check` is called often while something long is done, and raises to end it.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        environment: Mapping[str, str],
        check: Callable[[], None] = lambda: None,
        on_progress: OnProgress = ignore_progress,
        on_record: Callable[["Record"], None] = lambda _record: None,
        on_wait: Callable[[str, float], None] = lambda _why, _seconds: None,
    ) -> None:
        self.settings = settings
        self._environment = environment
        self._check, self._on_progress = check, on_progress
        self._on_record, self._on_wait = on_record, on_wait

    @cached_property
    def pair(self) -> SlotPair | None:
        """The two slots; None if this device has none."""
        slots = self.settings.slots
        if slots.a is None and slots.b is None:
            return None
        if slots.a is None or slots.b is None:
            raise ConfigError("cannot use one slot: slots.a and slots.b belong together", hint="set both, or none")
        return SlotPair(a=Slot(name=A, device=slots.a), b=Slot(name=B, device=slots.b))

    @cached_property
    def backend(self) -> BootBackend:
        """What talks to the boot loader: what is set, or what the other settings show."""
        boot = self.settings.boot
        if boot.backend is not BootBackend.AUTO:
            return boot.backend
        if boot.handler is not None:
            return BootBackend.CUSTOM
        if boot.simulated_state is not None:
            return BootBackend.SIMULATED
        from bistable.client.boot import detect_backend

        return BootBackend(detect_backend(self._boot_settings("auto", "auto")))

    @cached_property
    def bootloader(self) -> "Bootloader":
        """The boot loader.

        Raises:
            ConfigError: it is not configured.
            BootError: its environment cannot be read.
        """
        from bistable.client.boot import make_bootloader

        if self.pair is None:
            raise ConfigError("cannot use the boot loader: this device has no slots", hint="set slots.a and slots.b")
        settings = self._boot_settings(self.backend.value, self._scheme())
        return make_bootloader(settings, self.pair, booted=self.running)

    def _boot_settings(self, backend: str, scheme: str) -> "BootSettings":
        from bistable.client.boot import BootSettings

        boot = self.settings.boot
        return BootSettings(
            backend=backend,
            tries=boot.tries,
            scheme=scheme,
            print_tool=boot.printenv,
            set_tool=boot.setenv,
            tool_config=boot.env_config,
            grub_copies=boot.grub_copies,
            grub_directory=boot.grub_directory,
            directory=boot.directory,
            kernel=boot.kernel,
            initrd=boot.initrd,
            partitions=self._of_slots("boot.partitions", boot.partitions),
            firmware=boot.firmware,
            efi_entries=self._of_slots("boot.efi-entries", boot.efi_entries),
            handler=None if boot.handler is None else Path(boot.handler),
            boot_names=self._of_slots("boot.slot-names", boot.slot_names),
            parts=self._of_slots("boot.part-numbers", boot.part_numbers),
            state=boot.simulated_state,
        )

    def _of_slots(self, name: str, values: tuple[T, ...]) -> dict[SlotName, T]:
        if len(values) not in {0, 2}:
            raise ConfigError(f"cannot use {name}: it has to name two, for slot a and for slot b")
        return dict(zip((A, B), values, strict=False))

    def _scheme(self) -> str:
        boot = self.settings.boot
        if boot.scheme is not BootScheme.AUTO or self.backend not in {BootBackend.UBOOT, BootBackend.GRUB}:
            return BootScheme.SLOTS.value if boot.scheme is BootScheme.AUTO else boot.scheme.value
        from bistable.client.boot import detect_scheme

        return detect_scheme(self._boot_settings(self.backend.value, "auto"))

    def running(self) -> SlotName:
        """Return the slot that runs.

        Raises:
            SlotError: that is not certain.
            ConfigError: this device has no slots.
        """
        from bistable.client.boot import CurrentSlot
        from bistable.client.slots import running_slot

        if self.pair is None:
            raise ConfigError("cannot tell which slot runs: this device has none", hint="set slots.a and slots.b")
        # These back ends may know by themselves; the others do not, and are made with this very question.
        if self.backend in {BootBackend.CUSTOM, BootBackend.SIMULATED} and isinstance(self.bootloader, CurrentSlot):
            try:
                return self.bootloader.current()
            except BootError as e:
                # Handlers of the first versions of RAUC's protocol do not know this question.
                if self.backend is BootBackend.SIMULATED:
                    raise
                log.debug("the boot loader's handler does not say what runs: %s", e.what)
        return running_slot(self.pair, boot_names=self._of_slots("boot.slot-names", self.settings.boot.slot_names))

    @cached_property
    def system(self) -> "System":
        """The machine."""
        from bistable.client.system import LinuxSystem

        if self.backend is BootBackend.SIMULATED and self.settings.boot.simulated_state is not None:
            from bistable.client.boot.simulated import SimulatedSystem

            return SimulatedSystem(self.settings.boot.simulated_state)
        return LinuxSystem(argument=self._reboot_argument)

    def _reboot_argument(self) -> str | None:
        if self.pair is None or self.backend is not BootBackend.RASPBERRY_PI:
            return None
        from bistable.client.boot.ports import RebootArgument

        return self.bootloader.reboot_argument() if isinstance(self.bootloader, RebootArgument) else None

    def device_type(self) -> str | None:
        """Return the device type; None if it is not known."""
        device = self.settings.device
        return device.type or line_of(device.device_type_file, "device_type")

    @cached_property
    def policy(self) -> "Policy":
        """By which signatures artifacts are believed.

        Raises:
            ConfigError: a key cannot be used.
        """
        from bistable.artifact.trust import Policy

        keys = self.settings.trust.verify_keys
        if not keys:
            return Policy()
        from bistable.artifact.keys import read_verifiers

        try:
            return Policy(verifiers=tuple(one for path in keys for one in read_verifiers(path)))
        except BistableError as e:
            raise ConfigError(f"cannot use trust.verify-keys: {e.what}", hint=e.hint) from e

    def _read_policy(self) -> Callable[[], "Policy"]:
        policy = self.policy
        return lambda: policy

    def scripts(self, on_substate: Callable[[str], None] = lambda _words: None) -> "ScriptRunner":
        """Return what runs state scripts."""
        from bistable.client.scripts import ScriptLimits, ScriptRunner

        scripts = self.settings.scripts
        return ScriptRunner(
            scripts.rootfs_dir,
            self.settings.device.data_dir / "scripts",
            ScriptLimits(
                timeout=scripts.timeout, retry_interval=scripts.retry_interval, retry_timeout=scripts.retry_timeout
            ),
            time.sleep,
            time.monotonic,
            on_substate,
            self._check,
        )

    def fetch_settings(self) -> "FetchSettings":
        """Return how addresses are read.

        Raises:
            ConfigError: the proxies in the environment cannot be used.
        """
        from bistable.client.fetch import FetchSettings, read_proxies

        fetch = self.settings.fetch
        return FetchSettings(
            retries=fetch.retries,
            rate_limit=fetch.rate_limit_kib * 1024 or None,
            ca_file=fetch.ca_file,
            certificate=fetch.client_certificate,
            key=fetch.client_key,
            skip_verify=fetch.skip_verify,
            proxies=read_proxies(self._environment),
            check=self._check,
            on_wait=self._on_wait,
        )

    def require_reachable(self) -> None:
        """See whether a server answers, if the settings want that of a new system.

        Raises:
            HealthError: none does.
        """
        if self.settings.commit.require_server_reachable:
            from bistable.client.fetch import require_reachable

            require_reachable(self.settings.server.urls, self.fetch_settings())

    def spool(self) -> "Spool | None":
        """Return what keeps downloads across restarts; None if that is not wanted."""
        limit = self.settings.fetch.spool_max_mib * MIB
        if not limit:
            return None
        from bistable.client.fetch import Spool, SpoolSettings

        directory = self.settings.device.data_dir
        return Spool(SpoolSettings(directory=directory, max_size=limit, min_free=SPOOL_MIN_FREE))

    def health(self) -> "DeviceHealth":
        """Return what asks whether the system is healthy."""
        from bistable.client.deployment.trial import DeviceHealth

        return DeviceHealth(self.settings.health, self.system.boottime)

    def payloads(self, store: "Store") -> "DevicePayloads":
        """Return what finds payload handlers."""
        from bistable.client.deployment.payloads import DevicePayloads, PayloadSettings

        settings = self.settings
        return DevicePayloads(
            PayloadSettings(
                data_dir=settings.device.data_dir,
                module_directories=settings.modules.directories,
                module_timeout=settings.modules.timeout,
                skip_identical=settings.install.skip_identical,
            ),
            pair=self.pair,
            running=self.running,
            boot=lambda: self.bootloader,
            provides=store.provides,
            device_type=self.device_type,
            check=self._check,
        )

    def parts(self, store: "Store", *, patient: bool = False) -> "Parts":
        """Return all parts of an update that is led at the command line.

        A `patient` caller waits more than it works: the keys that artifacts are verified with are read at a download.

        Raises:
            ConfigError: the settings cannot be used.
        """
        from bistable.client.deployment.sources import FetchedSources
        from bistable.client.deployment.standalone import SilentReporter, StandaloneGates
        from bistable.client.deployment.trial import make_watchdog
        from bistable.client.deployment.work import Parts

        return Parts(
            store=store,
            system=self.system,
            sources=FetchedSources(settings=self.fetch_settings(), spool=self.spool()),
            payloads=self.payloads(store),
            scripts=self.scripts(),
            gates=StandaloneGates(),
            health=self.health(),
            reporter=SilentReporter(self.require_reachable),
            watchdog=make_watchdog(self.settings.watchdog, self.system.boottime),
            policy=(lambda: self.policy) if patient else self._read_policy(),
            device_type=self.device_type,
            on_progress=self._on_progress,
            on_record=self._on_record,
        )


def line_of(path: Path, key: str) -> str | None:
    """Return the value of the line `key=value` in a small file; None if there is none."""
    try:
        text = read_limited(path, LINE_SIZE).decode("utf-8", "replace")
    except (OSError, BistableError):
        return None
    for line in text.splitlines():
        name, found, value = line.partition("=")
        if found and name.strip() == key and value.strip():
            return value.strip()
    return None
