"""The text form of a compression says what people mean, or why it cannot be. FORMAT.md §7."""

import os

import pytest

from bistable.artifact.errors import RequestError
from bistable.artifact.model import Compression
from bistable.artifact.streams import Codec

GZIP, XZ, ZSTD = Compression.GZIP, Compression.XZ, Compression.ZSTD


@pytest.mark.parametrize(
    ("text", "codec"),
    [
        ("none", Codec(kind=Compression.NONE)),
        ("gzip", Codec(kind=GZIP)),
        ("gzip:6", Codec(kind=GZIP, level=6)),
        ("xz:3", Codec(kind=XZ, level=3)),
        ("xz:0,threads=64", Codec(kind=XZ, level=0, threads=64)),
        ("lzma", Codec(kind=XZ)),
        ("zstd", Codec(kind=ZSTD)),
        ("zstd:9,threads=2,long=27", Codec(kind=ZSTD, level=9, threads=2, long=27)),
        ("zstd:threads=2", Codec(kind=ZSTD, threads=2)),
        ("zstd:22", Codec(kind=ZSTD, level=22)),
        ("zstd_fastest", Codec(kind=ZSTD, level=1)),
        ("zstd_fast", Codec(kind=ZSTD, level=3)),
        ("zstd_better", Codec(kind=ZSTD, level=7)),
        ("zstd_best:threads=3", Codec(kind=ZSTD, level=11, threads=3)),
    ],
)
def test_text_means_a_codec(text: str, codec: Codec) -> None:
    assert Codec.parse(text) == codec


@pytest.mark.parametrize(
    "text",
    [
        "",
        "bzip2",
        "ZSTD",
        "zstd:",
        "zstd:,",
        "zstd:3,",
        "zstd:-5",
        "zstd:0",
        "zstd:23",
        "zstd:٣",
        "zstd: 3",
        "zstd:3,4",
        "zstd:3,level=4",
        "zstd:3,threads=2,threads=2",
        "zstd_best:3",
        "zstd:threads=0",
        "zstd:threads=65",
        "zstd:long=28",
        "zstd:long=9",
        "gzip:0",
        "gzip:10",
        "gzip:long=20",
        "xz:10",
        "none:1",
        "none:threads=2",
    ],
)
def test_text_that_means_nothing_is_refused_with_the_valid_forms(text: str) -> None:
    with pytest.raises(RequestError, match=r"^cannot ") as caught:
        Codec.parse(text)
    assert "zstd:9,threads=2,long=27" in str(caught.value.hint)


def test_zstd_at_level_3_is_the_default() -> None:
    assert (Codec().kind, Codec().effective_level) == (ZSTD, 3)


def test_a_codec_made_directly_is_checked_too() -> None:
    with pytest.raises(RequestError, match="level 10 is not within 1 to 9"):
        Codec(kind=GZIP, level=10)


@pytest.mark.parametrize("kind", Compression)
def test_threads_come_from_the_processors_that_may_be_used(kind: Compression, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {5})
    assert Codec(kind=kind).effective_threads == 1


@pytest.mark.parametrize("kind", [GZIP, XZ, ZSTD])
def test_threads_taken_without_being_asked_for_are_few(kind: Compression, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(256)))
    assert 4 <= Codec(kind=kind).effective_threads <= 8
    assert Codec(kind=kind, threads=40).effective_threads == 40
