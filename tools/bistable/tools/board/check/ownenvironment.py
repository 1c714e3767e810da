"""U-Boot's own environment: that it is where the board says, by the configuration of U-Boot."""

from collections.abc import Iterator, Mapping
from typing import Final

from bistable.tools.board.check.configuration import OFF
from bistable.tools.board.check.finding import Facts, Finding
from bistable.tools.board.model import Flow, OwnEnvironment

_PREFIX: Final = "ENV_IS_IN_"
_NOWHERE: Final = "ENV_IS_NOWHERE"
_MMC: Final = "mmc"
_HARDWARE_PARTITIONS: Final = ("SYS_MMC_ENV_PART", "ENV_MMC_EMMC_HW_PARTITION")
"""Which hardware partition of an eMMC it lies in: 1 and 2 are boot0 and boot1. The name changed with 2025.10."""


def check_own_environment(facts: Facts) -> Iterator[Finding]:
    """Yield what the board says of U-Boot's own environment, and its configuration says otherwise."""
    board, there = facts.board, facts.configuration
    # With other loaders U-Boot has the environment of the slots, or none.
    if there is None or board.uboot is None or board.boot.flow is not Flow.UBOOT:
        return
    kinds = _kinds(there.options)
    if not kinds:
        return
    own = board.uboot.environment
    if own is None or own.kind not in kinds:
        said = "does not say where" if own is None else f"says {own.kind}"
        yield facts.error(
            "uboot",
            "environment",
            f"by its configuration U-Boot keeps an environment of its own in: {', '.join(kinds)}; the board {said}",
            f'write environment = "{kinds[0]}"',
        )
    elif own.kind == _MMC and own.offset is not None:
        yield from _places(facts, own, there.options)


def _kinds(options: Mapping[str, str]) -> list[str]:
    found = [
        name.removeprefix(_PREFIX).lower().replace("_", "-")
        for name, value in options.items()
        if name.startswith(_PREFIX) and value != OFF
    ]
    if options.get(_NOWHERE, OFF) != OFF:
        found.append("nowhere")
    part = next((options[name] for name in _HARDWARE_PARTITIONS if name in options), "0")
    if part in {"1", "2"}:
        found = [f"mmc-boot{int(part) - 1}" if kind == _MMC else kind for kind in found]
    return sorted(found)


def _places(facts: Facts, own: OwnEnvironment, options: Mapping[str, str]) -> Iterator[Finding]:
    assert own.offset is not None
    assert own.size is not None
    # A second copy does not count: the boot script needs a U-Boot without one, as is found elsewhere.
    offset, size = _number(options.get("ENV_OFFSET")), _number(options.get("ENV_SIZE")) or 1
    if offset is not None and not (own.offset <= offset and offset + size <= own.offset + own.size):
        yield facts.error(
            "uboot",
            "environment-offset",
            f"by its configuration U-Boot keeps its own environment at {offset:#x} to {offset + size:#x}, the board "
            f"says {own.offset:#x} to {own.offset + own.size:#x}",
            "write CONFIG_ENV_OFFSET and CONFIG_ENV_SIZE",
        )


def _number(text: str | None) -> int | None:
    try:
        return None if text is None else int(text, 0)
    except ValueError:
        return None
