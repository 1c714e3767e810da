"""Boot script and settings for slots in UBI, from a plan."""

from collections.abc import Iterator
from typing import Final

from bistable.tools.boot.checks import check_plan
from bistable.tools.boot.plan import BootPlan, Loader, SlotPlace
from bistable.tools.boot.render import COMMANDS, rendered, uboot_values
from bistable.tools.boot.ubi import Flash, FlashPartition, UbiFiles, UbiPlan
from bistable.tools.boot.ubichecks import check_ubi
from bistable.tools.boot.ubigeometry import (
    DATA,
    ENVIRONMENTS,
    SCRIPT,
    UbiGeometry,
    Volume,
    partition_named,
    partition_size,
    place_volumes,
    slot_volume,
)
from bistable.tools.boot.ubootoptions import REDUNDANT, SHELL, WATCHDOG, in_one_place, on

SLOTS: Final = ("a", "b")
SLOT_IMAGE: Final = "rootfs.ubifs"
SCRIPT_IMAGE: Final = "boot.scr"
"""What ubinize.cfg calls the files that the image is made of."""

_DEVICE: Final = "ubi0"
_COMPRESSION: Final = "lzo"
"""U-Boot's UBIFS always has it; others only if they are switched on there."""

_SCRIPT_ADDRESS: Final = "scriptaddr"

_NEEDED: Final = (*SHELL, "CMD_SAVEENV", "MTD", "CMD_MTDPARTS", "CMD_UBI", "CMD_UBIFS")


def ubi_files(plan: UbiPlan) -> UbiFiles:
    """Return everything that follows from the plan.

    Raises:
        RequestError: the plan cannot be.
    """
    check_ubi(plan)
    geometry = place_volumes(plan)
    flash = plan.flash
    compression = ("-x", _COMPRESSION)
    slot = geometry.volume(slot_volume(SLOTS[0]))
    return UbiFiles(
        script=_script(plan),
        ubinize=_ubinize(geometry),
        fw_env=_fw_env(plan),
        fstab=f"{_DEVICE}:{DATA} /data ubifs defaults,noatime 0 0\n",
        uboot="\n".join([*_uboot_lines(plan), ""]),
        client=_client(plan, geometry),
        mkfs_arguments=("-m", str(flash.page), "-e", str(geometry.leb), "-c", str(slot.blocks), *compression),
        ubinize_arguments=("-m", str(flash.page), "-p", str(flash.erase_block), "-s", str(flash.sub_page)),
    )


def _script(plan: UbiPlan) -> str:
    boot = _boot_plan(plan)
    check_plan(boot)
    values = uboot_values(boot) | {
        "device": _DEVICE,
        "partition": plan.partition,
        "volumes": {slot: slot_volume(slot) for slot in SLOTS},
        "copies": plan.environment or ENVIRONMENTS,
        "read": "ubi read" if plan.environment is None else "nand read",
        "size": f"{plan.environment_size:x}",
    }
    return rendered("ubi.cmd.jinja", values)


def mtdparts(flash: Flash) -> str:
    """Return the partitions of the flash as `mtdparts=` of the kernel and of U-Boot has them."""
    return f"mtdparts={flash.mtd_id}:{','.join(_partitions(flash))}"


def _ubinize(geometry: UbiGeometry) -> str:
    images = {SCRIPT: SCRIPT_IMAGE, slot_volume(SLOTS[0]): SLOT_IMAGE}
    return "\n".join(line for volume in geometry.volumes for line in _section(volume, geometry.leb, images))


def _section(volume: Volume, leb: int, images: dict[str, str]) -> Iterator[str]:
    yield f"[{volume.name}]"
    yield "mode=ubi"
    if volume.name in images:
        yield f"image={images[volume.name]}"
    yield f"vol_id={volume.number}"
    yield f"vol_type={volume.kind.value}"
    yield f"vol_size={volume.blocks * leb}"
    yield f"vol_name={volume.name}"
    if volume.grows:
        yield "vol_flags=autoresize"
    yield ""


def _partitions(flash: Flash) -> Iterator[str]:
    end = 0
    for partition in flash.partitions:
        size = "-" if partition.size is None else f"{partition.size >> 10}k"
        place = "" if partition.offset == end else f"@{partition.offset >> 10}k"
        yield f"{size}{place}({partition.name})"
        end = partition.offset + partition_size(flash, partition)


