"""Public keys: naming them, and checking signatures with them. FORMAT.md §4."""

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeAlias, cast

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from bistable.artifact.errors import KeyUnusableError
from bistable.artifact.keys.pem import PemBlock
from bistable.artifact.keys.signature import P256_SIZE, read_der, split_numbers

if TYPE_CHECKING:
    # Releases before 40 do not have these names; what they name, they do.
    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

RSA_BITS: Final = range(2048, 16384 + 1)
"""Sizes of the modulus: the least is that of every reader (3072 is advised), the most that of OpenSSL."""

SUPPORTED: Final = "artifacts are signed with RSA keys of 2048 to 16384 bits, or with EC P-256 keys"
FINGERPRINT_DIGITS: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class RsaVerifier:
    """An RSA public key; signatures are PKCS#1 v1.5 over SHA-256."""

    key: rsa.RSAPublicKey = field(repr=False)
    name: str

    @property
    def signature_size(self) -> int:
        """Length of a signature in bytes: that of the modulus."""
        return (self.key.key_size + 7) // 8

    def verify(self, message: bytes, signature: bytes) -> bool:
        """Return whether `signature` covers `message`."""
        try:
            self.key.verify(signature, message, padding.PKCS1v15(), hashes.SHA256())
        except InvalidSignature:
            return False
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class EcVerifier:
    """An EC P-256 public key; signatures are ECDSA over SHA-256."""

    key: ec.EllipticCurvePublicKey = field(repr=False)
    name: str

    @property
    def signature_size(self) -> int:
        """Length of r and s side by side in bytes."""
        return P256_SIZE

    def verify(self, message: bytes, signature: bytes) -> bool:
        """Return whether `signature`, r and s in 64 bytes or in strict DER of any length, covers `message`.

        DER of 64 bytes exists, if hardly ever, so 64 bytes are tried as both.
        """
        return any(self._covers(message, numbers) for numbers in (split_numbers(signature), read_der(signature)))

    def _covers(self, message: bytes, numbers: tuple[int, int] | None) -> bool:
        if numbers is None:
            return False
        try:
            self.key.verify(encode_dss_signature(*numbers), message, ec.ECDSA(hashes.SHA256()))
        except InvalidSignature:
            return False
        return True


KeyVerifier: TypeAlias = RsaVerifier | EcVerifier


def make_verifier(key: "PublicKeyTypes", *, origin: str) -> KeyVerifier:
    """Wrap a public key.

    Raises:
        KeyUnusableError: it is of a kind that artifacts do not use.
    """
    problem = problem_with(key)
    if problem is not None:
        raise KeyUnusableError(
            f"cannot use {origin}: {problem}", hint="make a key with `bistable artifact keys generate`"
        )
    name = f"{kind_of(key)} {fingerprint(key)[:FINGERPRINT_DIGITS]} ({origin})"
    if isinstance(key, rsa.RSAPublicKey):
        return RsaVerifier(key=key, name=name)
    assert isinstance(key, ec.EllipticCurvePublicKey)
    return EcVerifier(key=key, name=name)


def problem_with(key: "PublicKeyTypes") -> str | None:
    """Return why artifacts cannot be signed with a key of this kind, or None."""
    if isinstance(key, rsa.RSAPublicKey) and key.key_size in RSA_BITS:
        return None
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        return None
    return f"it is a key of the kind {kind_of(key)}; {SUPPORTED}"


def bits_of(key: "PublicKeyTypes") -> int | None:
    """Return the size of the modulus or of the field in bits, or None for a kind of key that has one size only."""
    if isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey | dsa.DSAPublicKey):
        return key.key_size
    return None


def kind_of(key: "PublicKeyTypes") -> str:
    """Return the kind and size of a key for people: `RSA-3072`, `P-256`, `EC-secp384r1`, `Ed25519` ..."""
    if isinstance(key, rsa.RSAPublicKey):
        return f"RSA-{key.key_size}"
    if isinstance(key, ec.EllipticCurvePublicKey):
        return "P-256" if isinstance(key.curve, ec.SECP256R1) else f"EC-{key.curve.name}"
    if isinstance(key, dsa.DSAPublicKey):
        return f"DSA-{key.key_size}"
    return type(key).__name__.removesuffix("PublicKey")


def fingerprint(key: "PublicKeyTypes") -> str:
    """Return SHA-256 over the key's SubjectPublicKeyInfo in DER: 64 hex digits."""
    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def public_pem(key: "PublicKeyTypes") -> bytes:
    """Return the key as PKIX PEM, the one form that all readers take."""
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def open_public(block: PemBlock, *, origin: str) -> "PublicKeyTypes":
    """Load the public key in a block, of whatever kind.

    Raises:
        KeyUnusableError: the cryptographic library does not take it.
    """
    try:
        return load_pem_public_key(block.text)
    except (ValueError, UnsupportedAlgorithm) as e:
        raise KeyUnusableError(f"cannot use {origin}: its public key is damaged or of an unknown kind") from e


def open_certificate_key(block: PemBlock, *, origin: str) -> "PublicKeyTypes":
    """Return the key that a certificate is about, without believing anything that the certificate says.

    Raises:
        KeyUnusableError: the certificate is damaged, or the cryptographic library does not take its key.
    """
    from cryptography.x509 import load_pem_x509_certificate

    try:
        return cast("PublicKeyTypes", load_pem_x509_certificate(block.text).public_key())
    except (ValueError, UnsupportedAlgorithm) as e:
        raise KeyUnusableError(f"cannot use {origin}: the certificate or its key is damaged or unknown") from e
