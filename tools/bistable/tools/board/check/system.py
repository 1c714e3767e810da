"""The root file system of the slots: that what the board starts is in it, and that it fits."""

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Final

from bistable.artifact.image import Kind
from bistable.tools.board.check.finding import Facts, Finding
from bistable.tools.board.check.kernels import DEVICETREE, architecture_of, wrapping_of
from bistable.tools.board.check.root import Root, content_of
from bistable.tools.board.model import UBOOTS, Flow
from bistable.tools.board.sizes import bytes_text

_FULL: Final = 0.8
"""From here on the next versions of a system may be too large for a slot, which cannot grow in the field."""

_COPIES: Final = {Flow.SYSTEMD_BOOT: 2, Flow.EFI: 2, Flow.RASPBERRY_PI: 1}
"""How many times kernel and initial RAM disk lie on a boot partition."""


def check_system(facts: Facts) -> Iterator[Finding]:
    """Yield what of the board is not in its root file system, if there is one to look at."""
    root = facts.root
    if root is None:
        return
    for key, path in _files(facts):
        found = root.tree.kind(str(path))
        if found is not Kind.FILE:
            yield facts.error(
                "boot",
                key,
                f"{path} is not in the root file system" if found is None else f"{path} is a {found.value} there",
                _nearest(root, path),
            )
        else:
            yield from _content(facts, root, key, path)
    yield from _room(facts, root)


def _files(facts: Facts) -> Iterator[tuple[str, PurePosixPath]]:
    boot = facts.board.boot
    for key, path in (("kernel", boot.kernel), ("initrd", boot.initrd), ("devicetree", boot.devicetree)):
        if path is not None:
            yield key, path


def _nearest(root: Root, path: PurePosixPath) -> str:
    """Return a hint: in which folder to look for it."""
    above = next(folder for folder in path.parents if folder.name == "" or root.tree.kind(str(folder)))
    return f"look into {above} of the root file system for what it is called, or put it there"


def _content(facts: Facts, root: Root, key: str, path: PurePosixPath) -> Iterator[Finding]:
    boot = facts.board.boot
    content = content_of(root, path)
    if content is None:
        yield facts.warning("boot", key, f"{path} is too large to look into", "is it what it should be?")
    elif key == "devicetree" and not content.startswith(DEVICETREE):
        yield facts.error("boot", key, f"{path} is no compiled device tree", "build it with dtc, or name another")
    elif key == "kernel":
        found, wrapping = architecture_of(content), wrapping_of(content)
        if found is not None and found != boot.architecture:
            yield facts.error(
                "boot", key, f"{path} is a kernel for {found}", f"[boot] architecture is {boot.architecture}"
            )
        elif found is None and wrapping is not None and boot.flow in UBOOTS:
            yield facts.error("boot", key, f"{path} is {wrapping}", "put the plain kernel of the build into the slot")


def _room(facts: Facts, root: Root) -> Iterator[Finding]:
    board = facts.board
    slot = (
        board.layout.slots.size if board.layout is not None else board.ubi.slot_size if board.ubi is not None else None
    )
    # UBIFS compresses: how much nobody knows before.
    if slot is not None and (board.ubi is None or root.is_image):
        if root.size > slot:
            yield facts.error(
                "slots",
                "size",
                f"the root file system takes {bytes_text(root.size)}, and a slot has {bytes_text(slot)}",
                "make the slots larger, or the system smaller",
            )
        elif not root.is_image and root.size > slot * _FULL:
            yield facts.warning(
                "slots",
                "size",
                f"the root file system fills {root.size * 100 // slot} % of a slot: the next versions may not fit",
                "make the slots larger as long as no device is in the field",
            )
    copies = _COPIES.get(board.boot.flow)
    if copies is None or board.layout is None:
        return
    sizes = [len(content_of(root, path) or b"") for key, path in _files(facts) if key != "devicetree" or copies == 1]
    if sum(sizes) * copies > board.layout.boot_partition_size:
        yield facts.error(
            "boot-partition",
            "size",
            f"kernel and initial RAM disk take {bytes_text(sum(sizes))}, and lie there "
            + ("twice, once for each slot" if copies > 1 else "with everything else that the firmware reads"),
            f"write more than {bytes_text(sum(sizes) * copies)}",
        )
