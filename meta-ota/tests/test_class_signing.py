"""How artifacts get their signatures, and what stops a build before a device could refuse what it made."""

import shutil
import subprocess
from pathlib import Path

import pytest
from layer_artifacts import OWN_KEYS, PRIVATE, PUBLIC, QUICK, artifact_of, filled
from layer_build import Bench, Recipe, RefusedError, bench
from layer_files import EXAMPLE_KEYS, KEYS

from bistable.artifact import SignatureState

__all__ = ["bench"]

EXAMPLE = f'BISTABLE_SIGNING_KEY = "{EXAMPLE_KEYS}/private.pem"\nBISTABLE_VERIFY_KEYS = "{EXAMPLE_KEYS}/public.pem"\n'
PIN = "98765"
MODULES = ("/usr/lib/softhsm/libsofthsm2.so", "/usr/lib64/pkcs11/libsofthsm2.so")


def image(bench: Bench, settings: str) -> Recipe:
    """Return an image whose root file system is made, in a build with these settings."""
    return filled(bench.build(QUICK + settings).image())


def refusal(bench: Bench, settings: str) -> str:
    """Return what the task that writes the artifact says when it stops."""
    recipe = image(bench, settings)
    with pytest.raises(RefusedError) as refused:
        recipe.run("do_image_mender")
    return str(refused.value)


def secret(key: Path) -> list[bytes]:
    """Return the bytes that nobody but the owner of a key has: as text, and as they are in memory."""
    text = key.read_text()
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    private = load_pem_private_key(text.encode(), None)
    number = private.private_numbers().private_value.to_bytes(32, "big")  # type: ignore[union-attr]
    return [text.splitlines()[1].encode(), number, number.hex().encode()]


def found_in(folder: Path, wanted: list[bytes]) -> list[Path]:
    """Return the files that hold one of the texts."""
    files = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    return [path for path in files if any(each in path.read_bytes() for each in wanted)]


# --- a key in a file


def test_an_artifact_is_signed_with_the_key_and_the_key_stays_where_it_is(bench: Bench) -> None:
    recipe = image(bench, OWN_KEYS)
    recipe.run("do_image_mender")
    assert artifact_of(recipe).head.signature is SignatureState.VERIFIED
    assert found_in(bench.top, secret(PRIVATE)) == []


def test_the_search_for_the_key_would_find_it(bench: Bench) -> None:
    copy = bench.top / "work" / "copy"
    copy.parent.mkdir()
    copy.write_bytes(b"x" + PRIVATE.read_bytes())
    assert found_in(bench.top, secret(PRIVATE)) == [copy]


def locked(folder: Path, phrase: str) -> Path:
    """Write the key, encrypted."""
    path = folder / "locked.key"
    options = ["-in", str(PRIVATE), "-out", str(path), "-aes256", "-passout", phrase]
    subprocess.run(["openssl", "pkey", *options], check=True, capture_output=True)
    return path


def test_a_key_may_be_encrypted(bench: Bench) -> None:
    phrase = bench.top / "phrase"
    phrase.write_text("correct horse\n")
    key = locked(bench.top, f"file:{phrase}")
    keys = f'BISTABLE_SIGNING_KEY = "{key}"\nBISTABLE_VERIFY_KEYS = "{PUBLIC}"\n'
    recipe = image(bench, f'{keys}BISTABLE_KEY_PASSPHRASE_FILE = "{phrase}"\n')
    recipe.run("do_image_mender")
    assert artifact_of(recipe).head.signature is SignatureState.VERIFIED
    assert found_in(recipe.path("TMPDIR"), [b"correct horse"]) == []


