"""Recompressing keeps the files and the signature over them. FORMAT.md §3.2, §7."""

from pathlib import Path

import pytest
from answers import tolerated, with_key
from forge import Forge, module, pax, tar
from rewriting import EC, KINDS, contents, made, read

from bistable.artifact import Codec, Compression, Options, RejectedError, recompress_artifact

CODECS = ["none", "gzip:1", "xz:0", "zstd:1"]


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_payload_is_recompressed_and_its_signature_stays_valid(tmp_path: Path, kind: str, codec: str) -> None:
    path = made(tmp_path, Forge(kind=kind, key="ec256"))
    before = read(path, "ec256").head
    changed = recompress_artifact(path, path, Options(codec=Codec.parse(codec)))
    assert changed.signature_kept
    after = tolerated(path.read_bytes(), policy=with_key("ec256"))
    assert after.head == before
    assert after.data_compression is Codec.parse(codec).kind


@pytest.mark.parametrize("codec", CODECS)
def test_an_unsigned_artifact_gets_its_header_recompressed_too(tmp_path: Path, codec: str) -> None:
    path = made(tmp_path, Forge())
    recompress_artifact(path, path, Options(codec=Codec.parse(codec)))
    artifact = tolerated(path.read_bytes())
    assert artifact.head.header_compression is artifact.data_compression is Codec.parse(codec).kind


def test_a_recompressed_artifact_can_be_signed_at_once(tmp_path: Path) -> None:
    path = made(tmp_path, Forge(key="rsa2048"))
    recompress_artifact(path, path, Options(codec=Codec.parse("none"), signer=EC))
    assert read(path, "ec256").head.header_compression is Compression.NONE


def test_files_in_another_order_and_sparse_ones_are_recompressed(tmp_path: Path) -> None:
    text = b"2\n1000\n3\n2000\n0\n".ljust(512, b"\x00") + b"abc"
    records = [("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0"), ("GNU.sparse.realsize", "2000")]
    files = [("file", bytes(1000) + b"abc" + bytes(997)), ("b", b"2")]
    archive = tar(("b", b"2"), pax(*records), ("file", text))
    path = made(tmp_path, module(*files, data_archive=archive, key="ec256"))
    recompress_artifact(path, path, Options(codec=Codec.parse("zstd")))
    tolerated(path.read_bytes(), policy=with_key("ec256"))
    assert contents(path) == dict(files)


def test_three_hundred_files_are_recompressed(tmp_path: Path) -> None:
    files = [(f"f{n}", b"x" * n) for n in range(300)]
    path = made(tmp_path, module(*files))
    recompress_artifact(path, path, Options(codec=Codec.parse("zstd")))
    assert contents(path) == dict(files)


@pytest.mark.parametrize(
    "parts",
    [
        pytest.param(Forge(data_archive=tar(("rootfs.ext4", b"damaged"))), id="wrong digest"),
        pytest.param(Forge(data_archive=tar()), id="missing file"),
        pytest.param(Forge(data=b"\x1f\x8b"), id="damaged stream"),
    ],
)
def test_a_damaged_payload_is_not_recompressed(tmp_path: Path, parts: Forge) -> None:
    path = made(tmp_path, parts)
    before = path.read_bytes()
    with pytest.raises(RejectedError):
        recompress_artifact(path, path, Options())
    assert path.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1
