"""Keys, signers and certificates. FORMAT.md §4.

Importing this package loads nothing; using a name loads its module, and the first call that needs it the
cryptographic library.
"""

from typing import TYPE_CHECKING, Final

from bistable.artifact.lazy import names_from

if TYPE_CHECKING:
    from bistable.artifact.keys.command import command_signer
    from bistable.artifact.keys.load import load_signer, load_verifier, load_verifiers, read_signer, read_verifiers
    from bistable.artifact.keys.newkeys import (
        KEY_KINDS,
        KeyDescription,
        KeyKind,
        describe_keys,
        extract_public,
        generate,
    )
    from bistable.artifact.keys.pkcs11 import pkcs11_signer
    from bistable.artifact.keys.ports import Signer, Verifier
    from bistable.artifact.keys.signature import decode_signature, encode_signature, parse_signature
    from bistable.artifact.keys.x509 import CODE_SIGNING, certificate_verifier

_HOMES: Final = {
    "command": ("command_signer",),
    "newkeys": (
        "KEY_KINDS",
        "KeyDescription",
        "KeyKind",
        "describe_keys",
        "extract_public",
        "generate",
    ),
    "load": (
        "load_signer",
        "load_verifier",
        "load_verifiers",
        "read_signer",
        "read_verifiers",
    ),
    "pkcs11": ("pkcs11_signer",),
    "ports": (
        "Signer",
        "Verifier",
    ),
    "signature": (
        "decode_signature",
        "encode_signature",
        "parse_signature",
    ),
    "x509": (
        "CODE_SIGNING",
        "certificate_verifier",
    ),
}
"""Module -> the public names it defines."""

__getattr__ = names_from(__name__, _HOMES)

__all__ = [
    "CODE_SIGNING",
    "KEY_KINDS",
    "KeyDescription",
    "KeyKind",
    "Signer",
    "Verifier",
    "certificate_verifier",
    "command_signer",
    "decode_signature",
    "describe_keys",
    "encode_signature",
    "extract_public",
    "generate",
    "load_signer",
    "load_verifier",
    "load_verifiers",
    "parse_signature",
    "pkcs11_signer",
    "read_signer",
    "read_verifiers",
]
