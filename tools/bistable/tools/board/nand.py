"""What a board says of raw NAND, and of UBI on it."""

from collections.abc import Iterator
from typing import Final

from bistable.artifact.limits import KIB
from bistable.artifact.spec.text import BuildText, suggestion
from bistable.tools.board import schema
from bistable.tools.board.model import Ubi
from bistable.tools.board.reading import Reading
from bistable.tools.boot.ubi import Flash, FlashPartition

_ENVIRONMENT_SIZE: Final = 128 * KIB


def read_ubi(text: BuildText) -> Ubi:
    """Return flash and volumes.

    Raises:
        RequestError: what is wrong, in which line, and what would be right.
    """
    flash, reading = _flash(text), Reading(text, "ubi")
    names = [partition.name for partition in flash.partitions]
    partition = reading.string("partition", "ubi")
    if partition not in names:
        reading.refuse("partition", f"there is no [mtd.{partition}]", suggestion(partition, names))
    environment = reading.pair("environment") if "environment" in reading.content else None
    for name in environment or ():
        if name not in names:
            reading.refuse("environment", f"there is no [mtd.{name}]", suggestion(name, names))
    slots = Reading(text, "slots")
    return Ubi(
        partition=partition,
        slot_size=slots.size("size"),
        slot_filesystem=slots.string("filesystem", "ubifs"),
        data_size=Reading(text, "data").size_or_rest("size"),
        environment_size=Reading(text, "environment").size("size", _ENVIRONMENT_SIZE),
        environment=environment,
        chip=Reading(text, "nand").string("chip"),
        flash=flash,
    )


def _flash(text: BuildText) -> Flash:
    reading = Reading(text, "nand")
    page = reading.size("page")
    partitions = tuple(_partitions(text))
    if not partitions:
        text.refuse("there are no partitions of the flash", hint="add [mtd.NAME] with offset and size")
    return Flash(
        size=reading.size("size"),
        erase_block=reading.size("erase-block"),
        page=page,
        sub_page=reading.size("sub-page", page),
        mtd_id=reading.string("mtd-id"),
        uboot=reading.string("uboot", "nand0"),
        partitions=partitions,
    )


def _partitions(text: BuildText) -> Iterator[FlashPartition]:
    for name in text.document.get(schema.MTD.name, {}):
        reading = Reading(text, f"{schema.MTD.name}.{name}")
        offset = reading.offset("offset")
        assert offset is not None
        yield FlashPartition(name=name, offset=offset, size=reading.size_or_rest("size"))
