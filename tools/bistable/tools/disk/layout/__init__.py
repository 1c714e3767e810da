"""Layouts: what is to be on a disk, said in TOML (docs/reference/layout.md)."""

from bistable.tools.disk.layout.load import layout_names, load_layout, parse_layout
from bistable.tools.disk.layout.model import (
    Blob,
    BootWish,
    DataWish,
    DiskWish,
    EnvironmentWish,
    ExtraKind,
    ExtraPlace,
    ExtraWish,
    Fill,
    Layout,
    SlotsWish,
    TableKind,
)

__all__ = [
    "Blob",
    "BootWish",
    "DataWish",
    "DiskWish",
    "EnvironmentWish",
    "ExtraKind",
    "ExtraPlace",
    "ExtraWish",
    "Fill",
    "Layout",
    "SlotsWish",
    "TableKind",
    "layout_names",
    "load_layout",
    "parse_layout",
]
