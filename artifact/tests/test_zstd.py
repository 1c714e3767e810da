"""Both faces of libzstd do the same."""

import sys
from io import BytesIO
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from bistable.artifact import zstd
from bistable.artifact.errors import MachineError
from bistable.artifact.streams import Codec, open_compressor

CONTENT = b"twenty letters or so" * 40_000


@pytest.fixture
def standard(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Give `compression.zstd`, or for an older Python its back-port in that place."""
    if sys.version_info >= (3, 14):
        from compression import zstd as module
    else:
        module = pytest.importorskip("backports.zstd", reason="backports.zstd is not installed")
    monkeypatch.setitem(sys.modules, "compression", ModuleType("compression"))
    monkeypatch.setitem(sys.modules, "compression.zstd", module)
    return module


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Give `zstandard`, also where the standard library would be preferred."""
    monkeypatch.setitem(sys.modules, "compression.zstd", None)
    return pytest.importorskip("zstandard", reason="zstandard is not installed")


def encoded(**settings: Any) -> bytes:
    encoder = zstd.encoder(zstd.Settings(**settings))
    return encoder.compress(CONTENT[:10]) + encoder.compress(memoryview(CONTENT)[10:]) + encoder.flush()


def decoded(data: bytes) -> tuple[bytes, bool]:
    decoder = zstd.DecoderFactory(window_log=27).decoder()
    return decoder.decompress(data[:5]) + decoder.decompress(data[5:]), decoder.eof


@pytest.mark.parametrize("face", ["standard", "package"])
def test_a_frame_comes_back(face: str, request: pytest.FixtureRequest) -> None:
    request.getfixturevalue(face)
    assert decoded(encoded(level=3, threads=1)) == (CONTENT, True)


@pytest.mark.parametrize("face", ["standard", "package"])
def test_a_frame_that_goes_on_is_not_at_its_end(face: str, request: pytest.FixtureRequest) -> None:
    request.getfixturevalue(face)
    assert decoded(encoded(level=3, threads=1)[:-1]) == (CONTENT, False)


@pytest.mark.parametrize("face", ["standard", "package"])
def test_damage_raises_the_named_error(face: str, request: pytest.FixtureRequest) -> None:
    request.getfixturevalue(face)
    data = bytearray(encoded(level=3, threads=1))
    data[-1] ^= 1
    factory = zstd.DecoderFactory(window_log=27)
    with pytest.raises(factory.error):
        factory.decoder().decompress(bytes(data))


@pytest.mark.parametrize("face", ["standard", "package"])
def test_a_window_above_the_limit_raises_the_named_error(face: str, request: pytest.FixtureRequest) -> None:
    request.getfixturevalue(face)
    factory = zstd.DecoderFactory(window_log=20)
    with pytest.raises(factory.error):
        factory.decoder().decompress(encoded(level=3, threads=1, window_log=24))


@pytest.mark.parametrize(
    "settings",
    [
        {"level": 1, "threads": 1},
        {"level": 3, "threads": 2, "job_size": 1 << 19, "overlap_log": 8},
        {"level": 3, "threads": 2, "window_log": 22},
        {"level": 12, "threads": 1},
    ],
)
def test_both_faces_make_the_same_bytes(
    settings: dict[str, int], standard: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = pytest.importorskip("zstandard", reason="zstandard is not installed")
    if standard.zstd_version_info != other.ZSTD_VERSION:
        pytest.skip("the two are built with different releases of libzstd")
    through_standard = encoded(**settings)
    monkeypatch.setitem(sys.modules, "compression.zstd", None)
    assert encoded(**settings) == through_standard


@pytest.mark.parametrize("face", ["standard", "package"])
def test_an_empty_write_changes_nothing(face: str, request: pytest.FixtureRequest) -> None:
    request.getfixturevalue(face)
    outputs = []
    for writes in range(3):
        out = BytesIO()
        compressor = open_compressor(out.write, Codec())
        for _ in range(writes):
            compressor.write(b"")
        compressor.finish()
        outputs.append(out.getvalue())
    assert outputs == outputs[:1] * 3


def test_a_libzstd_without_threads_is_named_as_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    single = SimpleNamespace(CompressionParameter=SimpleNamespace(nb_workers=SimpleNamespace(bounds=lambda: (0, 0))))
    monkeypatch.setitem(sys.modules, "compression", ModuleType("compression"))
    monkeypatch.setitem(sys.modules, "compression.zstd", single)
    with pytest.raises(MachineError, match="built without them"):
        zstd.encoder(zstd.Settings(level=3, threads=1))
