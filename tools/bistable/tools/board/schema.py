"""The tables and keys of `board.toml`: one list, from which checking, messages, JSON schema and documentation come."""

from collections.abc import Mapping
from dataclasses import replace
from enum import Enum
from typing import Any, Final

from bistable.tools.board.model import Flow, Status, StorageKind
from bistable.tools.disk.layout.schema import EXTRA, TABLES, Form, Key, Table

RELEASES: Final = ("scarthgap", "wrynose")
"""Series of Yocto that the layer is tested with."""

DISK: Final = "disk"
UBI: Final = "ubi"
VENDOR: Final = "vendor"


class Bus(Enum):
    """How virtio devices are attached."""

    PCI = "pci"
    DEVICE = "device"


def _key(name: str, form: Form, meaning: str, example: str, *, required: bool = False) -> Key:
    return Key(name=name, form=form, meaning=meaning, example=example, required=required)


def _choice(name: str, choices: tuple[str, ...], meaning: str, *, required: bool = False) -> Key:
    return Key(
        name=name,
        form=Form.CHOICE,
        meaning=meaning,
        example=f'"{choices[0]}"',
        required=required,
        choices=choices,
    )


def _values(kinds: type[Enum]) -> tuple[str, ...]:
    return tuple(kind.value for kind in kinds)


_ABOUT: Final = (
    Table(
        name="board",
        meaning="what the board is, and how far it is known to work",
        keys=(
            _key("name", Form.TEXT, "what it is called by those who sell it", '"Acorn 2"', required=True),
            _key("soc", Form.TEXT, "its processor", '"NXP i.MX 8M Plus"', required=True),
            _key("page", Form.TEXT, "where it is described", '"https://example.com/acorn-2"', required=True),
            _choice(
                "status",
                _values(Status),
                "`booted`: the conformance suite has passed; `checked`: rendered, and checked against the documents "
                "under `[sources]`; `contributed`: somebody who has it says so",
                required=True,
            ),
            _key("limits", Form.LIST, "what does not work or was not tried, a sentence each", '["No real board."]'),
        ),
    ),
    Table(
        name="storage",
        meaning="what the slots lie on",
        keys=(
            _choice("kind", _values(StorageKind), "what it is", required=True),
            _key("device", Form.TEXT, "its node in Linux", '"/dev/mmcblk0"', required=True),
            _key(
                "capacity",
                Form.SIZE,
                "the bytes of the smallest one that the board is sold with; the layout has to fit",
                '"7456 MiB"',
                required=True,
            ),
        ),
    ),
    Table(
        name="console",
        meaning="the serial console",
        keys=(
            _key("device", Form.TEXT, "what Linux calls it", '"ttyS2"', required=True),
            _key("speed", Form.WHOLE, "its speed; by default 115200", "115200"),
            _key("user", Form.TEXT, "who logs in on it; by default `root`", '"root"'),
        ),
    ),
    Table(
        name="watchdog",
        meaning="what resets a system that hangs",
        required=False,
        keys=(
            _key("driver", Form.TEXT, "the driver in Linux", '"imx2-wdt"', required=True),
            _key("device", Form.TEXT, "its node; by default `/dev/watchdog0`", '"/dev/watchdog0"'),
            _key("timeout", Form.WHOLE, "seconds after which it resets; by default 60", "60"),
            _key(
                "uboot",
                Form.TEXT,
                "what `wdt list` in U-Boot calls it; then U-Boot starts it before the kernel",
                '"watchdog@30280000"',
            ),
        ),
    ),
    Table(
        name="uboot",
        meaning="the U-Boot of the board; required where U-Boot chooses the slot",
        required=False,
        keys=(
            _key("defconfig", Form.TEXT, "its configuration", '"acorn2_defconfig"', required=True),
            _key("source", Form.TEXT, "its repository", '"https://source.denx.de/u-boot/u-boot.git"', required=True),
            _key("version", Form.TEXT, "the version that was looked at", '"v2025.01"', required=True),
            _key(
                "addresses",
                Form.TEXTS,
                "its own variables for places in memory, by which overlaps are found",
                '{ kernel_addr_r = "0x40400000", fdt_addr_r = "0x43000000" }',
            ),
            _key(
                "environment",
                Form.TEXT,
                "where it keeps an environment of its own: `nowhere`, `mmc`, `mmc-boot0` (a hardware partition of the "
                "eMMC), `fat`, `spi-flash`, `nand`, ...",
                '"mmc"',
            ),
            _key("environment-offset", Form.SIZE, "where that is, if it is on the storage of the slots", '"4032 KiB"'),
            _key("environment-size", Form.SIZE, "its size, with all copies", '"64 KiB"'),
        ),
    ),
    Table(
        name="yocto",
        meaning="how OpenEmbedded builds for it",
        required=False,
        keys=(
            _key("machine", Form.TEXT, "`MACHINE`", '"acorn-2"', required=True),
            _key("releases", Form.LIST, f"series: {', '.join(RELEASES)}", '["wrynose"]', required=True),
            _key(
                "variables",
                Form.TEXTS,
                "more variables of the configuration, beside those that follow from the board",
                '{ ENABLE_UART = "1" }',
            ),
        ),
    ),
    Table(
        name="qemu",
        meaning="a machine of QEMU that is the board, or is like it",
        required=False,
        keys=(
            _key("program", Form.TEXT, "which QEMU", '"qemu-system-aarch64"', required=True),
            _key(
                "arguments",
                Form.LIST,
                "machine, processor and the like; disk, network, console and memory are added",
                '["-M", "virt", "-cpu", "cortex-a57"]',
                required=True,
            ),
            _key("memory", Form.WHOLE, "MiB; by default 512", "512"),
            _choice("bus", _values(Bus), "how virtio devices are attached; by default `pci`"),
            _key(
                "firmware",
                Form.TEXTS,
                "files: `bios`, or `code` and `variables` of UEFI",
                '{ bios = "/usr/lib/u-boot/qemu_arm64/u-boot.bin" }',
                required=True,
            ),
            _key("package", Form.TEXT, "the Debian package with those", '"u-boot-qemu"', required=True),
            _key("watchdog", Form.TEXT, "a device of QEMU that is a watchdog", '"i6300esb"'),
        ),
    ),
    Table(
        name="flash",
        meaning="how a new disk gets onto it",
        required=False,
        keys=(
            _key(
                "steps",
                Form.LIST,
                "a sentence each; a command stands between backquotes, and IMAGE in it is the disk image",
                '["Set the switch to SDP.", "`uuu -b emmc_all IMAGE`"]',
                required=True,
            ),
        ),
    ),
)

