"""Where the files beside an artifact are: its attestations, and the certificate chain of its key."""

from pathlib import Path
from typing import Final
from urllib.parse import urlsplit, urlunsplit

from bistable.artifact.errors import RequestError
from bistable.artifact.source import STDIN, is_address

BUNDLE_SUFFIX: Final = ".intoto.jsonl"
"""The suffix that the in-toto attestation framework recommends for bundles."""

CHAIN_SUFFIX: Final = ".chain.pem"


def bundle_path(artifact: Path) -> Path:
    """Return the path of the attestations of `artifact`."""
    return artifact.with_name(artifact.name + BUNDLE_SUFFIX)


def chain_path(artifact: Path) -> Path:
    """Return the path of the X.509 chain (PEM, the signer's certificate first) of `artifact`."""
    return artifact.with_name(artifact.name + CHAIN_SUFFIX)


def beside(name: str, suffix: str) -> str:
    """Return the name of the file with `suffix` beside what the user named: a path, or an address with its query.

    Raises:
        RequestError: standard input has nothing beside it.
    """
    if name == STDIN:
        raise RequestError(
            "cannot look for files beside standard input", hint=f"name the file that ends in {suffix} as well"
        )
    if not is_address(name):
        return name + suffix
    parts = urlsplit(name)
    return urlunsplit(parts._replace(path=parts.path + suffix))
