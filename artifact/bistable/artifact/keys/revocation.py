"""Revocation lists: is every certificate of a path still good at the moment in question? RFC 5280 §5 and §6.3."""

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise

from cryptography import x509

from bistable.artifact.errors import KeyUnusableError
from bistable.artifact.keys.chain import hash_problem, name_of, show_time, usage_of


def check_revocation(
    path: Sequence[x509.Certificate], lists: Sequence[x509.CertificateRevocationList], *, at: datetime
) -> None:
    """Check every certificate of `path` but the trusted one at its end against a current list by its issuer.

    Raises:
        KeyUnusableError: a certificate is revoked, or there is no current list that could tell.
    """
    for certificate, issuer in pairwise(path):
        current = _current_lists(certificate, issuer, lists, at)
        for revocations in current:
            entry = revocations.get_revoked_certificate_by_serial_number(certificate.serial_number)
            if entry is not None:
                raise KeyUnusableError(
                    f"cannot trust certificate {name_of(certificate)}: "
                    f"revoked on {show_time(entry.revocation_date_utc)} by {name_of(issuer)}"
                )


def _current_lists(
    certificate: x509.Certificate,
    issuer: x509.Certificate,
    lists: Sequence[x509.CertificateRevocationList],
    at: datetime,
) -> list[x509.CertificateRevocationList]:
    """Return the lists that count, at least one. Of two that are current any one can revoke: better once too often."""
    found: list[x509.CertificateRevocationList] = []
    problems = [f"there is no revocation list by {name_of(issuer)}"]
    for revocations in lists:
        if revocations.issuer != certificate.issuer:
            continue
        problem = _problem_of(revocations, issuer, at)
        if problem is None:
            found.append(revocations)
        else:
            problems.append(f"the revocation list by {name_of(issuer)} cannot be used: {problem}")
    if not found:
        raise KeyUnusableError(
            f"cannot trust certificate {name_of(certificate)}: {problems[-1]}",
            hint="get the issuer's current list; when lists are given, every certificate below the root needs one",
        )
    return found


def _problem_of(revocations: x509.CertificateRevocationList, issuer: x509.Certificate, at: datetime) -> str | None:
    usage = usage_of(issuer)
    if usage is not None and not usage.crl_sign:
        return "the issuer's key usage does not allow signing revocation lists"
    weakness = hash_problem(revocations)
    if weakness is not None:
        return weakness
    # find_path has seen that the key is of a kind that signs.
    if not revocations.is_signature_valid(issuer.public_key()):  # type: ignore[arg-type]
        return "it is signed by another key"
    for extension in revocations.extensions:
        # A critical extension makes a list a partial, an indirect or a delta list, which proves nothing by itself.
        if extension.critical:
            return f"it has a critical extension that is not supported ({extension.oid.dotted_string})"
    if at < revocations.last_update_utc:
        return f"not valid before {show_time(revocations.last_update_utc)}"
    if revocations.next_update_utc is None:
        return "it does not say when the next one is due"
    if at > revocations.next_update_utc:
        return f"a newer one was due on {show_time(revocations.next_update_utc)}"
    return None
