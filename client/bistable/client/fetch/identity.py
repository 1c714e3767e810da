"""By what two answers are known to be of the same body."""

from dataclasses import dataclass
from hashlib import sha256

from bistable.artifact.source.address import Address


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """By what a server's answers are known to be parts of one body.

    `place` is a digest of the address, which may be a signed link and thus a secret.
    """

    place: str
    etag: str | None = None
    modified: str | None = None
    size: int | None = None


def place_of(address: Address) -> str:
    """Return by what an address is known again."""
    return sha256(address.url.encode()).hexdigest()


def is_strong(etag: str | None) -> bool:
    """Return whether a tag says that bodies are the same in every byte."""
    return etag is not None and not etag.startswith("W/")
