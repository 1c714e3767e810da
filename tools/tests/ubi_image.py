"""UBI on flash as bytes (linux: drivers/mtd/ubi/ubi-media.h): what volumes hold, and what a power cut makes of them."""

import struct
import zlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from bistable.artifact.errors import RejectedError
from bistable.tools.boot import ubootenv
from bistable.tools.boot.state import names_of
from bistable.tools.boot.ubi import UbiPlan
from bistable.tools.boot.ubigeometry import ENVIRONMENTS, UbiGeometry, place_volumes

_VID = b"UBI!"
_TABLE = 0x7FFFEFFF
"""The volume with the table of volumes."""
_RECORD = 172
_MARKER = 13
"""Where a record of the table says that an update of the volume is not finished."""


@dataclass(frozen=True, slots=True)
class UbiImage:
    """Flash, as a file, all of which UBI has."""

    path: Path
    plan: UbiPlan

    @property
    def geometry(self) -> UbiGeometry:
        return place_volumes(self.plan)

    @property
    def _block(self) -> int:
        return self.plan.flash.erase_block

    def environment(self) -> dict[str, str]:
        """The variables of ours in the newest copy."""
        valid = []
        for name in ENVIRONMENTS:
            with suppress(RejectedError):
                valid.append(ubootenv.read_redundant(self.volume(name)[: self.plan.environment_size]))
        newest = max(valid, key=lambda copy: copy.counter or 0)
        return newest.variables(names_of(("a", "b")))

    def volume(self, name: str) -> bytes:
        """The content of a volume, with erased flash where nothing was written."""
        geometry = self.geometry
        volume = geometry.volume(name)
        found = self._blocks(volume.number)
        return b"".join(found.get(block, (0, b"\xff" * geometry.leb))[1] for block in range(volume.blocks))

    def is_unfinished(self, name: str) -> bool:
        """Whether an update of the volume was begun, and has not ended."""
        (_, table), *_ = self._blocks(_TABLE).values()
        return table[self.geometry.volume(name).number * _RECORD + _MARKER] == 1

    def interrupt(self, name: str) -> None:
        """Make it as after a power cut in an update of the volume: begun, and not ended."""
        data = bytearray(self.path.read_bytes())
        number, vid = self.geometry.volume(name).number, self.geometry.vid_offset
        for start in self._places(_TABLE):
            at = start + self._block - self.geometry.leb + number * _RECORD
            data[at + _MARKER] = 1
            data[at + _RECORD - 4 : at + _RECORD] = _crc(data[at : at + _RECORD - 4])
        for start in self._places(number):
            data[start + vid : start + self._block] = b"\xff" * (self._block - vid)
        self.path.write_bytes(data)

    def _places(self, volume: int) -> list[int]:
        data, vid = self.path.read_bytes(), self.geometry.vid_offset
        return [
            start
            for start in range(0, len(data), self._block)
            if data[start + vid : start + vid + 4] == _VID
            and int.from_bytes(data[start + vid + 8 : start + vid + 12]) == volume
        ]

    def _blocks(self, volume: int) -> dict[int, tuple[int, bytes]]:
        """Block of the volume -> sequence number and content; of several copies of a block the newest."""
        data, geometry = self.path.read_bytes(), self.geometry
        found: dict[int, tuple[int, bytes]] = {}
        for start in self._places(volume):
            vid = start + geometry.vid_offset
            block = int.from_bytes(data[vid + 12 : vid + 16])
            sequence = int.from_bytes(data[vid + 40 : vid + 48])
            if block not in found or found[block][0] < sequence:
                found[block] = sequence, data[start + self._block - geometry.leb : start + self._block]
        return found


def _crc(data: bytes | bytearray) -> bytes:
    """The checksum of UBI's headers: CRC-32 without its last step."""
    return struct.pack(">I", zlib.crc32(data) ^ 0xFFFFFFFF)