SOURCES: Final = Table(
    name="sources",
    meaning="what the facts come from: what is cited = its address. The keys are free",
)

LAYER: Final = Table(
    name="layer",
    meaning="a layer of the board's BSP, `[layer.NAME]`, NAME being that of its repository",
    required=False,
    keys=(
        _key("url", Form.TEXT, "its repository", '"https://git.yoctoproject.org/meta-arm"', required=True),
        _key("layers", Form.LIST, 'folders in it that are layers; by default itself, `["."]`', '["meta-arm"]'),
        *(
            _key(
                release,
                Form.TEXT,
                f"branch and commit for {release}",
                f'"{release}@0123456789abcdef0123456789abcdef01234567"',
            )
            for release in RELEASES
        ),
    ),
)

MTD: Final = Table(
    name="mtd",
    meaning="a partition of raw flash, `[mtd.NAME]`, in the order in which they lie",
    required=False,
    keys=(
        _key("offset", Form.SIZE, "where it starts", '"4 MiB"', required=True),
        _key("size", Form.SIZE_OR_REST, "its size, or `rest`", '"512 KiB"', required=True),
    ),
)


_WATCHDOG: Final = "watchdog"
"""The key of a layout's [boot] that boards have a table for."""


def _boot_on_disk() -> Table:
    """Return the layout's table [boot] as boards have it."""
    return replace(TABLES["boot"], keys=tuple(key for key in TABLES["boot"].keys if key.name != _WATCHDOG))


def _boot(flow: Flow) -> Table:
    """Return the same for a boot loader that knows no disks."""
    changes: Mapping[str, Mapping[str, Any]] = {
        "loader": {"choices": (flow.value,), "example": f'"{flow.value}"'},
        # There is no layout, which has a default.
        "architecture": {"meaning": "what the processor is", "required": True},
    }
    table = _boot_on_disk()
    keys = tuple(replace(key, **changes.get(key.name, {})) for key in table.keys if key.name != "disk")
    return replace(table, keys=keys)


