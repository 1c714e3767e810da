"""The tar dialect of artifacts: a strict reader and a writer of fixed metadata. FORMAT.md §1.1."""

from bistable.artifact.tar.block import BLOCK, END, encode_header, padding
from bistable.artifact.tar.reader import Kind, Member, TarReader

__all__ = ["BLOCK", "END", "Kind", "Member", "TarReader", "encode_header", "padding"]
