"""Signing by an external program."""

import stat
import sys
from pathlib import Path

import pytest

from bistable.artifact.errors import KeyUnusableError, MachineError, RequestError
from bistable.artifact.keys import Signer, command_signer, load_signer, load_verifier

KEYS = Path(__file__).parent / "vectors" / "keys"
MESSAGE = b"0" * 64 + b"  version\n"

PREAMBLE = f"""\
#!{sys.executable}
import base64, hashlib, os, sys
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, utils

def key(name):
    return serialization.load_pem_private_key(open({str(KEYS)!r} + "/" + name, "rb").read(), None)

def ecdsa(message, algorithm=hashes.SHA256()):
    return key("ec256.key").sign(message, ec.ECDSA(algorithm))

def raw(der):
    r, s = utils.decode_dss_signature(der)
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")

def rsa(message):
    return key("rsa2048.key").sign(message, padding.PKCS1v15(), hashes.SHA256())

message = sys.stdin.buffer.read()
out = sys.stdout.buffer.write
"""


def program(directory: Path, body: str) -> Path:
    path = directory / "sign-it"
    path.write_text(PREAMBLE + body + "\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def signer(directory: Path, body: str, key: str = "ec256.pub") -> Signer:
    public = load_verifier((KEYS / key).read_bytes(), origin=key)
    return command_signer([str(program(directory, body))], public=public)


@pytest.mark.parametrize(
    ("body", "key", "size"),
    [
        ("out(raw(ecdsa(message)))", "ec256.pub", 64),
        ("out(ecdsa(message))", "ec256.pub", 64),
        ("out(base64.b64encode(ecdsa(message)) + b'\\n')", "ec256.pub", 64),
        ("out(base64.encodebytes(raw(ecdsa(message))))", "ec256.pub", 64),
        ("out(base64.urlsafe_b64encode(raw(ecdsa(message))).rstrip(b'='))", "ec256.pub", 64),
        ("out(rsa(message))", "rsa2048.pub", 256),
        ("out(base64.encodebytes(rsa(message)))", "rsa2048.pub", 256),
    ],
)
def test_a_program_may_write_its_signature_in_any_usual_form(tmp_path: Path, body: str, key: str, size: int) -> None:
    made = signer(tmp_path, body, key)
    signature = made.sign(MESSAGE)
    assert len(signature) == size == made.signature_size
    assert load_verifier((KEYS / key).read_bytes(), origin="k").verify(MESSAGE, signature)


def test_a_program_may_sign_the_digest_it_is_given(tmp_path: Path) -> None:
    body = "out(ecdsa(bytes.fromhex(os.environ['BISTABLE_DIGEST']), utils.Prehashed(hashes.SHA256())))"
    made = signer(tmp_path, body)
    assert made.public.verify(MESSAGE, made.sign(MESSAGE))


def test_the_program_sees_the_callers_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAULT_ADDR", "https://vault.example:8200")
    body = "assert os.environ['VAULT_ADDR'] == 'https://vault.example:8200'\nout(ecdsa(message))"
    assert len(signer(tmp_path, body).sign(MESSAGE)) == 64


@pytest.mark.parametrize(
    ("body", "key"),
    [
        ("out(ecdsa(message + b'!'))", "ec256.pub"),
        ("out(rsa(message))", "rsa3072.pub"),
        ("out(key('ec384.key').sign(message, ec.ECDSA(hashes.SHA256())))", "ec256.pub"),
        ("out(b'AccessDenied')", "ec256.pub"),
        ("pass", "ec256.pub"),
    ],
)
def test_what_is_not_a_signature_by_the_public_key_is_refused(tmp_path: Path, body: str, key: str) -> None:
    with pytest.raises(KeyUnusableError, match="cannot sign with "):
        signer(tmp_path, body, key).sign(MESSAGE)


def test_a_signature_by_another_key_names_the_key_that_was_due(tmp_path: Path) -> None:
    other = load_verifier(load_other_public(), origin="other.pub")
    made = command_signer([str(program(tmp_path, "out(ecdsa(message))"))], public=other)
    with pytest.raises(KeyUnusableError, match=r"does not match the public key P-256 [0-9a-f]{16} \(other\.pub\)"):
        made.sign(MESSAGE)


def load_other_public() -> bytes:
    from bistable.artifact.keys import generate

    return generate("p256").public


def test_a_failing_program_is_the_machines_fault_and_its_last_words_are_the_hint(tmp_path: Path) -> None:
    with pytest.raises(MachineError) as caught:
        signer(tmp_path, "sys.exit('token not found')").sign(MESSAGE)
    assert caught.value.hint == "token not found"


def test_a_missing_program_is_named(tmp_path: Path) -> None:
    made = command_signer(
        [str(tmp_path / "gone")], public=load_signer((KEYS / "ec256.key").read_bytes(), origin="k").public
    )
    with pytest.raises(MachineError, match="gone: not found"):
        made.sign(MESSAGE)


def test_an_empty_command_is_refused_at_once() -> None:
    with pytest.raises(RequestError, match="the signing command is empty"):
        command_signer([], public=load_signer((KEYS / "ec256.key").read_bytes(), origin="k").public)
