"""Chains that are accepted or refused, with the reason, and with what openssl says."""

from dataclasses import replace
from datetime import timedelta

from chains import (
    DAY,
    EVIL_ROOT,
    LEAF,
    MIDDLE,
    MIDDLE_LIST,
    NOW,
    OTHER_PARTIAL,
    ROOT,
    ROOT_LIST,
    SECOND,
    UNKNOWN,
    UNRELATED,
    Case,
    authority,
    leaf,
    middle,
    root,
    usage,
)
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

CASES = {
    # --- accepted
    "good": Case(None),
    "good, directly under the root": Case(None, chain=(replace(LEAF, issuer="Root"),)),
    "good, without limits on usage": Case(None, chain=leaf(usage=None, purposes=())),
    "good, authorities without key usage": Case(None, chain=middle(usage=None), trust=root(usage=None)),
    "good, others in any order": Case(
        None, chain=(replace(LEAF, issuer="Second"), SECOND, UNRELATED, replace(MIDDLE, limits=authority(1)))
    ),
    "good, the root in the chain too": Case(None, chain=(LEAF, ROOT, MIDDLE)),
    "good, an expired certificate of the authority beside the new one": Case(
        None, chain=(LEAF, replace(MIDDLE, until=NOW - DAY), MIDDLE)
    ),
    # Without key identifiers openssl takes the first root of the name and no other.
    "good, another root of the same name": Case(None, trust=(EVIL_ROOT, ROOT), openssl=False),
    # RFC 5280 §4.1.2.5 counts the last second in, openssl does not.
    "good, the last second": Case(None, chain=leaf(until=NOW), openssl=False),
    "good, the first second": Case(None, chain=leaf(since=NOW)),
    "good, alternative names are critical": Case(
        None, chain=leaf(extra=((x509.SubjectAlternativeName([x509.DNSName("build.example")]), True),))
    ),
    "good, an unknown extension is not critical": Case(None, chain=leaf(extra=((UNKNOWN, False),))),
    "good, the signer itself is trusted": Case(
        None,
        chain=(replace(LEAF, issuer="Release", issuer_key="ec256.key"),),
        trust=(replace(LEAF, issuer="Release", issuer_key="ec256.key"),),
    ),
    # Openssl wants -partial_chain for this; here what is given is trusted.
    "good, the intermediate authority is trusted": Case(None, trust=(MIDDLE,), openssl=False),
    "good, with current lists": Case(None, lists=(ROOT_LIST, MIDDLE_LIST)),
    "good, others are revoked": Case(
        None, lists=(replace(ROOT_LIST, revoked=(31,)), replace(MIDDLE_LIST, revoked=(21,)))
    ),
    "good, an old list beside the current one": Case(
        None, lists=(replace(MIDDLE_LIST, until=NOW - DAY, revoked=()), ROOT_LIST, MIDDLE_LIST)
    ),
    # --- time
    "leaf expired": Case(
        "'CN=Release': expired on 2025-06-01 11:59:59 UTC", chain=leaf(until=NOW - timedelta(seconds=1))
    ),
    "leaf not yet valid": Case("'CN=Release': not valid before 2025-06-02 12:00:00 UTC", chain=leaf(since=NOW + DAY)),
    "authority expired": Case("'CN=Middle': expired on", chain=middle(until=NOW - DAY)),
    "authority not yet valid": Case("'CN=Middle': not valid before", chain=middle(since=NOW + DAY)),
    "root expired": Case("'CN=Root': expired on", trust=root(until=NOW - DAY)),
    # --- use
    "leaf only for encryption": Case(
        # Openssl looks at the signer's usage only when it is asked for a purpose, and has no code signing before 3.2.
        "'CN=Release': its key usage does not allow digital signatures",
        chain=leaf(usage=usage("key_encipherment")),
        openssl=True,
    ),
    "leaf for servers": Case(
        "'CN=Release': its extended key usage does not allow the purpose 1.3.6.1.5.5.7.3.3",
        chain=leaf(purposes=(ExtendedKeyUsageOID.SERVER_AUTH,)),
        openssl=True,
    ),
    "leaf for any purpose": Case(
        "'CN=Release': its extended key usage",
        chain=leaf(purposes=(ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,)),
        openssl=True,
    ),
    "authority for servers": Case(
        "'CN=Middle': its extended key usage", chain=middle(purposes=(ExtendedKeyUsageOID.SERVER_AUTH,)), openssl=True
    ),
    "authority may not sign certificates": Case(
        "'CN=Middle': its key usage does not allow signing certificates", chain=middle(usage=usage("crl_sign"))
    ),
    "authority is none": Case(
        "'CN=Middle': it is not the certificate of an authority",
        chain=middle(limits=x509.BasicConstraints(ca=False, path_length=None)),
    ),
    "authority without basic constraints": Case(
        "'CN=Middle': it is not the certificate of an authority", chain=middle(limits=None)
    ),
    "a signer acts as authority": Case(
        "'CN=Other': it is not the certificate of an authority",
        chain=(replace(LEAF, issuer="Other"), replace(LEAF, subject="Other", key=None), MIDDLE),
        openssl=False,
    ),
    "root is no authority": Case(
        "'CN=Root': it is not the certificate of an authority", trust=root(limits=None, usage=None)
    ),
    "too many authorities": Case(
        "'CN=Middle': it allows 0 authorities below it, and there are 1",
        chain=(replace(LEAF, issuer="Second"), SECOND, MIDDLE),
    ),
    "too many authorities below the root": Case(
        "'CN=Root': it allows 0 authorities below it, and there are 1", trust=root(limits=authority(0))
    ),
    "leaf with an unknown critical extension": Case(
        "'CN=Release': it has a critical extension that is not supported (1.2.3.4.5)",
        chain=leaf(extra=((UNKNOWN, True),)),
    ),
    "authority with an unknown critical extension": Case(
        "'CN=Middle': it has a critical extension", chain=middle(extra=((UNKNOWN, True),))
    ),
    # Openssl knows name constraints, and the signer's name is within these.
    "authority with name constraints": Case(
        "'CN=Middle': it has a critical extension that is not supported (2.5.29.30)",
        chain=middle(extra=((x509.NameConstraints([x509.DNSName("example")], None), False),)),
        openssl=True,
    ),
    # Openssl takes 112 bits of strength by default.
    "leaf with a short hash": Case(
        "'CN=Release': it is signed with SHA224; taken are SHA-256, SHA-384 and SHA-512",
        chain=leaf(digest="SHA224"),
        openssl=True,
    ),
    "authority with a short RSA key": Case(
        "'CN=Middle': its key is too weak or of an unknown kind (RSA-1024)",
        chain=(replace(LEAF, issuer_key="rsa1024"), replace(MIDDLE, key="rsa1024")),
        openssl=True,
    ),
    # --- trust
    "missing intermediate": Case(
        "'CN=Release': its issuer 'CN=Middle' is not trusted and not in the chain", chain=(LEAF,)
    ),
    "missing intermediate, unrelated ones": Case(
        "its issuer 'CN=Middle' is not trusted", chain=(LEAF, UNRELATED, SECOND)
    ),
    "missing root": Case(
        "'CN=Middle': its issuer 'CN=Root' is not trusted and not in the chain", trust=(UNRELATED,), openssl=False
    ),
    "nothing is trusted": Case("'CN=Middle': its issuer 'CN=Root' is not trusted", trust=()),
    "another root of the same name": Case(
        "'CN=Middle': it is not signed by the certificate 'CN=Root' that is there", trust=(EVIL_ROOT,)
    ),
    "the chain brings its own root": Case(
        "'CN=Evil': it is signed by itself, and it is not one of the trusted",
        chain=(replace(LEAF, issuer="Evil"), replace(ROOT, subject="Evil", issuer="Evil")),
    ),
    "self-signed leaf": Case(
        "'CN=Release': it is signed by itself", chain=(replace(LEAF, issuer="Release", issuer_key="ec256.key"),)
    ),
    "the signer's certificate is not the first": Case(
        "'CN=Middle': its key usage does not allow digital", chain=(MIDDLE, LEAF), openssl=True
    ),
    "intermediate of the same name, other key": Case(
        "'CN=Release': it is not signed by the certificate 'CN=Middle'", chain=middle(key="imposter")
    ),
    # --- revocation
    "leaf revoked": Case(
        "'CN=Release': revoked on 2025-05-29 12:00:00 UTC by 'CN=Middle'",
        lists=(ROOT_LIST, replace(MIDDLE_LIST, revoked=(1, 31))),
    ),
    "authority revoked": Case("'CN=Middle': revoked on", lists=(replace(ROOT_LIST, revoked=(21,)), MIDDLE_LIST)),
    "list of the leaf's issuer missing": Case(
        "'CN=Release': there is no revocation list by 'CN=Middle'", lists=(ROOT_LIST,)
    ),
    "list of the root missing": Case("'CN=Middle': there is no revocation list by 'CN=Root'", lists=(MIDDLE_LIST,)),
    "list out of date": Case(
        "'CN=Release': the revocation list by 'CN=Middle' cannot be used: a newer one was due on 2025-05-31",
        lists=(ROOT_LIST, replace(MIDDLE_LIST, until=NOW - DAY)),
    ),
    "list from the future": Case(
        "cannot be used: not valid before 2025-06-02", lists=(ROOT_LIST, replace(MIDDLE_LIST, since=NOW + DAY))
    ),
    "list signed by another key": Case(
        "it is signed by another key", lists=(ROOT_LIST, replace(MIDDLE_LIST, key="imposter"))
    ),
    "issuer may not sign lists": Case(
        "the issuer's key usage does not allow signing revocation lists",
        chain=middle(usage=usage("key_cert_sign")),
        lists=(ROOT_LIST, MIDDLE_LIST),
    ),
    "list for servers' certificates only": Case(
        "it has a critical extension that is not supported (2.5.29.28)",
        lists=(ROOT_LIST, replace(MIDDLE_LIST, extra=((OTHER_PARTIAL, True),))),
        openssl=True,
    ),
    "list with an unknown critical extension": Case(
        "it has a critical extension", lists=(ROOT_LIST, replace(MIDDLE_LIST, extra=((UNKNOWN, True),)))
    ),
    "list with a short hash": Case(
        "cannot be used: it is signed with SHA224",
        lists=(ROOT_LIST, replace(MIDDLE_LIST, digest="SHA224")),
        openssl=True,
    ),
    "delta list": Case(
        "it has a critical extension that is not supported (2.5.29.27)",
        lists=(ROOT_LIST, replace(MIDDLE_LIST, extra=((x509.CRLNumber(2), False), (x509.DeltaCRLIndicator(1), True)))),
    ),
    "one of two current lists revokes": Case(
        "'CN=Release': revoked", lists=(ROOT_LIST, MIDDLE_LIST, replace(MIDDLE_LIST, revoked=(31,))), openssl=True
    ),
}
