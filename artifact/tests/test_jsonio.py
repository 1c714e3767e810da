"""JSON from untrusted bytes. FORMAT.md §5.1."""

import json
import math
from typing import Any

import pytest
from answers import check_refusal
from hypothesis import given
from hypothesis import strategies as st

from bistable.artifact import RejectedError
from bistable.artifact.errors import LimitError
from bistable.artifact.jsonio import encode, encode_sorted, parse_object


def parse(data: bytes) -> dict[str, Any]:
    return parse_object(data, member="meta-data")


def refused(data: bytes) -> RejectedError:
    with pytest.raises(RejectedError) as caught:
        parse(data)
    check_refusal(caught.value)
    return caught.value


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text(), JSON, max_size=4))
def test_what_was_encoded_is_read_back(document: dict[str, Any]) -> None:
    assert parse(encode(document)) == document
    assert parse(encode_sorted(document)) == document


@given(st.dictionaries(st.text(), JSON, max_size=4))
def test_any_encoder_is_understood(document: dict[str, Any]) -> None:
    assert parse(json.dumps(document, indent=1, ensure_ascii=True).encode()) == document


@given(
    st.binary(max_size=60)
    | st.text('{}[]":,\\u0123tfn-+.eE \x00\ud800', max_size=60).map(lambda t: t.encode("utf-8", "surrogatepass"))
)
def test_any_bytes_are_an_object_or_are_refused(data: bytes) -> None:
    try:
        assert isinstance(parse(data), dict)
    except RejectedError as error:
        check_refusal(error)


def test_keys_keep_their_order_and_nothing_is_escaped_that_need_not_be() -> None:
    assert encode({"z": "<é&>", "a": [1, None]}) == '{"z":"<é&>","a":[1,null]}'.encode()
    assert encode_sorted({"z": {"b": 1, "a": 2}, "a": 0}) == b'{"a":0,"z":{"a":2,"b":1}}'


def test_white_space_around_the_object_is_accepted() -> None:
    assert parse(b' \r\n\t{ "a" : 1 }\n') == {"a": 1}


def test_large_integers_keep_their_value() -> None:
    assert parse(b'{"n":12345678901234567890}') == {"n": 12345678901234567890}


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        pytest.param(b"", "json.syntax", id="nothing"),
        pytest.param(b"   ", "json.syntax", id="blanks"),
        pytest.param(b'{"a":1', "json.syntax", id="cut off"),
        pytest.param(b'{"a":1,}', "json.syntax", id="comma at the end"),
        pytest.param(b"{'a':1}", "json.syntax", id="single quotes"),
        pytest.param(b"{a:1}", "json.syntax", id="key without quotes"),
        pytest.param(b'{"a":01}', "json.syntax", id="leading zero"),
        pytest.param(b'{"a":+1}', "json.syntax", id="plus sign"),
        pytest.param(b'{"a":"b\nc"}', "json.syntax", id="line end in a string"),
        pytest.param(b'{"a":"\x00"}', "json.syntax", id="zero byte in a string"),
        pytest.param(b'{"a":"\\x41"}', "json.syntax", id="unknown escape"),
        pytest.param(b'{"a":1}/* */', "json.trailing", id="comment"),
        pytest.param(b'{"a":1}{"a":1}', "json.trailing", id="two objects"),
        pytest.param(b'{"a":1}\x00', "json.trailing", id="zero byte behind"),
        pytest.param(b"\xef\xbb\xbf{}", "json.syntax", id="byte order mark"),
        pytest.param("{}".encode("utf-16"), "json.encoding", id="UTF-16"),
        pytest.param("{}".encode("utf-16-le"), "json.syntax", id="UTF-16 without mark"),
        pytest.param("{}".encode("utf-32-le"), "json.syntax", id="UTF-32"),
        pytest.param(b'{"a":"\xff"}', "json.encoding", id="invalid UTF-8"),
        pytest.param(b'{"a":"\xc0\xaf"}', "json.encoding", id="overlong UTF-8"),
        pytest.param(b'{"a":"\xed\xa0\x80"}', "json.encoding", id="surrogate in UTF-8"),
        pytest.param(b'{"a":"\\ud800"}', "json.surrogate", id="half a pair"),
        pytest.param(b'{"a":"\\udc00\\ud800"}', "json.surrogate", id="pair the wrong way round"),
        pytest.param(b'{"\\ud800":1}', "json.surrogate", id="half a pair in a key"),
        pytest.param(b'{"a":NaN}', "json.number", id="NaN"),
        pytest.param(b'{"a":Infinity}', "json.number", id="infinity"),
        pytest.param(b'{"a":-Infinity}', "json.number", id="minus infinity"),
        pytest.param(b'{"a":1e999}', "json.number", id="number out of range"),
        pytest.param(b'{"a":' + b"9" * 5000 + b"}", "json.number", id="integer of 5000 digits"),
        pytest.param(b'{"a":1,"a":1}', "json.duplicate-key", id="key twice"),
        pytest.param(b'{"x":[{"a":1,"\\u0061":2}]}', "json.duplicate-key", id="key twice, escaped, deep down"),
        pytest.param(b"[]", "json.kind", id="array"),
        pytest.param(b'"text"', "json.kind", id="string"),
        pytest.param(b"null", "json.kind", id="null"),
        pytest.param(b"3", "json.kind", id="number"),
    ],
)
def test_what_is_not_exactly_one_strict_object_is_refused(data: bytes, rule: str) -> None:
    assert refused(data).rule == rule


def test_the_place_of_a_fault_is_told_in_lines_and_bytes() -> None:
    where = refused('{\n"é": x}'.encode()).where
    assert where is not None
    assert (where.member, where.line, where.offset) == ("meta-data", 2, 8)


def nested(levels: int) -> bytes:
    return b'{"a":' + b"[" * (levels - 1) + b"]" * (levels - 1) + b"}"


def test_a_hundred_levels_are_accepted_and_one_more_is_not() -> None:
    parse(nested(100))
    assert refused(nested(101)).rule == "json.depth"


def test_a_hostile_depth_reaches_no_recursive_parser() -> None:
    assert refused(b'{"a":' + b"[" * 500_000).rule == "json.depth"
    assert refused(b'{"a":' * 100_000).rule == "json.depth"


def test_brackets_inside_strings_are_no_depth() -> None:
    assert parse(b'{"a":"' + b"[{" * 300 + b'\\"["}')


def test_one_mebibyte_is_the_limit() -> None:
    room = 1024 * 1024 - len(b'{"a":""}')
    parse(b'{"a":"' + b"x" * room + b'"}')
    with pytest.raises(LimitError) as caught:
        parse(b'{"a":"' + b"x" * (room + 1) + b'"}')
    check_refusal(caught.value, "json.size")


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b'"' + b'\\"' * 500_000, id="escaped quotes"),
        pytest.param(b'"' * 1_000_001, id="quotes"),
        pytest.param(b'{"' + b"\\" * 1_000_001, id="backslashes"),
        pytest.param(b'{"a":"' + b"\\u0022" * 170_000, id="escapes"),
    ],
)
def test_hostile_strings_take_no_more_than_linear_time(data: bytes) -> None:
    # Quadratic time would be hours here, so that no clock is needed to notice it.
    refused(data)


def test_a_message_does_not_repeat_a_hostile_key() -> None:
    key = "\x1b[2J" + "k" * 100_000
    refused(json.dumps({"a": 1})[:-1].encode() + b"," + (json.dumps(key) + ":1,").encode() * 2 + b'"z":1}')


def test_nan_is_never_written() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        encode({"a": math.nan})
