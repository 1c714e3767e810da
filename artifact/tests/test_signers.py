"""Signing with private keys from PEM files."""

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from bistable.artifact import sign_artifact
from bistable.artifact.errors import KeyUnusableError
from bistable.artifact.keys import Signer, generate, load_signer, load_verifier, read_signer
from bistable.artifact.keys.private import EcSigner, RsaSigner
from bistable.artifact.keys.public import EcVerifier, RsaVerifier
from bistable.artifact.keys.signature import join_numbers

KEYS = Path(__file__).parent / "vectors" / "keys"
PARAMETERS = b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
MESSAGE = b"0" * 64 + b"  version\n"
PASSPHRASE = b"correct horse"


def pem(name: str) -> bytes:
    return (KEYS / name).read_bytes()


def reform(name: str, form: PrivateFormat, passphrase: bytes | None) -> bytes:
    encryption = BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
    return load_pem_private_key(pem(name), None).private_bytes(Encoding.PEM, form, encryption)


@pytest.mark.parametrize("name", ["rsa2048", "rsa3072", "ec256"])
@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
@pytest.mark.parametrize("passphrase", [None, PASSPHRASE])
def test_every_form_of_a_private_key_signs(name: str, form: PrivateFormat, passphrase: bytes | None) -> None:
    signer = load_signer(reform(f"{name}.key", form, passphrase), origin="k", passphrase=passphrase)
    assert load_verifier(pem(f"{name}.pub"), origin="k").verify(MESSAGE, signer.sign(MESSAGE))


@pytest.mark.parametrize(("name", "size"), [("rsa2048", 256), ("rsa3072", 384), ("ec256", 64)])
def test_signatures_have_the_size_that_was_promised(name: str, size: int) -> None:
    signer = load_signer(pem(f"{name}.key"), origin="k")
    assert signer.signature_size == size == len(signer.sign(MESSAGE))


@pytest.mark.parametrize("name", ["rsa2048", "ec256"])
def test_a_signature_that_does_not_verify_is_not_given_out(name: str) -> None:
    """As when memory failed while signing: such a signature could even give the key away."""
    signer = load_signer(pem(f"{name}.key"), origin="k")
    other = load_verifier(generate("rsa2048" if name == "rsa2048" else "p256").public, origin="other")
    wrong: Signer
    if isinstance(signer, RsaSigner):
        assert isinstance(other, RsaVerifier)
        wrong = replace(signer, public=other)
    else:
        assert isinstance(signer, EcSigner)
        assert isinstance(other, EcVerifier)
        wrong = replace(signer, public=other)
    with pytest.raises(KeyUnusableError, match="does not match the public key"):
        wrong.sign(MESSAGE)


@pytest.mark.parametrize("name", ["rsa2048", "ec256"])
def test_the_same_message_gives_the_same_signature(name: str) -> None:
    try:
        ec.ECDSA(hashes.SHA256(), deterministic_signing=True)
    except (TypeError, UnsupportedAlgorithm):
        pytest.skip("deterministic ECDSA needs cryptography 43 with OpenSSL 3.2")
    signer = load_signer(pem(f"{name}.key"), origin="k")
    assert signer.sign(MESSAGE) == signer.sign(MESSAGE)


def test_p256_signatures_are_those_of_rfc_6979() -> None:
    """The vector of RFC 6979 A.2.5 for SHA-256 and the message "sample"."""
    key = ec.derive_private_key(0xC9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721, ec.SECP256R1())
    form = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    try:
        ec.ECDSA(hashes.SHA256(), deterministic_signing=True)
    except (TypeError, UnsupportedAlgorithm):
        pytest.skip("deterministic ECDSA needs cryptography 43 with OpenSSL 3.2")
    assert load_signer(form, origin="k").sign(b"sample") == join_numbers(
        0xEFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716,
        0xF7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8,
    )


def test_curve_parameters_before_the_key_do_not_matter() -> None:
    assert load_signer(PARAMETERS + pem("ec256.key"), origin="k").signature_size == 64


def test_a_public_key_or_certificate_beside_the_private_key_does_not_matter() -> None:
    assert load_signer(pem("ec256.pub") + pem("ec256.key"), origin="k").signature_size == 64


def test_a_passphrase_that_is_not_needed_is_ignored() -> None:
    assert load_signer(pem("ec256.key"), origin="k", passphrase=PASSPHRASE).signature_size == 64


