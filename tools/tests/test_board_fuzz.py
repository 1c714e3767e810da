"""Whatever a file holds, it is a board, or it is said in words why it is none."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from board_samples import SAMPLES
from hypothesis import given, settings
from hypothesis import strategies as st

from bistable.artifact.errors import RequestError
from bistable.tools.board.check import check_board
from bistable.tools.board.load import parse_board
from bistable.tools.board.model import Board

FOLDER = Path("/boards/acorn")

WORDS = [
    *(
        "",
        " ",
        "rest",
        "0",
        "1",
        "-1",
        "4 GiB",
        "99999999999 TiB",
        "1" * 40,
        "16 KB",
        "0x40400000",
        "0xfffffffffffffffff",
    ),
    *(
        "/",
        "/dev",
        "/dev/mmcblk0p1",
        "//",
        "../..",
        "/boot/../Image",
        "mmc",
        "mmc 1",
        "mmc 1 2",
        "virtio 0",
        "\x00",
        "a\nb",
    ),
    *(
        "\u202e",
        "\ud7ff",
        "é",
        "$(reboot)",
        "'",
        '"',
        "\\",
        "#",
        "root=/dev/sda",
        "panic=",
        "panic=x",
        "console=",
        "console=,",
    ),
    *(
        "uboot",
        "uboot-ubi",
        "custom",
        "grub",
        "raspberry-pi",
        "arm64",
        "riscv64",
        "ext4",
        "gpt",
        "mbr",
        "both",
        "booted",
    ),
]
"""Texts that mean something somewhere, or nothing anywhere."""

VALUES: st.SearchStrategy[Any] = st.recursive(
    st.one_of(
        st.sampled_from(WORDS),
        st.text(max_size=12),
        st.booleans(),
        st.integers(),
        st.sampled_from([0, -1, 1 << 31, 1 << 64, 10**100]),
        st.floats(),
        st.dates(),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.one_of(st.sampled_from(WORDS), st.text(max_size=5)), inner, max_size=3),
    ),
    max_leaves=5,
)


def toml(value: Any) -> str:
    """Return a value as TOML, tables in one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{toml(key)} = {toml(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, str):
        # JSON's escapes are those of TOML, but for halves of characters, which neither has, and DEL.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)


def document(content: dict[str, Any]) -> bytes:
    return "\n".join(f"{toml(key)} = {toml(value)}" for key, value in content.items()).encode()


def read(data: bytes) -> Board | None:
    """Return the board in `data`, None if it was refused."""
    try:
        return parse_board(data, FOLDER)
    except RequestError:
        return None


def places(content: Any, above: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Return the paths of all that is in a document."""
    found = [above] if above else []
    if isinstance(content, dict):
        found += [place for key, value in content.items() for place in places(value, (*above, key))]
    return found


def put(content: dict[str, Any], place: tuple[str, ...], value: Any) -> None:
    for key in place[:-1]:
        content = content[key]
    content[place[-1]] = value


@pytest.mark.parametrize("sample", SAMPLES)
def test_a_document_in_one_line_a_table_is_the_same_board(sample: str) -> None:
    content = tomllib.loads(SAMPLES[sample])
    assert read(document(content)) == read(SAMPLES[sample].encode()) is not None


@given(data=st.data(), sample=st.sampled_from(sorted(SAMPLES)))
@settings(max_examples=400, deadline=None)
def test_any_value_at_any_place_is_taken_or_refused_in_words(data: st.DataObject, sample: str) -> None:
    content = tomllib.loads(SAMPLES[sample])
    for _ in range(data.draw(st.integers(1, 2))):
        put(content, data.draw(st.sampled_from(places(content))), data.draw(VALUES))
    found = read(document(content))
    if found is not None:
        check_board(found)


SIZES = [
    "1",
    "512",
    "17 KiB",
    "64 KiB",
    "1 MiB",
    "3 MiB",
    "4 MiB",
    "96 MiB",
    "1 GiB",
    "3 GiB",
    "7 GiB",
    "999 TiB",
    "rest",
]


def near(value: Any) -> st.SearchStrategy[Any]:
    """Return what somebody may have meant who wrote `value`."""
    if isinstance(value, str):
        swapped = st.sampled_from(WORDS)
        if re.fullmatch(r"[0-9]+ .iB", value):
            return st.sampled_from(SIZES)
        pieces = st.tuples(
            st.integers(0, len(value)), st.integers(0, 3), st.sampled_from(["", "0", "1", "a", "/", ",", "="])
        )
        return st.one_of(swapped, pieces.map(lambda cut: value[: cut[0]] + cut[2] + value[cut[0] + cut[1] :]))
    if isinstance(value, int):
        return st.sampled_from([1, 2, 9, 10, 64, 115200, 1500000])
    if isinstance(value, list):
        return st.lists(st.one_of(st.sampled_from([*value, *WORDS[:8]])), max_size=3)
    return st.sampled_from([{key: inner for key, inner in value.items() if key != left} for left in value] or [{}])


def nearly_right(data: st.DataObject, sample: str) -> dict[str, Any]:
    """Return a board with one mistake or two."""
    content = tomllib.loads(SAMPLES[sample])
    for _ in range(data.draw(st.integers(1, 2))):
        place = data.draw(st.sampled_from(places(content)))
        inside: Any = content
        for key in place:
            inside = inside[key]
        put(content, place, data.draw(near(inside)))
    return content


@given(data=st.data(), sample=st.sampled_from(sorted(SAMPLES)))
@settings(max_examples=500, deadline=None)
def test_what_is_nearly_right_is_taken_or_refused_and_checked_in_words(data: st.DataObject, sample: str) -> None:
    content = nearly_right(data, sample)
    found = read(document(content))
    if found is not None:
        for finding in check_board(found):
            assert finding.what
            assert finding.hint


@given(data=st.data(), sample=st.sampled_from(sorted(SAMPLES)))
@settings(max_examples=150, deadline=None)
def test_any_key_or_table_more_or_less_is_taken_or_refused_in_words(data: st.DataObject, sample: str) -> None:
    content = tomllib.loads(SAMPLES[sample])
    place = data.draw(st.sampled_from(places(content)))
    inside = content
    for key in place[:-1]:
        inside = inside[key]
    if data.draw(st.booleans()):
        del inside[place[-1]]
    else:
        inside[
            data.draw(st.one_of(st.sampled_from([*WORDS, *SAMPLES, "loader", "mtd", "extra"]), st.text(max_size=5)))
        ] = data.draw(VALUES)
    found = read(document(content))
    if found is not None:
        check_board(found)


@given(data=st.data(), sample=st.sampled_from(sorted(SAMPLES)))
@settings(max_examples=150, deadline=None)
def test_any_damage_to_the_bytes_is_taken_or_refused_in_words(data: st.DataObject, sample: str) -> None:
    text = SAMPLES[sample].encode()
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 40)))
    found = read(text[:start] + data.draw(st.one_of(st.binary(max_size=20), st.just(b""))) + text[end:])
    if found is not None:
        check_board(found)


@pytest.mark.parametrize(
    "text",
    [
        b"a = " + b"[" * 100_000,
        b"a = " + b"{a=" * 100_000,
        b".".join([b"a"] * 50_000) + b" = 1",
        b"[" + b".".join([b"boot"] * 50_000) + b"]",
        b"boot.loader" + b".a" * 50_000 + b" = 1",
        b"a = " + b"9" * 100_000,
        b"a = " + b"[\n" * 50_000,
        b"a = " + b"9" * 8000,
        b".".join([b"a"] * 4000) + b" = 1",
        b"boot.loader" + b".a" * 4000 + b" = 1",
        b'[boot]\nloader = "uboot"\n[slots]\nsize = "' + b"9" * 8000 + b'"',
        b"\xff\xfe",
        b"",
        b"x" * (2 << 20),
        b"[[boot]]\nloader = 'uboot'\n",
        b"boot = 3",
        b"[boot]\nloader = ['uboot']",
        b"[boot]\nloader = {}",
        b"[boot.loader]\n",
    ],
    ids=range(19),
)
def test_what_is_meant_to_hurt_is_refused_in_words(text: bytes) -> None:
    assert read(text) is None
