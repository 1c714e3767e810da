"""The key that a device logs in with: found, made, kept, and used by a program."""

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from client_login import client_of, key_in
from client_server import FakeServer
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_public_key,
)

from bistable.client.errors import ConfigError, StoreError
from bistable.client.server.keys import DeviceKey, command_key, find_key, make_key, read_key

RSA = rsa.generate_private_key(public_exponent=65537, key_size=3072)
EC = ec.generate_private_key(ec.SECP256R1())
ED = ed25519.Ed25519PrivateKey.generate()
MADE: dict[str, PrivateKeyTypes] = {"rsa": RSA, "ec": EC, "ed25519": ED}
FORMS: dict[str, tuple[PrivateKeyTypes, PrivateFormat]] = {
    "rsa in PKCS#1": (RSA, PrivateFormat.TraditionalOpenSSL),
    "rsa in PKCS#8": (RSA, PrivateFormat.PKCS8),
    "ec in SEC1": (EC, PrivateFormat.TraditionalOpenSSL),
    "ec in PKCS#8": (EC, PrivateFormat.PKCS8),
    "ed25519": (ED, PrivateFormat.PKCS8),
}


def pem(key: PrivateKeyTypes, form: PrivateFormat = PrivateFormat.PKCS8) -> bytes:
    return key.private_bytes(Encoding.PEM, form, NoEncryption())


def public_pem(key: PrivateKeyTypes) -> bytes:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def lets_in(key: DeviceKey) -> bool:
    """Return whether a server takes what the key signs; it checks with the public key that it was sent."""
    with FakeServer() as server:
        standing = client_of(server, key=key).authenticator.login()
        assert server.wrong_logins == []
        return standing.token is not None


@pytest.mark.parametrize("name", FORMS)
def test_a_server_takes_the_signature_of_every_kind_and_form_of_key(name: str, tmp_path: Path) -> None:
    assert lets_in(key_in(tmp_path, pem(*FORMS[name])))


def test_a_server_is_sent_the_public_key_in_its_usual_form(tmp_path: Path) -> None:
    assert key_in(tmp_path, pem(EC)).public_pem.encode() == public_pem(EC)


