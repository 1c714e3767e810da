"""Every way to change an artifact, and artifacts to be changed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from answers import Recorder, accepted, with_key
from forge import KEYS, Forge

from bistable.artifact import (
    Artifact,
    Codec,
    HeadEdit,
    Options,
    Policy,
    modify_artifact,
    read_artifact,
    read_signer,
    recompress_artifact,
    repair_artifact,
    sign_artifact,
    strip_signature,
)

EC = read_signer(KEYS / "ec256.key")
RSA = read_signer(KEYS / "rsa3072.key")
KINDS = [pytest.param(kind, id=kind or "none") for kind in ("", ".gz", ".xz", ".zst")]

Change: TypeAlias = Callable[[Path, Path], Any]
RENAMED = HeadEdit(name="release-2")

CHANGES: dict[str, Change] = {
    "sign": lambda path, target: sign_artifact(path, target, EC),
    "strip": strip_signature,
    "modify": lambda path, target: modify_artifact(path, target, RENAMED, signer=EC),
    "repair": lambda path, target: repair_artifact(path, target, signer=EC),
    "recompress": lambda path, target: recompress_artifact(path, target, Options(codec=Codec.parse("gzip"))),
}
EVERY_CHANGE = [pytest.param(change, id=name) for name, change in CHANGES.items()]


def read(path: Path, *keys: str) -> Artifact:
    return accepted(path.read_bytes(), with_key(*keys) if keys else None)


def contents(path: Path) -> dict[str, bytes]:
    sink = Recorder()
    with path.open("rb") as file:
        read_artifact(file, Policy(), sink)
    return sink.files


def data_member(path: Path) -> bytes:
    """Return the data member with its header block, and without what fills its last block."""
    raw = path.read_bytes()
    start = raw.index(b"data/0000.tar")
    return raw[start : start + 512 + int(raw[start + 124 : start + 135], 8)]


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    return made(tmp_path, Forge(scripts=[("ArtifactInstall_Enter_00", b"#!/bin/sh\n")]))


def made(directory: Path, parts: Forge) -> Path:
    path = directory / "artifact.mender"
    path.write_bytes(parts.build())
    return path
