"""Everything that a disk needs so that it boots by a plan."""

from collections.abc import Callable, Mapping
from pathlib import PurePosixPath
from typing import Final

from bistable.tools.boot import envfiles, grubenv, ubootenv
from bistable.tools.boot.checks import check_plan
from bistable.tools.boot.grubimage import grub_image
from bistable.tools.boot.legacy import build_script
from bistable.tools.boot.plan import BootFiles, BootPlan, Loader
from bistable.tools.boot.render import END, SEQUENCE, grub_script, uboot_script
from bistable.tools.boot.rootfiles import root_files
from bistable.tools.boot.state import SEEN, fresh

REMOVABLE: Final = PurePosixPath("EFI/BOOT")
"""Where UEFI looks on a disk that it knows nothing of."""


def prepare_boot(plan: BootPlan) -> BootFiles:
    """Return the files and the environment of a new disk: its first slot is good, its second one is not.

    Raises:
        RequestError: the plan cannot be.
        MachineError: a program that this needs is missing or fails.
    """
    check_plan(plan)
    return MAKERS[plan.loader](plan)


def _uboot(plan: BootPlan) -> BootFiles:
    script = uboot_script(plan)
    return BootFiles(
        boot={
            PurePosixPath("boot.scr"): build_script(script, plan.architecture),
            # What a person reads; U-Boot does not.
            PurePosixPath("boot.cmd"): script.encode("ascii"),
        },
        environment=_uboot_environment(plan),
        root=root_files(plan),
    )


def _uboot_environment(plan: BootPlan) -> Mapping[int, bytes]:
    if plan.environment is None:
        return {}
    place = plan.environment
    variables = _fresh(plan)
    return {
        offset: ubootenv.build_copy(variables, place.size, counter=counter)
        for offset, counter in zip(place.offsets, (1, 0), strict=True)
    }


def _grub(plan: BootPlan) -> BootFiles:
    name, image = grub_image(plan.architecture)
    place = plan.environment
    assert place is not None
    variables = _fresh(plan)
    return BootFiles(
        boot={
            REMOVABLE / name: image,
            PurePosixPath("grub/grub.cfg"): grub_script(plan).encode("ascii"),
        },
        environment={
            envfiles.START: envfiles.directory(place.offsets, grubenv.SIZE),
            **{
                offset: grubenv.build_block({SEQUENCE: sequence, **variables, SEEN: "0", END: "1"})
                for offset, sequence in zip(place.offsets, ("1", "0"), strict=True)
            },
        },
        root=root_files(plan),
    )


def _fresh(plan: BootPlan) -> dict[str, str]:
    """Return the variables of a new disk; the canary is left to the boot script."""
    first, second = plan.slots
    values = fresh((first.name, second.name)).variables()
    order = ("bistable_order", *(f"bistable_{slot}_{what}" for slot in ("a", "b") for what in ("good", "tries")))
    return {name: values[name] for name in order}


MAKERS: Final[Mapping[Loader, Callable[[BootPlan], BootFiles]]] = {
    Loader.UBOOT: _uboot,
    Loader.UBOOT_ENVIRONMENT: _uboot,
    Loader.GRUB: _grub,
}
