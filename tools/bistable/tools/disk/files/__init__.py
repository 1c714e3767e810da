"""The files that an image builder which is not ours puts on a disk, all made from one layout."""

from bistable.tools.disk.files.kickstart import KickstartTexts
from bistable.tools.disk.files.write import FilesOptions, WrittenFile, WrittenFiles, write_files

__all__ = ["FilesOptions", "KickstartTexts", "WrittenFile", "WrittenFiles", "write_files"]
