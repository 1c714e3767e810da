"""File system images: make them of a directory or a tar file, look into them, change files in them; without root."""

from bistable.artifact.image.edit import copy_in, make_directory, make_symlink, remove, remove_tree
from bistable.artifact.image.identify import PREFIX_SIZE, identify
from bistable.artifact.image.make import make_image
from bistable.artifact.image.model import Change, Entry, FileChange, ImageKind, Kind
from bistable.artifact.image.options import ImageOptions, MadeImage
from bistable.artifact.image.packages import installed_packages
from bistable.artifact.image.read import compare_images, list_directory, read_file, walk_image
from bistable.artifact.image.release import ImageRelease, read_release
from bistable.artifact.image.volume import image_kind, open_image
from bistable.artifact.packages import Package

__all__ = [
    "PREFIX_SIZE",
    "Change",
    "Entry",
    "FileChange",
    "ImageKind",
    "ImageOptions",
    "ImageRelease",
    "Kind",
    "MadeImage",
    "Package",
    "compare_images",
    "copy_in",
    "identify",
    "image_kind",
    "installed_packages",
    "list_directory",
    "make_directory",
    "make_image",
    "make_symlink",
    "open_image",
    "read_file",
    "read_release",
    "remove",
    "remove_tree",
    "walk_image",
]
