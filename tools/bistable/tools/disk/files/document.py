"""`disk.json`: the partitions, how slots are called, and what has to come from elsewhere."""

import json
from collections.abc import Iterator, Sequence
from typing import Any, Final

from bistable.tools.boot.efiprograms import MODULES, Program, efi_program
from bistable.tools.boot.plan import BootPlan
from bistable.tools.disk.bootcontents import BootContent
from bistable.tools.disk.files.kickstart import KickstartTexts
from bistable.tools.disk.filesystems import ext4_label, ext4_uuid, fat_label, fat_serial
from bistable.tools.disk.geometry import BOOT, DATA, ENVIRONMENT, SLOT_BOOTS, SLOTS, Geometry, filled_slots
from bistable.tools.disk.layout.model import ExtraKind, Layout
from bistable.tools.disk.table import is_marked, partition_type

VERSION: Final = 1


def disk_document(
    layout: Layout,
    geometry: Geometry,
    plan: BootPlan,
    contents: Sequence[BootContent],
    texts: KickstartTexts,
) -> dict[str, Any]:
    """Return the description of a disk for those who make it."""
    environment = plan.environment
    extended = geometry.extended
    return {
        "version": VERSION,
        "layout": layout.name,
        "device_type": layout.device_type,
        "table": geometry.table.value,
        "id": geometry.uuid,
        "size": geometry.size,
        "erase_block": layout.disk.erase_block,
        "loader": plan.loader.value,
        "architecture": plan.architecture,
        "partitions": [
            {
                "name": part.name,
                "number": part.number,
                "start": part.start,
                "size": part.size,
                "uuid": part.uuid,
                "type": partition_type(geometry.table, part.name),
                "bootable": is_marked(geometry.table, part.name, plan.loader),
                **_file_system(layout, part.name),
            }
            for part in geometry.partitions
        ],
        "extended": None if extended is None else {"start": extended.start, "size": extended.size},
        "slots": [
            {"name": slot.name, "partition": name, "root": slot.root, "filled": name in filled_slots(layout)}
            for slot, name in zip(plan.slots, SLOTS, strict=True)
        ],
        "environment": None
        if environment is None
        else {"partition": ENVIRONMENT, "offsets": list(environment.offsets), "size": environment.size},
        # Where wic is told another folder, the files are not those of this machine.
        "raw": [
            {"file": str(blob.file.absolute()) if texts.blob_dir is None else blob.written, "offset": blob.offset}
            for blob in layout.blobs
        ],
        "needed": list(needed(plan, contents)),
    }


def disk_json(document: dict[str, Any]) -> str:
    """Return the text of `disk.json`."""
    return json.dumps(document, indent=1) + "\n"


def needed(plan: BootPlan, contents: Sequence[BootContent]) -> Iterator[dict[str, Any]]:
    """Yield what belongs on boot partitions, but is made or built elsewhere."""
    program = efi_program(plan)
    if program is not None:
        grub = program.program is Program.GRUB
        yield {
            "partition": BOOT,
            "path": str(program.path),
            "program": program.program.value,
            "prefix": str(plan.grub_prefix) if grub else None,
            "modules": list(MODULES) if grub else [],
            "slot_file": None,
        }
    for content in contents:
        for path, source in content.placed.items():
            yield {
                "partition": content.partition,
                "path": str(path),
                "program": None,
                "prefix": None,
                "modules": [],
                "slot_file": str(source),
            }


def _file_system(layout: Layout, name: str) -> dict[str, Any]:
    """Return which file system is in a partition, and what it is called."""
    extra = next((extra for extra in layout.extras if extra.name == name), None)
    content = None if extra is None or extra.content is None else str(extra.content.absolute())
    if name in {BOOT, *SLOT_BOOTS} or (extra is not None and extra.filesystem is ExtraKind.FAT):
        serial = f"{fat_serial(layout, name):08x}"
        return {"filesystem": "vfat", "label": fat_label(name), "filesystem_id": serial, "content": content}
    if name == DATA or (extra is not None and extra.filesystem is ExtraKind.EXT4):
        found = str(ext4_uuid(layout, name))
        return {"filesystem": "ext4", "label": ext4_label(name), "filesystem_id": found, "content": content}
    kind = layout.slots.filesystem.value if name in SLOTS else None
    return {"filesystem": kind, "label": None, "filesystem_id": None, "content": content}
