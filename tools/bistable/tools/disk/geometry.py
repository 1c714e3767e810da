"""Where everything lies: from a layout to partitions in sectors, without any I/O."""

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from bistable.artifact.errors import RequestError
from bistable.artifact.limits import KIB, MIB
from bistable.tools.boot.plan import BootPlan, EnvironmentPlace, Loader, SlotPlace
from bistable.tools.disk.blobs import blobs_end
from bistable.tools.disk.layout.model import SECTOR, ExtraPlace, Fill, Layout, TableKind

BOOT: Final = "boot"
ENVIRONMENT: Final = "boot-env"
SLOTS: Final = ("rootfs-a", "rootfs-b")
DATA: Final = "data"
SLOT_BOOTS: Final = ("boot-a", "boot-b")
"""Each slot's own boot partition, for firmware that chooses between them."""

GPT_HEAD: Final = 34 * SECTOR
"""Protective MBR, header, and 128 entries of 128 bytes."""

GPT_TAIL: Final = 33 * SECTOR
MBR_HEAD: Final = SECTOR
MBR_LIMIT: Final = (1 << 32) * SECTOR
MBR_PRIMARY: Final = 4
"""Entries of a master boot record; if more are needed, the last one holds all others."""

ENVIRONMENTS: Final[Mapping[Loader, int]] = {
    Loader.GRUB: KIB,
    Loader.UBOOT: SECTOR,
    Loader.UBOOT_ENVIRONMENT: 16 * KIB,
}
"""Size of a copy of the environment. What a boot script needs fits into one sector, which no power cut tears; more than
that could be torn, since U-Boot and its tools fill the rest with different bytes. U-Boot's own holds much more."""
SMALLEST_FAT: Final = MIB
AUTOBOOT: Final = 16 * MIB
"""The boot partition if the slots have their own: it holds a few lines that name one of them."""
_BLOCK: Final = 4 * KIB
"""Sizes of file systems are whole blocks."""

"""Boot loaders whose memory is a partition of its own."""

