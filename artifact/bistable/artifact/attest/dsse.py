"""The signed envelope around a statement (DSSE v1): one JSON object that holds the statement and who signed it.

What is signed is an unambiguous concatenation of type and content, so that no JSON has to be understood before the
signature was checked. It starts with `DSSEv1`, a manifest with 64 hexadecimal digits: no signature over one can pass
for a signature over the other.
"""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn

from bistable.artifact import jsonio
from bistable.artifact.errors import KeyUnusableError, LimitError, RejectedError, RequestError, SignatureError, Where
from bistable.artifact.keys.ports import Signer, Verifier
from bistable.artifact.keys.signature import P256_SIZE, split_numbers
from bistable.artifact.limits import MIB, SIGNATURE_SIZE

PAYLOAD_TYPE: Final = "application/vnd.in-toto+json"
LINE_SIZE: Final = 64 * MIB
"""Longest envelope in bytes. Bills of materials that list every file of an image take tens of MiB."""

SIGNATURES: Final = 16
"""Most signatures in one envelope; each is tried with each key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvelopeSignature:
    """A signature and the claim, which nothing vouches for, by which key it is (SHA-256 of the public key, or "")."""

    key_id: str
    signature: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """An envelope as it was found; `payload` is not to be looked at before `verify_envelope` returned."""

    payload: bytes = field(repr=False)
    signatures: tuple[EnvelopeSignature, ...]


def pre_authentication(payload_type: str, payload: bytes) -> bytes:
    """Return the bytes that are signed: type and payload, each with its length in front."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def sign_statement(statement: bytes, signer: Signer) -> bytes:
    """Return the envelope of `statement` as one line of JSON, without the line's end.

    RSA signatures are PKCS#1 v1.5, ECDSA signatures ASN.1 DER, which is what other tools expect here (the artifact
    itself carries r and s side by side).

    Raises:
        RequestError: too long for an envelope.
        KeyUnusableError: the signer cannot sign, or what it makes is no signature by its key.
    """
    message = pre_authentication(PAYLOAD_TYPE, statement)
    signature = signer.sign(message)
    if not signer.public.verify(message, signature):
        raise KeyUnusableError(f"cannot sign with {signer.public.name}: the signature it made does not verify")
    entry = {"keyid": key_id(signer.public), "sig": base64.b64encode(_as_der(signature)).decode()}
    line = jsonio.encode(
        {
            "payloadType": PAYLOAD_TYPE,
            "payload": base64.b64encode(statement).decode(),
            "signatures": [{name: value for name, value in entry.items() if value}],
        }
    )
    if len(line) > LINE_SIZE:
        raise RequestError(
            f"cannot attest: the statement takes {len(line) // MIB} MiB, less than {LINE_SIZE // MIB} are allowed",
            hint="a bill of materials that lists packages, but not every file, is a small part of that",
        )
    return line


def parse_envelope(line: bytes, *, member: str) -> Envelope:
    """Take an envelope apart; unknown fields are ignored, as its specification demands.

    Raises:
        LimitError: too long, or too many signatures.
        RejectedError: it is not an envelope of an in-toto statement.
    """
    document = jsonio.parse_object(line, member=member, limit=LINE_SIZE)
    if "payload" not in document and "dsseEnvelope" in document:
        _refuse(member, "it is a Sigstore bundle, not an envelope", hint='take out its "dsseEnvelope"')
    if document.get("payloadType") != PAYLOAD_TYPE:
        _refuse(member, f'"payloadType" must be "{PAYLOAD_TYPE}"')
    signatures = document.get("signatures")
    if not isinstance(signatures, list) or not signatures:
        _refuse(member, '"signatures" must list at least one signature')
    if len(signatures) > SIGNATURES:
        raise LimitError(
            f"cannot read {member}: {len(signatures)} signatures, at most {SIGNATURES} are allowed",
            where=Where(member=member),
            rule="attestation.envelope",
        )
    return Envelope(
        payload=_bytes_of(document.get("payload"), "payload", member),
        signatures=tuple(_parse_signature(entry, member) for entry in signatures),
    )


def verify_envelope(envelope: Envelope, verifiers: Sequence[Verifier], *, member: str) -> tuple[bytes, Verifier]:
    """Return the payload and the key that it is signed by; one good signature by one of the keys is enough.

    Raises:
        SignatureError: none of the signatures is by any of the keys.
    """
    message = pre_authentication(PAYLOAD_TYPE, envelope.payload)
    for entry in envelope.signatures:
        for verifier in verifiers:
            if verifier.verify(message, entry.signature):
                return envelope.payload, verifier
    names = ", ".join(verifier.name for verifier in verifiers)
    claimed = ", ".join(sorted({entry.key_id[:16] for entry in envelope.signatures if entry.key_id}))
    raise SignatureError(
        f"cannot trust {member}: its signature is by none of the keys given ({names})",
        hint=f"it says that it is by {claimed}" if claimed else "it was changed, or signed with another key",
        where=Where(member=member),
        rule="attestation.signature",
    )


def key_id(verifier: Verifier) -> str:
    """Return the SHA-256 of a public key's DER form (SubjectPublicKeyInfo) in hex, or "" for other kinds of keys."""
    from bistable.artifact.keys.public import EcVerifier, RsaVerifier, fingerprint

    return fingerprint(verifier.key) if isinstance(verifier, RsaVerifier | EcVerifier) else ""


def _as_der(signature: bytes) -> bytes:
    """Return an ECDSA signature in DER; RSA signatures, which are never that short, as they are."""
    from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

    numbers = split_numbers(signature) if len(signature) == P256_SIZE else None
    return signature if numbers is None else encode_dss_signature(*numbers)


def _parse_signature(entry: Any, member: str) -> EnvelopeSignature:
    if not isinstance(entry, dict):
        _refuse(member, "a signature must be an object")
    claimed = entry.get("keyid", "")
    if not isinstance(claimed, str):
        _refuse(member, '"keyid" must be text')
    signature = _bytes_of(entry.get("sig"), "sig", member)
    if len(signature) > SIGNATURE_SIZE:
        _refuse(member, f'"sig" is longer than {SIGNATURE_SIZE} bytes')
    return EnvelopeSignature(key_id=claimed if claimed.isprintable() else "", signature=signature)


def _bytes_of(value: Any, name: str, member: str) -> bytes:
    """Decode base64 in the standard or the URL alphabet; both are allowed, a mixture or another encoding is not."""
    if not isinstance(value, str) or not value.isascii():
        _refuse(member, f'"{name}" must be base64')
    text = value.encode()
    alphabet = b"-_" if b"-" in text or b"_" in text else b"+/"
    try:
        data = base64.b64decode(text, altchars=alphabet, validate=True)
    except binascii.Error:
        data = b""
    if not data or base64.b64encode(data, altchars=alphabet) != text:
        _refuse(member, f'"{name}" must be base64')
    return data


def _refuse(member: str, why: str, *, hint: str | None = None) -> NoReturn:
    raise RejectedError(
        f"cannot read {member}: {why}", hint=hint, where=Where(member=member), rule="attestation.envelope"
    )
