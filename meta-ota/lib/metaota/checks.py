"""Whether the variables of the layer say something that can be: one message for each that does not."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from metaota import blobs, firmware, sizes
from metaota.machine import ARCHITECTURES, EFI_LOADERS, EFI_NAMES, LOADERS, RASPBERRY_PI, architecture, belongs_to
from metaota.signing import TOKEN, UNSIGNED

if TYPE_CHECKING:
    from metaota import Get

FILESYSTEMS = ("ext4", "squashfs", "erofs")
EXTRA_FILESYSTEMS = ("ext4", "fat", "none")
FEATURES = ("grow-data", "machine-id")
PARTITIONS = ("boot", "boot-a", "boot-b", "boot-env", "rootfs-a", "rootfs-b", "data")
"""Names of partitions that disks have anyway."""

LONGEST_NAME = 90
"""Characters of the name of a file in an artifact (FORMAT.md): tar has a hundred, `data/0000/` among them."""

_NUMBER = r"[1-9][0-9]*"
_PATH = r"(/(?!\.\.?(/|\s|$))[A-Za-z0-9._+-]+)+"


@dataclass(frozen=True)
class Form:
    """How the value of a variable is written: a pattern, that in words, and an example."""

    pattern: str
    words: str
    example: str


FORMS = {
    "DEVICE_TYPE": Form(r"[A-Za-z0-9._-]+", "one word", "acorn-2"),
    "COMPATIBLE_TYPES": Form(
        r"[A-Za-z0-9._-]+( +[A-Za-z0-9._-]+)*", "device types with spaces between", "acorn-1 acorn-2"
    ),
    "ARTIFACT_NAME": Form(r"[^\s/'\"]+", "one word without quotes", "release-7"),
    "BOOTLOADER": Form("|".join(LOADERS), f"one of {', '.join(LOADERS)}", "grub"),
    "TRIES": Form("[1-9]", "a number from 1 to 9", "3"),
    "KERNEL": Form(_PATH, "an absolute path in the root file system", "/boot/bzImage"),
    "INITRD": Form(f"({_PATH})?", "an absolute path in the root file system, or empty", "/boot/initrd.img"),
    "DEVICETREE": Form(f"({_PATH})?", "an absolute path in the root file system, or empty", "/boot/acorn-2.dtb"),
    "KERNEL_ARGS": Form(
        r"(?!.*\b(root|bistable\.slot)=)[ !#%&(-\[\]-_a-~]*", "ASCII without root= and quotes", "console=ttyS0 panic=10"
    ),
    "UBOOT_DISK": Form(r"[a-z]+ [0-9]+", "an interface of U-Boot and a number", "mmc 0"),
    "UBOOT_WATCHDOG": Form(r"([A-Za-z0-9][A-Za-z0-9_.,@+-]*)?", "one word, or empty", "watchdog@30280000"),
    "UBOOT_ADDRESSES": Form(
        r"([a-z_]+=0x[0-9A-Fa-f]{1,16}( +|$))*",
        "NAME=ADDRESS with spaces between, ADDRESS in hexadecimal",
        "kernel_addr_r=0x40400000 ramdisk_addr_r=0x44000000",
    ),
    "STORAGE_SIZE_MB": Form(f"({_NUMBER})?", "a number of MiB, or empty", "7456"),
    "BOOT_SIZE_MB": Form(_NUMBER, "a number of MiB", "64"),
    "DATA_SIZE_MB": Form(_NUMBER, "a number of MiB", "256"),
    "SLOT_SIZE_MB": Form(r"[0-9]+", "a number of MiB", "1024"),
    "ERASE_BLOCK_MB": Form("1|2|4|8|16|32|64|128|256", "a power of two, in MiB", "4"),
    "BLOBS": Form(
        r"([A-Za-z0-9][A-Za-z0-9_.+@%~-]*:[0-9]{1,9}( +|$))*", "FILE:KiB with spaces between", "u-boot-rockchip.bin:32"
    ),
    "BLOBS_RECIPES": Form(
        r"([a-z0-9][A-Za-z0-9_.+/-]*( +|$))*", "names of recipes with spaces between, or empty", "imx-boot"
    ),
    "BLOBS_END_MB": Form(r"[0-9]+", "a number of MiB", "16"),
    "PARTITION_TABLE": Form("gpt|mbr", "gpt or mbr", "gpt"),
    "EXTRA_PARTITIONS": Form(
        rf"([a-z][a-z0-9-]{{0,35}}:{_NUMBER}:({'|'.join(EXTRA_FILESYSTEMS)})(:{sizes.FRONT})?( +|$))*",
        f"NAME:MiB:FILESYSTEM with spaces between, FILESYSTEM one of {', '.join(EXTRA_FILESYSTEMS)}, and "
        f":{sizes.FRONT} at the end of what lies in front of all others",
        "logs:64:ext4 calibration:4:none",
    ),
    "DISK_SEED": Form("[!-~]+", "one word in ASCII", "acorn-2"),
    "LAYOUT": Form(r"(/\S+\.toml)?", "the absolute path of a layout (TOML), or empty", "/srv/boards/acorn-2.toml"),
    "SIGN_COMMAND": Form(
        r"(/\S.*)?", "an absolute path of a program and its arguments, or empty", "/usr/local/bin/kms-sign"
    ),
    "KEY_PASSPHRASE_FILE": Form(r"(/\S+)?", "an absolute path, or empty", "/srv/keys/passphrase"),
    "VERIFY_KEYS": Form(r"(/\S+( +|$))*", "absolute paths of public keys", "/srv/keys/public.pem"),
    "EXAMPLE_KEYS": Form("[01]", "0 or 1", "1"),
    "RELEASE": Form("[01]", "0 or 1", "1"),
    "ROOTFS_FSTYPE": Form("|".join(FILESYSTEMS), f"one of {', '.join(FILESYSTEMS)}", "ext4"),
    "COMPRESSION": Form(
        r"(none|gzip|xz|lzma|zstd)(:\S+)?", "none, gzip, xz or zstd, with options after a colon", "zstd:19"
    ),
    "PROVIDES": Form(r"([^\s:]+:\S+( +|$))*", "KEY:VALUE with spaces between", "rootfs-image.app.version:7"),
    "DEPENDS": Form(r"([^\s:]+:\S+( +|$))*", "KEY:VALUE with spaces between", "rootfs-image.app.version:6"),
    "GROUP": Form(r"\S*", "one word, or empty", "stable"),
    "SBOM": Form(r"auto|none|(/\S+( +|$))+", "absolute paths, auto or none", "auto"),
    "START": Form("service|timer|by-hand", "service, timer or by-hand", "service"),
    "SERVER_URLS": Form(r"(https?://\S+( +|$))*", "addresses that begin with https://", "https://updates.example.com"),
    "CONFIG_FILES": Form(
        r"(/\S+\.toml( +|$))*", "absolute paths of files that end in .toml", "/srv/boards/50-health.toml"
    ),
    "FEATURES": Form(rf"(({'|'.join(FEATURES)})( +|$))*", f"some of {', '.join(FEATURES)}", "grow-data"),
    "PERSIST": Form(rf"({_PATH}( +|$))*", "absolute paths of directories", "/home /var/lib/app"),
}
"""Variable, without BISTABLE_ -> how it is written."""

_KEY = Form(rf"/\S+|{TOKEN}\S+|{UNSIGNED}", f"an absolute path, a {TOKEN} URI, or {UNSIGNED}", "/srv/keys/private.pem")


def mistakes(get: Get) -> list[str]:
    """Return what is wrong with the variables of the layer."""
    found = [
        _message(name, get(f"BISTABLE_{name}") or "", form)
        for name, form in FORMS.items()
        if not re.fullmatch(form.pattern, (get(f"BISTABLE_{name}") or "").strip())
    ]
    # What depends on several of them makes sense only if each is well written.
    return found or [*_boot(get), *_partitions(get), *blobs.mistakes(get), *_sizes(get), *_persist(get)]


def signing_mistakes(get: Get) -> list[str]:
    """Return what is wrong with the keys; asked for only where something is signed."""
    key = get("BISTABLE_SIGNING_KEY") or ""
    if get("BISTABLE_SIGN_COMMAND"):
        if not (get("BISTABLE_VERIFY_KEYS") or "").split():
            return [_missing("VERIFY_KEYS", "the key that BISTABLE_SIGN_COMMAND signs with is not known")]
        return []
    if not key:
        return [
            _missing("SIGNING_KEY", "there is no key to sign with")
            + f' Artifacts that nobody signs are made with "{UNSIGNED}"; to try things out, the keys of the layer are '
            'used with BISTABLE_EXAMPLE_KEYS = "1".'
        ]
    if not re.fullmatch(_KEY.pattern, key):
        return [_message("SIGNING_KEY", key, _KEY)]
    if key.startswith(TOKEN) and "meta-python" not in (get("BBFILE_COLLECTIONS") or "").split():
        return [
            (
                f"BISTABLE_SIGNING_KEY is '{key}', and without the layer meta-python, which has python3-pkcs11, tokens "
                "cannot be used. Add the layer, or set BISTABLE_SIGN_COMMAND."
            )
        ]
    if key == UNSIGNED and get("BISTABLE_RELEASE") == "1":
        return [_message("SIGNING_KEY", key, Form("", "a key, since BISTABLE_RELEASE is 1", _KEY.example))]
    if key != UNSIGNED and not (get("BISTABLE_VERIFY_KEYS") or "").split():
        return [_missing("VERIFY_KEYS", "devices would not know the key that artifacts are signed with")]
    return []


def name_mistakes(file_name: str, variable: str = "IMAGE_LINK_NAME") -> list[str]:
    """Return what is wrong with the name of a file in an artifact; `variable` is where it comes from."""
    if len(file_name) <= LONGEST_NAME:
        return []
    return [
        (
            f"{variable} makes a file {file_name}: its name has {len(file_name)} characters, and in an artifact "
            f"there is room for {LONGEST_NAME}. Set {variable} to something shorter."
        )
    ]


def _boot(get: Get) -> list[str]:
    loader, kind = get("BISTABLE_BOOTLOADER") or "", architecture(get)
    if not kind:
        return [f"TARGET_ARCH is '{get('TARGET_ARCH')}': there are boot scripts for {', '.join(ARCHITECTURES)} only."]
    if loader in EFI_LOADERS and kind not in EFI_NAMES:
        return [
            f"BISTABLE_BOOTLOADER is '{loader}', which there is not for {kind}. Set BISTABLE_BOOTLOADER = \"uboot\"."
        ]
    if loader == "systemd-boot" and "systemd" not in (get("DISTRO_FEATURES") or "").split():
        return [
            (
                "BISTABLE_BOOTLOADER is 'systemd-boot', whose recipe needs systemd in DISTRO_FEATURES. Set "
                'INIT_MANAGER = "systemd", or BISTABLE_BOOTLOADER = "grub".'
            )
        ]
    if loader == firmware.LOADER:
        return _firmware(get, kind)
    if loader.startswith("uboot"):
        return _uboot(get, kind)
    if loader == "grub" and get("BISTABLE_ROOTFS_FSTYPE") == "erofs":
        return [
            (
                "BISTABLE_ROOTFS_FSTYPE is 'erofs', and GRUB cannot read a kernel in it. Set "
                'BISTABLE_ROOTFS_FSTYPE = "squashfs".'
            )
        ]
    return []


def _firmware(get: Get, kind: str) -> list[str]:
    said = f"BISTABLE_BOOTLOADER is '{firmware.LOADER}'"
    if not belongs_to(get, RASPBERRY_PI) or kind not in {"arm64", "armhf"}:
        return [f'{said}, and this machine is none of the layer meta-raspberrypi. Set BISTABLE_BOOTLOADER = "uboot".']
    if get("RPI_USE_U_BOOT") == "1":
        return [
            (
                f"{said}, and RPI_USE_U_BOOT is 1: the firmware would start U-Boot in place of a kernel. Leave "
                'RPI_USE_U_BOOT out, or set BISTABLE_BOOTLOADER = "uboot".'
            )
        ]
    paths = {name: get(f"BISTABLE_{name}") or "" for name in ("KERNEL", "INITRD", "DEVICETREE")}
    return [
        (
            f"BISTABLE_{name} is '{path}', and the firmware reads only what lies in {firmware.FOLDER} of the slot. Set "
            f'BISTABLE_{name} = "{firmware.FOLDER}/{os.path.basename(path)}".'
        )
        for name, path in paths.items()
        if path and os.path.dirname(path) != firmware.FOLDER
    ]


def _uboot(get: Get, kind: str) -> list[str]:
    kernel = get("BISTABLE_KERNEL") or ""
    if belongs_to(get, RASPBERRY_PI) and get("RPI_USE_U_BOOT") != "1":
        return [
            (
                f"BISTABLE_BOOTLOADER is '{get('BISTABLE_BOOTLOADER')}', and the firmware of this Raspberry Pi would "
                'start the kernel without U-Boot. Set RPI_USE_U_BOOT = "1", or BISTABLE_BOOTLOADER = '
                f'"{firmware.LOADER}".'
            )
        ]
    if kernel.endswith(("/uImage", "/fitImage")):
        plain = "zImage" if kind == "armhf" else "Image"
        return [
            (
                f"BISTABLE_KERNEL is '{kernel}', and the boot script starts kernels that are not packed for U-Boot. "
                f'Set KERNEL_IMAGETYPE = "{plain}", or name such a kernel, like BISTABLE_KERNEL = "/boot/{plain}".'
            )
        ]
    names = [word.partition("=")[0] for word in (get("BISTABLE_UBOOT_ADDRESSES") or "").split()]
    return [
        f"BISTABLE_UBOOT_ADDRESSES has {name} twice. Leave one of them out."
        for name in sorted({name for name in names if names.count(name) > 1})
    ]


def _partitions(get: Get) -> list[str]:
    extras = sizes.extras(get)
    names = [extra.name for extra in extras]
    taken = [name for index, name in enumerate(names) if name in PARTITIONS or name in names[:index]]
    found = [
        f"BISTABLE_EXTRA_PARTITIONS has {name}, and there is a partition with that name already. Call it otherwise."
        for name in taken
    ]
    if firmware.chooses(get):
        found += [
            f"BISTABLE_EXTRA_PARTITIONS puts {extra.name} in front, and the firmware of a Raspberry Pi starts from the "
            f"first partition. Leave out :{sizes.FRONT}."
            for extra in extras
            if extra.front
        ]
    return found


def _sizes(get: Get) -> list[str]:
    if get("BISTABLE_LAYOUT"):
        return []
    wanted, storage = int(get("BISTABLE_SLOT_SIZE_MB") or "0"), get("BISTABLE_STORAGE_SIZE_MB")
    unknown = [_missing("SLOT_SIZE_MB", "it is not known how large the slots are")] if wanted == 0 else []
    if not storage:
        return unknown
    room = sizes.slot(get)
    if room == 0:
        return [
            (
                f"BISTABLE_STORAGE_SIZE_MB is '{storage}': nothing is left for the slots beside BISTABLE_BOOT_SIZE_MB, "
                "BISTABLE_DATA_SIZE_MB and BISTABLE_EXTRA_PARTITIONS. Set what the storage has, like "
                f'BISTABLE_STORAGE_SIZE_MB = "{2 * int(storage)}".'
            )
        ]
    if wanted > room:
        return [
            (
                f"BISTABLE_SLOT_SIZE_MB is '{wanted}', and on {storage} MiB there is room for two slots of {room}. Set "
                f'BISTABLE_SLOT_SIZE_MB = "{room}", or the true BISTABLE_STORAGE_SIZE_MB.'
            )
        ]
    return unknown


def _persist(get: Get) -> list[str]:
    found = []
    for path in (get("BISTABLE_PERSIST") or "").split():
        if path in {"/", "/etc", "/usr", "/boot", "/data", "/dev", "/proc", "/sys", "/run", "/var"}:
            hint = (
                'For /etc, use IMAGE_FEATURES += "overlayfs-etc" with OVERLAYFS_ETC_MOUNT_POINT = "/data".'
                if path == "/etc"
                else 'Name what is in it, like BISTABLE_PERSIST = "/home /var/lib/app".'
            )
            found.append(f"BISTABLE_PERSIST names {path}, which is in use before the data partition is there. {hint}")
    return found


def _message(name: str, value: str, form: Form) -> str:
    said = f"is '{value}'" if value else "is not set"
    return f'BISTABLE_{name} {said}: it has to be {form.words}. Set it like BISTABLE_{name} = "{form.example}".'


def _missing(name: str, why: str) -> str:
    form = _KEY if name == "SIGNING_KEY" else FORMS[name]
    return f'BISTABLE_{name} is not set: {why}. Set it like BISTABLE_{name} = "{form.example}".'
