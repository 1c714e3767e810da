"""Boards for the tests of everything that is made of one."""

from pathlib import Path

from bistable.tools.board.load import parse_board
from bistable.tools.board.model import Board

DISK = """\
[board]
name = "Acorn 2"
soc = "NXP i.MX 8M Plus"
page = "https://example.com/acorn-2"
status = "checked"
limits = ["It was not tried on a real board."]

[device]
type = "acorn-2"

[storage]
kind = "emmc"
device = "/dev/mmcblk2"
capacity = "7456 MiB"

[disk]
size = "7456 MiB"
erase-block = "4 MiB"

[boot]
loader = "uboot"
architecture = "arm64"
kernel = "/boot/Image"
devicetree = "/boot/acorn-2.dtb"
arguments = "console=ttymxc1,115200 rootwait panic=10"
disk = "mmc 2"

[boot-partition]
size = "64 MiB"

[blobs]
at = { "imx-boot" = "32 KiB" }
end = "8 MiB"

[slots]
size = "2 GiB"

[data]
size = "rest"

[extra.calibration]
size = "4 MiB"
place = "behind"

[console]
device = "ttymxc1"
speed = 115200

[watchdog]
driver = "imx2-wdt"
timeout = 60
uboot = "watchdog@30280000"

[uboot]
defconfig = "acorn2_defconfig"
source = "https://source.denx.de/u-boot/u-boot.git"
version = "v2025.01"
addresses = { kernel_addr_r = "0x40480000", fdt_addr_r = "0x43000000", ramdisk_addr_r = "0x43800000" }
environment = "mmc"
environment-offset = "4032 KiB"
environment-size = "64 KiB"

[yocto]
machine = "acorn-2"
releases = ["scarthgap", "wrynose"]
variables = { ENABLE_UART = "1" }

[layer.meta-acorn]
url = "https://git.example.com/meta-acorn"
layers = ["meta-acorn-bsp"]
scarthgap = "scarthgap@0123456789abcdef0123456789abcdef01234567"
wrynose = "wrynose@123456789abcdef0123456789abcdef012345678"

[flash]
steps = ["Set the switch to SDP.", "`uuu -b emmc_all imx-boot IMAGE`"]

[sources]
u-boot = "https://docs.u-boot.org/en/latest/"
"""
"""A board with a disk, and with every table that such a board can have but `[qemu]` and `[environment]`."""

UBI = """\
[board]
name = "Acorn 1"
soc = "NXP i.MX 6ULL"
page = "https://example.com/acorn-1"
status = "checked"
limits = ["It was not tried on a real board."]

[device]
type = "acorn-1"

[storage]
kind = "nand"
device = "/dev/mtd3"
capacity = "512 MiB"

[nand]
chip = "Micron MT29F4G08"
size = "512 MiB"
erase-block = "128 KiB"
page = "2 KiB"
mtd-id = "gpmi-nand"

[mtd.boot]
offset = "0"
size = "4 MiB"

[mtd.env]
offset = "4 MiB"
size = "512 KiB"

[mtd.env-r]
offset = "4608 KiB"
size = "512 KiB"

[mtd.ubi]
offset = "5 MiB"
size = "rest"

[ubi]
partition = "ubi"
environment = ["env", "env-r"]

[environment]
size = "128 KiB"

[boot]
loader = "uboot-ubi"
architecture = "armhf"
kernel = "/boot/zImage"
devicetree = "/boot/acorn-1.dtb"
arguments = "console=ttymxc0,115200 panic=10"

[slots]
size = "96 MiB"

[data]
size = "rest"

[console]
device = "ttymxc0"

[watchdog]
driver = "imx2-wdt"
uboot = "watchdog@20bc000"

[uboot]
defconfig = "acorn1_defconfig"
source = "https://source.denx.de/u-boot/u-boot.git"
version = "v2025.01"
addresses = { kernel_addr_r = "0x82000000", fdt_addr_r = "0x83000000", ramdisk_addr_r = "0x83800000" }

[flash]
steps = ["`ubiformat /dev/mtd3 -f IMAGE`"]

[sources]
u-boot = "https://docs.u-boot.org/en/latest/"
"""

VENDOR = """\
[board]
name = "Acorn 3"
soc = "NVIDIA Tegra234"
page = "https://example.com/acorn-3"
status = "contributed"
limits = ["It was not tried on a real board."]

[device]
type = "acorn-3"

[storage]
kind = "nvme"
device = "/dev/nvme0n1"
capacity = "238 GiB"

[boot]
loader = "custom"
architecture = "arm64"
kernel = "/boot/Image"

[vendor]
handler = "nvbootctrl"
slots = ["/dev/disk/by-partlabel/APP", "/dev/disk/by-partlabel/APP_b"]
boot-names = ["0", "1"]
data = "/dev/disk/by-partlabel/UDA"

[console]
device = "ttyTCU0"

[watchdog]
driver = "tegra186-wdt"

[flash]
steps = ["`flash.sh acorn-3 external`"]

[sources]
vendor = "https://docs.example.com/acorn-3"
"""

QEMU = """\
[board]
name = "QEMU ARM"
soc = "QEMU virt, Cortex-A57"
page = "https://www.qemu.org/docs/master/system/arm/virt.html"
status = "booted"

[device]
type = "acorn-qemu"

[storage]
kind = "virtio"
device = "/dev/vda"
capacity = "4 GiB"

[boot]
loader = "grub"
architecture = "amd64"
kernel = "/boot/bzImage"
arguments = "console=ttyS0,115200 panic=10"

[boot-partition]
size = "64 MiB"

[environment]
size = "1 KiB"
offsets = ["0", "1 MiB"]

[slots]
size = "256 MiB"
filesystem = "ext4"
fill = "both"

[data]
size = "64 MiB"

[console]
device = "ttyS0"
user = "root"

[watchdog]
driver = "i6300esb"
device = "/dev/watchdog0"
timeout = 30

[qemu]
program = "qemu-system-x86_64"
arguments = ["-M", "q35"]
memory = 512
bus = "pci"
firmware = { code = "/usr/share/OVMF/OVMF_CODE_4M.fd", variables = "/usr/share/OVMF/OVMF_VARS_4M.fd" }
package = "ovmf"
watchdog = "i6300esb"

[sources]
qemu = "https://www.qemu.org/docs/master/system/arm/virt.html"
"""

SAMPLES = {"disk": DISK, "ubi": UBI, "vendor": VENDOR, "qemu": QEMU}


def board(text: str = DISK, *changes: tuple[str, str], folder: str = "acorn-2") -> Board:
    """Return a board of a text in which each first text of `changes`, which is there once, is the second."""
    return parse_board(changed(text, *changes).encode(), Path("/boards") / folder)


def changed(text: str, *changes: tuple[str, str]) -> str:
    """Return a text in which each first text of `changes`, which is there once, is the second."""
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text
