"""Writing artifacts. FORMAT.md §12."""

from typing import TYPE_CHECKING, Final

from bistable.artifact.lazy import names_from

if TYPE_CHECKING:
    from bistable.artifact.writer.defaults import SoftwareVersion
    from bistable.artifact.writer.epoch import source_date_epoch
    from bistable.artifact.writer.inputs import InputBytes, InputFile, InputStream, PayloadInput
    from bistable.artifact.writer.presets import Extras, bootstrap_request, module_request, rootfs_request
    from bistable.artifact.writer.request import WriteRequest
    from bistable.artifact.writer.write import (
        Options,
        Written,
        write_artifact,
        write_to_file,
        write_to_stream,
    )

_HOMES: Final = {
    "defaults": ("SoftwareVersion",),
    "epoch": ("source_date_epoch",),
    "inputs": ("InputBytes", "InputFile", "InputStream", "PayloadInput"),
    "presets": ("Extras", "bootstrap_request", "module_request", "rootfs_request"),
    "request": ("WriteRequest",),
    "write": ("Options", "Written", "write_artifact", "write_to_file", "write_to_stream"),
}
"""Module -> the names it defines: changing the head of an artifact must not wait for what writes payloads."""

__getattr__ = names_from(__name__, _HOMES)

__all__ = [
    "Extras",
    "InputBytes",
    "InputFile",
    "InputStream",
    "Options",
    "PayloadInput",
    "SoftwareVersion",
    "WriteRequest",
    "Written",
    "bootstrap_request",
    "module_request",
    "rootfs_request",
    "source_date_epoch",
    "write_artifact",
    "write_to_file",
    "write_to_stream",
]
