"""Ordinary tools, with which anybody can look into our artifacts: tar, openssl, gzip, xz, zstd."""

import base64
import hashlib
import shutil
from pathlib import Path

import pytest
from forge import KEYS
from peers import attempt, call, needs

from bistable.artifact import (
    Codec,
    InputBytes,
    Options,
    module_request,
    read_signer,
    recompress_artifact,
    sign_artifact,
    write_artifact,
)

FILES = {"image": b"content\n" * 100_000, "empty": b"", "odd": b"x" * 513}
SUFFIX = {"none": "", "gzip": ".gz", "xz": ".xz", "zstd": ".zst"}


def written(tmp_path: Path, codec: str = "gzip", key: str | None = None) -> Path:
    items = [InputBytes(name=name, content=content) for name, content in FILES.items()]
    request = module_request("mod", items, name="n", device_types=["d"])
    options = Options(codec=Codec.parse(codec), signer=read_signer(KEYS / f"{key}.key") if key else None)
    write_artifact(tmp_path / "artifact", request, options)
    return tmp_path / "artifact"


@pytest.mark.parametrize("program", [pytest.param(name, marks=needs(name)) for name in ("tar", "bsdtar")])
@pytest.mark.parametrize("codec", SUFFIX)
def test_any_tar_lists_and_extracts_an_artifact(codec: str, program: str, tmp_path: Path) -> None:
    if codec == "zstd" and shutil.which("zstd") is None:
        pytest.skip("the program zstd is not installed")
    suffix = SUFFIX[codec]
    path = written(tmp_path, codec, "ec256")
    names = ["version", "manifest", "manifest.sig", f"header.tar{suffix}", f"data/0000.tar{suffix}"]
    listed = attempt(program, "-tf", path)
    assert (listed.stdout.split(), listed.returncode, listed.stderr) == (names, 0, "")
    call(program, "-xf", path, cwd=tmp_path)
    inner = attempt(program, "-xvf", f"data/0000.tar{suffix}", cwd=tmp_path)
    assert inner.returncode == 0, inner.stderr
    assert {name: (tmp_path / name).read_bytes() for name in FILES} == FILES


@pytest.mark.parametrize(
    ("codec", "program"),
    [
        pytest.param(codec, name, marks=needs(name))
        for codec, name in (("gzip", "gzip"), ("xz", "xz"), ("zstd", "zstd"))
    ],
)
def test_the_usual_program_finds_every_member_sound(codec: str, program: str, tmp_path: Path) -> None:
    call("tar", "-xf", written(tmp_path, codec), cwd=tmp_path)
    for member in ("header.tar", "data/0000.tar"):
        checked = attempt(program, "-t", tmp_path / f"{member}{SUFFIX[codec]}")
        assert (checked.returncode, checked.stdout) == (0, "")


@pytest.mark.parametrize("way", ["written", "signed later", "recompressed"])
@pytest.mark.parametrize("key", [pytest.param(key, marks=needs("openssl")) for key in ("rsa2048", "rsa3072", "ec256")])
def test_openssl_verifies_the_signature_over_the_manifest(key: str, way: str, tmp_path: Path) -> None:
    path = written(tmp_path, key="rsa2048" if way == "signed later" else key)
    if way == "signed later":
        sign_artifact(path, path, read_signer(KEYS / f"{key}.key"))
    if way == "recompressed":
        recompress_artifact(path, path, Options(codec=Codec.parse("none")))
    call("tar", "-xf", path, "manifest", "manifest.sig", cwd=tmp_path)
    text = (tmp_path / "manifest.sig").read_bytes()
    assert b"\n" not in text
    signature = base64.b64decode(text, validate=True)
    if key == "ec256":
        signature = der(signature[:32]) + der(signature[32:])
        signature = b"\x30" + bytes([len(signature)]) + signature
    (tmp_path / "raw").write_bytes(signature)
    public, raw = KEYS / f"{key}.pub", tmp_path / "raw"
    done = call("openssl", "dgst", "-sha256", "-verify", public, "-signature", raw, tmp_path / "manifest")
    assert "Verified OK" in done


def der(number: bytes) -> bytes:
    """Return an INTEGER."""
    body = number.lstrip(b"\x00")
    body = b"\x00" + body if body[:1] >= b"\x80" else body
    return b"\x02" + bytes([len(body)]) + body


@pytest.mark.parametrize("codec", [pytest.param("none", marks=needs("sha256sum"))])
def test_sha256sum_checks_a_manifest(codec: str, tmp_path: Path) -> None:
    call("tar", "-xf", written(tmp_path, codec), cwd=tmp_path)
    (tmp_path / "data/0000").mkdir()
    call("tar", "-xf", tmp_path / "data/0000.tar", "-C", tmp_path / "data/0000")
    assert call("sha256sum", "--check", "--strict", "manifest", cwd=tmp_path).count(": OK") == len(FILES) + 2
    listed = (tmp_path / "manifest").read_text().split()
    assert hashlib.sha256(FILES["image"]).hexdigest() in listed
