"""Attestations of a made up artifact: signed, put into lines, believed or refused."""

import base64
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from bistable.artifact import Compression, HeaderInfo, TypeInfo
from bistable.artifact.attest import (
    PROVENANCE_TYPE,
    BuildRecord,
    VerifiedAttestation,
    make_provenance,
    make_statement,
    sign_statement,
    verify_bundle,
)
from bistable.artifact.attest.dsse import PAYLOAD_TYPE, pre_authentication
from bistable.artifact.errors import (
    BistableError,
    RejectedError,
)
from bistable.artifact.keys import Signer, Verifier, load_signer, load_verifier
from bistable.artifact.model import Head, Header, Manifest, ManifestLine, SignatureState

VECTORS = Path(__file__).parent / "vectors"
KINDS = ["rsa3072", "ec256"]
SPDX = {"spdxVersion": "SPDX-2.3", "SPDXID": "SPDXRef-DOCUMENT", "name": "image", "packages": [{"name": "bash"}]}
CYCLONEDX = {"bomFormat": "CycloneDX", "specVersion": "1.6", "components": [{"name": "bash"}, {"name": "dash"}]}


def signer(kind: str) -> Signer:
    return load_signer((VECTORS / "keys" / f"{kind}.key").read_bytes(), origin=kind)


def verifier(kind: str) -> Verifier:
    return load_verifier((VECTORS / "keys" / f"{kind}.pub").read_bytes(), origin=kind)


def digest_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def head_of(name: str = "release-1", files: Sequence[str] = ("rootfs.ext4", "boot.img")) -> Head:
    """Return the head of an artifact as the reader gives it."""
    lines = [ManifestLine(digest=digest_of(f"{name}/{file}"), name=f"data/0000/{file}") for file in files]
    info = HeaderInfo(payload_type="module", artifact_name=name, device_types=("acorn",))
    return Head(
        version=3,
        manifest=Manifest(lines=tuple(lines)),
        manifest_digest=digest_of(name),
        header=Header(info=info, type_info=TypeInfo(payload_type="module")),
        header_compression=Compression.GZIP,
        signature=SignatureState.VERIFIED,
    )


HEAD = head_of()
BUILD = dict(make_provenance(HEAD, BuildRecord(builder="https://ci.example.com/firmware", materials=(), started=0)))


def line_of(
    document: Any, kind: str = "ec256", *, payload_type: str = PAYLOAD_TYPE, signers: Sequence[str] = ()
) -> bytes:
    """Return an envelope of anything, signed as the real ones are."""
    payload = document if isinstance(document, bytes) else json.dumps(document).encode()
    message = pre_authentication(payload_type, payload)
    signatures = [signer(name).sign(message) for name in signers or [kind]]
    return json.dumps(
        {
            "payloadType": payload_type,
            "payload": base64.b64encode(payload).decode(),
            "signatures": [{"sig": base64.b64encode(signature).decode()} for signature in signatures],
        }
    ).encode()


def attest(predicate_type: str = PROVENANCE_TYPE, predicate: Any = None, *, kind: str = "ec256") -> bytes:
    statement = make_statement(HEAD, predicate_type=predicate_type, predicate=BUILD if predicate is None else predicate)
    return sign_statement(statement, signer(kind))


def verify(*lines: bytes, kind: str = "ec256", head: Head = HEAD) -> tuple[VerifiedAttestation, ...]:
    return verify_bundle(lines, head=head, verifiers=[verifier(kind)])


def refusal(*lines: bytes, head: Head = HEAD) -> BistableError:
    with pytest.raises(RejectedError) as caught:
        verify(*lines, head=head)
    return caught.value


def statement(**changes: Any) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(make_statement(HEAD, predicate_type="https://example.com/t", predicate={}))
    document.update(changes)
    return {key: value for key, value in document.items() if value is not ...}


def envelope(line: bytes, **changes: Any) -> bytes:
    document = json.loads(line) | changes
    return json.dumps({key: value for key, value in document.items() if value is not ...}).encode()


GOOD = attest()
