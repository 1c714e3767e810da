"""Everything that a disk needs so that it boots by a plan."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Final

from bistable.client.boot.raspberrypi.autoboot import Autoboot, render_autoboot
from bistable.client.boot.systemdboot.entries import entry_name, render_entry
from bistable.client.model import SlotName
from bistable.tools.boot import envfiles, grubenv, ubootenv
from bistable.tools.boot.checks import check_plan
from bistable.tools.boot.efiprograms import efi_program, program_content
from bistable.tools.boot.legacy import build_script
from bistable.tools.boot.plan import BootFiles, BootPlan, Loader
from bistable.tools.boot.render import END, SEQUENCE, command_line, fallback_script, grub_script, uboot_script
from bistable.tools.boot.rootfiles import root_files
from bistable.tools.boot.state import SEEN, fresh

KERNELS: Final = PurePosixPath("EFI/bistable")
KERNEL: Final = "linux.efi"
INITRD: Final = "initrd.img"
"""Where the client places kernels of slots on the boot partition, each in a folder with the slot's name."""

LOADER_CONF: Final = b"timeout 0\neditor no\nauto-entries no\nauto-firmware no\n"
"""For systemd-boot. No default: it would be started whatever has been counted."""

GRUB_CONFIG: Final = "grub.cfg"


def prepare_boot(plan: BootPlan) -> BootFiles:
    """Return the files and the environment of a new disk: its first slot is good, its second one is not.

    Raises:
        RequestError: the plan cannot be.
        MachineError: a program that this needs is missing or fails.
    """
    files = prepare_scripts(plan)
    wanted = efi_program(plan)
    if wanted is None:
        return files
    return replace(files, boot={wanted.path: program_content(wanted.program, plan), **files.boot})


def prepare_scripts(plan: BootPlan) -> BootFiles:
    """Return all that `prepare_boot` does but the EFI program: scripts, settings and the environment.

    Raises:
        RequestError: the plan cannot be.
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
    place = plan.environment
    # A U-Boot that keeps its environment by itself takes all variables from a valid copy, and forgets those that it was
    # built with: it would not know what to boot. Without one it starts with its own, and saves ours with them.
    if place is None or plan.loader is Loader.UBOOT_ENVIRONMENT:
        return {}
    variables = _fresh(plan)
    return {
        offset: ubootenv.build_copy(variables, place.size, counter=counter)
        for offset, counter in zip(place.offsets, (1, 0), strict=True)
    }


def _grub(plan: BootPlan) -> BootFiles:
    place = plan.environment
    assert place is not None
    variables = _fresh(plan)
    return BootFiles(
        boot={
            _grub_config(plan): grub_script(plan).encode("ascii"),
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


def _systemd_boot(plan: BootPlan) -> BootFiles:
    first = plan.slots[0]
    entry = render_entry(
        SlotName(first.name), version=1, options=command_line(plan, first), initrd=plan.initrd is not None
    )
    return BootFiles(
        boot={
            PurePosixPath("loader/loader.conf"): LOADER_CONF,
            PurePosixPath("loader/entries") / entry_name(SlotName(first.name), None): entry,
            **_options(plan),
        },
        environment={},
        root=root_files(plan),
        placed=_placed(plan),
    )


def _efi(plan: BootPlan) -> BootFiles:
    # The firmware has no entries for a disk that it has not seen, and may lose those it has: then it starts GRUB, which
    # boots the first slot that can be loaded, and counts nothing.
    return BootFiles(
        boot={_grub_config(plan): fallback_script(plan).encode("ascii"), **_options(plan)},
        environment={},
        root=root_files(plan),
        placed=_placed(plan),
    )


def _raspberry_pi(plan: BootPlan) -> BootFiles:
    first = plan.slots[0].partition
    lines = [f"kernel={plan.kernel.name}"]
    lines += ["arm_64bit=1"] if plan.architecture == "arm64" else []
    lines += [f"initramfs {plan.initrd.name} followkernel"] if plan.initrd is not None else []
    lines += [f"device_tree={plan.devicetree.name}"] if plan.devicetree is not None else []
    config = "".join(f"{line}\n" for line in lines).encode("ascii")
    return BootFiles(
        boot={PurePosixPath("autoboot.txt"): render_autoboot(Autoboot(default=first, trial=first))},
        environment={},
        root=root_files(plan),
        slots={
            slot.name: {
                PurePosixPath("config.txt"): config,
                PurePosixPath("cmdline.txt"): f"{command_line(plan, slot)}\n".encode("ascii"),
            }
            for slot in plan.slots
        },
    )


def _grub_config(plan: BootPlan) -> PurePosixPath:
    return plan.grub_prefix.relative_to("/") / GRUB_CONFIG


def _options(plan: BootPlan) -> Mapping[PurePosixPath, bytes]:
    """Return the kernel's arguments of both slots, where the client looks for them."""
    return {KERNELS / slot.name / "options": f"{command_line(plan, slot)}\n".encode("ascii") for slot in plan.slots}


def _placed(plan: BootPlan) -> Mapping[PurePosixPath, PurePosixPath]:
    folder = KERNELS / plan.slots[0].name
    initrd = {} if plan.initrd is None else {folder / INITRD: plan.initrd}
    return {folder / KERNEL: plan.kernel, **initrd}


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
    Loader.SYSTEMD_BOOT: _systemd_boot,
    Loader.EFI: _efi,
    Loader.RASPBERRY_PI: _raspberry_pi,
}
