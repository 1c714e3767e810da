"""Places in memory: that what U-Boot loads does not lie on something else that it has loaded."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import PurePosixPath
from typing import Final

from bistable.artifact.limits import KIB, MIB
from bistable.tools.board.check.finding import Facts, Finding
from bistable.tools.board.check.kernels import memory_of
from bistable.tools.board.check.root import content_of
from bistable.tools.board.model import UBOOTS
from bistable.tools.board.sizes import bytes_text

_KERNELS: Final[Mapping[str, int]] = {"amd64": 16 * MIB, "arm64": 32 * MIB, "armhf": 12 * MIB, "riscv64": 32 * MIB}
"""What a kernel takes that has most drivers built in, or as modules; distributions have larger ones."""

_DEVICETREE: Final = 512 * KIB
"""A device tree has 50 to 250 KiB, and U-Boot adds to it."""

_RAMDISK: Final = 16 * MIB
_SCRIPT: Final = 64 * KIB
_BOOTI_ALIGNMENT: Final = 2 * MIB
"""`booti` moves a kernel up to such a multiple (Documentation/arch/arm64/booting.rst)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Load:
    """Something in memory; `guessed`: nobody knows its size."""

    what: str
    name: str
    start: int
    size: int
    guessed: bool

    @property
    def end(self) -> int:
        return self.start + self.size


def check_memory(facts: Facts) -> Iterator[Finding]:
    """Yield what would be loaded over something else."""
    board = facts.board
    if board.boot.flow not in UBOOTS or board.uboot is None:
        return
    addresses = {**board.uboot.addresses, **board.boot.addresses}
    if not addresses:
        yield facts.warning(
            "uboot",
            "addresses",
            "nothing says where U-Boot loads kernel and device tree: whether they overlap is not known",
            "add what `printenv` in U-Boot shows of kernel_addr_r, fdt_addr_r, ramdisk_addr_r and scriptaddr",
        )
        return
    yield from _missing(facts, addresses)
    loads = sorted(_loads(facts, addresses), key=lambda load: load.start)
    for first, second in pairwise(loads):
        if first.end > second.start:
            yield _overlap(facts, first, second)


def _missing(facts: Facts, addresses: Mapping[str, int]) -> Iterator[Finding]:
    boot = facts.board.boot
    for name, path in (
        ("kernel_addr_r", boot.kernel),
        ("fdt_addr_r", boot.devicetree),
        ("ramdisk_addr_r", boot.initrd),
    ):
        if path is not None and name not in addresses:
            yield facts.error(
                "uboot",
                "addresses",
                f"U-Boot has no {name}, and the boot script loads {path.name} there",
                f'if it has one, add it; if not, [boot] addresses = {{ {name} = "0x..." }} lets the script set it',
            )


def _loads(facts: Facts, addresses: Mapping[str, int]) -> Iterator[_Load]:
    boot = facts.board.boot
    usual = _KERNELS[boot.architecture]
    kernel = _size(facts, boot.kernel, is_kernel=True)
    if "kernel_addr_r" in addresses:
        start = addresses["kernel_addr_r"]
        moved = -start % _BOOTI_ALIGNMENT if boot.architecture == "arm64" else 0
        size = (usual if kernel is None else kernel) + moved
        yield _Load(what="the kernel", name="kernel_addr_r", start=start, size=size, guessed=kernel is None)
    for what, name, path, guess in (
        ("the device tree", "fdt_addr_r", boot.devicetree, _DEVICETREE),
        ("the initial RAM disk", "ramdisk_addr_r", boot.initrd, _RAMDISK),
    ):
        if path is not None and name in addresses:
            # U-Boot adds to a device tree: the file is smaller than what it becomes.
            real = None if name == "fdt_addr_r" else _size(facts, path)
            size = guess if real is None else real
            yield _Load(what=what, name=name, start=addresses[name], size=size, guessed=real is None)
    if "scriptaddr" in addresses:
        yield _Load(
            what="the boot script", name="scriptaddr", start=addresses["scriptaddr"], size=_SCRIPT, guessed=False
        )


def _size(facts: Facts, path: PurePosixPath | None, *, is_kernel: bool = False) -> int | None:
    """Return the bytes of memory that a file of the root file system takes, None if there is none to look at."""
    content = None if facts.root is None or path is None else content_of(facts.root, path)
    if content is None:
        return None
    return memory_of(content) if is_kernel else len(content)


def _overlap(facts: Facts, first: _Load, second: _Load) -> Finding:
    boot = facts.board.boot
    says = facts.warning if first.guessed else facts.error
    table = "boot" if {first.name, second.name} & boot.addresses.keys() else "uboot"
    size = f"{bytes_text(first.size)}, which is a guess" if first.guessed else bytes_text(first.size)
    return says(
        table,
        "addresses",
        f"{first.what} at {first.name} = {first.start:#x} takes {size}, and reaches to {first.end:#x}: over "
        f"{second.what} at {second.name} = {second.start:#x}",
        f'write another place: [boot] addresses = {{ {second.name} = "0x..." }}'
        + ("; or look with --root at what it really takes" if first.guessed else ""),
    )
