"""Turn a disk image with one system into one with two slots."""

from bistable.tools.disk.convert.disk import Converted, ConvertOptions, convert_disk

__all__ = ["ConvertOptions", "Converted", "convert_disk"]
