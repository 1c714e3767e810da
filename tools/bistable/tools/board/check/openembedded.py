"""What OpenEmbedded builds for the board, and that it is what the board boots."""

from collections.abc import Iterator
from typing import Final

from bistable.tools.board.check.finding import Facts, Finding
from bistable.tools.board.model import Yocto

_OF_CORE: Final = frozenset(
    f"qemu{name}"
    for name in (
        *("arm", "arm64", "armv5", "loongarch64", "mips", "mips64", "ppc", "ppc64", "riscv32", "riscv64", "x86"),
        "x86-64",
    )
)
"""Machines that OpenEmbedded-Core itself has."""

_IMAGE_TYPE: Final = "KERNEL_IMAGETYPE"
_NO_COMMIT: Final = "0" * 40


def check_openembedded(facts: Facts) -> Iterator[Finding]:
    """Yield what OpenEmbedded would build otherwise than the board has it."""
    yocto = facts.board.yocto
    if yocto is None:
        return
    if not yocto.layers and yocto.machine not in _OF_CORE:
        yield facts.warning(
            "yocto",
            "machine",
            f"{yocto.machine} is no machine of OpenEmbedded-Core, and no layer is named that has it",
            "add [layer.NAME] with the layer of the board's BSP",
        )
    yield from _layers(facts, yocto)
    for name, value in yocto.variables.items():
        if name.partition(":")[0] == _IMAGE_TYPE and facts.board.boot.kernel.name != value:
            yield facts.error(
                "yocto",
                "variables",
                f"{name} is {value}, and [boot] kernel {facts.board.boot.kernel}",
                f"write {value} there, or {facts.board.boot.kernel.name} here",
            )


def _layers(facts: Facts, yocto: Yocto) -> Iterator[Finding]:
    for layer in yocto.layers:
        table = f"layer.{layer.name}"
        for release, (branch, commit) in layer.revisions.items():
            if commit == _NO_COMMIT:
                yield facts.error(table, release, "this is no commit", f"write what `git rev-parse {branch}` says")
            if release not in branch:
                yield facts.warning(
                    table,
                    release,
                    f"the branch {branch} is not called after {release}: such a branch may not go with it",
                    f"look at LAYERSERIES_COMPAT in conf/layer.conf of that commit: it has to name {release}",
                )