_NAND: Final = (
    Table(
        name="nand",
        meaning="raw NAND flash",
        keys=(
            _key("chip", Form.TEXT, "what it is", '"Micron MT29F4G08"', required=True),
            _key("size", Form.SIZE, "its size", '"512 MiB"', required=True),
            _key("erase-block", Form.SIZE, "what it erases at once", '"128 KiB"', required=True),
            _key("page", Form.SIZE, "what it writes at once", '"2 KiB"', required=True),
            _key("sub-page", Form.SIZE, "the smallest write; by default a page", '"512"'),
            _key("mtd-id", Form.TEXT, "what `mtdparts` in Linux and U-Boot calls it", '"gpmi-nand"', required=True),
            _key("uboot", Form.TEXT, "what `mtdids` in U-Boot calls it; by default `nand0`", '"nand0"'),
        ),
    ),
    Table(
        name="ubi",
        meaning="where UBI is, and what lies in it besides slots and data",
        keys=(
            _key("partition", Form.TEXT, "the MTD partition that it has; by default `ubi`", '"ubi"'),
            _key("environment", Form.LIST, "two MTD partitions; by default two volumes of UBI", '["env", "env-r"]'),
        ),
    ),
)


def _sized(name: str, meaning: str, form: Form) -> Table:
    return Table(name=name, meaning=meaning, keys=(_key("size", form, "its size", '"96 MiB"', required=True),))


_UBI_SLOTS: Final = Table(
    name="slots",
    meaning="the two slots: volumes of UBI",
    keys=(
        _key("size", Form.SIZE, "size of each", '"96 MiB"', required=True),
        _choice("filesystem", ("ubifs",), "what is in them: U-Boot reads a kernel out of nothing else in UBI"),
    ),
)

_VENDOR: Final = Table(
    name="vendor",
    meaning="slots on partitions that the vendor's tools make",
    keys=(
        _key("handler", Form.TEXT, "the program that tells the boot loader, one of those in `_templates/handlers`",
             '"nvbootctrl"', required=True),
        _key("slots", Form.LIST, "the nodes of slots a and b in Linux", '["/dev/disk/by-partlabel/APP", '
             '"/dev/disk/by-partlabel/APP_b"]', required=True),
        _key("boot-names", Form.LIST, "what the handler calls them; by default a and b", '["0", "1"]'),
        _key("data", Form.TEXT, "the node of the partition that no update touches", '"/dev/disk/by-partlabel/UDA"',
             required=True),
    ),
)  # fmt: skip

_DEVICE: Final = TABLES["device"]
_ENVIRONMENT: Final = Table(
    name="environment",
    meaning="the two copies of the boot loader's environment",
    required=False,
    keys=(_key("size", Form.SIZE, "size of a copy; by default `128 KiB`", '"128 KiB"'),),
)

SHAPES: Final[Mapping[str, tuple[Table, ...]]] = {
    DISK: tuple(_boot_on_disk() if name == "boot" else table for name, table in TABLES.items()),
    UBI: (
        _DEVICE,
        _boot(Flow.UBOOT_UBI),
        *_NAND,
        _ENVIRONMENT,
        _UBI_SLOTS,
        _sized("data", "the volume that no update touches", Form.SIZE_OR_REST),
    ),
    VENDOR: (_DEVICE, _boot(Flow.CUSTOM), _VENDOR),
}
"""The tables on slots, by how the storage is laid out. Those of a disk are the layout's (docs/reference/layout.md)."""

BOARD_TABLES: Final[Mapping[str, Table]] = {table.name: table for table in _ABOUT}
"""The tables that all boards have, or may have, but for `[sources]` and those with a name of their own."""

NAMED: Final[Mapping[str, tuple[Table, ...]]] = {DISK: (EXTRA, LAYER), UBI: (MTD, LAYER), VENDOR: (LAYER,)}
"""Tables `[table.NAME]` by how the storage is laid out."""


def flows_with(table: str) -> tuple[Flow, ...]:
    """Return the boot loaders with which a board has a table of this name, or tables `[table.NAME]`."""
    there = {shape for shape in SHAPES if any(each.name == table for each in (*SHAPES[shape], *NAMED[shape]))}
    return tuple(flow for flow in Flow if shape_of(flow) in there)


def shape_of(flow: str) -> str:
    """Return how the storage of a board with this boot loader is laid out."""
    return {Flow.UBOOT_UBI: UBI, Flow.CUSTOM: VENDOR}.get(Flow(flow), DISK)
