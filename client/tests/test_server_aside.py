"""Logins that another process signs are those that this one would sign."""

from pathlib import Path

import pytest
from client_answers import Asked
from client_server import wrong_with
from forge import KEYS

from bistable.client.errors import ConfigError, StoreError
from bistable.client.server import AsideCredentials, KeyPlace
from bistable.client.server.aside import answer
from bistable.client.server.login import SIGNATURE
from bistable.client.server.message import Request

IDENTITY = {"mac": ["02:00:00:00:00:01", "02:00:00:00:00:02"], "name": 'a"é'}


def asked(request: Request) -> Asked:
    return Asked(
        method="POST",
        path=request.path,
        query={},
        fields={name.lower(): value for name, value in request.fields.items()},
        body=request.body or b"",
        kind="login",
    )


def credentials(place: KeyPlace) -> AsideCredentials:
    return AsideCredentials(identity=lambda: IDENTITY, place=place, tenant_token="tenant")


def test_a_login_is_signed_with_a_new_key_and_then_with_the_same(tmp_path: Path) -> None:
    made = credentials(KeyPlace(own=tmp_path / "own.pem"))
    first, second = made.request(), made.request()
    assert wrong_with(asked(first)) is None
    assert asked(first).json["tenant_token"] == "tenant"
    assert asked(first).json["pubkey"] == asked(second).json["pubkey"]
    assert first.fields[SIGNATURE] == second.fields[SIGNATURE]


@pytest.mark.parametrize("name", ["rsa3072", "ec256"])
def test_a_chosen_key_signs(tmp_path: Path, name: str) -> None:
    made = credentials(KeyPlace(own=tmp_path / "own.pem", chosen=KEYS / f"{name}.key"))
    assert wrong_with(asked(made.request())) is None
    assert not (tmp_path / "own.pem").exists()


def test_a_signing_program_is_asked(tmp_path: Path) -> None:
    program = tmp_path / "signer"
    program.write_text(f"#!/bin/sh\nexec openssl dgst -sha256 -sign {KEYS / 'rsa3072.key'}\n")
    program.chmod(0o755)
    place = KeyPlace(own=tmp_path / "own.pem", signer=(str(program),), public=KEYS / "rsa3072.pub")
    assert wrong_with(asked(credentials(place).request())) is None


@pytest.mark.parametrize(
    ("place", "error"),
    [
        (KeyPlace(own=Path("/proc/nowhere/key.pem")), StoreError),
        (KeyPlace(own=Path("/nowhere"), chosen=Path("/nowhere")), ConfigError),
        (KeyPlace(own=Path("/nowhere"), signer=("/nowhere",)), ConfigError),
    ],
)
def test_what_cannot_be_used_is_the_same_error_as_here(place: KeyPlace, error: type[Exception]) -> None:
    with pytest.raises(error, match="cannot"):
        credentials(place).request()


def test_words_of_the_process_that_make_no_sense_are_an_error() -> None:
    with pytest.raises(ValueError, match="Expecting"):
        answer(b"no JSON")
