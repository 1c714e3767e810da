"""What a board with UBI on raw NAND has: boot script, volumes, and what the system in the slots needs."""

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from bistable.tools.board.model import Board, Ubi
from bistable.tools.board.render.settings import BOOT
from bistable.tools.board.render.templates import commented
from bistable.tools.boot.ubi import UbiFiles, UbiPlan
from bistable.tools.boot.ubifiles import ubi_files
from bistable.tools.boot.ubigeometry import UbiGeometry, place_volumes

SCRIPT: Final = PurePosixPath("boot.cmd")
UBINIZE: Final = PurePosixPath("ubinize.cfg")


@dataclass(frozen=True, slots=True, kw_only=True)
class FlashPlan:
    """Volumes, where they lie, and what is made for them."""

    plan: UbiPlan
    geometry: UbiGeometry
    made: UbiFiles


def plan_flash(board: Board, ubi: Ubi) -> FlashPlan:
    """Lay out the flash.

    Raises:
        RequestError: it does not fit, or cannot be booted.
    """
    plan = ubi_plan(board, ubi)
    return FlashPlan(plan=plan, geometry=place_volumes(plan), made=ubi_files(plan))


def ubi_plan(board: Board, ubi: Ubi) -> UbiPlan:
    """Return what scripts and settings have to know of a board."""
    boot = board.boot
    return UbiPlan(
        flash=ubi.flash,
        partition=ubi.partition,
        slot_size=ubi.slot_size,
        data_size=ubi.data_size,
        environment_size=ubi.environment_size,
        environment=ubi.environment,
        kernel=boot.kernel,
        initrd=boot.initrd,
        devicetree=boot.devicetree,
        arguments=boot.arguments,
        architecture=boot.architecture,
        filesystem=ubi.slot_filesystem,
        tries=boot.tries,
        addresses=boot.addresses,
        watchdog=None if board.watchdog is None else board.watchdog.uboot,
    )


def flash_files(flash: FlashPlan) -> dict[PurePosixPath, bytes]:
    """Return path -> content of the files."""
    made = flash.made
    texts = {
        SCRIPT: made.script,
        UBINIZE: made.ubinize,
        PurePosixPath("fw_env.config"): made.fw_env,
        PurePosixPath("fstab"): made.fstab,
        PurePosixPath("uboot.config"): made.uboot,
        BOOT: made.client,
    }
    return {path: commented(text.encode()) for path, text in texts.items()}
