"""Boot scripts from a plan, by the templates beside this module."""

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from bistable.client.boot.table import RENEWED_TRIES
from bistable.tools.boot.checks import BLOCK
from bistable.tools.boot.envfiles import FILES
from bistable.tools.boot.plan import BootPlan, EnvironmentPlace, Loader, SlotPlace
from bistable.tools.boot.state import ORDER, SEEN, good_of, orders_of, tries_of

if TYPE_CHECKING:
    from jinja2 import Environment

SEQUENCE: Final = "bistable_seq"
END: Final = "bistable_end"
"""GRUB's blocks: their number, from 0 to 9, and what has to be the last line."""

WATCHDOG_MS: Final = 60_000
"""How long a slot has until its own watchdog daemon must have taken over."""

COMMANDS: Final = {"arm64": "booti", "armhf": "bootz", "amd64": "zboot", "riscv64": "booti"}
_CRC_AND_COUNTER: Final = 5


def names_for_uboot(plan: BootPlan) -> tuple[str, ...]:
    """Return the variables that the boot script of U-Boot reads and saves."""
    slots = sorted(slot.name for slot in plan.slots)
    return tuple(sorted([ORDER, SEEN, *(good_of(slot) for slot in slots), *(tries_of(slot) for slot in slots)]))


def names_for_grub() -> tuple[str, ...]:
    """Return the variables of a block of GRUB, in their order."""
    return (SEQUENCE, ORDER, *(name(slot) for slot in ("a", "b") for name in (good_of, tries_of)), SEEN, END)


def uboot_script(plan: BootPlan) -> str:
    """Return the text of `boot.cmd`."""
    interface, number = plan.disk.split()
    values = uboot_values(plan) | {
        "imported": plan.loader is Loader.UBOOT,
        "disk": {"interface": interface, "number": number},
        "names": names_for_uboot(plan),
    }
    if plan.loader is Loader.UBOOT:
        assert plan.environment is not None
        values |= _place(plan.environment)
    return rendered("boot.cmd.jinja", values)


def uboot_values(plan: BootPlan) -> dict[str, Any]:
    """Return what every script for U-Boot needs, wherever its slots are."""
    return _common(plan) | {
        "command": COMMANDS[plan.architecture],
        "addresses": [(name, f"{address:#x}") for name, address in sorted(plan.addresses.items())],
        "watchdog": plan.watchdog,
        "watchdog_ms": WATCHDOG_MS,
    }


def rendered(template: str, values: Mapping[str, Any]) -> str:
    """Return the text that a template makes of the values."""
    return _templates().get_template(template).render(values)


def grub_script(plan: BootPlan) -> str:
    """Return the text of `grub.cfg`."""
    place = plan.environment
    assert place is not None
    values = _common(plan) | {
        "names": names_for_grub(),
        "other": {"a": "b", "b": "a"},
        "partition": place.partition,
        "files": FILES,
    }
    return _templates().get_template("grub.cfg.jinja").render(values)


def fallback_script(plan: BootPlan) -> str:
    """Return the text of a `grub.cfg` that boots the first slot whose kernel, on the boot partition, can be loaded."""
    return _templates().get_template("fallback.cfg.jinja").render(_common(plan))


def command_line(plan: BootPlan, slot: SlotPlace) -> str:
    """Return the kernel's arguments for one slot."""
    return " ".join([f"root={slot.root}", *plan.arguments.split(), f"bistable.slot={slot.name}"])


def _common(plan: BootPlan) -> dict[str, Any]:
    first, second = plan.slots
    return {
        "slots": [
            {
                "name": slot.name,
                "partition": slot.partition,
                "partition_hex": f"{slot.partition:x}",
                "arguments": command_line(plan, slot),
                "words": command_line(plan, slot).split(),
            }
            for slot in sorted(plan.slots, key=lambda slot: slot.name)
        ],
        "orders": orders_of((first.name, second.name)),
        "renewed": RENEWED_TRIES,
        "kernel": plan.kernel,
        "initrd": plan.initrd,
        "devicetree": plan.devicetree,
    }


def _place(place: EnvironmentPlace) -> dict[str, Any]:
    """Return places and sizes of the environment; U-Boot reads all numbers as hexadecimal, but for partitions."""
    return {
        "partition": place.partition,
        "blocks": [f"{offset // BLOCK:x}" for offset in place.offsets],
        "count": f"{place.size // BLOCK:x}",
        "size": f"{place.size:x}",
        "plain_size": f"{place.size - 1:x}",
        "data_size": f"{place.size - _CRC_AND_COUNTER:x}",
    }


@cache
def _templates() -> "Environment":
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("bistable.tools.boot"),
        # The text is for boot loaders; the values are checked against what they may contain (checks.py).
        autoescape=False,  # noqa: S701
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
