"""Disk images: made from a layout, converted from what somebody else made, and looked into."""

from typing import TYPE_CHECKING, Final

from bistable.artifact.lazy import names_from

if TYPE_CHECKING:
    from bistable.tools.disk.build import BuildOptions, BuiltDisk, build_disk
    from bistable.tools.disk.client import Start, client_source, install_client
    from bistable.tools.disk.convert import Converted, ConvertOptions, convert_disk
    from bistable.tools.disk.files import FilesOptions, WrittenFiles, write_files
    from bistable.tools.disk.inspect import Report, inspect_disk
    from bistable.tools.disk.layout import Layout, layout_names, load_layout, parse_layout
    from bistable.tools.disk.outputs import Outputs

_HOMES: Final = {
    "build": ("BuildOptions", "BuiltDisk", "build_disk"),
    "client": ("Start", "client_source", "install_client"),
    "outputs": ("Outputs",),
    "convert": ("ConvertOptions", "Converted", "convert_disk"),
    "files": ("FilesOptions", "WrittenFiles", "write_files"),
    "inspect": ("Report", "inspect_disk"),
    "layout": ("Layout", "layout_names", "load_layout", "parse_layout"),
}

__getattr__ = names_from(__name__, _HOMES)

__all__ = [
    "BuildOptions",
    "BuiltDisk",
    "ConvertOptions",
    "Converted",
    "FilesOptions",
    "Layout",
    "Outputs",
    "Report",
    "Start",
    "WrittenFiles",
    "build_disk",
    "client_source",
    "convert_disk",
    "inspect_disk",
    "install_client",
    "layout_names",
    "load_layout",
    "parse_layout",
    "write_files",
]
