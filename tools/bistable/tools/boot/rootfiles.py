"""What the root file system of both slots needs: how the client finds the slots and the boot loader's environment."""

import re
from pathlib import PurePosixPath
from typing import Final

from bistable.artifact.errors import RequestError
from bistable.tools.boot.plan import BootPlan, Loader, SlotPlace

ENVIRONMENT_LABEL: Final = "boot-env"
"""GPT name of the partition with the environment."""

CLIENT: Final = PurePosixPath("/etc/bistable/conf.d/40-boot.toml")
FW_ENV: Final = PurePosixPath("/etc/fw_env.config")

_LINKS: Final = {"PARTUUID": "/dev/disk/by-partuuid", "PARTLABEL": "/dev/disk/by-partlabel"}
_MBR_UUID: Final = re.compile(r"PARTUUID=([0-9a-fA-F]{8})-[0-9a-fA-F]{2}")
_NUMBERED: Final = re.compile(r"(/dev/\S*?)([0-9]+)")


def root_files(plan: BootPlan) -> dict[PurePosixPath, bytes]:
    """Return the files for the root file system.

    Raises:
        RequestError: the device of a slot cannot be told from its `root=`.
    """
    files = {CLIENT: _client(plan)}
    if plan.environment is not None and plan.loader in {Loader.UBOOT, Loader.UBOOT_ENVIRONMENT}:
        device = _environment_device(plan, plan.environment.partition)
        lines = [f"{device} {offset:#x} {plan.environment.size:#x}\n" for offset in plan.environment.offsets]
        files[FW_ENV] = "".join(["# device, offset and size of both copies\n", *lines]).encode("ascii")
    return files


def _client(plan: BootPlan) -> bytes:
    lines = ["# How the client finds what boots this device. Made together with its boot script.", "[slots]"]
    lines += [f'{slot.name} = "{_device(slot.root)}"' for slot in sorted(plan.slots, key=lambda slot: slot.name)]
    lines += ["", "[boot]", f'backend = "{BACKENDS[plan.loader]}"']
    if plan.loader in {Loader.UBOOT, Loader.UBOOT_ENVIRONMENT, Loader.GRUB}:
        lines += ['scheme = "slots"', f"tries = {plan.tries}"]
    if plan.loader in {Loader.SYSTEMD_BOOT, Loader.EFI}:
        lines.append(f'kernel = "{plan.kernel}"')
        lines += [f'initrd = "{plan.initrd}"'] if plan.initrd is not None else []
    if plan.loader is Loader.SYSTEMD_BOOT:
        lines.append(f"tries = {plan.tries}")
    if plan.loader is Loader.RASPBERRY_PI:
        slots = sorted(plan.slots, key=lambda slot: slot.name)
        places = ", ".join(f'"{_boot_partition(slot)}"' for slot in slots)
        lines += [f"partitions = [{places}]", f"part-numbers = [{slots[0].partition}, {slots[1].partition}]"]
    if plan.loader is Loader.GRUB and plan.environment is not None:
        device = _environment_device(plan, plan.environment.partition, resolved=False)
        places = ", ".join(f'"{device}@{offset}"' for offset in plan.environment.offsets)
        lines.append(f"grub-copies = [{places}]")
    return ("\n".join(lines) + "\n").encode("ascii")


BACKENDS: Final = {
    Loader.UBOOT: "uboot",
    Loader.UBOOT_ENVIRONMENT: "uboot",
    Loader.GRUB: "grub",
    Loader.SYSTEMD_BOOT: "systemd-boot",
    Loader.EFI: "efi",
    Loader.RASPBERRY_PI: "raspberry-pi",
}


def _boot_partition(slot: SlotPlace) -> str:
    """Return the place of a slot's own boot partition: in an MBR beside the slot, in a GPT by its name."""
    if mbr := _MBR_UUID.fullmatch(slot.root):
        return f"PARTUUID={mbr[1].lower()}-{slot.partition:02x}"
    if numbered := _NUMBERED.fullmatch(slot.root):
        return f"{numbered[1]}{slot.partition}"
    return f"PARTLABEL=boot-{slot.name}"


def _device(root: str) -> str:
    tag, equals, value = root.partition("=")
    if equals and tag in _LINKS:
        return f"{_LINKS[tag]}/{value.lower() if tag == 'PARTUUID' else value}"
    if root.startswith("/dev/"):
        return root
    raise RequestError(
        f"cannot prepare the boot: root={root} does not tell the client which device the slot is",
        hint="name it by PARTUUID=, PARTLABEL= or its device",
    )


def _environment_device(plan: BootPlan, partition: int, *, resolved: bool = True) -> str:
    """Return the device of the environment; a GPT names it, in an MBR it is found by what the slots are called."""
    root = plan.slots[0].root
    if mbr := _MBR_UUID.fullmatch(root):
        name = f"PARTUUID={mbr[1].lower()}-{partition:02x}"
    elif numbered := _NUMBERED.fullmatch(root):
        return f"{numbered[1]}{partition}"
    else:
        name = f"PARTLABEL={ENVIRONMENT_LABEL}"
    return _device(name) if resolved else name