def _boot_plan(plan: UbiPlan) -> BootPlan:
    """Return the plan of a disk that has the same slots: names, tries, files and arguments follow from it."""
    arguments = [f"rootfstype={plan.filesystem}", f"ubi.mtd={plan.partition}", mtdparts(plan.flash), plan.arguments]
    slots = [
        SlotPlace(name=slot, partition=number, root=f"{_DEVICE}:{slot_volume(slot)}")
        for number, slot in enumerate(SLOTS, start=1)
    ]
    return BootPlan(
        loader=Loader.UBOOT_ENVIRONMENT,
        slots=(slots[0], slots[1]),
        boot_partition=len(slots) + 1,
        environment=None,
        kernel=plan.kernel,
        initrd=plan.initrd,
        devicetree=plan.devicetree,
        arguments=" ".join(arguments),
        architecture=plan.architecture,
        disk="ubi 0",
        tries=plan.tries,
        addresses=plan.addresses,
        watchdog=plan.watchdog,
    )


def _fw_env(plan: UbiPlan) -> str:
    size = plan.environment_size
    if plan.environment is None:
        return "# volume, offset, size and block size of both copies\n" + "".join(
            f"/dev/{_DEVICE}:{name} 0x0 {size:#x} {size:#x}\n" for name in ENVIRONMENTS
        )
    block = plan.flash.erase_block
    numbers = {partition.name: number for number, partition in enumerate(plan.flash.partitions)}
    sizes = {name: partition_size(plan.flash, partition_named(plan.flash, name)) for name in plan.environment}
    return "# partition, offset, size, block size and number of blocks of both copies\n" + "".join(
        f"/dev/mtd{numbers[name]} 0x0 {size:#x} {block:#x} {sizes[name] // block}\n" for name in plan.environment
    )


def _client(plan: UbiPlan, geometry: UbiGeometry) -> str:
    lines = ["# How the client finds what boots this device. Made together with its boot script.", "[slots]"]
    lines += [f'{slot} = "{geometry.volume(slot_volume(slot)).node}"' for slot in SLOTS]
    lines += ["", "[boot]", 'backend = "uboot"', 'scheme = "slots"', f"tries = {plan.tries}", ""]
    return "\n".join(lines)


def _uboot_lines(plan: UbiPlan) -> Iterator[str]:
    flash = plan.flash
    address = plan.addresses.get(_SCRIPT_ADDRESS)
    where = f"${{{_SCRIPT_ADDRESS}}}" if address is None else f"{address:#x}"
    yield "# What U-Boot needs for the boot script, which lies in a volume of UBI."
    names = [*_NEEDED, f"CMD_{COMMANDS[plan.architecture].upper()}"]
    yield from map(on, [*names, *(() if plan.watchdog is None else WATCHDOG)])
    yield f'CONFIG_MTDIDS_DEFAULT="{flash.uboot}={flash.mtd_id}"'
    yield f'CONFIG_MTDPARTS_DEFAULT="{mtdparts(flash)}"'
    yield on("USE_BOOTCOMMAND")
    yield f'CONFIG_BOOTCOMMAND="ubi part {plan.partition} && ubi read {where} {SCRIPT} && source {where}; reset"'
    yield ""
    yield "# The environment. That there are two copies has a new name since 2025.10."
    yield from map(on, REDUNDANT)
    yield f"CONFIG_ENV_SIZE={plan.environment_size:#x}"
    if plan.environment is None:
        yield from in_one_place("UBI")
        yield f'CONFIG_ENV_UBI_PART="{plan.partition}"'
        yield f'CONFIG_ENV_UBI_VOLUME="{ENVIRONMENTS[0]}"'
        yield f'CONFIG_ENV_UBI_VOLUME_REDUND="{ENVIRONMENTS[1]}"'
        return
    first, second = (partition_named(flash, name) for name in plan.environment)
    yield on("CMD_NAND")
    yield from in_one_place("NAND")
    yield f"CONFIG_ENV_OFFSET={first.offset:#x}"
    yield f"CONFIG_ENV_OFFSET_REDUND={second.offset:#x}"
    yield f"CONFIG_ENV_RANGE={_shared_range(flash, (first, second)):#x}"


def _shared_range(flash: Flash, places: tuple[FlashPartition, FlashPartition]) -> int:
    """Return in how many bytes of both partitions U-Boot may look for blocks that are not bad."""
    return min(partition_size(flash, place) for place in places)
