"""Root file systems that files are put into, whatever they are kept in: a directory, an ext4 image, one being made."""

from collections.abc import Callable

from bistable.tools.disk.tree.building import BuildingTree
from bistable.tools.disk.tree.folder import FolderTree
from bistable.tools.disk.tree.image import changed_image
from bistable.tools.disk.tree.port import ReadableTree, RootTree
from bistable.tools.disk.tree.reading import ReadOnlyTree, reading

Change = Callable[[RootTree], None]
"""Something that is done to a root file system."""

__all__ = [
    "BuildingTree",
    "Change",
    "FolderTree",
    "ReadOnlyTree",
    "ReadableTree",
    "RootTree",
    "changed_image",
    "reading",
]