def test_a_passphrase_may_come_from_the_environment(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    key = locked(bench.top, "pass:correct horse")
    monkeypatch.setenv("BB_ENV_PASSTHROUGH_ADDITIONS", "BISTABLE_KEY_PASSPHRASE")
    monkeypatch.setenv("BISTABLE_KEY_PASSPHRASE", "correct horse")
    recipe = image(bench, f'BISTABLE_SIGNING_KEY = "{key}"\nBISTABLE_VERIFY_KEYS = "{PUBLIC}"\n')
    recipe.run("do_image_mender")
    assert artifact_of(recipe).head.signature is SignatureState.VERIFIED


def test_a_passphrase_may_come_from_the_configuration(bench: Bench) -> None:
    key = locked(bench.top, "pass:correct horse")
    keys = f'BISTABLE_SIGNING_KEY = "{key}"\nBISTABLE_VERIFY_KEYS = "{PUBLIC}"\n'
    recipe = image(bench, keys + 'BISTABLE_KEY_PASSPHRASE = "correct horse"\n')
    recipe.run("do_image_mender")
    assert artifact_of(recipe).head.signature is SignatureState.VERIFIED


# --- no key


def test_without_a_key_the_build_says_what_to_set(bench: Bench) -> None:
    message = refusal(bench, "")
    assert "BISTABLE_SIGNING_KEY is not set: there is no key to sign with." in message
    assert 'BISTABLE_EXAMPLE_KEYS = "1"' in message


def test_a_key_that_is_not_there_stops_the_build(bench: Bench) -> None:
    message = refusal(bench, OWN_KEYS + 'BISTABLE_SIGNING_KEY = "/nowhere/private.pem"\n')
    assert "/nowhere/private.pem" in message
    assert "cannot write the artifact: what bistable says is above" in message


def test_an_artifact_that_nobody_signs_is_made_with_a_warning(bench: Bench) -> None:
    recipe = image(bench, 'BISTABLE_SIGNING_KEY = "none"\n')
    assert "is not signed: whoever reaches a device can update it" in recipe.run("do_image_mender")
    assert artifact_of(recipe, public=None).head.signature is SignatureState.UNSIGNED


def test_a_release_is_not_left_unsigned(bench: Bench) -> None:
    message = refusal(bench, 'BISTABLE_SIGNING_KEY = "none"\nBISTABLE_RELEASE = "1"\n')
    assert "BISTABLE_SIGNING_KEY is 'none': it has to be a key, since BISTABLE_RELEASE is 1." in message


# --- keys of devices


def test_a_key_that_devices_do_not_have_stops_the_build(bench: Bench) -> None:
    message = refusal(bench, OWN_KEYS + f'BISTABLE_VERIFY_KEYS = "{KEYS}/rsa2048.pub"\n')
    assert "no device would install" in message
    assert "no key of BISTABLE_VERIFY_KEYS belongs to what signs" in message


def test_devices_may_have_more_keys(bench: Bench) -> None:
    recipe = image(bench, OWN_KEYS + f'BISTABLE_VERIFY_KEYS = "{KEYS}/rsa2048.pub {PUBLIC}"\n')
    recipe.run("do_image_mender")
    assert artifact_of(recipe).head.signature is SignatureState.VERIFIED


def test_what_is_no_public_key_is_named(bench: Bench) -> None:
    (bench.top / "public.pem").write_text("no key\n")
    message = refusal(bench, OWN_KEYS + f'BISTABLE_VERIFY_KEYS = "{bench.top}/public.pem"\n')
    assert f"BISTABLE_VERIFY_KEYS: {bench.top}/public.pem is no public key" in message


def test_a_build_without_keys_for_devices_stops(bench: Bench) -> None:
    message = refusal(bench, f'BISTABLE_SIGNING_KEY = "{PRIVATE}"\n')
    assert "BISTABLE_VERIFY_KEYS is not set: devices would not know the key" in message


# --- the keys that everybody has


def test_the_example_keys_sign_with_a_warning(bench: Bench) -> None:
    recipe = image(bench, 'BISTABLE_EXAMPLE_KEYS = "1"\n')
    assert "updates are signed with the example key of meta-ota" in recipe.run("do_image_mender")
    assert artifact_of(recipe, public=EXAMPLE_KEYS / "public.pem").head.signature is SignatureState.VERIFIED


def test_the_example_keys_are_refused_where_nobody_asked_for_them(bench: Bench) -> None:
    message = refusal(bench, EXAMPLE)
    assert "is the example key of meta-ota, and everybody has its private half. Set keys of your own." in message


def test_the_example_keys_are_refused_in_a_release(bench: Bench) -> None:
    message = refusal(bench, 'BISTABLE_EXAMPLE_KEYS = "1"\nBISTABLE_RELEASE = "1"\n')
    assert "is the example key of meta-ota" in message


def test_the_example_key_is_known_under_another_name(bench: Bench) -> None:
    copy = bench.top / "ours.pem"
    shutil.copy(EXAMPLE_KEYS / "public.pem", copy)
    message = refusal(bench, OWN_KEYS + f'BISTABLE_VERIFY_KEYS = "{PUBLIC} {copy}"\n')
    assert f"BISTABLE_VERIFY_KEYS: {copy} is the example key of meta-ota" in message


# --- who else may sign


def test_a_command_may_sign(bench: Bench) -> None:
    command = bench.top / "kms-sign"
    command.write_text(f'#!/bin/sh\n[ "$1" = release ] && exec openssl dgst -sha256 -sign {PRIVATE}\n')
    command.chmod(0o755)
    recipe = image(bench, f'BISTABLE_SIGN_COMMAND = "{command} release"\nBISTABLE_VERIFY_KEYS = "{PUBLIC}"\n')
    recipe.run("do_image_mender")
    assert artifact_of(recipe).head.signature is SignatureState.VERIFIED
    assert found_in(bench.top, secret(PRIVATE)) == []


def test_the_public_key_of_a_command_has_to_be_named(bench: Bench) -> None:
    message = refusal(bench, 'BISTABLE_SIGN_COMMAND = "/bin/false"\n')
    assert "BISTABLE_VERIFY_KEYS is not set: the key that BISTABLE_SIGN_COMMAND signs with is not known" in message


def test_a_command_that_fails_stops_the_build(bench: Bench) -> None:
    message = refusal(bench, f'BISTABLE_SIGN_COMMAND = "/bin/false"\nBISTABLE_VERIFY_KEYS = "{PUBLIC}"\n')
    assert "/bin/false" in message
    assert "cannot write the artifact" in message


@pytest.fixture
def token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Make a token that holds a key, and return its URI; nobody but its module reads the key."""
    module = next((path for path in MODULES if Path(path).exists()), None)
    if module is None or shutil.which("softhsm2-util") is None:
        pytest.skip("SoftHSM is not installed")
    pytest.importorskip("pkcs11", reason="python-pkcs11 is not installed")
    (tmp_path / "token").mkdir()
    settings = tmp_path / "softhsm2.conf"
    settings.write_text(f"directories.tokendir = {tmp_path}/token\nlog.level = ERROR\n")
    key = ["--import", str(KEYS / "rsa2048.key"), "--label", "release", "--id", "01", "--pin", PIN, "--token", "room"]
    for words in (["--init-token", "--free", "--label", "room", "--so-pin", "1234", "--pin", PIN], key):
        environment = {"SOFTHSM2_CONF": str(settings), "PATH": "/usr/bin:/bin"}
        subprocess.run(["softhsm2-util", *words], check=True, capture_output=True, env=environment)
    monkeypatch.setenv("BB_ENV_PASSTHROUGH_ADDITIONS", "BISTABLE_PKCS11_PIN SOFTHSM2_CONF")
    monkeypatch.setenv("SOFTHSM2_CONF", str(settings))
    return f"pkcs11:token=room;object=release?module-path={module}"


TOKENS = 'BBFILE_COLLECTIONS += "meta-python"\n'
"""The layer with the package that talks to them."""


def test_a_token_may_sign(bench: Bench, token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BISTABLE_PKCS11_PIN", PIN)
    public = KEYS / "rsa2048.pub"
    recipe = image(bench, TOKENS + f'BISTABLE_SIGNING_KEY = "{token}"\nBISTABLE_VERIFY_KEYS = "{public}"\n')
    recipe.run("do_image_mender")
    assert artifact_of(recipe, public=public).head.signature is SignatureState.VERIFIED
    scripts = [path for path in recipe.path("T").rglob("*") if path.is_file()]
    assert scripts
    assert [path.name for path in scripts if PIN.encode() in path.read_bytes()] == []
    assert "bistable_forget_secrets" in recipe.flag("do_rootfs", "prefuncs")


def test_a_token_with_another_pin_stops_the_build(bench: Bench, token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BISTABLE_PKCS11_PIN", "11111")
    keys = f'BISTABLE_SIGNING_KEY = "{token}"\nBISTABLE_VERIFY_KEYS = "{KEYS}/rsa2048.pub"\n'
    message = refusal(bench, TOKENS + keys)
    assert "the PIN is wrong" in message
    assert "cannot write the artifact" in message
