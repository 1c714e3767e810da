"""Private keys in memory, and signing with them in this process. FORMAT.md §4."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeAlias

from cryptography.exceptions import InternalError, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from bistable.artifact.errors import KeyUnusableError
from bistable.artifact.keys.pem import PemBlock
from bistable.artifact.keys.public import EcVerifier, RsaVerifier, make_verifier
from bistable.artifact.keys.signature import confirm, join_numbers

if TYPE_CHECKING:
    # Releases before 40 do not have these names; what they name, they do.
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

TRIAL: Final = b"Is this key whole?"


@dataclass(frozen=True, slots=True, kw_only=True)
class RsaSigner:
    """An RSA private key in memory."""

    key: rsa.RSAPrivateKey = field(repr=False)
    public: RsaVerifier

    @property
    def signature_size(self) -> int:
        """Length of a signature in bytes: that of the modulus."""
        return self.public.signature_size

    def sign(self, message: bytes) -> bytes:
        """Return the signature; the same message always gives the same one."""
        signature = self.key.sign(message, padding.PKCS1v15(), hashes.SHA256())
        return confirm(signature, message, self.public, maker=self.public.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class EcSigner:
    """An EC P-256 private key in memory."""

    key: ec.EllipticCurvePrivateKey = field(repr=False)
    public: EcVerifier

    @property
    def signature_size(self) -> int:
        """Length of r and s side by side in bytes."""
        return self.public.signature_size

    def sign(self, message: bytes) -> bytes:
        """Return the signature; the same message gives the same one where the library can do that.

        Deterministic ECDSA (RFC 6979) needs cryptography 43 with OpenSSL 3.2, which its wheels from PyPI bring. With
        anything older the signature holds a random number, as ECDSA signatures usually do, and differs every time.
        """
        signature = join_numbers(*decode_dss_signature(self.key.sign(message, _ecdsa())))
        return confirm(signature, message, self.public, maker=self.public.name)


KeySigner: TypeAlias = RsaSigner | EcSigner


def make_signer(key: "PrivateKeyTypes", *, origin: str) -> KeySigner:
    """Wrap a private key, and try it.

    Raises:
        KeyUnusableError: it is of a kind that artifacts do not use, or cannot sign.
    """
    public = make_verifier(key.public_key(), origin=origin)
    signer: KeySigner
    if isinstance(public, RsaVerifier):
        assert isinstance(key, rsa.RSAPrivateKey)
        signer = RsaSigner(key=key, public=public)
    else:
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        signer = EcSigner(key=key, public=public)
    try:
        signer.sign(TRIAL)
    except (KeyUnusableError, ValueError, InternalError) as e:
        raise KeyUnusableError(f"cannot sign with {origin}: the private key is damaged") from e
    return signer


def open_private(block: PemBlock, *, origin: str, passphrase: bytes | None) -> "PrivateKeyTypes":
    """Load the private key in a block, of whatever kind.

    Raises:
        KeyUnusableError: passphrase missing or wrong, key damaged or unknown to the cryptographic library.
    """
    return _open(block, origin, passphrase, check_numbers=True)


def open_to_sign(block: PemBlock, *, origin: str, passphrase: bytes | None) -> "PrivateKeyTypes":
    """Load the private key in a block for `make_signer`, which finds damage by trying the key.

    Whether the numbers of an RSA key are prime is not looked at: it takes 0.15 s with 3072 bits, as long as all else
    that signing does. A key whose numbers are wrong makes wrong signatures, and none is let out (see `confirm`).

    Raises:
        KeyUnusableError: as for `open_private`.
    """
    return _open(block, origin, passphrase, check_numbers=False)


def _open(block: PemBlock, origin: str, passphrase: bytes | None, *, check_numbers: bool) -> "PrivateKeyTypes":
    if block.is_encrypted and not passphrase:
        raise KeyUnusableError(f"cannot open {origin}: it is encrypted and needs a passphrase")
    try:
        return load_pem_private_key(
            block.text,
            password=passphrase if block.is_encrypted else None,
            unsafe_skip_rsa_key_validation=not check_numbers,
        )
    except UnsupportedAlgorithm as e:
        what = "its encryption or its kind of key is not supported" if block.is_encrypted else "unknown kind of key"
        raise KeyUnusableError(f"cannot open {origin}: {what}") from e
    except (TypeError, ValueError) as e:
        # A wrong passphrase gives garbage; no library can tell it from a damaged file.
        what = (
            "wrong passphrase, or the file is damaged"
            if block.is_encrypted
            else "the private key is damaged or of an unknown form"
        )
        raise KeyUnusableError(f"cannot open {origin}: {what}") from e


def _ecdsa() -> ec.ECDSA:
    try:
        return ec.ECDSA(hashes.SHA256(), deterministic_signing=True)
    except (TypeError, UnsupportedAlgorithm):
        return ec.ECDSA(hashes.SHA256())
