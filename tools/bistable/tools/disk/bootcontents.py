"""What is on the FAT partitions that firmware and boot loader read first."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from bistable.artifact.errors import RequestError
from bistable.tools.boot.plan import BootFiles, BootPlan
from bistable.tools.disk.description import DESCRIPTION, describe
from bistable.tools.disk.filesystems import fat_label
from bistable.tools.disk.geometry import BOOT, SLOT_BOOTS, SLOTS, Geometry, filled_slots, has_slot_boots
from bistable.tools.disk.layout.model import Layout

CONFIG: Final = PurePosixPath("config.txt")
"""What the firmware of a Raspberry Pi reads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BootContent:
    """What is on one boot partition: path in it -> bytes, or a file of this machine.

    `placed` are the files that come out of the slot: path in it -> path in the slot.
    """

    partition: str
    label: str
    files: Mapping[PurePosixPath, bytes | Path]
    placed: Mapping[PurePosixPath, PurePosixPath]


def boot_contents(layout: Layout, geometry: Geometry, plan: BootPlan, files: BootFiles) -> Iterator[BootContent]:
    """Yield the content of every boot partition.

    Raises:
        RequestError: a file that the layout names is not there.
    """
    host = dict(host_files(layout.boot_files))
    own = has_slot_boots(plan.loader)
    if own:
        yield from _slot_boots(layout, host, plan, files)
    yield BootContent(
        partition=BOOT,
        label=fat_label(BOOT),
        files={**({} if own else host), **files.boot, DESCRIPTION: describe(layout, geometry, plan)},
        placed=files.placed,
    )


def _slot_boots(
    layout: Layout, host: Mapping[PurePosixPath, Path], plan: BootPlan, files: BootFiles
) -> Iterator[BootContent]:
    """Yield the slots' own boot partitions: what the layout adds, what the plan says, and the kernel of the slot."""
    kernel = {PurePosixPath(path.name): path for path in (plan.kernel, plan.initrd, plan.devicetree) if path}
    for name, system in zip(SLOT_BOOTS, SLOTS, strict=True):
        content: dict[PurePosixPath, bytes | Path] = {**host}
        for path, lines in files.slots[name[-1]].items():
            before = host[path].read_bytes() + b"\n[all]\n" if path == CONFIG and path in host else b""
            content[path] = before + lines
        filled = system in filled_slots(layout)
        yield BootContent(partition=name, label=fat_label(name), files=content, placed=kernel if filled else {})


def host_files(wanted: Mapping[PurePosixPath, Path]) -> Iterator[tuple[PurePosixPath, Path]]:
    """Yield path in the partition and file of this machine; directories are taken with all that is in them.

    Raises:
        RequestError: one is not there.
    """
    for inside, path in wanted.items():
        if path.is_dir():
            for found in sorted(path.rglob("*")):
                if found.is_file():
                    yield inside / found.relative_to(path), found
        elif path.is_file():
            yield inside, path
        else:
            raise RequestError(f"cannot read {path}, which the layout puts into the boot partition: it is not there")
