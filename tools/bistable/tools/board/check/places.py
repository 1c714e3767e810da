"""Where everything lies on a disk: that it fits, and that nothing lies on anything else."""

from collections.abc import Callable, Iterator
from typing import Final

from bistable.artifact.errors import RequestError
from bistable.artifact.limits import KIB, MIB
from bistable.tools.board.check.finding import Facts, Finding
from bistable.tools.board.model import Flow, OwnEnvironment, StorageKind
from bistable.tools.board.sizes import bytes_text
from bistable.tools.disk.blobs import blobs_end
from bistable.tools.disk.geometry import ENVIRONMENTS, GPT_HEAD, MBR_HEAD, Geometry, environment_copies, place
from bistable.tools.disk.layout.model import Layout, TableKind

_CARDS: Final = frozenset({StorageKind.EMMC, StorageKind.SD})
_ERASE_GROUP: Final = 512 * KIB
"""An eMMC erases multiples of 512 KiB (JESD84-B51, HC_ERASE_GRP_SIZE); cards have units of 4 MiB and more."""

_GIB: Final = 1024 * MIB
_SOLD: Final = frozenset({4, 8, 16, 32, 64, 128, 256, 512})
"""Numbers of gigabytes that storage is sold by; it has less than as many GiB."""


def lay_out(facts: Facts, layout: Layout) -> Geometry | Finding:
    """Return where everything lies; or why it cannot be laid out, at the key that has to be corrected."""
    steps: tuple[tuple[str, str, Callable[[], object], str], ...] = (
        ("blobs", "at", lambda: blobs_end(layout, _head(layout)), 'put the file there, or write [blobs] end = "..."'),
        ("environment", "offsets", lambda: _copies(layout), "leave it out"),
    )
    for table, key, step, hint in steps:
        try:
            step()
        except RequestError as e:
            return facts.error(table, key, e.what, e.hint or hint)
    try:
        return place(layout)
    except RequestError as e:
        return facts.error("disk", "size", e.what, e.hint or "make it larger, or the partitions smaller")


def _copies(layout: Layout) -> None:
    if layout.boot.loader in ENVIRONMENTS:
        environment_copies(layout)


def check_places(facts: Facts) -> Iterator[Finding]:
    """Yield what is wrong with the places on the disk."""
    layout, geometry = facts.layout, facts.geometry
    if layout is None or geometry is None:
        return
    yield from _capacity(facts, geometry)
    yield from _erase_block(facts, layout)
    yield from _own_environment(facts, layout, geometry)
    yield from _contents(facts, layout)


def _capacity(facts: Facts, geometry: Geometry) -> Iterator[Finding]:
    storage = facts.board.storage
    if geometry.size > storage.capacity:
        yield facts.error(
            "storage",
            "capacity",
            f"the layout takes {bytes_text(geometry.size)}, and the smallest {storage.kind.value} of the board has "
            f"{bytes_text(storage.capacity)}",
            "make [slots] size or [data] size smaller, or [disk] size the capacity",
        )
    elif storage.kind is not StorageKind.VIRTIO and storage.capacity % _GIB == 0 and storage.capacity // _GIB in _SOLD:
        count = storage.capacity // _GIB
        yield facts.warning(
            "storage",
            "capacity",
            f"what is sold as {count} GB has less than {count} GiB, and no two makers give the same",
            f"write what it really has: 512 times the number in /sys/block/{storage.device.rpartition('/')[2]}/size",
        )


def _erase_block(facts: Facts, layout: Layout) -> Iterator[Finding]:
    block, slot = layout.disk.erase_block, layout.slots.size
    if facts.board.storage.kind in _CARDS and block < _ERASE_GROUP:
        yield facts.warning(
            "disk",
            "erase-block",
            f"{bytes_text(block)} is less than the {bytes_text(_ERASE_GROUP)} that an eMMC or card erases at least: "
            "the two copies of the environment could share an erase block",
            'write "4 MiB", which most cards and eMMC have, or what the data sheet says',
        )
    if slot % block:
        yield facts.warning(
            "slots",
            "size",
            f"{bytes_text(slot)} is no multiple of the erase block of {bytes_text(block)}: what is left is of no use",
            f"write a multiple, such as {bytes_text(-(-slot // block) * block)}",
        )


def _own_environment(facts: Facts, layout: Layout, geometry: Geometry) -> Iterator[Finding]:
    """Yield what U-Boot would overwrite with an environment of its own."""
    uboot = facts.board.uboot
    # With this loader U-Boot's environment is the one of the slots, wherever it was before.
    if uboot is None or uboot.environment is None or facts.board.boot.flow is Flow.UBOOT_ENVIRONMENT:
        return
    own = uboot.environment
    if own.offset is None or own.size is None:
        if own.kind == "mmc" and facts.board.storage.kind in _CARDS:
            yield facts.warning(
                "uboot",
                "environment",
                "U-Boot keeps an environment of its own on mmc, and nothing says where: it may lie in a partition",
                "add environment-offset and environment-size (CONFIG_ENV_OFFSET, CONFIG_ENV_SIZE times the copies)",
            )
        return
    for name, start, end in _taken(layout, geometry):
        if own.offset < end and start < own.offset + own.size:
            yield _overlap(facts, own, name, start, end)


def _overlap(facts: Facts, own: OwnEnvironment, name: str, start: int, end: int) -> Finding:
    assert own.offset is not None
    assert own.size is not None
    return facts.error(
        "uboot",
        "environment-offset",
        f"U-Boot's own environment lies at {own.offset:#x} to {own.offset + own.size:#x}, and {name} at {start:#x} to "
        f"{end:#x}: each `saveenv` would destroy it",
        'let the partitions start behind it ([blobs] end = "..."), build U-Boot without it (CONFIG_ENV_IS_NOWHERE), or '
        "correct the offset",
    )


def _taken(layout: Layout, geometry: Geometry) -> Iterator[tuple[str, int, int]]:
    """Yield name, start and end of all that the layout puts on the disk."""
    yield "the partition table", 0, _head(layout)
    for blob in layout.blobs:
        # What does not exist yet has at least one sector.
        size = blob.file.stat().st_size if blob.file.is_file() else 512
        yield f"{blob.file.name} of [blobs]", blob.offset, blob.offset + size
    for part in geometry.partitions:
        yield f"the partition {part.name}", part.start, part.end
    yield "the end of the disk", geometry.size, 1 << 63


def _contents(facts: Facts, layout: Layout) -> Iterator[Finding]:
    """Yield files and directories of this machine that are not there."""
    wanted = [("boot-partition", "files", path) for path in layout.boot_files.values()]
    wanted += [("data", "files", layout.data.files)] if layout.data.files is not None else []
    wanted += [
        (f"extra.{extra.name}", "content", extra.content) for extra in layout.extras if extra.content is not None
    ]
    for table, key, path in wanted:
        if not path.exists():
            yield facts.error(
                table,
                key,
                f"{path.resolve()} is not there",
                "paths start in the folder of the board; put it there, or leave it to --set of `bistable image build`",
            )


def _head(layout: Layout) -> int:
    return GPT_HEAD if layout.disk.table is TableKind.GPT else MBR_HEAD
