"""What a plan of UBI must fulfil before anything is made from it, beyond what every plan must."""

import re
from typing import Final

from bistable.artifact.errors import RequestError, quoted
from bistable.artifact.limits import KIB
from bistable.tools.boot import ubootenv
from bistable.tools.boot.ubi import UBIFS, Flash, UbiPlan
from bistable.tools.boot.ubigeometry import SMALLEST_LEB, leb_size, partition_named, partition_size

_NAME: Final = re.compile(r"[A-Za-z0-9_.-]+")
"""What `mtdparts` can name, and the shell of U-Boot takes as it is."""


def check_flash(flash: Flash) -> None:
    """Check that the flash can be, and that its partitions lie in it, one behind the other.

    Raises:
        RequestError: they do not.
    """
    if not (flash.sub_page and flash.page % flash.sub_page == 0 and flash.page and flash.erase_block % flash.page == 0):
        raise _cannot(
            f"pages of {flash.page} bytes, with writes of {flash.sub_page}, are no part of blocks of "
            f"{flash.erase_block}"
        )
    if leb_size(flash) < SMALLEST_LEB:
        raise _cannot(f"blocks of {flash.erase_block // KIB} KiB are too small for UBIFS")
    for name in (flash.mtd_id, flash.uboot, *(partition.name for partition in flash.partitions)):
        if not _NAME.fullmatch(name):
            raise _cannot(f"{quoted(name)} is no name of letters, digits and . _ -")
    end, before = 0, "the start"
    for partition in flash.partitions:
        size = partition_size(flash, partition)
        if partition.offset % flash.erase_block or size % flash.erase_block:
            raise _cannot(f"the partition {partition.name} does not start and end at a multiple of {flash.erase_block}")
        if partition.offset < end:
            raise _cannot(f"the partition {partition.name} starts at {partition.offset}, before {before} ends")
        end, before = partition.offset + size, partition.name
        if size <= 0 or end > flash.size:
            raise _cannot(f"the partition {partition.name} does not fit into the flash of {flash.size // KIB} KiB")


def check_ubi(plan: UbiPlan) -> None:
    """Check what only a plan of UBI has; kernel, arguments and addresses are checked as in every plan.

    Raises:
        RequestError: the plan cannot be.
    """
    check_flash(plan.flash)
    partition_named(plan.flash, plan.partition)
    if plan.filesystem != UBIFS:
        raise _cannot(
            f"U-Boot cannot read a kernel out of a slot with {plan.filesystem} in UBI", hint=f"make the slots {UBIFS}"
        )
    if not ubootenv.SMALLEST <= plan.environment_size <= ubootenv.LARGEST:
        raise _cannot(
            f"a copy of the environment cannot have {plan.environment_size} bytes, only {ubootenv.SMALLEST} to "
            f"{ubootenv.LARGEST}"
        )
    if plan.environment is not None:
        _check_environment(plan, plan.environment)


def _check_environment(plan: UbiPlan, names: tuple[str, str]) -> None:
    if len({*names, plan.partition}) != 3:
        raise _cannot("UBI and the two copies of the environment need three partitions of the flash")
    for name in names:
        size = partition_size(plan.flash, partition_named(plan.flash, name))
        if size < plan.environment_size:
            raise _cannot(f"the partition {name} has {size} bytes, a copy of the environment {plan.environment_size}")


def _cannot(why: str, *, hint: str | None = None) -> RequestError:
    return RequestError(f"cannot lay out UBI: {why}", hint=hint)
