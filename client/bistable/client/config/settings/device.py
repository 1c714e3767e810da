"""Settings of what the device is: its slots, and its boot loader."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bistable.client.config.declare import Form, setting
from bistable.client.config.kinds import (
    BOOT_BACKEND,
    BOOT_SCHEME,
    DEVICE,
    NUMBERS,
    PATH,
    PROGRAM,
    TEXT,
    TEXTS,
    BootBackend,
    BootScheme,
    number,
)

GRUB_COPIES: Final = ("PARTLABEL=boot-env@0", "PARTLABEL=boot-env@0x100000")
"""Where `bistable image` puts the two copies of GRUB's environment, unless a layout says otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceSettings:
    """What the device is, and where the client keeps what it must remember."""

    type: str | None = field(
        default=None,
        metadata=setting(TEXT, "What type of device this is; artifacts say which types they are for."),
    )
    device_type_file: Path = field(
        default=Path("/var/lib/mender/device_type"),
        metadata=setting(
            PATH, "The file with the line `device_type=…`, if `type` is not set.", DeviceTypeFile=Form.TEXT
        ),
    )
    data_dir: Path = field(
        default=Path("/var/lib/bistable"),
        metadata=setting(PATH, "The client's memory. It must be on a partition that no update overwrites."),
    )
    artifact_info_file: Path = field(
        default=Path("/etc/mender/artifact_info"),
        metadata=setting(
            PATH, "The file with the line `artifact_name=…`: what is installed as long as no update has been."
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotSettings:
    """The two partitions of which one runs and the other is updated."""

    a: Path | None = field(
        default=None,
        metadata=setting(DEVICE, "The first one, such as `/dev/mmcblk0p2`.", RootfsPartA=Form.TEXT),
    )
    b: Path | None = field(default=None, metadata=setting(DEVICE, "The second one.", RootfsPartB=Form.TEXT))


@dataclass(frozen=True, slots=True, kw_only=True)
class BootSettings:
    """How the boot loader is told what to boot."""

    backend: BootBackend = field(
        default=BootBackend.AUTO,
        metadata=setting(
            BOOT_BACKEND,
            "What talks to the boot loader: tools for its environment (`uboot`; Mender's GRUB and systemd-boot have "
            "such tools, too), the client itself (`grub`, `systemd-boot`, `efi`, `raspberry-pi`), a program of your "
            "own (`custom`), or nothing but a file (`simulated`, for trying things out). `auto` looks what is there.",
        ),
    )
    scheme: BootScheme = field(
        default=BootScheme.AUTO,
        metadata=setting(
            BOOT_SCHEME,
            "Which variables the boot script uses: those of Mender's integration (`mender_boot_part`, …) or an order "
            "of slots with a counter for each (`slots`). `auto` looks which are there.",
        ),
    )
    printenv: str | None = field(
        default=None,
        metadata=setting(
            PROGRAM,
            "The program that prints variables of the boot environment; without it the known ones are tried.",
            BootUtilitiesGetNextActivePart=Form.TEXT,
        ),
    )
    setenv: str | None = field(
        default=None,
        metadata=setting(
            PROGRAM,
            "The program that sets variables of the boot environment; without it the known ones are tried.",
            BootUtilitiesSetActivePart=Form.TEXT,
        ),
    )
    env_config: Path | None = field(
        default=None,
        metadata=setting(
            PATH, "The file that says where the environment is, if it is not the `/etc/fw_env.config` of the tools."
        ),
    )
    grub_copies: tuple[str, ...] = field(
        default=GRUB_COPIES,
        metadata=setting(
            TEXTS,
            "Where the two copies of the environment of the back end `grub` are: a path, `PARTUUID=…` or "
            "`PARTLABEL=…`, and behind an `@` how many bytes from its start.",
        ),
    )
    grub_directory: Path | None = field(
        default=None,
        metadata=setting(
            PATH,
            "The directory with `mender_grubenv1` and `mender_grubenv2`, for the back end `grub` with the scheme "
            "`mender`; without it the usual places are tried.",
        ),
    )
    directory: Path | None = field(
        default=None,
        metadata=setting(
            PATH,
            "Where the boot partition is mounted, with `loader/entries` (`systemd-boot`), room for kernels "
            "(`systemd-boot`, `efi`) or `autoboot.txt` (`raspberry-pi`); without it the usual places are tried.",
        ),
    )
    kernel: Path = field(
        default=Path("/boot/vmlinuz"),
        metadata=setting(
            PATH, "The kernel in a slot, for back ends that copy it to the boot partition: `systemd-boot` and `efi`."
        ),
    )
    initrd: Path | None = field(
        default=None, metadata=setting(PATH, "The initial RAM disk in a slot, for the same; without it there is none.")
    )
    partitions: tuple[str, ...] = field(
        default=(),
        metadata=setting(
            TEXTS,
            "The boot partitions of slots a and b for the back end `raspberry-pi`: a path, `PARTUUID=…` or "
            "`PARTLABEL=…` each.",
        ),
    )
    firmware: Path = field(
        default=Path("/boot/firmware"),
        metadata=setting(
            PATH,
            "The directory of a slot whose content belongs on its boot partition, for the back end `raspberry-pi`.",
        ),
    )
    efi_entries: tuple[str, ...] = field(
        default=(),
        metadata=setting(
            TEXTS,
            'The numbers of the boot entries of slots a and b, such as `["0001", "0002"]`, for the back end `efi`, if '
            "their descriptions are not `bistable a` and `bistable b`.",
        ),
    )
    handler: str | None = field(default=None, metadata=setting(PROGRAM, "The program of the back end `custom`."))
    tries: int = field(
        default=3,
        metadata=setting(
            number(1, 9),
            "How often a new slot is tried before the boot loader falls back; for the scheme `slots` and "
            "`systemd-boot`.",
        ),
    )
    slot_names: tuple[str, ...] = field(
        default=(),
        metadata=setting(
            TEXTS,
            'What the boot loader calls slots a and b, such as `["A", "B"]`, if not `a` and `b`: for the back end '
            "`custom`, and for the kernel argument that names the slot.",
        ),
    )
    part_numbers: tuple[int, ...] = field(
        default=(),
        metadata=setting(
            NUMBERS,
            "The partition numbers of slots a and b for the scheme `mender`, or of their boot partitions for the back "
            "end `raspberry-pi`, if the devices' names do not end in them.",
        ),
    )
    simulated_state: Path | None = field(
        default=None, metadata=setting(PATH, "The file in which the back end `simulated` keeps its state.")
    )
