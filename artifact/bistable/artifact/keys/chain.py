"""Finding a path of certificates from a signer to a trusted authority, and checking every step of it.

After RFC 5280 §6.1, without what a signer of artifacts has no use for (names, policies): a certificate that depends on
such a thing is refused, not half understood. docs/decisions/0004 says why no ready-made verifier is used.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.x509.oid import ExtensionOID

from bistable.artifact.errors import KeyUnusableError
from bistable.artifact.keys.public import RSA_BITS, kind_of

NAME_LENGTH: Final = 200
"""Longest name in an error: names come from files that nobody vouches for."""

STRONG_HASHES: Final = (hashes.SHA256, hashes.SHA384, hashes.SHA512)
STRONG_CURVES: Final = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)

UNDERSTOOD: Final = frozenset(
    {
        ExtensionOID.BASIC_CONSTRAINTS,
        ExtensionOID.KEY_USAGE,
        ExtensionOID.EXTENDED_KEY_USAGE,
        ExtensionOID.SUBJECT_KEY_IDENTIFIER,
        ExtensionOID.AUTHORITY_KEY_IDENTIFIER,
        # Other names of a signer limit nothing, critical or not.
        ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
    }
)
"""Extensions that may be critical. Of these, identifiers only help to find an issuer; the signature decides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Demands:
    """What every certificate on a path must stand up to; see `certificate_verifier`."""

    at: datetime
    purpose: str | None


def find_path(
    leaf: x509.Certificate,
    others: Sequence[x509.Certificate],
    anchors: Sequence[x509.Certificate],
    demands: Demands,
) -> list[x509.Certificate]:
    """Return a path that holds, from `leaf` through some of `others` to one of `anchors`; `leaf` may be one itself.

    Raises:
        KeyUnusableError: there is none; the reason is that of the first path that was tried.
    """
    problem = _problem_of(leaf, demands) or _problem_of_leaf(leaf) or _purpose_problem(leaf, demands)
    if problem is not None:
        raise _distrust(leaf, problem)
    if leaf in anchors:
        return [leaf]
    search = _Search(others, anchors, demands)
    path = search.extend([leaf])
    if path is not None:
        return path
    if search.problems:
        raise _distrust(*search.problems[0])
    last = search.longest[-1]
    if last.subject == last.issuer:
        raise _distrust(last, "it is signed by itself, and it is not one of the trusted certificates")
    raise _distrust(
        last,
        f"its issuer {_name(last.issuer)} is not trusted and not in the chain",
        hint="add the missing intermediate certificate to the chain, or trust its root",
    )


class _Search:
    """Depth first; every certificate is tried once, so that a hostile chain file costs little."""

    def __init__(
        self, others: Sequence[x509.Certificate], anchors: Sequence[x509.Certificate], demands: Demands
    ) -> None:
        self.problems: list[tuple[x509.Certificate, str]] = []
        self.longest: list[x509.Certificate] = []
        self._candidates = [(c, True) for c in anchors] + [(c, False) for c in others if c not in anchors]
        self._demands = demands
        self._tried: list[x509.Certificate] = []

    def extend(self, path: list[x509.Certificate]) -> list[x509.Certificate] | None:
        child = path[-1]
        self.longest = max(self.longest, path, key=len)
        for issuer, trusted in self._candidates:
            if issuer.subject != child.issuer or issuer in path or issuer in self._tried:
                continue
            problem = _problem_of_step(path, issuer)
            if problem is not None:
                self.problems.append((child, problem))
                continue
            self._tried.append(issuer)
            problem = _problem_of_issuer(path, issuer, self._demands, trusted=trusted)
            if problem is not None:
                self.problems.append((issuer, problem))
                continue
            found = [*path, issuer] if trusted else self.extend([*path, issuer])
            if found is not None:
                return found
        return None


def name_of(certificate: x509.Certificate) -> str:
    """Return the subject for people, on one line and without control characters: `'CN=Release key'`."""
    return _name(certificate.subject)


