"""Writing artifacts. FORMAT.md §12."""

from bistable.artifact.writer.defaults import SoftwareVersion
from bistable.artifact.writer.inputs import InputBytes, InputFile, InputStream, PayloadInput
from bistable.artifact.writer.presets import Extras, bootstrap_request, module_request, rootfs_request
from bistable.artifact.writer.request import WriteRequest
from bistable.artifact.writer.write import (
    Options,
    Written,
    source_date_epoch,
    write_artifact,
    write_to_file,
    write_to_stream,
)

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
