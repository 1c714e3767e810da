"""A signature is made, replaced, attached and stripped, and lost only by wish. FORMAT.md §4."""

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from answers import refused, tolerated, with_key
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from forge import KEYS, Forge, private, signed, type_info, version_2
from rewriting import EC, KINDS, RENAMED, RSA, artifact, made, read

from bistable.artifact import (
    RequestError,
    SignatureError,
    SignatureState,
    attach_signature,
    manifest_to_sign,
    modify_artifact,
    read_verifiers,
    repair_artifact,
    sign_artifact,
    strip_signature,
)
from bistable.artifact.keys import Signer

__all__ = ["artifact"]


# --- signing


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("signer", "key"), [(EC, "ec256"), (RSA, "rsa3072")], ids=["P-256", "RSA"])
def test_a_signature_is_added(tmp_path: Path, signer: Signer, key: str, kind: str) -> None:
    path = made(tmp_path, Forge(kind=kind))
    head = read(path).head
    changed = sign_artifact(path, path, signer)
    assert changed.key == signer.public.name
    after = tolerated(path.read_bytes(), policy=with_key(key)).head
    assert (after.header, after.manifest) == (head.header, head.manifest)


def test_a_signature_is_replaced(tmp_path: Path) -> None:
    path = made(tmp_path, Forge(key="rsa2048"))
    sign_artifact(path, path, EC)
    read(path, "ec256")
    refused(path.read_bytes(), "signature.wrong", with_key("rsa2048"))


def test_stripping_a_signature_gives_back_what_was_signed(artifact: Path) -> None:
    strip_signature(artifact, artifact)
    before = artifact.read_bytes()
    sign_artifact(artifact, artifact, RSA)
    strip_signature(artifact, artifact)
    assert artifact.read_bytes() == before


def test_signing_again_with_the_same_key_changes_nothing(artifact: Path) -> None:
    sign_artifact(artifact, artifact, RSA)
    before = artifact.read_bytes()
    sign_artifact(artifact, artifact, RSA)
    assert artifact.read_bytes() == before


def test_version_2_is_signed_as_it_is(tmp_path: Path) -> None:
    path = made(tmp_path, version_2())
    sign_artifact(path, path, EC)
    assert read(path, "ec256").head.version == 2


# --- signing elsewhere


def der(message: bytes) -> bytes:
    signature: bytes = private("ec256").sign(message, ec.ECDSA(hashes.SHA256()))
    return signature


@pytest.mark.parametrize(
    ("key", "make"),
    [
        pytest.param("ec256", signed, id="r and s"),
        pytest.param("ec256", der, id="DER"),
        pytest.param("rsa3072", lambda message: signed(message, "rsa3072"), id="RSA"),
        pytest.param("ec256", lambda message: base64.b64encode(signed(message)) + b"\n", id="base64"),
    ],
)
def test_a_signature_made_elsewhere_is_attached(artifact: Path, key: str, make: Callable[[bytes], bytes]) -> None:
    message = manifest_to_sign(artifact)
    assert message == dict(Forge(scripts=[("ArtifactInstall_Enter_00", b"#!/bin/sh\n")]).members())["manifest"]
    (verifier,) = read_verifiers(KEYS / f"{key}.pub")
    changed = attach_signature(artifact, artifact, make(message), verifier)
    assert changed.key == verifier.name
    tolerated(artifact.read_bytes(), policy=with_key(key))


@pytest.mark.parametrize(
    "signature",
    [
        pytest.param(lambda m: signed(m + b"x"), id="over something else"),
        pytest.param(lambda m: bytes(64), id="zeros"),
        pytest.param(lambda m: b"", id="empty"),
        pytest.param(lambda m: b"hello", id="not a signature"),
        pytest.param(lambda m: signed(m, "rsa2048"), id="by a key of another kind"),
    ],
)
def test_a_signature_by_another_key_is_not_attached(artifact: Path, signature: Callable[[bytes], bytes]) -> None:
    before = artifact.read_bytes()
    (verifier,) = read_verifiers(KEYS / "ec256.pub")
    with pytest.raises(SignatureError):
        attach_signature(artifact, artifact, signature(manifest_to_sign(artifact)), verifier)
    assert artifact.read_bytes() == before


# --- a change never costs a signature quietly


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda path, **kw: modify_artifact(path, path, RENAMED, **kw), id="modify"),
        pytest.param(lambda path, **kw: repair_artifact(path, path, **kw), id="repair"),
    ],
)
def test_a_signed_artifact_is_changed_with_a_key_or_the_wish_to_drop_it_only(
    change: Callable[..., Any], tmp_path: Path
) -> None:
    path = made(tmp_path, Forge(key="rsa2048", type_info=type_info("")))
    before = path.read_bytes()
    with pytest.raises(RequestError, match="signed") as caught:
        change(path)
    assert "--drop-signature" in (caught.value.hint or "")
    assert path.read_bytes() == before
    change(path, drop_signature=True)
    assert read(path).head.signature is SignatureState.UNSIGNED
    path.write_bytes(before)
    change(path, signer=EC)
    read(path, "ec256")
