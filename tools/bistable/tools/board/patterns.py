"""What texts and numbers of `board.toml` have to look like: for the loader, and for the JSON schema."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from bistable.tools.board.schema import RELEASES


@dataclass(frozen=True, slots=True, kw_only=True)
class Pattern:
    """A regular expression for a whole text, without anchors; `words` say after "it must be" what it means."""

    expression: str
    words: str


NODE: Final = Pattern(expression=r"/dev/[A-Za-z0-9/._:+-]+", words="a node of Linux, such as /dev/mmcblk0")
WORD: Final = Pattern(expression=r"[A-Za-z0-9._+-]+", words="one word of letters, digits and . _ + -")
NAME: Final = Pattern(expression=r"[A-Za-z0-9][A-Za-z0-9._-]*", words="a name of letters, digits and . _ -")
WEB: Final = Pattern(expression=r"https://[!-~]+", words="an address that begins with https://")
REPOSITORY: Final = Pattern(
    expression=r"(https|git|ssh)://[!-~]+", words="an address of a repository, such as https://"
)
TERMINAL: Final = Pattern(
    expression=r"[A-Za-z][A-Za-z0-9]*", words="a terminal as the kernel calls it, such as ttyS2, without /dev/"
)
USER: Final = Pattern(expression=r"[a-z_][a-z0-9_-]*", words="the name of a user")
MEMORY: Final = Pattern(expression=r"0x[0-9A-Fa-f]{1,16}", words="a hexadecimal number such as 0x40400000")
MEMORY_NAME: Final = Pattern(expression=r"[a-z0-9_]+", words="a variable of U-Boot such as kernel_addr_r")
BITBAKE_NAME: Final = Pattern(expression=r"[A-Za-z_][A-Za-z0-9_:.-]*", words="a variable such as ENABLE_UART")
BITBAKE_VALUE: Final = Pattern(expression=r'[^"\\]*', words='a text without " and \\')
FILE: Final = Pattern(expression=r"/[^/].*", words="an absolute path")
FOLDER: Final = Pattern(expression=r"\.|[A-Za-z0-9_.-]*[A-Za-z0-9_-](/[A-Za-z0-9_.-]*[A-Za-z0-9_-])*", words="a folder")
REVISION: Final = Pattern(
    expression=r"[A-Za-z0-9._/-]+@[0-9a-f]{40}", words="a branch, @, and 40 hexadecimal digits of a commit"
)
DEVICE_NAME: Final = Pattern(expression=r"[A-Za-z0-9@._,-]+", words="a name as `wdt list` shows it")
ANYTHING: Final = Pattern(expression=r".*[^ ].*", words="a text that is not empty")

TEXTS: Final[Mapping[str, Pattern]] = {
    "board.page": WEB,
    "storage.device": NODE,
    "console.device": TERMINAL,
    "console.user": USER,
    "watchdog.driver": WORD,
    "watchdog.device": NODE,
    "watchdog.uboot": DEVICE_NAME,
    "uboot.defconfig": NAME,
    "uboot.source": REPOSITORY,
    "uboot.version": NAME,
    "uboot.addresses": MEMORY,
    "uboot.environment": NAME,
    "boot.addresses": MEMORY,
    "yocto.machine": NAME,
    "yocto.variables": BITBAKE_VALUE,
    "layer.url": REPOSITORY,
    "layer.layers": FOLDER,
    **{f"layer.{release}": REVISION for release in RELEASES},
    "qemu.program": NAME,
    "qemu.firmware": FILE,
    "qemu.package": NAME,
    "qemu.watchdog": NAME,
    "nand.mtd-id": NAME,
    "nand.uboot": NAME,
    "ubi.partition": NAME,
    "ubi.environment": NAME,
    "vendor.handler": NAME,
    "vendor.slots": NODE,
    "vendor.boot-names": NAME,
    "vendor.data": NODE,
}
"""`table.key` -> what its text has to look like, or each text in its list or table."""

NAMES: Final[Mapping[str, Pattern]] = {
    "uboot.addresses": MEMORY_NAME,
    "boot.addresses": MEMORY_NAME,
    "yocto.variables": BITBAKE_NAME,
    "mtd": NAME,
    "layer": NAME,
}
"""`table.key`, or a table of tables, -> what the names in it have to look like."""

RANGES: Final[Mapping[str, tuple[int, int]]] = {
    "console.speed": (300, 4_000_000),
    "watchdog.timeout": (1, 86_400),
    "qemu.memory": (32, 65_536),
    "boot.tries": (1, 9),
}
"""`table.key` -> smallest and largest number."""