def test_a_missing_key_is_made_and_nobody_else_can_read_it(tmp_path: Path) -> None:
    path = tmp_path / "data" / "key.pem"
    key = find_key(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert isinstance(load_pem_public_key(key.public_pem.encode()), ed25519.Ed25519PublicKey)
    assert lets_in(key)
    assert find_key(path).public_pem == key.public_pem


def test_nothing_is_left_of_a_key_that_could_not_be_written(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.touch()
    with pytest.raises(StoreError, match="cannot keep a new key"):
        make_key(blocked / "key.pem")


def test_the_key_of_the_client_before_is_used_where_it_lies(tmp_path: Path) -> None:
    (tmp_path / "mender-agent.pem").write_bytes(pem(RSA, PrivateFormat.TraditionalOpenSSL))
    key = find_key(tmp_path / "own.pem", existing=tmp_path / "mender-agent.pem")
    assert key.public_pem.encode() == public_pem(RSA)
    assert not (tmp_path / "own.pem").exists()


def test_an_own_key_goes_over_that_of_the_client_before(tmp_path: Path) -> None:
    (tmp_path / "mender-agent.pem").write_bytes(pem(RSA))
    (tmp_path / "own.pem").write_bytes(pem(ED))
    key = find_key(tmp_path / "own.pem", existing=tmp_path / "mender-agent.pem")
    assert key.public_pem.encode() == public_pem(ED)


def test_a_chosen_key_goes_over_all_and_is_never_made(tmp_path: Path) -> None:
    chosen = tmp_path / "chosen.pem"
    make_key(tmp_path / "own.pem")
    with pytest.raises(ConfigError, match="no such file"):
        find_key(tmp_path / "own.pem", chosen=chosen)
    chosen.write_bytes(pem(EC))
    assert find_key(tmp_path / "own.pem", chosen=chosen).public_pem.encode() == public_pem(EC)


def test_a_damaged_key_is_never_replaced(tmp_path: Path) -> None:
    path = tmp_path / "own.pem"
    path.write_bytes(pem(ED)[:40])
    before = path.read_bytes()
    with pytest.raises(ConfigError):
        find_key(path)
    assert path.read_bytes() == before


def test_a_key_in_a_token_needs_a_program(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="in a token") as raised:
        find_key(tmp_path / "own.pem", chosen=Path("pkcs11:object=a"))
    assert "auth-signer" in str(raised.value.hint)


@pytest.mark.parametrize(
    "key",
    [ec.generate_private_key(ec.SECP384R1()), rsa.generate_private_key(public_exponent=65537, key_size=1024)],
    ids=["P-384", "RSA-1024"],
)
def test_a_key_that_servers_do_not_take_is_refused(key: PrivateKeyTypes, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="must be an Ed25519, P-256 or RSA key"):
        key_in(tmp_path, pem(key))


def test_a_key_with_a_passphrase_is_refused(tmp_path: Path) -> None:
    text = ED.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    with pytest.raises(ConfigError, match="passphrase"):
        key_in(tmp_path, text)


def test_a_key_that_others_can_read_is_spoken_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "key.pem"
    path.write_bytes(pem(ED))
    path.chmod(0o644)
    with caplog.at_level("INFO"):
        read_key(path)
    assert "can be read by others" in caplog.text


# --- programs that sign


SIGNER = """
import base64, sys
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils
from cryptography.hazmat.primitives.serialization import load_pem_private_key

key = load_pem_private_key(open(sys.argv[1], "rb").read(), None)
message = sys.stdin.buffer.read()
if isinstance(key, rsa.RSAPrivateKey):
    signature = key.sign(message, padding.PKCS1v15(), hashes.SHA256())
elif isinstance(key, ec.EllipticCurvePrivateKey):
    signature = key.sign(message, ec.ECDSA(hashes.SHA256()))
else:
    signature = key.sign(message)
if "numbers" in sys.argv:
    signature = b"".join(number.to_bytes(32, "big") for number in utils.decode_dss_signature(signature))
if "base64" in sys.argv:
    signature = base64.encodebytes(signature)
sys.stdout.buffer.write(signature)
"""


def signer(folder: Path, key: PrivateKeyTypes, *how: str) -> list[str]:
    (folder / "private.pem").write_bytes(pem(key))
    (folder / "public.pem").write_bytes(public_pem(key))
    return [sys.executable, "-c", SIGNER, str(folder / "private.pem"), *how]


@pytest.mark.parametrize(
    ("kind", "how"),
    [
        ("rsa", ()),
        ("ec", ()),
        ("ed25519", ()),
        ("ec", ("numbers",)),
        ("ec", ("numbers", "base64")),
        ("rsa", ("base64",)),
    ],
    ids=str,
)
def test_a_program_may_sign_in_many_forms(kind: str, how: tuple[str, ...], tmp_path: Path) -> None:
    command = signer(tmp_path, MADE[kind], *how)
    assert lets_in(command_key(command, tmp_path / "public.pem"))


@pytest.mark.skipif(shutil.which("openssl") is None, reason="the program openssl is not installed")
def test_openssl_can_be_the_program(tmp_path: Path) -> None:
    signer(tmp_path, EC)
    command = ["openssl", "dgst", "-sha256", "-sign", str(tmp_path / "private.pem")]
    assert lets_in(command_key(command, tmp_path / "public.pem"))


def test_the_signature_of_another_key_is_not_sent(tmp_path: Path) -> None:
    command = signer(tmp_path, EC)
    (tmp_path / "public.pem").write_bytes(public_pem(ec.generate_private_key(ec.SECP256R1())))
    with pytest.raises(ConfigError, match=r"is no signature by server\.auth-public-key"):
        command_key(command, tmp_path / "public.pem").sign(b"message")


@pytest.mark.parametrize("command", [["/nowhere/signer"], ["false"]], ids=str)
def test_a_program_that_fails_is_told(command: list[str], tmp_path: Path) -> None:
    signer(tmp_path, EC)
    with pytest.raises(ConfigError, match="cannot sign a login"):
        command_key(command, tmp_path / "public.pem").sign(b"message")


def test_a_program_without_its_public_key_is_refused() -> None:
    with pytest.raises(ConfigError, match="public key is missing"):
        command_key(["signer"], None)


def test_a_private_key_is_not_taken_for_a_public_one(tmp_path: Path) -> None:
    command = signer(tmp_path, EC)
    with pytest.raises(ConfigError, match="not a public key"):
        command_key(command, tmp_path / "private.pem")


def test_importing_the_package_loads_no_cryptography() -> None:
    code = (
        "import sys, bistable.client.server.keys, bistable.client.server.login, bistable.client.server.deployments\n"
        "assert 'cryptography' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env=dict(os.environ))
