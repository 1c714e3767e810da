"""Certificates, revocation lists and chains of them, made as a test plans them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from bistable.artifact.errors import KeyUnusableError
from bistable.artifact.keys import Verifier, certificate_verifier

KEYS = Path(__file__).parent / "vectors" / "keys"
NOW = datetime(2025, 6, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
UNKNOWN = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4.5"), b"\x05\x00")


@cache
def key(name: str) -> CertificateIssuerPrivateKeyTypes:
    if (KEYS / name).exists():
        found = load_pem_private_key((KEYS / name).read_bytes(), None)
        assert isinstance(found, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey)
        return found
    if name == "rsa1024":
        return rsa.generate_private_key(public_exponent=65537, key_size=1024)
    return ec.generate_private_key(ec.SECP256R1())


def named(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def usage(*allowed: str) -> x509.KeyUsage:
    kinds = ["digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement"]
    kinds += ["key_cert_sign", "crl_sign", "encipher_only", "decipher_only"]
    return x509.KeyUsage(**{kind: kind in allowed for kind in kinds})


@dataclass(frozen=True)
class Plan:
    """What a certificate is made of; the key has the name of the subject unless said otherwise."""

    subject: str
    issuer: str
    key: str | None = None
    issuer_key: str | None = None
    serial: int = 7
    since: datetime = NOW - 10 * DAY
    until: datetime = NOW + 10 * DAY
    digest: str | None = "SHA256"
    limits: x509.BasicConstraints | None = None
    usage: x509.KeyUsage | None = None
    purposes: tuple[x509.ObjectIdentifier, ...] = ()
    extra: tuple[tuple[x509.ExtensionType, bool], ...] = ()

    @cache  # noqa: B019 - signatures are random, and a certificate must be the same one wherever it is used
    def make(self) -> x509.Certificate:
        builder = (
            x509.CertificateBuilder()
            .subject_name(named(self.subject))
            .issuer_name(named(self.issuer))
            .public_key(key(self.key or self.subject).public_key())
            .serial_number(self.serial)
            .not_valid_before(self.since)
            .not_valid_after(self.until)
        )
        extensions: list[tuple[x509.ExtensionType | None, bool]] = [
            (self.limits, True),
            (self.usage, True),
            *self.extra,
        ]
        if self.purposes:
            extensions.append((x509.ExtendedKeyUsage(self.purposes), False))
        for extension, critical in extensions:
            if extension is not None:
                builder = builder.add_extension(extension, critical)
        digest = getattr(hashes, self.digest)() if self.digest else None
        return builder.sign(key(self.issuer_key or self.issuer), digest)


def authority(path_length: int | None = None) -> x509.BasicConstraints:
    return x509.BasicConstraints(ca=True, path_length=path_length)


CA_USAGE = usage("key_cert_sign", "crl_sign")
ROOT = Plan("Root", "Root", limits=authority(), usage=CA_USAGE)
MIDDLE = Plan("Middle", "Root", serial=21, limits=authority(0), usage=CA_USAGE)
LEAF = Plan(
    "Release",
    "Middle",
    serial=31,
    key="ec256.key",
    limits=x509.BasicConstraints(ca=False, path_length=None),
    usage=usage("digital_signature"),
    purposes=(ExtendedKeyUsageOID.CODE_SIGNING,),
)


@dataclass(frozen=True)
class ListPlan:
    """What a revocation list is made of."""

    issuer: str
    revoked: tuple[int, ...] = ()
    key: str | None = None
    digest: str = "SHA256"
    since: datetime = NOW - 2 * DAY
    until: datetime = NOW + 2 * DAY
    extra: tuple[tuple[x509.ExtensionType, bool], ...] = ()

    def make(self) -> x509.CertificateRevocationList:
        builder = x509.CertificateRevocationListBuilder().issuer_name(named(self.issuer))
        builder = builder.last_update(self.since).next_update(self.until)
        for serial in self.revoked:
            entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(NOW - 3 * DAY).build()
            builder = builder.add_revoked_certificate(entry)
        for extension, critical in self.extra:
            builder = builder.add_extension(extension, critical)
        return builder.sign(key(self.key or self.issuer), getattr(hashes, self.digest)())


ROOT_LIST = ListPlan("Root")
MIDDLE_LIST = ListPlan("Middle")


@dataclass(frozen=True)
class Case:
    """A chain with what is trusted and revoked, and words of the refusal (None: it is accepted)."""

    words: str | None
    chain: tuple[Plan, ...] = (LEAF, MIDDLE)
    trust: tuple[Plan, ...] = (ROOT,)
    lists: tuple[ListPlan, ...] = ()
    openssl: bool | None = None
    """What openssl says, where it differs on purpose; the reason stands at the case."""

    @property
    def openssl_accepts(self) -> bool:
        return self.words is None if self.openssl is None else self.openssl


def leaf(**changes: Any) -> tuple[Plan, ...]:
    return (replace(LEAF, **changes), MIDDLE)


def middle(**changes: Any) -> tuple[Plan, ...]:
    return (LEAF, replace(MIDDLE, **changes))


def root(**changes: Any) -> tuple[Plan, ...]:
    return (replace(ROOT, **changes),)


SECOND = Plan("Second", "Middle", serial=22, limits=authority(), usage=CA_USAGE)
UNRELATED = Plan("Elsewhere", "Nowhere", limits=authority(), usage=CA_USAGE)
EVIL_ROOT = replace(ROOT, key="evil", issuer_key="evil")
OTHER_PARTIAL = x509.IssuingDistributionPoint(None, None, True, False, None, False, False)


def pem(plans: Sequence[Plan | ListPlan]) -> bytes:
    return b"".join(plan.make().public_bytes(Encoding.PEM) for plan in plans)


def each(plans: Sequence[Plan | ListPlan]) -> list[bytes]:
    return [pem([plan]) for plan in plans]


def check(case: Case, **purpose: str | None) -> Verifier:
    return certificate_verifier(
        pem(case.chain), trust=each(case.trust), crls=each(case.lists), at=NOW, origin="chain.pem", **purpose
    )


def refusal(make: Callable[[], object]) -> str:
    with pytest.raises(KeyUnusableError) as caught:
        make()
    return caught.value.what
