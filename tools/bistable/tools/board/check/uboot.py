"""Whether the board's U-Boot is configured as the boot script and the client expect it."""

from collections.abc import Iterator, Mapping
from typing import Final

from bistable.artifact.errors import RequestError
from bistable.tools.board.check.configuration import OFF, Configuration, parse_configuration
from bistable.tools.board.check.finding import Facts, Finding
from bistable.tools.board.render.flash import plan_flash
from bistable.tools.disk.files.uboot import LOADERS, uboot_config
from bistable.tools.disk.geometry import boot_plan

_RENAMED: Final[Mapping[str, str]] = {
    "SYS_REDUNDAND_ENVIRONMENT": "ENV_REDUNDANT",
    "SYS_MMC_ENV_DEV": "ENV_MMC_DEVICE_INDEX",
    "SYS_MMC_ENV_PART": "ENV_MMC_EMMC_HW_PARTITION",
}
"""What options are called from U-Boot 2025.10 on: a release knows one of both names."""

_MEANINGS: Final[Mapping[str, str]] = {
    "ENV_OFFSET": "where the first copy of the environment is",
    "ENV_OFFSET_REDUND": "where the second copy of the environment is",
    "ENV_SIZE": "the size of a copy of the environment",
}


def check_uboot(facts: Facts) -> Iterator[Finding]:
    """Yield what U-Boot is not configured for, if its configuration is known."""
    there = facts.configuration
    if there is None:
        return
    if not there.options:
        yield facts.error(
            "uboot", "defconfig", "the configuration has no option of U-Boot", "give .config of a build, or a defconfig"
        )
        return
    try:
        fragment = _fragment(facts)
    except RequestError:  # which is a finding already
        return
    yield from _compared(facts, parse_configuration(fragment).options, there)


def _fragment(facts: Facts) -> str:
    """Return what U-Boot has to be built with, nothing if it does not choose the slot."""
    layout, ubi = facts.layout, facts.board.ubi
    if ubi is not None:
        return plan_flash(facts.board, ubi).made.uboot
    if layout is None or facts.geometry is None or layout.boot.loader not in LOADERS:
        return ""
    return uboot_config(layout, facts.geometry, boot_plan(layout, facts.geometry))


def _compared(facts: Facts, wanted: Mapping[str, str], there: Configuration) -> Iterator[Finding]:
    unknown = []
    for name, value in sorted(wanted.items()):
        names = _names(name)
        if value != OFF and name != names[0]:
            continue
        # What must be off must be off under its own name; for the rest one name suffices.
        known = {each: there.options.get(each, OFF) for each in (names if value != OFF else (name,))}
        if any(_same(each, value) for each in known.values()):
            continue
        if not there.complete and not known.keys() & there.options.keys():
            unknown.append(f"CONFIG_{name}={value}")
        else:
            yield _wrong(
                facts, next(((each, found) for each, found in known.items() if found != OFF), (name, OFF)), value
            )
    if unknown:
        yield facts.warning(
            "uboot",
            "defconfig",
            f"the defconfig does not say whether these are set, as they have to be: {', '.join(unknown)}",
            "give the .config of a build, which has the defaults, too; rendered/uboot.config sets them all",
        )


def _wrong(facts: Facts, found: tuple[str, str], wanted: str) -> Finding:
    name, value = found
    has, due = (("off" if each == OFF else each) for each in (value, wanted))
    meaning = f", {_MEANINGS[name]}," if name in _MEANINGS else ""
    return facts.error(
        "uboot",
        "defconfig",
        f"CONFIG_{name}{meaning} is {has} and has to be {due}",
        "build U-Boot with rendered/uboot.config added to its configuration",
    )


def _names(name: str) -> tuple[str, ...]:
    """Return the names that an option has in the releases of U-Boot, the oldest first."""
    for old, new in _RENAMED.items():
        if name in {old, new}:
            return old, new
    return (name,)


def _same(one: str, other: str) -> bool:
    try:
        return int(one, 0) == int(other, 0)
    except ValueError:
        return one == other
