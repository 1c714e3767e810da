"""The scheme of Mender's U-Boot integration: its variables for a board, and what U-Boot's own boot count makes of them.

Devices in the field have this scheme; new ones get `bistable_*` (render.py). It needs a U-Boot with
CONFIG_BOOTCOUNT_LIMIT, CONFIG_BOOTCOUNT_ENV and a redundant environment. At each boot, before anything else:

1. With `upgrade_available` other than 0, U-Boot adds one to `bootcount` and saves.
2. If `bootcount` is more than `bootlimit`, it runs `altbootcmd` instead of `bootcmd`. Here that takes the other
   partition, sets `upgrade_available=0`, saves, and goes on with `bootcmd`.

`bootcmd` saves once to set the canary, and resets if the kernel of a trial cannot be loaded.
"""

from collections.abc import Mapping
from typing import Final

from bistable.artifact.errors import RequestError
from bistable.tools.boot import ubootenv
from bistable.tools.boot.checks import check_plan
from bistable.tools.boot.decide import CopyState, Decision, SlotState, read_copies
from bistable.tools.boot.plan import BootPlan, EnvironmentPlace, Loader, SlotPlace
from bistable.tools.boot.render import COMMANDS, command_line

PART: Final = "mender_boot_part"
PART_HEX: Final = "mender_boot_part_hex"
AVAILABLE: Final = "upgrade_available"
COUNT: Final = "bootcount"
LIMIT: Final = "bootlimit"
CANARY: Final = "mender_saveenv_canary"
CHECK_CANARY: Final = "mender_check_saveenv_canary"

USUAL_LIMIT: Final = 1


def mender_variables(plan: BootPlan, *, limit: int = USUAL_LIMIT) -> dict[str, str]:
    """Return the environment of a new board: its first slot, no trial.

    Raises:
        RequestError: the plan cannot be, or is not for a U-Boot with an environment of its own.
    """
    check_plan(plan)
    if plan.loader is not Loader.UBOOT_ENVIRONMENT:
        raise RequestError(f"cannot count boots with {plan.loader.value}: U-Boot has to have an environment of its own")
    first, second = plan.slots
    start = [_load(plan, "kernel_addr_r", str(plan.kernel))]
    start += [_load(plan, "fdt_addr_r", str(plan.devicetree))] if plan.devicetree is not None else []
    start += [_load(plan, "ramdisk_addr_r", str(plan.initrd))] if plan.initrd is not None else []
    initrd = "${ramdisk_addr_r}:${filesize}" if plan.initrd is not None else "-"
    tree = "${fdt_addr_r}" if plan.devicetree is not None else "${fdtcontroladdr}"
    start.append(f"{COMMANDS[plan.architecture]} ${{kernel_addr_r}} {initrd} {tree}")
    return {
        **{name: f"{address:#x}" for name, address in sorted(plan.addresses.items())},
        PART: str(first.partition),
        PART_HEX: f"{first.partition:x}",
        AVAILABLE: "0",
        COUNT: "0",
        LIMIT: str(limit),
        CHECK_CANARY: "1",
        "mender_setup": f'if test "${{{CANARY}}}" != 1; then setenv {CANARY} 1; saveenv; fi',
        "mender_altbootcmd": (
            f"if test ${{{PART}}} = {first.partition}; then {_select(second)}; else {_select(first)}; fi; "
            f"setenv {AVAILABLE} 0; saveenv"
        ),
        "mender_try_to_recover": f"if test ${{{AVAILABLE}}} = 1; then reset; fi",
        "mender_arguments": (
            f"if test ${{{PART}}} = {first.partition}; "
            f"then {_arguments(plan, first)}; else {_arguments(plan, second)}; fi"
        ),
        "altbootcmd": "run mender_altbootcmd; run bootcmd",
        "bootcmd": (
            f"run mender_setup; run mender_arguments; {' && '.join(start)}; "
            "echo bistable: partition ${mender_boot_part} cannot be loaded; run mender_try_to_recover; reset"
        ),
    }


def decide_mender(plan: BootPlan, environment: bytes) -> Decision:
    """Return what a U-Boot with this scheme would do with these bytes in the environment's partition.

    What `saveenv` adds of U-Boot's running state is not known: `environment_after` has the variables that are there
    already, and those of the scheme.

    Raises:
        RequestError: the plan cannot be, or does not say where the environment is.
    """
    check_plan(plan)
    place = plan.environment
    if place is None:
        raise RequestError("cannot tell what would boot: the plan does not say where the environment is")
    copies, current, variables = read_copies(place, environment, None)
    if current is None:
        why = ("no copy of the environment is valid: U-Boot runs what is built into it",)
        return Decision(
            slot=None, counted=False, why=why, copies=copies, order=(), slots={}, environment_after=environment
        )
    return _follow(plan, place, environment, copies, current, variables)


def _follow(
    plan: BootPlan,
    place: EnvironmentPlace,
    environment: bytes,
    copies: tuple[CopyState, CopyState],
    current: int,
    variables: Mapping[str, str],
) -> Decision:
    counter = copies[current].sequence
    assert counter is not None
    saver = ubootenv.Saver(offsets=place.offsets, size=place.size, current=current, counter=counter)
    first, second = plan.slots
    values = dict(variables)
    on_trial = _number(values.get(AVAILABLE)) != 0
    selected, other = (first, second) if values.get(PART) == str(first.partition) else (second, first)
    why = [f"copy {current + 1} of the environment counts", f"{PART} is that of slot {selected.name}"]
    good = other if on_trial else selected
    count, limit = (_number(values.get(COUNT)) if on_trial else 0) + 1, _number(values.get(LIMIT))
    state = {
        slot.name: SlotState(good=slot is good, tries=max(0, limit - count + 1) if slot is not good and on_trial else 0)
        for slot in plan.slots
    }
    # Also without a trial: but then it is saved only if something else is.
    values[COUNT] = str(count)
    if on_trial:
        environment = saver.save(environment, values)
        why.append(f"it is on trial: this is boot {count} of {limit}")
    chosen, counted = selected, on_trial
    if on_trial and limit and count > limit:
        chosen, counted = other, False
        values |= {PART: str(other.partition), PART_HEX: f"{other.partition:x}", AVAILABLE: "0"}
        environment = saver.save(environment, values)
        why.append(f"that is too many, so slot {other.name} is booted")
    if values.get(CANARY) != "1":
        values[CANARY] = "1"
        environment = saver.save(environment, values)
        why.append("the boot script leaves its mark")
    return Decision(
        slot=chosen.name,
        counted=counted,
        why=tuple(why),
        copies=copies,
        order=(selected.name, other.name) if on_trial else (selected.name,),
        slots=state,
        environment_after=environment,
        fallbacks=(other.name,) if counted else (),
    )


def _number(text: str | None) -> int:
    """Return what U-Boot's env_get_ulong makes of a value."""
    digits = ""
    for character in text or "":
        if not "0" <= character <= "9":
            break
        digits += character
    return int(digits or "0")


def _load(plan: BootPlan, address: str, path: str) -> str:
    return f"load {plan.disk}:${{{PART_HEX}}} ${{{address}}} {path}"


def _select(slot: SlotPlace) -> str:
    return f"setenv {PART} {slot.partition}; setenv {PART_HEX} {slot.partition:x}"


def _arguments(plan: BootPlan, slot: SlotPlace) -> str:
    return f"setenv bootargs '{command_line(plan, slot)}'"
