"""Opening what a user names: a file, standard input or an address."""

from bistable.artifact.source.named import (
    STDIN,
    HttpSettings,
    NamedSource,
    SourceNotFoundError,
    is_address,
    open_source,
)

__all__ = ["STDIN", "HttpSettings", "NamedSource", "SourceNotFoundError", "is_address", "open_source"]
