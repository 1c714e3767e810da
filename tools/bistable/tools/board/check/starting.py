"""What is started, and with which arguments."""

import re
from collections.abc import Iterator, Mapping
from typing import Final

from bistable.tools.board.check.finding import Facts, Finding
from bistable.tools.board.model import UBOOTS, Flow, StorageKind

KERNELS: Final[Mapping[str, tuple[str, str]]] = {
    "amd64": ("zboot", "bzImage"),
    "arm64": ("booti", "Image"),
    "armhf": ("bootz", "zImage"),
    "riscv64": ("booti", "Image"),
}
"""Architecture -> the command of U-Boot, and what the kernel's build calls the file that it takes."""

_WRAPPED: Final = re.compile(r"(uimage|fitimage)([-.].*)?|.*\.(itb|fit)", re.IGNORECASE)
_BUILT: Final = re.compile(r"(bz|z|vmlinu)?image(?![a-z])|vmlinux", re.IGNORECASE)
_PACKED: Final = (".gz", ".bz2", ".lz4", ".lzma", ".lzo", ".xz", ".zst")
_ARCHITECTURES: Final[Mapping[Flow, frozenset[str]]] = {
    Flow.GRUB: frozenset({"amd64", "arm64"}),
    Flow.SYSTEMD_BOOT: frozenset({"amd64", "arm64"}),
    Flow.EFI: frozenset({"amd64", "arm64"}),
    Flow.RASPBERRY_PI: frozenset({"arm64", "armhf"}),
}
_SLOW_TO_APPEAR: Final = frozenset({StorageKind.EMMC, StorageKind.SD, StorageKind.USB})


def check_starting(facts: Facts) -> Iterator[Finding]:
    """Yield what keeps the kernel from being started, or from finding what it needs."""
    board = facts.board
    allowed = _ARCHITECTURES.get(board.boot.flow)
    if allowed is not None and board.boot.architecture not in allowed:
        yield facts.error(
            "boot",
            "loader",
            f"{board.boot.flow.value} is not for {board.boot.architecture}",
            f"it is for {' and '.join(sorted(allowed))}; correct [boot] architecture, or take another loader",
        )
    if board.boot.flow is Flow.RASPBERRY_PI and "BCM2" not in board.soc.upper():
        yield facts.error(
            "boot",
            "loader",
            f"only the firmware of a Raspberry Pi chooses by autoboot.txt, and the processor is {board.soc}",
            "take another loader; or name the processor in [board] soc, such as Broadcom BCM2711",
        )
    yield from _kernel(facts)
    yield from _devicetree(facts)
    yield from _arguments(facts)


def _kernel(facts: Facts) -> Iterator[Finding]:
    boot = facts.board.boot
    if boot.flow is Flow.CUSTOM:
        return
    command, right = KERNELS[boot.architecture]
    name = boot.kernel.name
    if _WRAPPED.fullmatch(name):
        yield facts.error(
            "boot",
            "kernel",
            f"{name} is a kernel in a wrapper for `bootm`, which nothing here calls",
            f"write {boot.kernel.with_name(right)}, the plain kernel; OpenEmbedded builds what KERNEL_IMAGETYPE says",
        )
        return
    plain = name.removesuffix(next((suffix for suffix in _PACKED if name.endswith(suffix)), ""))
    if plain != name and boot.flow in UBOOTS:
        yield facts.error(
            "boot",
            "kernel",
            f"{name} is compressed: `{command}` takes {right} as it is",
            f"write the name of the plain one: {boot.kernel.with_name(plain)}",
        )
    if _BUILT.match(plain) and not plain.startswith(right) and not plain.startswith("vmlinuz"):
        yield facts.error(
            "boot",
            "kernel",
            f"{name} is no kernel that can be started on {boot.architecture}"
            + (f": `{command}` takes {right}" if boot.flow in UBOOTS else ""),
            f"write {boot.kernel.with_name(right)}",
        )


