"""`bistable artifact keys`: made with the right permissions, never overwritten, and said what they are."""

import stat
from pathlib import Path

import pytest
from commandline import KEYS, call, made

from bistable.artifact.cli import keys_generate
from bistable.artifact.keys import KEY_KINDS

PASSPHRASE = {"BISTABLE_KEY_PASSPHRASE": "open sesame"}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BISTABLE_KEY_PASSPHRASE", raising=False)
    return tmp_path


def names(here: Path) -> list[str]:
    return sorted(path.name for path in here.iterdir())


def test_the_kinds_on_offer_are_those_of_the_library() -> None:
    assert keys_generate.KINDS == KEY_KINDS


def test_a_key_has_two_halves_and_only_its_owner_can_read_the_private_one(here: Path) -> None:
    made("keys", "generate", "--type", "p256", "-o", "release")
    assert names(here) == ["release.key", "release.pub"]
    assert stat.S_IMODE((here / "release.key").stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("-o", "private.pem", "--public", "public.pem"), ["private.pem", "public.pem"]),
        (("-o", "private.pem"), ["private.pem", "private.pub"]),
        (("-o", "release-1.0"), ["release-1.0.key", "release-1.0.pub"]),
    ],
)
def test_the_halves_are_called_as_said(options: tuple[str, ...], expected: list[str], here: Path) -> None:
    made("keys", "generate", "--type", "p256", *options)
    assert names(here) == expected


def test_what_one_half_signs_the_other_verifies() -> None:
    made("keys", "generate", "-o", "release")
    made("write", "bootstrap", "-n", "n", "-t", "t", "-k", "release.key")
    made("verify", "-k", "release.pub", "artifact.mender")


@pytest.mark.parametrize("present", ["release.key", "release.pub"])
def test_a_key_is_never_overwritten(present: str, here: Path) -> None:
    (here / present).write_text("mine")
    outcome = call("keys", "generate", "--type", "p256", "-o", "release")
    assert outcome.code == 2
    assert names(here) == [present]
    assert (here / present).read_text() == "mine"


def test_half_a_key_is_not_left_behind(here: Path) -> None:
    outcome = call("keys", "generate", "--type", "p256", "-o", "release", "--public", "nowhere/x.pub")
    assert outcome.code == 7
    assert names(here) == []


def test_an_encrypted_key_signs_with_its_passphrase_only(here: Path) -> None:
    made("keys", "generate", "--type", "p256", "--encrypt", "-o", "release", env=PASSPHRASE)
    (here / "pass").write_text("open sesame\n")
    write = ("write", "bootstrap", "-n", "n", "-t", "t", "-k", "release.key")
    made(*write, env=PASSPHRASE)
    made(*write, "--key-passphrase-file", "pass")
    wrong = call(*write, "-o", "x", env={"BISTABLE_KEY_PASSPHRASE": "x"})
    missing = call(*write, "-o", "x")
    assert (wrong.code, missing.code) == (6, 6)
    assert "wrong passphrase" in wrong.err
    assert "--key-passphrase-file" in missing.err
    assert not (here / "x").exists()


def test_no_key_is_made_without_the_passphrase_that_is_to_protect_it(here: Path) -> None:
    assert call("keys", "generate", "--encrypt", "-o", "release").code == 6
    assert call("keys", "generate", "--key-passphrase-file", "x", "-o", "release").code == 2
    assert names(here) == []


@pytest.mark.parametrize("content", [b"", b"\nsecond line\n"])
def test_an_empty_passphrase_file_is_refused(content: bytes, here: Path) -> None:
    (here / "pass").write_bytes(content)
    assert call("keys", "generate", "--encrypt", "--key-passphrase-file", "pass", "-o", "release").code == 6


def test_the_public_half_is_the_one_that_belongs_to_the_key() -> None:
    assert made("keys", "public", KEYS / "rsa3072.key").raw == (KEYS / "rsa3072.pub").read_bytes()


def test_the_public_half_can_be_written_to_a_file(here: Path) -> None:
    assert "P-256" in made("keys", "public", KEYS / "ec256.key", "-o", "x.pub").out
    assert (here / "x.pub").read_bytes() == (KEYS / "ec256.pub").read_bytes()


def test_both_halves_are_shown_with_the_same_fingerprint() -> None:
    private, public = made("keys", "show", "--json", KEYS / "ec256.key", KEYS / "ec256.pub").document["keys"]
    assert private["fingerprint_sha256"] == public["fingerprint_sha256"]
    assert (private["half"], public["half"]) == ("private", "public")


def test_a_key_that_is_no_use_is_shown_with_the_reason() -> None:
    assert "problem  it is a key of the kind EC-secp384r1" in made("keys", "show", KEYS / "ec384.pub").out


def test_a_closed_key_is_shown_as_closed_and_opened_with_its_passphrase() -> None:
    made("keys", "generate", "--type", "p256", "--encrypt", "-o", "release", env=PASSPHRASE)
    assert "closed" in made("keys", "show", "release.key").out
    assert made("keys", "show", "release.key", env=PASSPHRASE).out.startswith("release.key: P-256\n")
