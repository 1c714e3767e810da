"""Loading keys from PEM files: which block is meant, and what to say when it is not there.

The keys themselves are made in `public` and `private`, imported on first use: the cryptographic library takes longer
to load than an artifact takes to show.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from bistable.artifact.errors import KeyUnusableError
from bistable.artifact.keys.pem import CERTIFICATE, PRIVATE_LABELS, PUBLIC_LABELS, PemBlock, read_key_file, split_pem
from bistable.artifact.keys.ports import Signer, Verifier

DIRECTORY_SUFFIXES: Final = frozenset({".pem", ".pub"})


def load_verifier(pem: bytes, *, origin: str) -> Verifier:
    """Load the one public key in `pem`; `origin` names it in errors and in the key's name.

    Raises:
        KeyUnusableError: no key, more than one, a private key, or one of a kind that artifacts do not use.
    """
    verifiers = load_verifiers(pem, origin=origin)
    if len(verifiers) > 1:
        raise KeyUnusableError(f"cannot use {origin}: it holds {len(verifiers)} public keys, and one is needed")
    return verifiers[0]


def load_verifiers(pem: bytes, *, origin: str) -> tuple[Verifier, ...]:
    """Load all public keys in `pem`, at least one: a file may hold the old and the new key while they rotate.

    Raises:
        KeyUnusableError: as for `load_verifier`.
    """
    from bistable.artifact.keys.public import make_verifier, open_public

    blocks = split_pem(pem, origin=origin)
    for block in blocks:
        _require_public(block, origin)
    return tuple(make_verifier(open_public(block, origin=origin), origin=origin) for block in blocks)


def read_verifiers(path: Path) -> tuple[Verifier, ...]:
    """Read all public keys of a PEM file, or of the *.pem and *.pub files of a directory in the order of their names.

    Raises:
        KeyUnusableError: missing or unreadable, no key in it, or one that cannot be used.
    """
    if not path.is_dir():
        return load_verifiers(read_key_file(path), origin=str(path))
    verifiers: list[Verifier] = []
    for file in _key_files(path):
        verifiers += load_verifiers(read_key_file(file), origin=str(file))
    if not verifiers:
        raise KeyUnusableError(f"cannot use {path}: no *.pem and no *.pub file in this directory")
    return tuple(verifiers)


def load_signer(pem: bytes, *, origin: str, passphrase: bytes | None = None) -> Signer:
    """Load the one private key in `pem` (PKCS#1, SEC1 or PKCS#8, encrypted or not); `origin` names it.

    A passphrase that the key does not need is ignored. P-256 signatures are deterministic (RFC 6979) where the
    cryptographic library can do that; see `bistable.artifact.keys.private.EcSigner.sign`.

    Raises:
        KeyUnusableError: no private key, passphrase missing or wrong, or a kind that artifacts do not use.
    """
    from bistable.artifact.keys.private import make_signer, open_to_sign

    block = require_private(split_pem(pem, origin=origin), origin)
    return make_signer(open_to_sign(block, origin=origin, passphrase=passphrase), origin=origin)


def read_signer(path: Path, *, passphrase: bytes | None = None) -> Signer:
    """Read the private key of a PEM file; see `load_signer`.

    Raises:
        KeyUnusableError: missing or unreadable, or as for `load_signer`.
    """
    return load_signer(read_key_file(path), origin=str(path), passphrase=passphrase)


def require_private(blocks: Iterable[PemBlock], origin: str) -> PemBlock:
    """Return the one private key among `blocks`; certificates and public keys beside it do not matter.

    Raises:
        KeyUnusableError: there is none, more than one, or it is of OpenSSH's form.
    """
    private = [block for block in blocks if block.is_private]
    if not private:
        raise KeyUnusableError(
            f"cannot sign with {origin}: it holds no private key", hint="a public key can only verify"
        )
    if len(private) > 1:
        raise KeyUnusableError(f"cannot sign with {origin}: it holds {len(private)} private keys, and one is needed")
    if private[0].label not in PRIVATE_LABELS:
        raise KeyUnusableError(
            f"cannot sign with {origin}: it holds a key in the form {private[0].label}",
            hint="convert a copy of it: `ssh-keygen -p -m PEM -f COPY`",
        )
    return private[0]


def _require_public(block: PemBlock, origin: str) -> None:
    if block.is_private:
        raise KeyUnusableError(
            f"cannot verify with {origin}: it is a private key",
            hint=f"write its public half with `bistable artifact keys public {origin}`",
        )
    if block.label == CERTIFICATE:
        raise KeyUnusableError(
            f"cannot use {origin} as a public key: it is a certificate",
            hint="give it as a chain with a trusted CA, or take its bare key: `openssl x509 -noout -pubkey -in FILE`",
        )
    if block.label not in PUBLIC_LABELS:
        raise KeyUnusableError(f"cannot use {origin}: it holds a {block.label}, and a PUBLIC KEY is needed")


def _key_files(directory: Path) -> list[Path]:
    try:
        return sorted(path for path in directory.iterdir() if path.suffix in DIRECTORY_SUFFIXES and path.is_file())
    except OSError as e:
        raise KeyUnusableError(f"cannot read {directory}: {e.strerror or e}") from e
