"""Raw NAND and UBI: that partitions lie side by side in the chip, and volumes fit."""

import re
from collections.abc import Iterator
from typing import Final

from bistable.tools.board.check.finding import Facts, Finding
from bistable.tools.board.model import Ubi
from bistable.tools.board.sizes import bytes_text
from bistable.tools.boot.ubi import Flash
from bistable.tools.boot.ubigeometry import partition_size

_ADDED: Final = ("ubi.mtd=", "mtdparts=", "rootfstype=")


def check_flash(facts: Facts) -> Iterator[Finding]:
    """Yield what does not fit onto the flash."""
    ubi = facts.board.ubi
    if ubi is None:
        return
    yield from _chip(facts, ubi.flash)
    yield from _partitions(facts, ubi.flash)
    yield from _environment(facts, ubi)
    yield from _arguments(facts)
    yield from _device(facts, ubi)


def _chip(facts: Facts, nand: Flash) -> Iterator[Finding]:
    if nand.size != facts.board.storage.capacity:
        yield facts.error(
            "storage",
            "capacity",
            f"it is {bytes_text(facts.board.storage.capacity)}, and [nand] size {bytes_text(nand.size)}",
            "write the same, from the data sheet of the chip",
        )
    if nand.page % nand.sub_page:
        yield facts.error(
            "nand",
            "sub-page",
            f"a page of {bytes_text(nand.page)} has no parts of {bytes_text(nand.sub_page)}",
            "leave it out, or write the page divided by 2, 4 or 8",
        )
    for key, size, of in (("page", nand.page, nand.erase_block), ("erase-block", nand.erase_block, nand.size)):
        if of % size or size & (size - 1):
            yield facts.error(
                "nand",
                key,
                f"{bytes_text(size)} is no power of two that {bytes_text(of)} can be divided by",
                "write what the data sheet says, without the spare bytes: 2 KiB, not 2112",
            )


def _partitions(facts: Facts, nand: Flash) -> Iterator[Finding]:
    end, before = 0, ""
    for number, part in enumerate(nand.partitions):
        table = f"mtd.{part.name}"
        if part.size is None and number + 1 < len(nand.partitions):
            yield facts.error(table, "size", "only the last partition can take the rest", "write its size")
        size = partition_size(nand, part)
        for key, value in (("offset", part.offset), ("size", size)):
            if value % nand.erase_block:
                yield facts.error(
                    table,
                    key,
                    f"{bytes_text(value)} is no multiple of the erase block of {bytes_text(nand.erase_block)}",
                    f"write {bytes_text(-(-value // nand.erase_block) * nand.erase_block)}",
                )
        if part.offset < end:
            yield facts.error(
                table,
                "offset",
                f"it starts at {bytes_text(part.offset)}, and [mtd.{before}] in front of it ends at {bytes_text(end)}",
                f"write {bytes_text(end)}; the tables stand in the order in which they lie",
            )
        if size <= 0 or part.offset + size > nand.size:
            yield facts.error(
                table,
                "size",
                f"it ends at {bytes_text(part.offset + size)}, and the chip has {bytes_text(nand.size)}",
                'write "rest" for the last one, or a smaller size',
            )
        end, before = part.offset + max(size, 0), part.name


def _environment(facts: Facts, ubi: Ubi) -> Iterator[Finding]:
    block = ubi.flash.erase_block
    needed = -(-ubi.environment_size // block) * block + block
    for part in ubi.flash.partitions:
        if part.name in (ubi.environment or ()) and partition_size(ubi.flash, part) < needed:
            yield facts.error(
                f"mtd.{part.name}",
                "size",
                f"a copy of the environment takes {bytes_text(ubi.environment_size)}, and there has to be a block to "
                "spare: with one bad block there would be no room for it",
                f"write at least {bytes_text(needed)}",
            )


def _arguments(facts: Facts) -> Iterator[Finding]:
    for word in facts.board.boot.arguments.split():
        if word.startswith(_ADDED):
            yield facts.error("boot", "arguments", f"{word}: the boot script adds it", "leave it out")


def _device(facts: Facts, ubi: Ubi) -> Iterator[Finding]:
    names = [part.name for part in ubi.flash.partitions]
    number = re.fullmatch(r"/dev/mtd([0-9]+)", facts.board.storage.device)
    right = names.index(ubi.partition)
    if number and int(number[1]) != right:
        yield facts.error(
            "storage",
            "device",
            f"{facts.board.storage.device} is not [mtd.{ubi.partition}], which UBI has: it is number {right} of them",
            f'write "/dev/mtd{right}", or add the partitions in front of it that are missing here',
        )
