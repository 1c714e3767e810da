"""Making keys, and saying what a key file holds."""

import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from bistable.artifact.errors import KeyUnusableError
from bistable.artifact.keys import (
    KEY_KINDS,
    KeyKind,
    describe_keys,
    extract_public,
    generate,
    load_signer,
    load_verifier,
)

KEYS = Path(__file__).parent / "vectors" / "keys"
MESSAGE = b"0" * 64 + b"  version\n"


def pem(name: str) -> bytes:
    return (KEYS / name).read_bytes()


@pytest.mark.parametrize("kind", ["p256", "rsa2048"])
@pytest.mark.parametrize("passphrase", [None, b"secret"])
def test_a_new_pair_signs_and_verifies(kind: KeyKind, passphrase: bytes | None) -> None:
    private, public = generate(kind, passphrase=passphrase)
    signature = load_signer(private, origin="k", passphrase=passphrase).sign(MESSAGE)
    assert load_verifier(public, origin="k").verify(MESSAGE, signature)


def test_the_kinds_offered_start_with_the_one_upstream_advises() -> None:
    assert KEY_KINDS[0] == "rsa3072"


@pytest.mark.parametrize(
    ("kind", "passphrase", "label"),
    [
        ("rsa2048", None, b"-----BEGIN RSA PRIVATE KEY-----\n"),
        ("p256", None, b"-----BEGIN EC PRIVATE KEY-----\n"),
        ("rsa2048", b"secret", b"-----BEGIN ENCRYPTED PRIVATE KEY-----\n"),
        ("p256", b"secret", b"-----BEGIN ENCRYPTED PRIVATE KEY-----\n"),
    ],
)
def test_a_new_private_key_has_the_form_that_most_programs_read(
    kind: KeyKind, passphrase: bytes | None, label: bytes
) -> None:
    assert generate(kind, passphrase=passphrase).private.startswith(label)


def test_a_new_key_is_described_as_what_was_asked_for() -> None:
    private, public = generate("p256")
    (described,) = describe_keys(private, origin="k")
    assert (described.form, described.kind, described.bits, described.private) == ("SEC1", "P-256", 256, True)
    assert describe_keys(public, origin="k")[0].fingerprint == described.fingerprint


@pytest.mark.parametrize(
    ("file", "form", "kind", "bits"),
    [
        ("rsa3072.key", "PKCS#8", "RSA-3072", 3072),
        ("rsa3072.pkcs1.key", "PKCS#1", "RSA-3072", 3072),
        ("ec256.key", "SEC1", "P-256", 256),
        ("ec384.pub", "PKIX", "EC-secp384r1", 384),
        ("ed25519.pub", "PKIX", "Ed25519", None),
    ],
)
def test_a_key_file_is_described(file: str, form: str, kind: str, bits: int | None) -> None:
    (described,) = describe_keys(pem(file), origin="k")
    assert (described.form, described.kind, described.bits) == (form, kind, bits)
    assert described.private is file.endswith(".key")


def test_a_fingerprint_is_over_the_public_key_in_der() -> None:
    (described,) = describe_keys(pem("rsa2048.key"), origin="k")
    assert described.fingerprint == describe_keys(pem("rsa2048.pub"), origin="k")[0].fingerprint
    assert str(described.fingerprint).startswith("9107694979426338")
    assert len(str(described.fingerprint)) == 64


def test_a_key_that_artifacts_cannot_use_is_described_with_the_reason() -> None:
    (described,) = describe_keys(pem("ec384.pub"), origin="k")
    assert described.problem is not None
    assert "RSA keys of 2048 to 16384 bits, or with EC P-256 keys" in described.problem
    assert describe_keys(pem("ec256.pub"), origin="k")[0].problem is None


def test_an_encrypted_key_stays_closed_without_its_passphrase() -> None:
    private, _ = generate("p256", passphrase=b"secret")
    (closed,) = describe_keys(private, origin="k")
    assert (closed.encrypted, closed.kind, closed.fingerprint) == (True, None, None)
    (opened,) = describe_keys(private, origin="k", passphrase=b"secret")
    assert (opened.encrypted, opened.kind) == (True, "P-256")


def test_all_keys_of_a_file_are_described() -> None:
    assert [d.kind for d in describe_keys(pem("ec256.pub") + pem("rsa2048.pub"), origin="k")] == ["P-256", "RSA-2048"]


@pytest.mark.parametrize("name", ["rsa2048", "rsa3072", "ec256"])
def test_the_public_half_comes_out_of_any_form(name: str) -> None:
    key = load_pem_private_key(pem(f"{name}.key"), None)
    for form in (PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL):
        private = key.private_bytes(Encoding.PEM, form, NoEncryption())
        assert extract_public(private, origin="k") == pem(f"{name}.pub")
    assert extract_public(pem(f"{name}.pub"), origin="k") == pem(f"{name}.pub")


def test_no_public_half_is_given_of_a_key_that_artifacts_cannot_use() -> None:
    with pytest.raises(KeyUnusableError, match="Ed25519"):
        extract_public(pem("ed25519.key"), origin="k")


@pytest.mark.peer
@pytest.mark.parametrize("kind", ["rsa2048", "p256"])
def test_mender_artifact_signs_with_a_new_key(kind: KeyKind, tmp_path: Path) -> None:
    program = shutil.which("mender-artifact") or pytest.skip("mender-artifact is not installed")
    private, public = generate(kind)
    (tmp_path / "key").write_bytes(private)
    (tmp_path / "pub").write_bytes(public)
    artifact = tmp_path / "a.mender"
    what: list[str | Path] = ["-n", "one", "-t", "acorn", "-o", artifact, "-k", tmp_path / "key"]
    validate: list[str | Path] = ["validate", "-k", tmp_path / "pub", artifact]
    for command in (["write", "bootstrap-artifact", *what], validate):
        done = subprocess.run([program, *command], check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
