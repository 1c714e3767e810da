"""Boot scripts of U-Boot: text in a legacy image, the same bytes as mkimage makes at time 0.

Made here and not by mkimage: the format is 64 bytes and two CRCs, mkimage stamps the present time into it, and whoever
makes an image for a board need not have the tools of U-Boot.
"""

import zlib
from typing import Final

from bistable.artifact.errors import RejectedError, RequestError
from bistable.artifact.limits import MIB

SCRIPT_LIMIT: Final = MIB
NAME: Final = "bistable boot script"

_LINUX: Final = 5
_SCRIPT: Final = 6
ARCHITECTURES: Final = {"amd64": 24, "arm64": 22, "armhf": 2, "riscv64": 26}
"""Debian's name -> U-Boot's number. U-Boot does not look at it for scripts."""


def build_script(text: str, architecture: str) -> bytes:
    """Return the image `boot.scr` of a script.

    Raises:
        RequestError: U-Boot has no number for the architecture.
    """
    from bistable.tools.boot import _wire

    if architecture not in ARCHITECTURES:
        raise RequestError(f"cannot make a boot script for {architecture}: only for {', '.join(ARCHITECTURES)}")
    encoded = text.encode("ascii")
    data: bytes = _wire.SCRIPT.build({"length": len(encoded), "text": encoded})
    fields = {
        "time": 0,
        "size": len(data),
        "load": 0,
        "entry": 0,
        "data_crc": zlib.crc32(data),
        "os": _LINUX,
        "architecture": ARCHITECTURES[architecture],
        "type": _SCRIPT,
        "compression": 0,
        "name": NAME,
    }
    crc = _wire.header_crc(_wire.FIELDS.build(fields))
    built: bytes = _wire.LEGACY_IMAGE.build({"header": {"crc": crc, "fields": {"value": fields}}, "data": data})
    return built


def read_script(raw: bytes) -> str:
    """Return the text of the boot script in an image.

    Raises:
        RejectedError: it is not the image of a script, or damaged.
    """
    from construct import ConstructError  # type: ignore[import-untyped]  # it has no stubs

    from bistable.tools.boot import _wire

    what = "cannot read the boot script"
    if len(raw) > SCRIPT_LIMIT:
        raise RejectedError(f"{what}: it has {len(raw)} bytes, at most {SCRIPT_LIMIT} are allowed")
    try:
        image = _wire.LEGACY_IMAGE.parse(raw)
        fields = image.header.fields.value
        if fields.type != _SCRIPT or fields.compression:
            raise RejectedError(f"{what}: the image is not that of a script")
        if image.header.crc != _wire.header_crc(image.header.fields.data):
            raise RejectedError(f"{what}: the CRC of its header is wrong")
        if fields.data_crc != zlib.crc32(image.data):
            raise RejectedError(f"{what}: its CRC is wrong")
        text: bytes = _wire.SCRIPT.parse(image.data).text
        return text.decode("ascii")
    except (ConstructError, UnicodeDecodeError) as e:
        raise RejectedError(f"{what}: it is not a legacy image with one script") from e
