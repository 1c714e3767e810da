"""Signing with keys on a PKCS#11 token; SoftHSM stands for the hardware."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bistable.artifact.errors import KeyUnusableError, RequestError
from bistable.artifact.keys import load_verifier, pkcs11_signer
from bistable.artifact.keys.pkcs11_uri import parse_pkcs11_uri

KEYS = Path(__file__).parent / "vectors" / "keys"
MESSAGE = b"0" * 64 + b"  version\n"
PIN = "98765"
MODULES = (
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
)


@dataclass(frozen=True)
class Token:
    module: str
    directory: Path

    def uri(self, key: str, *, token: str = "signing%20room") -> str:
        return f"pkcs11:token={token};{key}?module-path={self.module}"


@pytest.fixture(scope="module")
def token(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Token]:
    """Make a token: RSA; P-256 with its certificate only; P-384; a key without its public half; a label used twice."""
    pytest.importorskip("pkcs11", reason="python-pkcs11 is not installed")
    module = next((path for path in MODULES if Path(path).exists()), None)
    for program in ("softhsm2-util", "pkcs11-tool", "openssl"):
        if module is None or shutil.which(program) is None:
            pytest.skip("SoftHSM, pkcs11-tool (opensc) or openssl is not installed")
    directory = tmp_path_factory.mktemp("softhsm")
    (directory / "tokens").mkdir()
    (directory / "softhsm2.conf").write_text(f"directories.tokendir = {directory}/tokens\nlog.level = ERROR\n")
    before = os.environ.get("SOFTHSM2_CONF")
    os.environ["SOFTHSM2_CONF"] = str(directory / "softhsm2.conf")
    made = Token(module=str(module), directory=directory)
    fill(made)
    yield made
    os.environ.pop("SOFTHSM2_CONF")
    if before is not None:
        os.environ["SOFTHSM2_CONF"] = before


def fill(token: Token) -> None:
    run("softhsm2-util", "--init-token", "--free", "--label", "signing room", "--so-pin", "1234", "--pin", PIN)
    put(token, "rsa2048.key", "release", "01", public=True)
    put(token, "ec256.key", "field", "02", public=False)
    certify(token, "ec256.key", "02")
    put(token, "ec384.key", "big", "03", public=True)
    put(token, "rsa3072.key", "alone", "04", public=False)
    put(token, "rsa3072.key", "release", "05", public=False)


def run(*command: str | Path) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def put(token: Token, file: str, label: str, key_id: str, *, public: bool) -> None:
    tool = ["pkcs11-tool", "--module", token.module, "--token-label", "signing room", "--login", "--pin", PIN]
    where = ["--label", label, "--id", key_id]
    der = token.directory / f"{file}.der"
    run("openssl", "pkey", "-in", KEYS / file, "-outform", "DER", "-out", der)
    run(*tool, "--write-object", der, "--type", "privkey", *where)
    if public:
        run("openssl", "pkey", "-in", KEYS / file, "-pubout", "-outform", "DER", "-out", der)
        run(*tool, "--write-object", der, "--type", "pubkey", *where)


def certify(token: Token, file: str, key_id: str) -> None:
    der = token.directory / "certificate.der"
    subject: list[str | Path] = ["-subj", "/CN=Field key", "-days", "3650", "-outform", "DER", "-out", der]
    run("openssl", "req", "-x509", "-new", "-key", KEYS / file, *subject)
    tool = ["pkcs11-tool", "--module", token.module, "--token-label", "signing room", "--login", "--pin", PIN]
    run(*tool, "--write-object", der, "--type", "cert", "--label", "field", "--id", key_id)


def refusal(uri: str, **arguments: str | None) -> KeyUnusableError:
    with pytest.raises(KeyUnusableError) as caught:
        pkcs11_signer(uri, **arguments)
    return caught.value


@pytest.mark.parametrize(
    ("key", "public"),
    [("id=%01", "rsa2048.pub"), ("object=field", "ec256.pub"), ("object=release;id=%01", "rsa2048.pub")],
)
def test_a_key_on_a_token_signs(token: Token, key: str, public: str) -> None:
    signer = pkcs11_signer(token.uri(key), pin=PIN)
    signature = signer.sign(MESSAGE)
    verifier = load_verifier((KEYS / public).read_bytes(), origin="k")
    assert verifier.verify(MESSAGE, signature)
    assert len(signature) == signer.signature_size == verifier.signature_size
    assert signer.public.name.startswith(verifier.name.removesuffix("(k)"))


def test_a_token_signs_again_and_again(token: Token) -> None:
    signer = pkcs11_signer(token.uri("object=field"), pin=PIN)
    for number in range(20):
        message = MESSAGE + str(number).encode()
        assert signer.public.verify(message, signer.sign(message))


def test_the_module_given_goes_before_the_one_in_the_uri(token: Token) -> None:
    uri = "pkcs11:token=signing%20room;id=%01?module-path=/nowhere.so"
    assert pkcs11_signer(uri, module=token.module, pin=PIN).signature_size == 256


def test_the_pin_may_stand_in_the_uri_or_in_a_file(token: Token, tmp_path: Path) -> None:
    (tmp_path / "pin").write_text(PIN + "\n")
    for source in (
        f"pin-value={PIN}",
        f"pin-source=file:{tmp_path}/pin",
        f"pin-source=file://{tmp_path}/pin",
        f"pin-source={tmp_path}/pin",
    ):
        assert pkcs11_signer(f"{token.uri('id=%01')}&{source}").sign(MESSAGE)


def test_the_pin_given_goes_before_the_one_in_the_uri(token: Token) -> None:
    assert pkcs11_signer(token.uri("id=%01") + "&pin-value=wrong1", pin=PIN).sign(MESSAGE)


def test_a_wrong_pin_is_called_wrong_and_shown_nowhere(token: Token) -> None:
    error = refusal(token.uri("id=%01") + "&pin-value=31415926")
    assert error.what.endswith("the PIN is wrong")
    cause: BaseException | None = error
    while cause is not None:
        assert "31415926" not in f"{cause!r} {getattr(cause, 'hint', '')}"
        cause = cause.__cause__


def test_the_pin_is_not_part_of_the_signers_text(token: Token) -> None:
    assert PIN not in repr(pkcs11_signer(token.uri("id=%01") + f"&pin-value={PIN}"))


def test_without_a_pin_the_token_hides_its_keys_and_the_hint_says_so(token: Token) -> None:
    assert refusal(token.uri("id=%01")).hint == "the token shows no private key; without a PIN most tokens hide them"


def test_a_missing_key_is_answered_with_those_that_are_there(token: Token) -> None:
    error = refusal(token.uri("object=relaese"), pin=PIN)
    assert error.what.endswith("no private key matches")
    assert error.hint == "the token shows: 'alone', 'big', 'field', 'release', 'release'"


def test_an_ambiguous_key_is_refused(token: Token) -> None:
    assert "2 private keys match" in refusal(token.uri("object=release"), pin=PIN).what


def test_a_missing_token_is_answered_with_those_that_are_there(token: Token) -> None:
    error = refusal(token.uri("id=%01", token="other"), pin=PIN)
    assert error.what.endswith("no token matches")
    assert "'signing room'" in str(error.hint)


def test_a_key_without_its_public_half_cannot_be_used(token: Token) -> None:
    assert "neither a public key nor a certificate" in refusal(token.uri("object=alone"), pin=PIN).what


def test_a_key_of_another_curve_is_refused(token: Token) -> None:
    assert "EC-secp384r1" in refusal(token.uri("object=big"), pin=PIN).what


def test_a_missing_module_is_named() -> None:
    pytest.importorskip("pkcs11", reason="python-pkcs11 is not installed")
    assert "cannot load the PKCS#11 module /nowhere.so" in refusal("pkcs11:id=%01?module-path=/nowhere.so").what


def test_without_a_module_the_hint_shows_how_to_name_one() -> None:
    with pytest.raises(RequestError, match="no PKCS#11 module is named") as caught:
        pkcs11_signer("pkcs11:token=a;object=b")
    assert "module-path=" in str(caught.value.hint)


def test_without_the_binding_the_hint_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pkcs11", None)
    assert refusal("pkcs11:id=%01?module-path=/x.so").hint == "pip install 'bistable[pkcs11]'"


def test_a_uri_is_decoded() -> None:
    uri = parse_pkcs11_uri(
        "pkcs11:token=My%20token;object=k%3B1;id=%00%ff;type=private?module-path=/m.so&pin-value=a%26b"
    )
    assert (uri.token, uri.label, uri.key_id, uri.module_path, uri.pin()) == (
        "My token",
        "k;1",
        b"\x00\xff",
        "/m.so",
        "a&b",
    )
    assert uri.text == "pkcs11:token=My%20token;object=k%3B1;id=%00%ff;type=private"


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("pkcs12:object=a", "does not start with pkcs11:"),
        ("pkcs11:object", "'object' is not understood"),
        ("pkcs11:colour=red", "'colour' is not understood"),
        ("pkcs11:object=a?pin-valeu=1234", "'pin-valeu' is not understood"),
        ("pkcs11:object=a;object=b", "object is there twice"),
        ("pkcs11:object=a;type=public", "type public"),
        ("pkcs11:object=a?pin-value=1&pin-source=/pin", "both pin-value and pin-source"),
        ("pkcs11:object=a?pin-source=|/usr/bin/pin", "pin-source is not a file"),
        ("pkcs11:object=%zz", "not followed by two hex digits"),
        ("pkcs11:object=%ff", "not UTF-8"),
    ],
)
def test_a_uri_that_is_not_understood_is_refused(uri: str, words: str) -> None:
    with pytest.raises(RequestError) as caught:
        parse_pkcs11_uri(uri)
    assert words in caught.value.what
    assert "1234" not in f"{caught.value.what} {caught.value.hint}"


@pytest.mark.parametrize(
    ("content", "words"), [(None, "No such file"), (b"\n", "it is empty"), (b"\xff\xfe", "not text")]
)
def test_a_pin_file_that_holds_no_pin_is_named(tmp_path: Path, content: bytes | None, words: str) -> None:
    if content is not None:
        (tmp_path / "pin").write_bytes(content)
    with pytest.raises(KeyUnusableError, match=words):
        parse_pkcs11_uri(f"pkcs11:object=a?pin-source={tmp_path}/pin").pin()
