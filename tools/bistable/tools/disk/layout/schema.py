"""The tables and keys of a layout: one list, from which checking, messages and the documentation come."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from bistable.tools.boot.plan import Loader
from bistable.tools.disk.layout.model import ExtraKind, ExtraPlace, Fill, TableKind

_SIZE: Final = re.compile(r"([0-9]{1,20})\s*([A-Za-z]*)", re.ASCII)
UNITS: Final = {"": 1, "B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
REST: Final = "rest"


class Form(Enum):
    """What the value of a key looks like; the value is how to say it."""

    TEXT = "a string"
    WHOLE = "a whole number"
    SIZE = 'a size such as "256 MiB"'
    SIZE_OR_REST = 'a size such as "256 MiB", or "rest"'
    SIZES = "a list of two sizes"
    CHOICE = "one of these"
    TEXTS = "a table of strings"
    LIST = "a list of strings"
    SIZES_BY_NAME = "a table of sizes"

    def holds(self, value: object) -> bool:
        """Return whether `value`, as TOML gave it, has this form."""
        return _HOLDS[self](value)


def parse_size(text: str) -> int | None:
    """Return the bytes that a size such as `16 KiB` means, None if it is none."""
    match = _SIZE.fullmatch(text.strip())
    return int(match[1]) * UNITS[match[2]] if match and match[2] in UNITS else None


def _is_size(value: object) -> bool:
    return isinstance(value, str) and parse_size(value) is not None


def _is_table_of(check: Callable[[object], bool]) -> Callable[[object], bool]:
    return lambda value: isinstance(value, dict) and all(map(check, value.values()))


_HOLDS: Final[Mapping[Form, Callable[[object], bool]]] = {
    Form.TEXT: lambda value: isinstance(value, str),
    Form.WHOLE: lambda value: type(value) is int,
    Form.SIZE: _is_size,
    Form.SIZE_OR_REST: lambda value: value == REST or _is_size(value),
    Form.SIZES: lambda value: isinstance(value, list) and len(value) == 2 and all(map(_is_size, value)),
    Form.CHOICE: lambda value: isinstance(value, str),
    Form.TEXTS: _is_table_of(lambda value: isinstance(value, str)),
    Form.LIST: lambda value: isinstance(value, list) and all(isinstance(item, str) for item in value),
    Form.SIZES_BY_NAME: _is_table_of(_is_size),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One key: `meaning` is a phrase without full stop, `example` a value in TOML."""

    name: str
    form: Form
    meaning: str
    example: str
    required: bool = False
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One table."""

    name: str
    meaning: str
    keys: tuple[Key, ...] = ()
    required: bool = True

    def key(self, name: str) -> Key | None:
        """Return the key called `name`."""
        return next((key for key in self.keys if key.name == name), None)


def _choice(name: str, kinds: type[Enum], meaning: str, example: str, *, required: bool = False) -> Key:
    choices = tuple(kind.value for kind in kinds)
    return Key(name=name, form=Form.CHOICE, meaning=meaning, example=f'"{example}"', required=required, choices=choices)


def _key(name: str, form: Form, meaning: str, example: str, *, required: bool = False) -> Key:
    return Key(name=name, form=form, meaning=meaning, example=example, required=required)


class SlotFilesystem(Enum):
    """What can be made of a directory or a tar file for a slot."""

    EXT4 = "ext4"
    SQUASHFS = "squashfs"
    EROFS = "erofs"


class Architecture(Enum):
    """What the boot loader is for, as Debian calls it."""

    AMD64 = "amd64"
    ARM64 = "arm64"
    ARMHF = "armhf"
    RISCV64 = "riscv64"


TABLES: Final[Mapping[str, Table]] = {
    table.name: table
    for table in (
        Table(
            name="device",
            meaning="what the device is",
            keys=(_key("type", Form.TEXT, "its type, by which artifacts know it", '"acorn-2"', required=True),),
        ),
        Table(
            name="disk",
            meaning="the disk as a whole",
            required=False,
            keys=(
                _choice("table", TableKind, "the kind of partition table; by default `gpt`", "gpt"),
                _key("size", Form.SIZE, "its size; by default the smallest that fits", '"4 GiB"'),
                _key(
                    "erase-block",
                    Form.SIZE,
                    "what the storage erases at once: partitions start at multiples of it, and the two copies of the "
                    "environment share none; by default `1 MiB`",
                    '"4 MiB"',
                ),
                _key(
                    "seed",
                    Form.TEXT,
                    "what all identifiers on the disk are made from; by default the type of the device",
                    '"acorn-2"',
                ),
            ),
        ),
        Table(
            name="boot",
            meaning="what chooses the slot, and what it starts",
            keys=(
                _choice("loader", Loader, "the boot loader", "uboot", required=True),
                _choice("architecture", Architecture, "what the processor is; by default `amd64`", "arm64"),
                _key("tries", Form.WHOLE, "how often a new system is tried, 1 to 9; by default 3", "3"),
                _key("kernel", Form.TEXT, "the kernel in the slot; by default `/boot/vmlinuz`", '"/boot/vmlinuz"'),
                _key("initrd", Form.TEXT, "the initial RAM disk in the slot, if there is one", '"/boot/initrd.img"'),
                _key(
                    "devicetree",
                    Form.TEXT,
                    "the device tree in the slot; by default that of the boot loader",
                    '"/boot/board.dtb"',
                ),
                _key("arguments", Form.TEXT, "arguments of the kernel, without `root=`", '"console=ttyS0"'),
                _key("disk", Form.TEXT, "what U-Boot calls the disk; by default `virtio 0`", '"mmc 0"'),
                _key(
                    "watchdog",
                    Form.TEXT,
                    "the watchdog that U-Boot starts, as its `wdt list` shows it; by default none",
                    '"watchdog@30280000"',
                ),
                _key(
                    "addresses",
                    Form.TEXTS,
                    "places in memory that the board's U-Boot has no variables for",
                    '{ kernel_addr_r = "0x40400000" }',
                ),
            ),
        ),
        Table(
            name="boot-partition",
            meaning="the FAT partition that firmware and boot loader read first",
            keys=(
                _key("size", Form.SIZE, "its size", '"64 MiB"', required=True),
                _key(
                    "files",
                    Form.TEXTS,
                    "files or directories to put into it: path in the partition = path on this machine",
                    '{ "config.txt" = "pi/config.txt" }',
                ),
            ),
        ),
        Table(
            name="blobs",
            meaning="files that are written in front of the first partition, and room for them",
            required=False,
            keys=(
                _key(
                    "at",
                    Form.SIZES_BY_NAME,
                    "file on this machine = where it starts on the disk",
                    '{ "idbloader.img" = "32 KiB" }',
                ),
                _key("end", Form.SIZE, "where partitions may begin; by default behind the last file", '"16 MiB"'),
            ),
        ),
        Table(
            name="environment",
            meaning="the two copies of the boot loader's environment",
            required=False,
            keys=(
                _key(
                    "size",
                    Form.SIZE,
                    "size of a copy; by default `512`, with GRUB `1 KiB`, if U-Boot itself saves it `16 KiB`",
                    '"16 KiB"',
                ),
                _key(
                    "offsets",
                    Form.SIZES,
                    "where they start in their partition; by default at its start and an erase block later",
                    '["0", "4 MiB"]',
                ),
            ),
        ),
        Table(
            name="slots",
            meaning="the two slots",
            keys=(
                _key("size", Form.SIZE, "size of each", '"1 GiB"', required=True),
                _choice(
                    "filesystem",
                    SlotFilesystem,
                    "the file system that is made of a directory or tar file; by default `ext4`",
                    "ext4",
                ),
                _choice("fill", Fill, "which of them hold a system from the start; by default `both`", "both"),
            ),
        ),
        Table(
            name="data",
            meaning="the partition that no update touches",
            keys=(
                _key("size", Form.SIZE_OR_REST, "its size, or `rest` of a disk with a size", '"rest"', required=True),
                _key("files", Form.TEXT, "a directory with what is in it at first", '"data"'),
            ),
        ),
    )
}
"""The tables by name, in the order in which people write them."""

EXTRA: Final = Table(
    name="extra",
    meaning="one more partition, `[extra.NAME]`",
    required=False,
    keys=(
        _key("size", Form.SIZE, "its size", '"64 MiB"', required=True),
        _choice("filesystem", ExtraKind, "the file system that is made in it; by default `none`", "ext4"),
        _key(
            "content",
            Form.TEXT,
            "an image that is written into it; or, with a file system, a directory with what is in that",
            '"logs.img"',
        ),
        _choice(
            "place",
            ExtraPlace,
            "in `front` of all other partitions, where a ROM or a first stage looks; by default `behind` the slots",
            "front",
        ),
    ),
)
