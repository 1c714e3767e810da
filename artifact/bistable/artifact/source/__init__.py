"""Opening what a user names: a file, standard input or an address."""

from bistable.artifact.source.named import STDIN, NamedSource, is_address, open_source
from bistable.artifact.source.settings import HttpSettings, SourceNotFoundError

__all__ = ["STDIN", "HttpSettings", "NamedSource", "SourceNotFoundError", "is_address", "open_source"]