def show_time(moment: datetime) -> str:
    """Return a moment (UTC) for people."""
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def key_problem(certificate: x509.Certificate) -> str | None:
    """Return why signatures by an authority's key are not believed, or None."""
    key = certificate.public_key()
    if isinstance(key, rsa.RSAPublicKey) and key.key_size in RSA_BITS:
        return None
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, STRONG_CURVES):
        return None
    if isinstance(key, ed25519.Ed25519PublicKey | ed448.Ed448PublicKey):
        return None
    return f"its key is too weak or of an unknown kind ({kind_of(key)})"


def hash_problem(signed: x509.Certificate | x509.CertificateRevocationList) -> str | None:
    """Return why the hash under a signature is not believed, or None; Ed25519 and Ed448 bring their own."""
    algorithm = signed.signature_hash_algorithm
    if algorithm is None or isinstance(algorithm, STRONG_HASHES):
        return None
    return f"it is signed with {algorithm.name.upper()}; taken are SHA-256, SHA-384 and SHA-512"


def usage_of(certificate: x509.Certificate) -> x509.KeyUsage | None:
    """Return the key usage, or None if the certificate does not limit it."""
    try:
        return certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return None


def _problem_of(certificate: x509.Certificate, demands: Demands) -> str | None:
    """Check what holds for every certificate, the trusted one included."""
    if demands.at < certificate.not_valid_before_utc:
        return f"not valid before {show_time(certificate.not_valid_before_utc)}"
    if demands.at > certificate.not_valid_after_utc:
        return f"expired on {show_time(certificate.not_valid_after_utc)}"
    for extension in certificate.extensions:
        # Name constraints must be critical (RFC 5280 §4.2.1.10), and are not to be ignored where they are not.
        demanding = extension.critical or extension.oid == ExtensionOID.NAME_CONSTRAINTS
        if demanding and extension.oid not in UNDERSTOOD:
            return f"it has a critical extension that is not supported ({extension.oid.dotted_string})"
    return None


def _problem_of_leaf(leaf: x509.Certificate) -> str | None:
    usage = usage_of(leaf)
    return None if usage is None or usage.digital_signature else "its key usage does not allow digital signatures"


def _problem_of_step(path: list[x509.Certificate], issuer: x509.Certificate) -> str | None:
    """Check the signature: names may be equal by chance or by design, as when an authority renewed its key."""
    child = path[-1]
    weakness = hash_problem(child)
    if weakness is not None:
        return weakness
    try:
        child.verify_directly_issued_by(issuer)
    except (InvalidSignature, TypeError, ValueError):
        return f"it is not signed by the certificate {name_of(issuer)} that is there"
    return None


def _problem_of_issuer(
    path: list[x509.Certificate], issuer: x509.Certificate, demands: Demands, *, trusted: bool
) -> str | None:
    try:
        limits = issuer.extensions.get_extension_for_class(x509.BasicConstraints).value
    except x509.ExtensionNotFound:
        limits = x509.BasicConstraints(ca=False, path_length=None)
    if not limits.ca:
        return "it is not the certificate of an authority (CA)"
    usage = usage_of(issuer)
    if usage is not None and not usage.key_cert_sign:
        return "its key usage does not allow signing certificates"
    below = sum(1 for c in path[1:] if c.subject != c.issuer)
    if limits.path_length is not None and below > limits.path_length:
        return f"it allows {limits.path_length} authorities below it, and there are {below}"
    purposes = None if trusted else _purpose_problem(issuer, demands)
    return purposes or _problem_of(issuer, demands) or key_problem(issuer)


def _purpose_problem(certificate: x509.Certificate, demands: Demands) -> str | None:
    try:
        allowed = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return None
    if demands.purpose is None or demands.purpose in {oid.dotted_string for oid in allowed}:
        return None
    return f"its extended key usage does not allow the purpose {demands.purpose}"


def _distrust(certificate: x509.Certificate, problem: str, hint: str | None = None) -> KeyUnusableError:
    return KeyUnusableError(f"cannot trust certificate {name_of(certificate)}: {problem}", hint=hint)


def _name(name: x509.Name) -> str:
    text = name.rfc4514_string()[:NAME_LENGTH]
    return "'" + "".join(c if c.isprintable() else "?" for c in text) + "'"
