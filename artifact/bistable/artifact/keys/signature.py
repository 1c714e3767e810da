"""Signature bytes and their text form in `manifest.sig`. FORMAT.md §4.

The reader calls `decode_signature` for every signed artifact, also where no key is checked, so this module loads the
cryptographic library only where DER has to be read.
"""

import base64
import binascii
import re
from collections.abc import Iterator
from typing import Final

from bistable.artifact.errors import KeyUnusableError, SignatureError, Where
from bistable.artifact.keys.ports import Verifier

P256_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
P256_HALF: Final = 32
P256_SIZE: Final = 2 * P256_HALF
"""r and s, big-endian, side by side: the form that every reader takes."""

P256_DER_SIZES: Final = range(8, 73)
"""SEQUENCE of two INTEGERs, each of 1 to 33 bytes."""

RSA_SIZES: Final = range(256, 2049)
"""Modulus lengths of 2048 to 16384 bits: what the cryptographic library can check."""

_NO_BASE64: Final = re.compile(rb"[^A-Za-z0-9+/=\r\n]")


def encode_signature(signature: bytes) -> bytes:
    """Return the body of `manifest.sig`: one line of base64 without an end of line, which device clients refuse."""
    return base64.b64encode(signature)


def decode_signature(body: bytes) -> tuple[bytes, bool]:
    """Return the signature in the body of `manifest.sig`, and whether line ends had to be ignored.

    Raises:
        SignatureError: the body is not canonical standard base64.
    """
    text = body.translate(None, b"\r\n")
    signature = _from_base64(text)
    if not signature:
        bad = _NO_BASE64.search(body)
        raise SignatureError(
            f"cannot read the signature: manifest.sig {'is not base64' if text else 'is empty'}",
            where=Where(member="manifest.sig", offset=None if bad is None else bad.start()),
            rule="signature.encoding",
        )
    return signature, text != body


def parse_signature(data: bytes, verifier: Verifier | None = None) -> bytes:
    """Return a signature that was made elsewhere in the artifact's form (RSA: as it is; P-256: r and s).

    `data` is what a signing program or service gave: the signature as such or in base64 (standard or URL alphabet,
    lines allowed); ECDSA as r and s or in DER. With `verifier` only a signature of its kind and size is taken; whether
    it is the right one only `verifier.verify` tells.

    Raises:
        SignatureError: `data` is nothing of that.
    """
    sizes = (P256_SIZE, *RSA_SIZES) if verifier is None else (verifier.signature_size,)
    for candidate in _decodings(data):
        if len(candidate) in sizes:
            return candidate
        numbers = read_der(candidate) if P256_SIZE in sizes else None
        if numbers is not None:
            return join_numbers(*numbers)
    expected = "an RSA or P-256 signature" if verifier is None else f"one by {verifier.name} ({sizes[0]} bytes)"
    raise SignatureError(
        f"cannot use this signature of {len(data)} bytes: it is not {expected}",
        hint="give the signature over SHA-256 as raw bytes, DER or base64; RSA with PKCS#1 v1.5 padding",
        rule="signature.encoding",
    )


def confirm(signature: bytes, message: bytes, public: Verifier, *, maker: str) -> bytes:
    """Return `signature` once it has been seen to verify: no signer is taken on trust. FORMAT.md §4.

    Raises:
        KeyUnusableError: it is by another key, or over something else.
    """
    if not public.verify(message, signature):
        raise KeyUnusableError(
            f"cannot sign with {maker}: the signature does not match the public key {public.name}",
            hint="give the public half of the key that signs; the signature must be over the SHA-256 of the manifest, "
            "for RSA with PKCS#1 v1.5 padding",
        )
    return signature


def join_numbers(r: int, s: int) -> bytes:
    """Return `r` and `s` as 64 bytes."""
    return r.to_bytes(P256_HALF) + s.to_bytes(P256_HALF)


def split_numbers(signature: bytes) -> tuple[int, int] | None:
    """Return r and s of a 64-byte signature, or None if it cannot be one of P-256."""
    if len(signature) != P256_SIZE:
        return None
    return _in_range(int.from_bytes(signature[:P256_HALF]), int.from_bytes(signature[P256_HALF:]))


def read_der(signature: bytes) -> tuple[int, int] | None:
    """Return r and s of a signature in strict DER, or None if it cannot be one of P-256."""
    from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

    if len(signature) not in P256_DER_SIZES:
        return None
    try:
        return _in_range(*decode_dss_signature(signature))
    except ValueError:
        return None


def _in_range(r: int, s: int) -> tuple[int, int] | None:
    return (r, s) if 0 < r < P256_ORDER and 0 < s < P256_ORDER else None


def _decodings(data: bytes) -> Iterator[bytes]:
    """Give what `data` may stand for; text comes first, since a raw signature is never text by chance."""
    text = b"".join(data.split()).translate(bytes.maketrans(b"-_", b"+/")).rstrip(b"=")
    decoded = _from_base64(text + b"=" * (-len(text) % 4))
    if decoded:
        yield decoded
    yield data


def _from_base64(text: bytes) -> bytes | None:
    """Decode standard base64; None unless `text` is the one encoding of its value."""
    try:
        decoded = base64.b64decode(text, validate=True)
    except binascii.Error:
        return None
    return decoded if base64.b64encode(decoded) == text else None
