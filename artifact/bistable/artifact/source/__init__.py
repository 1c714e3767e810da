"""Opening what a user names: a file, standard input or an address."""

from bistable.artifact.source.named import HttpSettings, NamedSource, SourceNotFoundError, is_address, open_source

__all__ = ["HttpSettings", "NamedSource", "SourceNotFoundError", "is_address", "open_source"]
