"""Keys, signers and certificates. FORMAT.md §4.

Importing this package does not load the cryptographic library; the first call that needs it does.
"""

from bistable.artifact.keys.load import load_signer, load_verifier, load_verifiers, read_signer, read_verifiers
from bistable.artifact.keys.ports import Signer, Verifier
from bistable.artifact.keys.signature import decode_signature, encode_signature, parse_signature

__all__ = [
    "Signer",
    "Verifier",
    "decode_signature",
    "encode_signature",
    "load_signer",
    "load_verifier",
    "load_verifiers",
    "parse_signature",
    "read_signer",
    "read_verifiers",
]
