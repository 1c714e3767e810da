"""What a board is: facts from its `board.toml`, by which everything else is rendered, checked and tested."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import Final

from bistable.artifact.spec.text import BuildText
from bistable.tools.boot.plan import Loader
from bistable.tools.boot.ubi import Flash
from bistable.tools.disk.layout.model import Layout

FILE_NAME: Final = "board.toml"


class Flow(StrEnum):
    """What chooses the slot. All but the last two are those of layouts of disks (`Loader`)."""

    UBOOT = "uboot"
    UBOOT_ENVIRONMENT = "uboot-environment"
    GRUB = "grub"
    SYSTEMD_BOOT = "systemd-boot"
    EFI = "efi"
    RASPBERRY_PI = "raspberry-pi"
    UBOOT_UBI = "uboot-ubi"
    """U-Boot with slots and environment in volumes of UBI on raw NAND."""
    CUSTOM = "custom"
    """Partitions and boot loader are the vendor's; a handler tells the client's calls to it."""

    @property
    def loader(self) -> Loader | None:
        """Return the boot loader of a layout; None: the board's storage is not laid out by one."""
        return None if self in {Flow.UBOOT_UBI, Flow.CUSTOM} else Loader(self.value)


UBOOTS: Final = frozenset({Flow.UBOOT, Flow.UBOOT_ENVIRONMENT, Flow.UBOOT_UBI})
"""Boot flows in which U-Boot starts the kernel."""


class Status(StrEnum):
    """How far a board is known to work."""

    BOOTED = "booted"
    """The conformance suite has passed on it in QEMU, or on the board itself."""
    CHECKED = "checked"
    """Everything is rendered, and checked against the documents that are cited; it has not been booted."""
    CONTRIBUTED = "contributed"
    """Somebody who has the board wrote it; nothing of it was checked against documents."""


class StorageKind(StrEnum):
    """What the slots lie on."""

    EMMC = "emmc"
    SD = "sd"
    NVME = "nvme"
    SATA = "sata"
    USB = "usb"
    VIRTIO = "virtio"
    NAND = "nand"


@dataclass(frozen=True, slots=True, kw_only=True)
class Boot:
    """What is started, and by what; paths are those in the slot."""

    flow: Flow
    architecture: str
    tries: int
    kernel: PurePosixPath
    initrd: PurePosixPath | None
    devicetree: PurePosixPath | None
    arguments: str
    """Without `root=`."""
    addresses: Mapping[str, int]
    """Set by the boot script, as U-Boot has no variables for them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Storage:
    """What the slots lie on: its node in Linux, and the bytes of the smallest one that the board is sold with."""

    kind: StorageKind
    device: str
    capacity: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SerialConsole:
    """The serial console as Linux calls it (`ttyS2`), its speed, and who logs in on it."""

    device: str
    speed: int
    user: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Watchdog:
    """The watchdog: seconds that it is set to; `uboot` is its name in `wdt list`, None: U-Boot does not start it."""

    driver: str
    device: str
    timeout: int
    uboot: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnEnvironment:
    """Where U-Boot keeps an environment of its own, beside that of the slots: `kind` such as `mmc` or `spi-flash`.

    `offset` and `size` are bytes on the storage of the slots; None: it is not there.
    """

    kind: str
    offset: int | None
    size: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Uboot:
    """U-Boot of the board: its configuration, and variables for places in memory as it has them by itself."""

    defconfig: str
    source: str
    version: str
    addresses: Mapping[str, int]
    environment: OwnEnvironment | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ubi:
    """What is in UBI: the MTD partition it is on, and the bytes of slots, data and each copy of the environment.

    `environment` says where the two copies lie: in volumes (`ubi`), or in two MTD partitions (their names).
    """

    partition: str
    slot_size: int
    slot_filesystem: str
    data_size: int | None
    """None: what is left."""
    environment_size: int
    environment: tuple[str, str] | None
    """None: in two volumes of UBI."""
    chip: str
    flash: Flash


@dataclass(frozen=True, slots=True, kw_only=True)
class Vendor:
    """Slots on partitions that the vendor's tools make: Linux nodes, and the program that knows the boot loader."""

    handler: str
    """A template in _templates/handlers, and what the program is called on the device."""
    slots: tuple[str, str]
    data: str
    boot_names: tuple[str, str]
    """What the handler calls the two slots."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """A layer of the board's BSP; `revisions` are series -> (branch, commit)."""

    name: str
    url: str
    sublayers: tuple[str, ...]
    revisions: Mapping[str, tuple[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Yocto:
    """How OpenEmbedded builds for it: variables go into the configuration beside those that follow from the board."""

    machine: str
    releases: tuple[str, ...]
    layers: tuple[Layer, ...]
    variables: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Qemu:
    """A machine of QEMU that is the board, or is like it.

    `firmware` is role -> file: `bios`; or `code` and `variables` of UEFI. `package` is the Debian package with those.
    """

    program: str
    arguments: tuple[str, ...]
    memory: int
    """MiB."""
    bus: str
    """How virtio devices are attached: `pci` or `device`."""
    firmware: Mapping[str, Path]
    package: str
    watchdog: str | None
    """A device of QEMU, such as `i6300esb`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """A board. `key` is the name of its folder; of `layout`, `ubi` and `vendor` there is one."""

    key: str
    folder: Path
    name: str
    soc: str
    page: str
    status: Status
    limits: tuple[str, ...]
    device_type: str
    boot: Boot
    storage: Storage
    console: SerialConsole
    layout: Layout | None = None
    ubi: Ubi | None = None
    vendor: Vendor | None = None
    watchdog: Watchdog | None = None
    uboot: Uboot | None = None
    yocto: Yocto | None = None
    qemu: Qemu | None = None
    steps: tuple[str, ...] = ()
    """How it is flashed, one sentence or command each."""
    sources: Mapping[str, str] = field(default_factory=dict)
    """What is cited -> its address."""
    text: BuildText = field(repr=False, compare=False)
    """The document, to say in which line something stands."""

    @property
    def on_bench(self) -> bool:
        """Whether there is hardware of it, which is flashed; otherwise it is a machine of QEMU only."""
        return bool(self.steps) or self.qemu is None
