"""Verification keys that are trusted through a certificate chain."""

import shutil
import subprocess
from base64 import encodebytes
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from bistable.artifact.errors import KeyUnusableError
from bistable.artifact.keys import Verifier, certificate_verifier, load_signer
from bistable.artifact.keys.revocation import check_revocation

KEYS = Path(__file__).parent / "vectors" / "keys"
MESSAGE = b"0" * 64 + b"  version\n"
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


@pytest.mark.parametrize("name", CASES)
def test_a_chain_is_accepted_or_refused_for_the_right_reason(name: str) -> None:
    case = CASES[name]
    if case.words is None:
        assert check(case).name.startswith("P-256 7827ffff38cea058 ('CN=Release', ")
    else:
        what = refusal(lambda: check(case))
        assert what.startswith("cannot trust certificate 'CN=")
        assert case.words in what


OPENSSL_CHANGED_ITS_MIND = {"delta list"}
"""3.0.20 takes a delta list for a whole one, 3.0.22 does not."""


@pytest.mark.peer
@pytest.mark.parametrize("name", [name for name in CASES if name not in OPENSSL_CHANGED_ITS_MIND])
def test_openssl_judges_the_chain_likewise(name: str, tmp_path: Path) -> None:
    program = shutil.which("openssl") or pytest.skip("the program openssl is not installed")
    case = CASES[name]
    files: dict[str, Sequence[Plan | ListPlan]] = {
        "leaf": case.chain[:1],
        "others": case.chain[1:],
        "trust": case.trust,
        "lists": case.lists,
    }
    for file, plans in files.items():
        (tmp_path / file).write_bytes(pem(plans))
    command = [program, "verify", "-no-CApath", "-attime", str(int(NOW.timestamp()))]
    command += ["-CAfile", str(tmp_path / "trust")] if case.trust else ["-no-CAfile"]
    command += ["-untrusted", str(tmp_path / "others")] if case.chain[1:] else []
    command += ["-crl_check_all", "-CRLfile", str(tmp_path / "lists")] if case.lists else []
    done = subprocess.run([*command, str(tmp_path / "leaf")], check=False, capture_output=True, text=True)
    assert (done.returncode == 0) is case.openssl_accepts, done.stderr


