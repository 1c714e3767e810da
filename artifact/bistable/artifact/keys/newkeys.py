"""Making keys, and saying what a key file holds. FORMAT.md §4."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias

from bistable.artifact.keys.load import require_private
from bistable.artifact.keys.pem import CERTIFICATE, PemBlock, split_pem

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

KeyKind: TypeAlias = Literal["rsa2048", "rsa3072", "rsa4096", "p256"]
KEY_KINDS: Final[tuple[KeyKind, ...]] = ("rsa3072", "p256", "rsa2048", "rsa4096")
"""What `generate` makes, the advised ones first."""

_FORMS: Final = {
    "PRIVATE KEY": "PKCS#8",
    "ENCRYPTED PRIVATE KEY": "PKCS#8",
    "RSA PRIVATE KEY": "PKCS#1",
    "EC PRIVATE KEY": "SEC1",
    "PUBLIC KEY": "PKIX",
    "RSA PUBLIC KEY": "PKCS#1",
    CERTIFICATE: "X.509",
}


class KeyPair(NamedTuple):
    """A new key in PEM: the private half, and the public half as PKIX."""

    private: bytes
    public: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyDescription:
    """What one PEM block holds.

    `form` is its encoding (`PKCS#8`, `PKIX`, ...). Of an encrypted key that was not opened, `kind` (`RSA-3072`,
    `P-256`), `bits` and `fingerprint` (SHA-256 over the SubjectPublicKeyInfo, 64 hex digits) are None. `problem` says
    why artifacts cannot be signed or verified with it, or is None.
    """

    form: str
    private: bool
    encrypted: bool
    kind: str | None = None
    bits: int | None = None
    fingerprint: str | None = None
    problem: str | None = None


def generate(kind: KeyKind, *, passphrase: bytes | None = None) -> KeyPair:
    """Make a key.

    Without a passphrase the private half is in the old forms, PKCS#1 and SEC1: mender-artifact 3.9.0 of the
    distributions reads no RSA key in PKCS#8. With one it is in encrypted PKCS#8, since the encryption of the old forms
    is weak, and since mender-artifact reads no encrypted key anyway.
    """
    from cryptography.hazmat.primitives.asymmetric import ec, rsa
    from cryptography.hazmat.primitives.serialization import (
        BestAvailableEncryption,
        Encoding,
        NoEncryption,
        PrivateFormat,
    )

    from bistable.artifact.keys.public import public_pem

    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
    if kind == "p256":
        key = ec.generate_private_key(ec.SECP256R1())
    else:
        key = rsa.generate_private_key(public_exponent=65537, key_size=int(kind.removeprefix("rsa")))
    if passphrase:
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(passphrase))
    else:
        private = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    return KeyPair(private, public_pem(key.public_key()))


def extract_public(pem: bytes, *, origin: str, passphrase: bytes | None = None) -> bytes:
    """Return the public half of the first key in `pem` (private, public or a certificate) as PKIX PEM.

    Raises:
        KeyUnusableError: no key, passphrase missing or wrong, or a kind that artifacts do not use.
    """
    from bistable.artifact.keys.public import make_verifier, public_pem

    key = _public_key(split_pem(pem, origin=origin)[0], origin, passphrase)
    make_verifier(key, origin=origin)
    return public_pem(key)


def describe_keys(pem: bytes, *, origin: str, passphrase: bytes | None = None) -> tuple[KeyDescription, ...]:
    """Say what each block in `pem` holds; encrypted keys stay closed without a passphrase.

    Raises:
        KeyUnusableError: no key, damaged, in a form that is not read here, or the passphrase is wrong.
    """
    return tuple(_describe(block, origin, passphrase) for block in split_pem(pem, origin=origin))


def _describe(block: PemBlock, origin: str, passphrase: bytes | None) -> KeyDescription:
    from bistable.artifact.keys.public import bits_of, fingerprint, kind_of, problem_with

    form = _FORMS.get(block.label, block.label)
    if block.is_encrypted and not passphrase:
        return KeyDescription(form=form, private=True, encrypted=True)
    key = _public_key(block, origin, passphrase)
    return KeyDescription(
        form=form,
        private=block.is_private,
        encrypted=block.is_encrypted,
        kind=kind_of(key),
        bits=bits_of(key),
        fingerprint=fingerprint(key),
        problem=problem_with(key),
    )


def _public_key(block: PemBlock, origin: str, passphrase: bytes | None) -> "PublicKeyTypes":
    from bistable.artifact.keys.private import open_private
    from bistable.artifact.keys.public import open_certificate_key, open_public

    if block.is_private:
        return open_private(require_private([block], origin), origin=origin, passphrase=passphrase).public_key()
    if block.label == CERTIFICATE:
        return open_certificate_key(block, origin=origin)
    return open_public(block, origin=origin)
