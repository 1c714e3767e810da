"""The partition table of a disk image that somebody made, as sfdisk reads it."""

import json
import os
import re
import tempfile
from dataclasses import dataclass
from typing import BinaryIO, Final

from bistable.artifact.errors import RejectedError
from bistable.artifact.image import PREFIX_SIZE, ImageKind, identify
from bistable.artifact.image.debugfs import open_path
from bistable.artifact.run import ProgramError, run_to

_TIMEOUT: Final = 120.0
_EXTENDED: Final = frozenset({"5", "f", "85"})
_PROTECTIVE: Final = "ee"
_NUMBER: Final = re.compile(r"p?([0-9]+)")
_LIMIT: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A partition of a disk: start and size in bytes, type and name as sfdisk says them, and what is in it."""

    number: int
    start: int
    size: int
    type: str
    name: str
    uuid: str
    kind: ImageKind


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundTable:
    """A partition table: `gpt` or `dos`; `remarks` is what sfdisk has against it."""

    kind: str
    uuid: str
    partitions: tuple[Found, ...]
    remarks: tuple[str, ...]


def read_table(disk: BinaryIO, name: str) -> FoundTable:
    """Read the partition table of the open disk image.

    Raises:
        RejectedError: it has none that can be read.
        MachineError: sfdisk is missing.
    """
    with tempfile.TemporaryFile() as out:
        try:
            said = run_to(["sfdisk", "--json", open_path(disk)], out, timeout=_TIMEOUT)
        except ProgramError as e:
            if e.exit_status is None:
                raise
            raise RejectedError(
                f"cannot find a partition table in {name}", hint="is it the image of a disk, or of a file system alone?"
            ) from e
        out.seek(0)
        table = json.loads(out.read(_LIMIT))["partitiontable"]
    if table["label"] == "dos" and any(
        str(item["type"]).lower() == _PROTECTIVE for item in table.get("partitions", [])
    ):
        # sfdisk then shows what protects a GPT from programs that do not know it.
        raise RejectedError(
            f"cannot read the partition table of {name}: it is a GPT that does not fit, or both copies are damaged",
            hint="is the image cut off?",
        )
    size = disk.seek(0, os.SEEK_END)
    sector = int(table.get("sectorsize", 512))
    device = table["device"]
    partitions = tuple(
        _partition(disk, item, device, sector, size)
        for item in table.get("partitions", [])
        if str(item["type"]).lower() not in _EXTENDED
    )
    remarks = tuple(line.strip() for line in said.decode("utf-8", "replace").splitlines() if line.strip())
    return FoundTable(
        kind=table["label"],
        uuid=str(table.get("id", "")).removeprefix("0x").lower(),
        partitions=partitions,
        remarks=tuple(remark.replace(device, name) for remark in remarks),
    )


def _partition(disk: BinaryIO, item: dict[str, object], device: str, sector: int, disk_size: int) -> Found:
    match = _NUMBER.fullmatch(str(item["node"]).removeprefix(device))
    start = int(str(item["start"])) * sector
    head = os.pread(disk.fileno(), PREFIX_SIZE, start) if start < disk_size else b""
    return Found(
        number=int(match[1]) if match else 0,
        start=start,
        size=int(str(item["size"])) * sector,
        type=str(item["type"]),
        name=str(item.get("name", "")),
        uuid=str(item.get("uuid", "")).lower(),
        kind=identify(head),
    )