@pytest.mark.peer
def test_a_sha1_signature_is_refused(tmp_path: Path) -> None:
    program = shutil.which("openssl") or pytest.skip("the program openssl is not installed")
    (tmp_path / "root").write_bytes(pem((ROOT,)))
    (tmp_path / "key").write_bytes(key("Root").private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    (tmp_path / "plain.conf").write_text("[req]\ndistinguished_name = empty\n[empty]\n")
    command = [
        program,
        "req",
        "-config",
        "plain.conf",
        "-x509",
        "-new",
        "-sha1",
        "-days",
        "3650",
        "-subj",
        "/CN=Release",
        "-out",
        "leaf",
    ]
    command += ["-key", str(KEYS / "ec256.key"), "-CA", "root", "-CAkey", "key"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    chain, soon = (tmp_path / "leaf").read_bytes(), datetime.now(UTC) + DAY
    trust = each(root(until=soon + DAY))
    words = "it is signed with SHA1; taken are SHA-256"
    assert words in refusal(lambda: certificate_verifier(chain, trust=trust, at=soon, origin="c"))


def test_the_key_of_a_chain_verifies_signatures() -> None:
    verifier = check(CASES["good"])
    signature = load_signer((KEYS / "ec256.key").read_bytes(), origin="k").sign(MESSAGE)
    assert verifier.verify(MESSAGE, signature)
    assert not verifier.verify(MESSAGE + b"!", signature)
    assert verifier.signature_size == 64


def test_the_verifier_is_named_after_the_certificate_and_its_issuer() -> None:
    assert check(CASES["good"]).name == "P-256 7827ffff38cea058 ('CN=Release', issued by 'CN=Middle')"


def test_an_rsa_certificate_works_as_well() -> None:
    case = Case(None, chain=(replace(LEAF, key="rsa2048.key", issuer="Root"),), trust=(ROOT,))
    signature = load_signer((KEYS / "rsa2048.key").read_bytes(), origin="k").sign(MESSAGE)
    assert check(case).verify(MESSAGE, signature)


def test_authorities_may_have_keys_that_artifacts_do_not_use() -> None:
    for name, digest in (("ec384.key", "SHA384"), ("ed25519.key", None), ("rsa3072.key", "SHA512")):
        trust = root(key=name, issuer_key=name, digest=digest)
        case = Case(None, chain=(replace(LEAF, issuer="Root", issuer_key=name, digest=digest),), trust=trust)
        assert check(case).name.startswith("P-256")


def test_the_signers_key_must_be_one_that_artifacts_use() -> None:
    case = Case("", chain=leaf(key="ec384.key"))
    assert "it is a key of the kind EC-secp384r1" in refusal(lambda: check(case))


def test_the_moment_decides() -> None:
    chain, trust = pem((LEAF, MIDDLE)), each((ROOT,))
    certificate_verifier(chain, trust=trust, at=NOW + 9 * DAY, origin="c")
    for moment in (NOW - 11 * DAY, NOW + 11 * DAY):
        assert "cannot trust" in refusal(partial(certificate_verifier, chain, trust=trust, at=moment, origin="c"))


def test_another_purpose_can_be_asked_for_and_none_at_all() -> None:
    own = "1.3.6.1.4.1.99999.1"
    case = Case(None, chain=leaf(purposes=(x509.ObjectIdentifier(own),)))
    assert "does not allow the purpose 1.3.6.1.5.5.7.3.3" in refusal(lambda: check(case))
    check(case, purpose=own)
    check(case, purpose=None)
    assert f"does not allow the purpose {own}" in refusal(lambda: check(CASES["good"], purpose=own))


def test_trusted_certificates_and_lists_may_be_bundles() -> None:
    certificate_verifier(
        pem((LEAF, MIDDLE)), trust=[pem((UNRELATED, ROOT))], crls=[pem((ROOT_LIST, MIDDLE_LIST))], at=NOW, origin="c"
    )


def test_a_list_without_an_end_is_never_current() -> None:
    class Endless:
        next_update_utc = None

        def __getattr__(self, name: str) -> object:
            return getattr(MIDDLE_LIST.make(), name)

    path = [LEAF.make(), MIDDLE.make()]
    lists: list[x509.CertificateRevocationList] = [Endless()]  # type: ignore[list-item]  # no builder makes a real one
    what = refusal(lambda: check_revocation(path, lists, at=NOW))
    assert "does not say when the next one is due" in what


def test_a_chain_of_too_many_certificates_is_refused_quickly() -> None:
    chain = pem((LEAF,)) + pem((MIDDLE,)) * 16
    assert "it holds more than 16 certificates" in refusal(
        lambda: certificate_verifier(chain, trust=each((ROOT,)), at=NOW, origin="chain.pem")
    )


def test_authorities_that_vouch_for_each_other_in_a_circle_are_no_trust() -> None:
    circle = (
        replace(LEAF, issuer="A"),
        replace(MIDDLE, subject="A", issuer="B", limits=authority()),
        replace(MIDDLE, subject="B", issuer="A", limits=authority()),
    )
    assert "is not trusted" in refusal(lambda: check(Case("", chain=circle)))


def test_control_characters_of_a_name_do_not_reach_the_message() -> None:
    case = Case("", chain=leaf(subject="\x1b[2J\x07 evil", until=NOW - DAY))
    what = refusal(lambda: check(case))
    assert what.isprintable()
    assert "evil" in what


@pytest.mark.parametrize(
    ("chain", "words"),
    [
        (b"", "chain.pem: it is empty"),
        ((KEYS / "ec256.pub").read_bytes(), "a PUBLIC KEY is in it, where only a CERTIFICATE may be"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "is damaged"),
    ],
)
def test_what_is_no_chain_is_called_by_its_name(chain: bytes, words: str) -> None:
    assert words in refusal(lambda: certificate_verifier(chain, trust=[], at=NOW, origin="chain.pem"))


@pytest.mark.parametrize("kind", [0x03, 0x77], ids=["a bit string", "no kind of string"])
def test_a_name_that_is_no_text_is_damage(kind: int) -> None:
    der = LEAF.make().public_bytes(Encoding.DER).replace(b"\x0c\x06Middle", bytes([kind]) + b"\x06Middle")
    chain = b"-----BEGIN CERTIFICATE-----\n" + encodebytes(der) + b"-----END CERTIFICATE-----\n" + pem((MIDDLE,))
    assert "is damaged" in refusal(lambda: certificate_verifier(chain, trust=each((ROOT,)), at=NOW, origin="c"))


def test_a_moment_without_a_time_zone_is_the_callers_mistake() -> None:
    with pytest.raises(ValueError, match="time zone"):
        certificate_verifier(pem((LEAF,)), trust=[], at=NOW.replace(tzinfo=None), origin="c")


def test_every_flipped_byte_of_a_certificate_is_refused_or_harmless_and_never_a_crash() -> None:
    der = LEAF.make().public_bytes(Encoding.DER)
    trust, others = each((ROOT,)), pem((MIDDLE,))
    good = check(CASES["good"])
    for position in range(len(der)):
        bad = bytearray(der)
        bad[position] ^= 0x41
        chain = b"-----BEGIN CERTIFICATE-----\n" + encodebytes(bad) + b"-----END CERTIFICATE-----\n" + others
        try:
            found = certificate_verifier(chain, trust=trust, at=NOW, origin="c")
        except KeyUnusableError:
            continue
        pytest.fail(f"byte {position} changed and still {found.name} like {good.name}")
