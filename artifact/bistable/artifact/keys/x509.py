"""A verification key that is trusted because a certificate chain leads from it to a trusted authority.

The signature in the artifact is an ordinary one, which every reader checks with the bare key; the chain travels beside
the artifact. What is checked and why it is done here is in docs/decisions/0004.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final

from bistable.artifact.errors import KeyUnusableError
from bistable.artifact.keys.pem import CERTIFICATE, split_pem
from bistable.artifact.keys.ports import Verifier

if TYPE_CHECKING:
    from cryptography import x509

CODE_SIGNING: Final = "1.3.6.1.5.5.7.3.3"
"""The purpose a signer's certificate must allow, if it limits its purposes at all (id-kp-codeSigning, RFC 5280)."""

REVOCATION_LIST: Final = "X509 CRL"
CHAIN_CERTIFICATES: Final = 16
"""Most certificates in a chain file, which nobody vouches for; real ones hold two or three."""


def certificate_verifier(
    chain_pem: bytes,
    *,
    trust: Sequence[bytes],
    at: datetime,
    origin: str,
    crls: Sequence[bytes] = (),
    purpose: str | None = CODE_SIGNING,
) -> Verifier:
    """Check a certificate chain and return the key of its first certificate.

    `chain_pem` holds the signer's certificate first, then any others in any order; those that are not on the path do
    not matter. Each of `trust` holds certificates in PEM that end a path: usually roots, but an intermediate authority
    or the signer's own certificate is trusted just the same when it is given. Each of `crls` holds revocation lists in
    PEM; when there are any, every certificate below the trusted one needs a list by its issuer that is current. All of
    that is judged for the moment `at` (with a time zone). `purpose` is the extended key usage that a certificate with
    such limits must allow, as a dotted OID; None allows all. `origin` names the chain in errors.

    Raises:
        ValueError: `at` has no time zone.
        KeyUnusableError: no trusted path, with the reason; or a file is damaged; or the key is of a kind that artifacts
            do not use.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.x509 import DuplicateExtension, InvalidVersion, UnsupportedGeneralNameType

    from bistable.artifact.keys.chain import Demands, find_path, name_of
    from bistable.artifact.keys.public import make_verifier
    from bistable.artifact.keys.revocation import check_revocation

    if at.tzinfo is None:
        raise ValueError("the moment of a check needs a time zone")
    # Certificates are decoded piece by piece when a piece is asked for, so damage may show in any of the steps; that of
    # a name as KeyError (in old releases of cryptography) or TypeError.
    damage = (ValueError, TypeError, KeyError, UnsupportedAlgorithm, DuplicateExtension, UnsupportedGeneralNameType)
    try:
        chain = _certificates(chain_pem, origin)
        anchors = [found for pem in trust for found in _certificates(pem, "the trusted certificates")]
        lists = [found for pem in crls for found in _revocation_lists(pem)]
        if len(chain) > CHAIN_CERTIFICATES:
            raise KeyUnusableError(f"cannot use {origin}: it holds more than {CHAIN_CERTIFICATES} certificates")
        path = find_path(chain[0], chain[1:], anchors, Demands(at=at, purpose=purpose))
        if lists:
            check_revocation(path, lists, at=at)
        voucher = f"issued by {name_of(path[1])}" if len(path) > 1 else "trusted itself"
        return make_verifier(path[0].public_key(), origin=f"{name_of(path[0])}, {voucher}")
    except (*damage, InvalidVersion) as e:
        raise KeyUnusableError(f"cannot use {origin}: a certificate or revocation list is damaged: {e}") from e


def _certificates(pem: bytes, origin: str) -> "list[x509.Certificate]":
    from cryptography.x509 import load_pem_x509_certificate

    return [load_pem_x509_certificate(text) for text in _blocks(pem, CERTIFICATE, origin)]


def _revocation_lists(pem: bytes) -> "list[x509.CertificateRevocationList]":
    from cryptography.x509 import load_pem_x509_crl

    return [load_pem_x509_crl(text) for text in _blocks(pem, REVOCATION_LIST, "the revocation lists")]


def _blocks(pem: bytes, label: str, origin: str) -> list[bytes]:
    blocks = split_pem(pem, origin=origin)
    for block in blocks:
        if block.label != label:
            raise KeyUnusableError(f"cannot use {origin}: a {block.label} is in it, where only a {label} may be")
    return [block.text for block in blocks]