_SPACE: Final = uuid.UUID("5a6e3a4c-9a5c-4c1e-8f43-6f6b0c7d2a11")
"""Identifiers of disks are made from a seed in this name space."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """A partition: its number from 1, start and size in bytes, and what the kernel calls it (PARTUUID)."""

    name: str
    number: int
    start: int
    size: int
    uuid: str

    @property
    def end(self) -> int:
        """Return the first byte behind it."""
        return self.start + self.size


@dataclass(frozen=True, slots=True, kw_only=True)
class Extended:
    """The partition of a master boot record that holds those with numbers from 5."""

    start: int
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Geometry:
    """A disk of `size` bytes with its partitions in their order; `uuid` is a GUID, or 8 hex digits for MBR."""

    table: TableKind
    size: int
    uuid: str
    partitions: tuple[Partition, ...]
    extended: Extended | None = None

    def partition(self, name: str) -> Partition:
        """Return the partition called `name`, which must be there."""
        return next(partition for partition in self.partitions if partition.name == name)


def place(layout: Layout) -> Geometry:
    """Lay out the disk.

    Raises:
        RequestError: something overlaps or does not fit.
    """
    _check_sizes(layout)
    block = layout.disk.erase_block
    wishes = _wishes(layout)
    head = GPT_HEAD if layout.disk.table is TableKind.GPT else MBR_HEAD
    tail = GPT_TAIL if layout.disk.table is TableKind.GPT else 0
    inside = layout.disk.table is TableKind.MBR and len(wishes) > MBR_PRIMARY
    at = _aligned(max(head, blobs_end(layout, head)), block)
    partitions: list[Partition] = []
    extended_start = 0
    for index, (name, size) in enumerate(wishes):
        if inside and index == MBR_PRIMARY - 1:
            extended_start = at
        logical = inside and index >= MBR_PRIMARY - 1
        # In front of each logical partition lies the record that describes it.
        start = at + block if logical else at
        number = index + 1 + (1 if logical else 0)
        room = _rest(layout, start, tail) if size is None else size
        partitions.append(_partition(layout, name, number, start, room))
        at = _aligned(start + room, block)
    end = partitions[-1].end
    extended = Extended(start=extended_start, size=end - extended_start) if inside else None
    disk = _disk_size(layout, end + tail)
    return Geometry(
        table=layout.disk.table,
        size=disk,
        uuid=_disk_identity(layout),
        partitions=tuple(partitions),
        extended=extended,
    )


def boot_plan(layout: Layout, geometry: Geometry) -> BootPlan:
    """Return what the boot scripts have to know."""
    boot = layout.boot
    booted = SLOT_BOOTS if has_slot_boots(boot.loader) else SLOTS
    places = tuple(
        SlotPlace(
            name=name[-1],
            partition=geometry.partition(place).number,
            root=f"PARTUUID={geometry.partition(name).uuid}",
        )
        for name, place in zip(SLOTS, booted, strict=True)
    )
    return BootPlan(
        loader=boot.loader,
        slots=(places[0], places[1]),
        boot_partition=geometry.partition(BOOT).number,
        environment=_environment(layout, geometry),
        kernel=boot.kernel,
        initrd=boot.initrd,
        devicetree=boot.devicetree,
        arguments=boot.arguments,
        architecture=boot.architecture,
        disk=boot.disk,
        tries=boot.tries,
        addresses=dict(boot.addresses),
        watchdog=boot.watchdog,
    )


def has_slot_boots(loader: Loader) -> bool:
    """Return whether each slot has a boot partition of its own."""
    return loader is Loader.RASPBERRY_PI


def filled_slots(layout: Layout) -> tuple[str, ...]:
    """Return the names of the partitions that hold a system from the start."""
    return SLOTS if layout.slots.fill is Fill.BOTH else SLOTS[:1]


def identity(layout: Layout, what: str) -> uuid.UUID:
    """Return an identifier for `what` on this disk: the same for the same seed."""
    return uuid.uuid5(_SPACE, f"{layout.disk.seed}/{what}")


def environment_copies(layout: Layout) -> tuple[int, tuple[int, int]]:
    """Return the size of a copy of the environment, and where the two start in their partition.

    Raises:
        RequestError: they overlap, or share an erase block.
    """
    usual = ENVIRONMENTS[layout.boot.loader]
    size = usual if layout.environment.size is None else layout.environment.size
    block = layout.disk.erase_block
    offsets = layout.environment.offsets or (0, _aligned(size, block))
    blocks = [range(offset // block, -(-(offset + size) // block)) for offset in offsets]
    if any(offset % SECTOR for offset in offsets):
        raise RequestError(f"cannot put the environment at {offsets[0]} and {offsets[1]}: these are no whole sectors")
    if blocks[0].start < blocks[1].stop and blocks[1].start < blocks[0].stop:
        overlap = max(offsets) < min(offsets) + size
        raise RequestError(
            f"cannot put the two copies of the environment at {offsets[0]} and {offsets[1]}: "
            + ("they overlap" if overlap else f"they share an erase block of {block} bytes"),
            hint=f"one power cut could take both; leave [environment] offsets out, or write multiples of {block}",
        )
    return size, offsets


# --- what is wanted, in its order


def _wishes(layout: Layout) -> list[tuple[str, int | None]]:
    """Return name and size of all partitions; None is the rest of the disk.

    Raises:
        RequestError: one that is wished in front cannot be there.
    """
    front, behind = (
        [(extra.name, extra.size) for extra in layout.extras if extra.place is place] for place in ExtraPlace
    )
    if front and has_slot_boots(layout.boot.loader):
        raise RequestError(
            f"cannot put {front[0][0]} in front: the firmware of a Raspberry Pi starts from the first partition",
            hint=f"leave place out of [extra.{front[0][0]}]",
        )
    wishes: list[tuple[str, int | None]] = [(BOOT, layout.boot_partition_size)]
    if has_slot_boots(layout.boot.loader):
        wishes = [(BOOT, AUTOBOOT), *((name, layout.boot_partition_size) for name in SLOT_BOOTS)]
    if layout.boot.loader in ENVIRONMENTS:
        size, offsets = environment_copies(layout)
        wishes.append((ENVIRONMENT, _aligned(max(offsets) + size, layout.disk.erase_block)))
    wishes += [(name, layout.slots.size) for name in SLOTS]
    # Data is the last one, so that it can be made larger on a larger disk.
    return [*front, *wishes, *behind, (DATA, layout.data.size)]


def _check_sizes(layout: Layout) -> None:
    sizes = [("slots", layout.slots.size), ("data", layout.data.size), ("boot-partition", layout.boot_partition_size)]
    sizes += [(f"extra.{extra.name}", extra.size) for extra in layout.extras]
    for table, size in sizes:
        if size is not None and size % _BLOCK:
            raise RequestError(
                f"cannot use the layout {layout.name}: [{table}] size is {size} bytes, not a multiple of {_BLOCK}",
                hint="sizes in MiB always are",
            )
    if layout.boot_partition_size < SMALLEST_FAT:
        raise RequestError(
            f"cannot use the layout {layout.name}: a boot partition of {layout.boot_partition_size} bytes is too small"
        )


# --- numbers


def _partition(layout: Layout, name: str, number: int, start: int, size: int) -> Partition:
    if layout.disk.table is TableKind.MBR and start + size > MBR_LIMIT:
        raise RequestError(
            f"cannot put {name} on the disk: it ends at {start + size} bytes, and a master boot record reaches to "
            f"{MBR_LIMIT}",
            hint='use table = "gpt"',
        )
    found = (
        f"{_disk_identity(layout)}-{number:02x}"
        if layout.disk.table is TableKind.MBR
        else str(identity(layout, f"partition {name}"))
    )
    return Partition(name=name, number=number, start=start, size=size, uuid=found)


def _disk_identity(layout: Layout) -> str:
    found = identity(layout, "disk")
    return f"{found.node & 0xFFFFFFFF:08x}" if layout.disk.table is TableKind.MBR else str(found)


def _rest(layout: Layout, start: int, tail: int) -> int:
    assert layout.disk.size is not None
    rest = (layout.disk.size - tail) // _BLOCK * _BLOCK - start
    if rest < layout.disk.erase_block:
        raise RequestError(
            f"cannot lay out {layout.name}: nothing of the {layout.disk.size} bytes is left for data",
            hint=f"the other partitions end at {start} bytes; make the disk larger or the slots smaller",
        )
    return rest


def _disk_size(layout: Layout, needed: int) -> int:
    smallest = _aligned(needed, layout.disk.erase_block)
    wanted = layout.disk.size
    if wanted is None:
        return smallest
    if wanted < needed or wanted % SECTOR:
        raise RequestError(
            f"cannot lay out {layout.name} on a disk of {wanted} bytes: "
            + (f"it needs {needed}" if wanted < needed else "that is no whole number of sectors"),
            hint=f"[disk] size has to be at least {smallest // MIB} MiB; or leave it out",
        )
    return wanted


def _aligned(position: int, block: int) -> int:
    return -(-position // block) * block


def _environment(layout: Layout, geometry: Geometry) -> EnvironmentPlace | None:
    if layout.boot.loader not in ENVIRONMENTS:
        return None
    size, offsets = environment_copies(layout)
    return EnvironmentPlace(partition=geometry.partition(ENVIRONMENT).number, offsets=offsets, size=size)


def gaps(geometry: Geometry) -> Iterator[tuple[int, int]]:
    """Yield start and end of what is in front of, between and behind the partitions."""
    at = 0
    for partition in geometry.partitions:
        if partition.start > at:
            yield at, partition.start
        at = partition.end
    if at < geometry.size:
        yield at, geometry.size
