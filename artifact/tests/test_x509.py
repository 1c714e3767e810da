"""Verification keys that are trusted through a certificate chain."""

import shutil
import subprocess
from base64 import encodebytes
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from chain_cases import CASES
from chains import (
    DAY,
    KEYS,
    LEAF,
    MIDDLE,
    MIDDLE_LIST,
    NOW,
    ROOT,
    ROOT_LIST,
    UNRELATED,
    Case,
    ListPlan,
    Plan,
    authority,
    check,
    each,
    key,
    leaf,
    pem,
    refusal,
    root,
)
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from bistable.artifact.errors import KeyUnusableError
from bistable.artifact.keys import certificate_verifier, load_signer
from bistable.artifact.keys.revocation import check_revocation

if TYPE_CHECKING:
    from collections.abc import Sequence

MESSAGE = b"0" * 64 + b"  version\n"


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
