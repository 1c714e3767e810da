"""Whether the storage is laid out as the board says: partitions, flash and volumes."""

from collections.abc import Iterator
from typing import Final

from bistable.tools.board.model import StorageKind
from bistable.tools.boot.ubigeometry import partition_size
from bistable.tools.bringup.doctor.expected import RENDERED, Expected
from bistable.tools.bringup.doctor.facts import Block, Facts
from bistable.tools.bringup.doctor.finding import STORAGE, Finding, error, warning
from bistable.tools.disk.geometry import DATA, Partition

_ANEW: Final = (
    f"write a disk made from {RENDERED}/layout.toml (or {RENDERED}/disk.wks) to the device; or correct board.toml"
)
_FLASH: Final = "the partitions of the flash in U-Boot (mtdparts) and in the kernel's arguments or device tree"


def check_storage(expected: Expected, facts: Facts) -> Iterator[Finding]:
    """Yield in what the storage is another than that of the board."""
    if expected.disk is not None and facts.blocks:
        yield from _disk(expected, facts)
        yield from _partitions(expected.disk.geometry.partitions, expected, facts)
    if expected.flash is not None:
        yield from _mtd(expected, facts)
        yield from _volumes(expected, facts)


def root_disk(facts: Facts) -> Block | None:
    """Return the disk that the running system is on, if that can be told."""
    root = facts.mounted("/")
    block = None if root is None else facts.numbered(root.device) or facts.block(root.source)
    if block is None:
        words = (facts.command_line or "").split()
        source = next((word.removeprefix("root=") for word in words if word.startswith("root=")), None)
        block = None if source is None else facts.source(source)
    return None if block is None else facts.disk_of(block)


def _disk(expected: Expected, facts: Facts) -> Iterator[Finding]:
    storage, root = expected.board.storage, root_disk(facts)
    there = facts.block(storage.device)
    if there is None:
        yield warning(
            STORAGE,
            f"there is no {storage.device}, which board.toml calls the storage of the slots",
            "[storage] device in board.toml; and [boot] disk, if U-Boot counts like Linux",
            found=f"the running system is on {root.node}" if root is not None else "no such device",
            expected=storage.device,
        )
    elif root is not None and root.name != there.name:
        yield error(
            STORAGE,
            "the running system is not on the storage that board.toml names",
            "start the board from the other storage (its boot switches), or correct [storage] device in board.toml",
            found=root.node,
            expected=storage.device,
        )
    if there is not None and there.size and there.size < storage.capacity and storage.kind is not StorageKind.VIRTIO:
        yield warning(
            STORAGE,
            "the storage is smaller than the smallest one that board.toml knows",
            "[storage] capacity in board.toml; `bistable board check` says whether the layout still fits",
            found=f"{there.size} bytes",
            expected=f"{storage.capacity} bytes",
        )


def _partitions(partitions: tuple[Partition, ...], expected: Expected, facts: Facts) -> Iterator[Finding]:
    found = [(partition, _matching(partition, expected, facts)) for partition in partitions]
    if all(block is None or block.start != partition.start for partition, block in found):
        yield error(STORAGE, "the disk is not laid out as board.toml says: no partition is where it should be", _ANEW)
        return
    for partition, block in found:
        if block is None:
            yield error(
                STORAGE,
                f"there is no partition {partition.name}",
                _ANEW,
                found="none with its PARTUUID, its name or its number",
                expected=_words(partition.number, partition.start, partition.size),
            )
        else:
            yield from _compared(partition, block)


def _matching(partition: Partition, expected: Expected, facts: Facts) -> Block | None:
    """Return the partition by what the boot needs (PARTUUID), else by its name, else by its number on the disk."""
    disk = facts.block(expected.board.storage.device) or root_disk(facts)
    here = [block for block in facts.blocks if block.number and disk is not None and facts.disk_of(block) == disk]
    by_uuid = (block for block in facts.blocks if block.uuid == partition.uuid.lower())
    by_label = (block for block in here if block.label == partition.name)
    by_number = (block for block in here if block.number == partition.number)
    return next(by_uuid, None) or next(by_label, None) or next(by_number, None)


def _compared(partition: Partition, block: Block) -> Iterator[Finding]:
    if block.uuid and block.uuid != partition.uuid.lower():
        yield error(
            STORAGE,
            f"partition {partition.name} has another PARTUUID: neither the kernel nor the client finds it",
            _ANEW,
            found=f"{block.node}: {block.uuid}",
            expected=partition.uuid,
        )
    # The last partition may have been made larger, to fill a larger disk.
    sized = block.size >= partition.size if partition.name == DATA else block.size == partition.size
    if block.number == partition.number and block.start == partition.start and sized:
        return
    yield error(
        STORAGE,
        f"partition {partition.name} lies elsewhere than board.toml says",
        _ANEW,
        found=f"{block.node}: {_words(block.number or 0, block.start, block.size)}",
        expected=_words(partition.number, partition.start, partition.size),
    )


def _words(number: int, start: int, size: int) -> str:
    return f"number {number}, {size} bytes from {start}"


def _mtd(expected: Expected, facts: Facts) -> Iterator[Finding]:
    assert expected.flash is not None
    flash = expected.flash.plan.flash
    if not facts.mtd:
        yield error(STORAGE, "the kernel knows no partitions of the flash", _FLASH, found="/proc/mtd is empty")
        return
    there = {mtd.label: mtd for mtd in facts.mtd}
    for partition in flash.partitions:
        size = partition_size(flash, partition)
        found = there.get(partition.name)
        if found is None or (found.size, found.erase_block) != (size, flash.erase_block):
            yield error(
                STORAGE,
                f"the flash has no partition {partition.name} as board.toml says",
                f"{_FLASH}; or [mtd.{partition.name}] and [nand] in board.toml",
                found="none of that name" if found is None else _flash_words(found.size, found.erase_block),
                expected=_flash_words(size, flash.erase_block),
            )


def _flash_words(size: int, erase_block: int) -> str:
    return f"{size} bytes in blocks of {erase_block}"


def _volumes(expected: Expected, facts: Facts) -> Iterator[Finding]:
    assert expected.flash is not None
    geometry = expected.flash.geometry
    there = {volume.label: volume for volume in facts.volumes}
    for volume in geometry.volumes:
        found, size = there.get(volume.name), volume.blocks * geometry.leb
        if found is not None and (found.size >= size if volume.grows else found.size == size):
            name = volume.node.removeprefix("/dev/")
            if found.name == name:
                continue
        yield error(
            STORAGE,
            f"UBI has no volume {volume.name} as board.toml says",
            f"write an image made with {RENDERED}/ubinize.cfg to the partition {expected.flash.plan.partition}",
            found="none of that name" if found is None else f"/dev/{found.name}: {found.size} bytes",
            expected=f"{volume.node}: {size} bytes",
        )
