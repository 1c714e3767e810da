"""Mistakes that are made in setting a device up, and words of what the doctor has to say of each."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from board_samples import DISK, UBI, VENDOR
from doctor_devices import CONF, Device

from bistable.tools.board.check import Level

SYSTEMD_BOOT = DISK.replace('"uboot"', '"systemd-boot"').replace('uboot = "watchdog@30280000"\n', "")
OWN = DISK.replace('loader = "uboot"', 'loader = "uboot-environment"')


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistake:
    """What was done wrong, and words of the one finding that has to come of it."""

    text: str
    spoil: Callable[[Device], object]
    level: Level
    what: str
    found: str | None
    expected: str | None
    change: str


def mistake(
    level: Level,
    text: str,
    spoil: Callable[[Device], object],
    what: str,
    *,
    change: str,
    found: str | None = None,
    expected: str | None = None,
) -> Mistake:
    return Mistake(text=text, spoil=spoil, level=level, what=what, found=found, expected=expected, change=change)


error = partial(mistake, Level.ERROR)
warning = partial(mistake, Level.WARNING)


def each(*spoils: Callable[[Device], object]) -> Callable[[Device], None]:
    def spoil(device: Device) -> None:
        for one in spoils:
            one(device)

    return spoil


def swap(name: str, old: str, new: str) -> Callable[[Device], object]:
    return lambda device: device.swap(name, old, new)


def without(name: str) -> Callable[[Device], object]:
    return lambda device: device.files.pop(name)


def says(name: str, *lines: str, status: int = 0) -> Callable[[Device], object]:
    return lambda device: device.said.update({name: (list(lines), status)})


def line_of(device: Device, label: str) -> list[str]:
    """Return the fields of a partition in what the device says."""
    return next(line for line in device.said["blocks"][0] if line.endswith(f"|{label}")).split("|")


def partition(label: str, **changes: str) -> Callable[[Device], None]:
    """Change fields of a partition: start, size, uuid or label."""
    places = {"number": 2, "start": 3, "size": 4, "uuid": 5, "label": 6}

    def spoil(device: Device) -> None:
        fields = line_of(device, label)
        changed = list(fields)
        for key, value in changes.items():
            changed[places[key]] = value
        device.swap("blocks", "|".join(fields), "|".join(changed))

    return spoil


def removed(label: str) -> Callable[[Device], None]:
    def spoil(device: Device) -> None:
        name = line_of(device, label)[0]
        device.said["blocks"] = ([line for line in device.said["blocks"][0] if not line.startswith(f"{name}|")], 0)
        device.said["links"] = ([line for line in device.said["links"][0] if not line.endswith(f"/{name}")], 0)

    return spoil


def other_table(device: Device) -> None:
    device.said["links"] = ([], 1)
    lines = ["mmcblk2|179:0|||15269888||", "mmcblk2p1|179:1|1|2048|131072||boot", "mmcblk2p2|179:2|2|133120|9000||root"]
    device.said["blocks"] = (lines, 0)
    device.files["/proc/self/mountinfo"] = "20 1 179:2 / / rw - ext4 /dev/root rw\n"


def status_says(**values: object) -> Callable[[Device], object]:
    return lambda device: device.status(lambda document: document.update(values))


DOCTOR = [
    {"area": "keys", "grade": "doubt", "what": "none: any artifact is installed", "hint": "set trust.verify-keys"},
    {"area": "watchdog", "grade": "note", "what": "none is set", "hint": "set watchdog.device"},
]
FW_ENV = "/etc/fw_env.config"
CMDLINE = "/proc/cmdline"
MOUNTS = "/proc/self/mountinfo"

MISTAKES = {
    "cmdline: started by something else": error(
        DISK,
        swap(CMDLINE, " bistable.slot=a", ""),
        "was not told its slot",
        found="root=PARTUUID=",
        expected="bistable.slot=",
        change="boot.scr of the boot partition .*rendered/uboot.config",
    ),
    "cmdline: a root of another disk": error(
        DISK,
        swap(CMDLINE, "root=PARTUUID=", "root=PARTUUID=0"),
        "another root file system",
        found="root=PARTUUID=0",
        expected="root=PARTUUID=[0-9a-f]{8}-",
        change="boot script .* seed",
    ),
    "cmdline: another console": error(
        DISK,
        swap(CMDLINE, "ttymxc1", "ttymxc3"),
        "does not speak on ttymxc1",
        found="console=ttymxc3,115200",
        expected="console=ttymxc1,115200",
        change=r"\[boot\] arguments in board.toml",
    ),
    "cmdline: an older boot script": warning(
        DISK, swap(CMDLINE, " panic=10", ""), "without arguments", expected="panic=10", change="boot script"
    ),
    "kernel: of a partition that both slots share": error(
        DISK,
        says("kernel", "6.6.9"),
        "is not from the slot",
        found="6.6.9, modules for 6.12.1",
        change="load the kernel from the slot",
    ),
    "kernel: not in the slot": error(
        DISK,
        says("files", "/boot/acorn-2.dtb"),
        "the kernel /boot/Image is not in the running slot",
        expected="/boot/Image",
        change="image of the root file system",
    ),
    "device tree: not in the slot": error(
        DISK,
        says("files", "/boot/Image"),
        "the device tree /boot/acorn-2.dtb is not",
        expected="/boot/acorn-2.dtb",
        change="board.toml",
    ),
    "storage: the board was started from its card": error(
        DISK,
        each(
            lambda device: device.said["blocks"][0].append("mmcblk1|8:0|||9000000||"),
            lambda device: device.said["blocks"][0].append("mmcblk1p2|8:2|2|2048|8000000||"),
            swap(MOUNTS, "20 1 179:3 / / ", "20 1 8:2 / / "),
        ),
        "not on the storage that board.toml names",
        found="/dev/mmcblk1",
        expected="/dev/mmcblk2",
        change="boot switches",
    ),
    "storage: Linux calls it otherwise": warning(
        DISK,
        each(swap("blocks", "mmcblk2", "mmcblk0"), swap("links", "mmcblk2", "mmcblk0")),
        "there is no /dev/mmcblk2",
        found="the running system is on /dev/mmcblk0",
        change=r"\[storage\] device",
    ),
    "storage: smaller than the layout": warning(
        DISK, swap("blocks", "|15269888|", "|7634944|"), "smaller", found="3909091328 bytes", change="capacity"
    ),
    "partitions: another layout": error(DISK, other_table, "no partition is where it should be", change="layout.toml"),
    "partitions: one of another size": error(
        DISK,
        partition("rootfs-b", size="4096"),
        "partition rootfs-b lies elsewhere",
        found="/dev/mmcblk2p4: number 4, 2097152 bytes",
        expected="number 4, 2147483648 bytes",
        change="board.toml",
    ),
    "partitions: data smaller": error(
        DISK, partition("data", size="4096"), "partition data lies elsewhere", change="disk.wks"
    ),
    "partitions: one of another start": error(
        DISK,
        partition("boot-env", start="40960"),
        "partition boot-env lies elsewhere",
        found="from 20971520",
        change="",
    ),
    "partitions: one of another PARTUUID": error(
        DISK,
        partition("calibration", uuid="00000000-1111-2222-3333-444444444444"),
        "partition calibration has another PARTUUID",
        found="00000000-1111-2222-3333-444444444444",
        change="layout.toml",
    ),
    "partitions: one is missing": error(
        DISK,
        removed("calibration"),
        "there is no partition calibration",
        expected="4194304 bytes",
        change="layout.toml",
    ),
    "environment: a wrong offset": error(
        DISK,
        swap(FW_ENV, "0x400000", "0x200000"),
        "another place",
        found="boot-env 0x200000 0x200",
        expected="boot-env 0x400000 0x200",
        change="/etc/fw_env.config in the root file system: rendered/fw_env.config",
    ),
    "environment: a wrong size": error(
        DISK, swap(FW_ENV, "0x200\n", "0x4000\n"), "another place", found="0x4000", change="rendered/fw_env.config"
    ),
    "environment: a device that is not there": error(
        DISK,
        swap(FW_ENV, "/dev/disk/by-partlabel/boot-env", "/dev/mmcblk0boot0"),
        "names /dev/mmcblk0boot0, which is not there",
        change="rendered/fw_env.config",
    ),
    "environment: one copy": error(
        DISK,
        lambda device: device.files.update({FW_ENV: "/dev/mmcblk2p2 0x0 0x200\n"}),
        "names 1 of two copies",
        found="/dev/mmcblk2p2 0x0 0x200",
        change="fw_env.config",
    ),
    "environment: no table": error(DISK, without(FW_ENV), "there is no /etc/fw_env.config", change="fw_env.config"),
    "environment: no tool": error(
        DISK,
        says("environment", "sh: fw_printenv: not found", status=127),
        "has no fw_printenv",
        found="not found",
        change="libubootenv",
    ),
    "environment: never written": error(
        DISK,
        says("environment", "Cannot read environment, using default", status=1),
        "no environment of ours",
        found="Cannot read environment",
        change="boot script",
    ),
    "environment: U-Boot was built with another place": error(
        OWN,
        swap("environment", "bistable_seen=1", "bistable_seen=0"),
        "never saved anything where /etc/fw_env.config says",
        found="bistable_seen=0",
        change="uboot.config",
    ),
    "environment: without an order": error(
        DISK, swap("environment", "bistable_order=a b\n", ""), "in which order", change="boot script"
    ),
    "settings: a wrong back end": error(
        DISK,
        swap(f"{CONF}40-boot.toml", '"uboot"', '"grub"'),
        "[boot] backend is not what the board needs",
        found="boot.backend = 'grub' in /etc/bistable/conf.d/40-boot.toml",
        expected="boot.backend = 'uboot'",
        change="rendered/conf.d/40-boot.toml",
    ),
    "settings: a later file goes before": error(
        DISK,
        lambda device: device.files.update({f"{CONF}90-site.toml": "[boot]\ntries = 5\n"}),
        "[boot] tries",
        found="boot.tries = 5 in /etc/bistable/conf.d/90-site.toml",
        change="90-site.toml in the root file system",
    ),
    "settings: a slot on another partition": error(
        DISK,
        lambda device: device.swap(
            f"{CONF}40-boot.toml",
            next(word for word in device.files[f"{CONF}40-boot.toml"].split('"') if word.startswith("/dev/")),
            "/dev/mmcblk2p5",
        ),
        "[slots] a is not",
        found="'/dev/mmcblk2p5'",
        change="40-boot.toml",
    ),
    "settings: a file is missing": error(
        DISK,
        without(f"{CONF}45-watchdog.toml"),
        "there is no /etc/bistable/conf.d/45-watchdog.toml",
        expected="watchdog.limit = 60",
        change="install rendered/conf.d/45-watchdog.toml there",
    ),
    "settings: not TOML": error(
        DISK,
        lambda device: device.files.update({f"{CONF}90-site.toml": "[boot\n"}),
        "90-site.toml is not valid TOML",
        change="90-site.toml",
    ),
    "mounts: no data partition": error(
        DISK,
        lambda device: (
            device.files.update({"/etc/fstab": ""}),
            device.files.update({MOUNTS: device.files[MOUNTS].splitlines()[0]}),
        ),
        "nothing is mounted at /data",
        found="no line in /etc/fstab",
        expected="PARTUUID=.* /data ext4",
        change="rendered/fstab has the line",
    ),
    "mounts: the data partition could not be mounted": error(
        DISK,
        lambda device: device.files.update({MOUNTS: device.files[MOUNTS].splitlines()[0]}),
        "nothing is mounted at /data",
        change="log of the system",
    ),
    "mounts: another partition": error(
        DISK,
        swap(MOUNTS, "179:6 / /data", "179:5 / /data"),
        "another file system",
        found="/dev/mmcblk2p5",
        expected="/dev/mmcblk2p6",
        change="/etc/fstab",
    ),
    "mounts: no boot partition": warning(
        SYSTEMD_BOOT,
        lambda device: device.files.update(
            {MOUNTS: "\n".join(line for line in device.files[MOUNTS].splitlines() if "/boot/efi" not in line)}
        ),
        "nothing is mounted at /boot/efi",
        change="log of the system",
    ),
    "boot files: another one": error(
        SYSTEMD_BOOT,
        lambda device: device.boot.update({"loader/loader.conf": b"timeout 5\n"}),
        "loader/loader.conf on the boot partition is not that of the board",
        found="SHA-256",
        change="rendered/boot/loader/loader.conf",
    ),
    "boot files: missing": error(
        SYSTEMD_BOOT,
        lambda device: device.boot.pop("EFI/bistable/b/options"),
        "EFI/bistable/b/options on the boot partition is missing",
        found="no such file",
        change="EFI/bistable/b/options",
    ),
    "boot files: an old boot script": error(
        DISK,
        each(
            lambda device: device.boot.update({"boot.scr": bytes(72) + b"echo old"}),
            swap(MOUNTS, "21 20 0:5 ", "22 20 179:1 / /media/boot ro - vfat x ro\n21 20 0:5 "),
        ),
        "boot.scr on the boot partition is not that of the board",
        change=r"rendered/boot/boot\.cmd .* as `bistable image files` makes it",
    ),
    "watchdog: none": error(
        DISK,
        says("watchdogs", status=1),
        "there is no watchdog /dev/watchdog0",
        found="no watchdog at all",
        expected="imx2-wdt",
        change="kernel's configuration",
    ),
    "watchdog: another one": warning(
        DISK,
        swap("watchdogs", "imx2-wdt", "softdog"),
        "of another driver",
        found="softdog",
        expected="imx2-wdt",
        change=r"\[watchdog\]",
    ),
    "watchdog: in software": error(
        DISK,
        says("watchdogs", "watchdog0||Software Watchdog|inactive|60|65535|"),
        "a watchdog in software",
        found="Software Watchdog",
        expected="imx2-wdt",
        change="imx2-wdt, built in",
    ),
    "watchdog: too short": error(
        DISK,
        swap("watchdogs", "|60|0|", "|16|16|"),
        "cannot wait as long",
        found="at most 16 s",
        expected="60 s",
        change=r"\[watchdog\] timeout",
    ),
    "watchdog: started with another time": warning(
        DISK,
        swap("watchdogs", "inactive|60|", "active|10|"),
        "with another time",
        found="10 s",
        expected="60 s",
        change="RuntimeWatchdogSec",
    ),
    "client: not installed": error(
        DISK,
        lambda device: device.said.update(
            {name: (["sh: bistablectl: not found"], 127) for name in ("status", "doctor")}
        ),
        "the client is not installed",
        found="not found",
        change="bistable-client",
    ),
    "client: no Python": error(
        DISK,
        says("status", "env: can't execute 'python3': No such file or directory", status=126),
        "Python or a part of it is missing",
        found="python3",
        change="image of the root file system",
    ),
    "client: another type of device": error(
        DISK,
        status_says(device_type="acorn-1"),
        "has another type",
        found="acorn-1",
        expected="acorn-2",
        change="/data/bistable/device_type",
    ),
    "client: no type": error(
        DISK, status_says(device_type=None), "has another type", expected="acorn-2", change="device_type"
    ),
    "client: another slot": error(
        DISK,
        status_says(slots={"running": "b"}),
        "do not mean the same slot",
        found="the client says b, the boot script a",
        change="40-boot.toml",
    ),
    "client: its own findings": warning(
        DISK,
        says("doctor", json.dumps({"findings": DOCTOR})),
        "keys: none: any artifact is installed",
        change="set trust.verify-keys",
    ),
    "client: its doctor broke": warning(
        DISK, says("doctor", "Traceback", "KeyError", status=70), "did not look", found="KeyError", change="bistablectl"
    ),
    "user: not root": error(DISK, says("user", "1000"), "do not run as root", found="user 1000", change="--user"),
    "flash: no partitions": error(
        UBI,
        lambda device: device.files.update({"/proc/mtd": "dev:    size   erasesize  name\n"}),
        "knows no partitions of the flash",
        change="mtdparts",
    ),
    "flash: another partition": error(
        UBI,
        swap("/proc/mtd", '00080000 00020000 "env-r"', '00100000 00020000 "env-r"'),
        "no partition env-r",
        found="1048576 bytes",
        expected="524288 bytes",
        change=r"\[mtd.env-r\]",
    ),
    "volumes: one is missing": error(
        UBI,
        swap("volumes", "|rootfs-b|", "|rootfs2|"),
        "no volume rootfs-b",
        found="none of that name",
        expected="/dev/ubi0_",
        change="ubinize.cfg",
    ),
    "volumes: data is another": error(
        UBI,
        swap(MOUNTS, "ubi0:data", "ubi0:logs"),
        "another file system",
        found="ubi0:logs",
        expected="ubi0:data",
        change="/etc/fstab",
    ),
    "vendor: no handler": error(
        VENDOR,
        says("files", status=1),
        "the program that speaks to the boot loader /usr/lib/bistable/nvbootctrl",
        expected="/usr/lib/bistable/nvbootctrl",
        change="image of the root file system",
    ),
}

MORE = {
    "partitions: another layout",
    "storage: the board was started from its card",
    "environment: a device that is not there",
    "cmdline: another console",
    "client: no Python",
}
"""Mistakes that may well be found in more than one way."""