def _devicetree(facts: Facts) -> Iterator[Finding]:
    board = facts.board
    tree = board.boot.devicetree
    if tree is None:
        admitted = any("device tree" in limit.lower() for limit in board.limits)
        if board.boot.flow in UBOOTS and board.storage.kind is not StorageKind.VIRTIO and not admitted:
            yield facts.warning(
                "boot",
                "devicetree",
                "Linux gets the device tree of U-Boot: no update replaces it, and it seldom has all that Linux needs",
                'add devicetree = "/boot/NAME.dtb" as the kernel\'s build calls it (KERNEL_DEVICETREE); or say among '
                "[board] limits where the device tree is from",
            )
        return
    if board.boot.architecture == "amd64":
        yield facts.error("boot", "devicetree", "an amd64 machine has no device tree", "leave it out")
    elif board.boot.flow in {Flow.SYSTEMD_BOOT, Flow.EFI}:
        yield facts.error(
            "boot",
            "devicetree",
            f"with {board.boot.flow.value} the firmware gives the device tree, and this one is never loaded",
            "leave it out, or take the loader grub or uboot",
        )
    elif tree.suffix != ".dtb":
        yield facts.error(
            "boot", "devicetree", f"{tree.name} is no compiled device tree", f"write {tree.with_suffix('.dtb')}"
        )


def _arguments(facts: Facts) -> Iterator[Finding]:
    board = facts.board
    words = board.boot.arguments.split()
    # A vendor's boot loader has arguments of its own.
    if board.boot.flow is Flow.CUSTOM:
        return
    for word in words:
        if word.startswith(("root=", "bistable.slot=")):
            yield facts.error(
                "boot", "arguments", f"{word}: the boot loader adds it, another one for each slot", "leave it out"
            )
    panic = next((word.partition("=")[2] for word in words if word.startswith("panic=")), "0")
    if not re.fullmatch(r"-?[0-9]+", panic) or int(panic) == 0:
        says = facts.warning if board.watchdog is not None and board.watchdog.uboot else facts.error
        yield says(
            "boot",
            "arguments",
            "a kernel that panics stands still, and nothing falls back to the other slot",
            "add panic=10: it starts again after 10 seconds",
        )
    if board.storage.kind in _SLOW_TO_APPEAR and board.boot.initrd is None and not _has(words, "rootwait"):
        yield facts.error(
            "boot",
            "arguments",
            f"{board.storage.kind.value} storage appears late, and a kernel that does not wait for it panics",
            "add rootwait",
        )
    yield from _console(facts, words)


def _console(facts: Facts, words: list[str]) -> Iterator[Finding]:
    console = facts.board.console
    wanted = f"console={console.device},{console.speed}"
    consoles = [word.removeprefix("console=").split(",") for word in words if word.startswith("console=")]
    names = {console.device, "serial0"} if facts.board.boot.flow is Flow.RASPBERRY_PI else {console.device}
    ours = next((each for each in consoles if each[0] in names), None)
    if ours is None:
        named = ", ".join(each[0] for each in consoles)
        yield facts.error(
            "boot",
            "arguments",
            f"the kernel does not write to {console.device}, which [console] names"
            + (f": its console is {named}" if named else ""),
            f"add {wanted}, or correct [console] device",
        )
        return
    speed = re.match(r"[0-9]+", ours[1]) if len(ours) > 1 else None
    if speed is None:
        yield facts.warning(
            "boot", "arguments", f"console={ours[0]} has no speed: the kernel guesses one", f"write {wanted}"
        )
    elif int(speed[0]) != console.speed:
        yield facts.error(
            "boot",
            "arguments",
            f"the kernel writes to {console.device} with {speed[0]}, and [console] speed is {console.speed}",
            f"write {wanted}, or correct [console] speed",
        )
    if consoles[-1] is not ours:
        yield facts.warning(
            "boot",
            "arguments",
            f"the last console is {consoles[-1][0]}, so that /dev/console is not {console.device} and what systemd "
            "says of the boot is not seen",
            f"write {wanted} last",
        )


def _has(words: list[str], name: str) -> bool:
    return any(word == name or word.startswith(f"{name}=") for word in words)