@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
@pytest.mark.parametrize("name", ["rsa2048", "ec256"])
@pytest.mark.parametrize(
    ("passphrase", "words"),
    [(None, "needs a passphrase"), (b"", "needs a passphrase"), (b"wrong", "wrong passphrase, or the file is damaged")],
)
def test_a_missing_and_a_wrong_passphrase_are_told_apart(
    form: PrivateFormat, name: str, passphrase: bytes | None, words: str
) -> None:
    with pytest.raises(KeyUnusableError, match=words):
        load_signer(reform(f"{name}.key", form, PASSPHRASE), origin="k", passphrase=passphrase)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "it is empty"),
        (pem("ec256.pub"), "it holds no private key"),
        (pem("ec256.key") + pem("rsa2048.key"), "it holds 2 private keys"),
        (PARAMETERS, "the parameters of a curve and no key"),
        (pem("ec384.key"), "EC-secp384r1"),
        (pem("ed25519.key"), "Ed25519"),
        (pem("ec256.key").replace(b"MHcC", b"MHcD"), "damaged or of an unknown form"),
        (
            b"-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n",
            "a key in the form OPENSSH PRIVATE KEY",
        ),
    ],
    ids=str,
)
def test_what_is_no_usable_private_key_is_called_by_its_name(data: bytes, words: str) -> None:
    with pytest.raises(KeyUnusableError, match=words):
        load_signer(data, origin="k")


def damaged(name: str, *parts: str) -> bytes:
    """Return an RSA key in which a bit of each of these numbers is wrong."""
    key = load_pem_private_key(pem(name), None)
    assert isinstance(key, rsa.RSAPrivateKey)
    old = key.private_numbers()
    numbers = {part: getattr(old, part) for part in ("p", "q", "d", "dmp1", "dmq1", "iqmp")}
    wrong = numbers | {part: numbers[part] ^ 1 << 1000 for part in parts}
    made = rsa.RSAPrivateNumbers(**wrong, public_numbers=old.public_numbers)
    return made.private_key(unsafe_skip_rsa_key_validation=True).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )


@pytest.mark.parametrize("parts", [("d", "dmp1"), ("d", "dmq1"), ("d", "iqmp"), ("d", "dmp1", "dmq1", "iqmp")], ids=str)
def test_a_damaged_rsa_key_is_refused_before_anything_is_written(parts: tuple[str, ...]) -> None:
    with pytest.raises(KeyUnusableError, match=r"cannot sign with k: the private key is damaged"):
        load_signer(damaged("rsa3072.key", *parts), origin="k")


@pytest.mark.parametrize("part", ["d", "dmp1", "dmq1", "iqmp"])
def test_no_wrong_signature_is_let_out_whatever_is_wrong_with_the_key(part: str) -> None:
    # A signature by a key with one wrong factor would give the key away (Boneh, DeMillo and Lipton 1997).
    try:
        signature = load_signer(damaged("rsa2048.key", part), origin="k").sign(MESSAGE)
    except KeyUnusableError:
        return
    assert load_verifier(pem("rsa2048.pub"), origin="k").verify(MESSAGE, signature)


def test_a_missing_key_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(KeyUnusableError, match=r"cannot read .*gone\.key: no such file"):
        read_signer(tmp_path / "gone.key")


@pytest.mark.parametrize("name", ["rsa2048", "rsa3072", "ec256"])
def test_openssl_agrees_with_the_signatures(name: str, tmp_path: Path, openssl: str) -> None:
    signer = read_signer(KEYS / f"{name}.key")
    signature = signer.sign(MESSAGE)
    if name == "ec256":
        half = len(signature) // 2
        from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

        signature = encode_dss_signature(int.from_bytes(signature[:half]), int.from_bytes(signature[half:]))
    (tmp_path / "sig").write_bytes(signature)
    command: list[str | Path] = [openssl, "dgst", "-sha256", "-verify", KEYS / f"{name}.pub"]
    command += ["-signature", tmp_path / "sig"]
    subprocess.run(command, input=MESSAGE, check=True, capture_output=True)


@pytest.mark.peer
@pytest.mark.parametrize("name", ["rsa2048", "rsa3072", "ec256"])
def test_mender_artifact_agrees_with_the_signatures(name: str, tmp_path: Path) -> None:
    program = shutil.which("mender-artifact") or pytest.skip("mender-artifact is not installed")
    plain, signed = tmp_path / "plain.mender", tmp_path / "signed.mender"
    what: list[str | Path] = ["write", "bootstrap-artifact", "-n", "one", "-t", "acorn", "-o", plain]
    subprocess.run([program, *what], check=True, capture_output=True)
    sign_artifact(plain, signed, read_signer(KEYS / f"{name}.key"))
    done = subprocess.run([program, "validate", "-k", KEYS / f"{name}.pub", signed], check=False, capture_output=True)
    assert done.returncode == 0, done.stderr
    other = "rsa2048.pub" if name != "rsa2048" else "rsa3072.pub"
    done = subprocess.run([program, "validate", "-k", KEYS / other, signed], check=False, capture_output=True)
    assert done.returncode != 0


@pytest.fixture
def openssl() -> str:
    return shutil.which("openssl") or pytest.skip("the program openssl is not installed")
