"""Signature bytes and their text form. FORMAT.md §4."""

import base64
import subprocess
import sys

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from hypothesis import given
from hypothesis import strategies as st

from bistable.artifact.errors import SignatureError
from bistable.artifact.keys import decode_signature, encode_signature, parse_signature
from bistable.artifact.keys.signature import P256_ORDER, join_numbers, read_der, split_numbers

NUMBERS = st.one_of(
    st.integers(1, P256_ORDER - 1), st.integers(1, 300), st.sampled_from([1, 0x7F, 0x80, 1 << 255, P256_ORDER - 1])
)


@given(st.binary(min_size=1, max_size=600))
def test_a_signature_comes_back_from_its_text_form(signature: bytes) -> None:
    assert decode_signature(encode_signature(signature)) == (signature, False)


def test_the_text_form_is_one_line_without_an_end_of_line() -> None:
    assert b"\n" not in encode_signature(bytes(512))


@pytest.mark.parametrize("ends", [b"\n", b"\r\n"])
def test_line_ends_are_taken_and_reported(ends: bytes) -> None:
    text = base64.b64encode(bytes(range(64)))
    wrapped = text[:40] + ends + text[40:] + ends
    assert decode_signature(wrapped) == (bytes(range(64)), True)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\n",
        b" AAAA",
        b"AAAA ",
        b"AAA",
        b"AAA=AAAA",
        b"AA==AA==",
        b"====",
        b"AB==",  # the unused bits of the last digit are not zero
        b"AA-_",
        b"A\x00AA",
        b"AAAA\xff",
        "AAAÄ".encode(),
    ],
)
def test_anything_but_canonical_base64_is_refused(body: bytes) -> None:
    with pytest.raises(SignatureError) as caught:
        decode_signature(body)
    assert caught.value.rule == "signature.encoding"


def test_a_refused_text_form_says_where_the_bad_byte_is() -> None:
    with pytest.raises(SignatureError) as caught:
        decode_signature(b"AAAA*AAA")
    assert str(caught.value.where) == "manifest.sig, byte 4"


@given(st.binary(max_size=100))
def test_any_bytes_are_a_signature_or_an_error(body: bytes) -> None:
    try:
        signature, wrapped = decode_signature(body)
    except SignatureError:
        return
    assert wrapped or encode_signature(signature) == body


@given(NUMBERS, NUMBERS)
def test_r_and_s_come_back_from_both_forms(r: int, s: int) -> None:
    assert split_numbers(join_numbers(r, s)) == (r, s)
    assert read_der(encode_dss_signature(r, s)) == (r, s)


@given(NUMBERS, NUMBERS)
def test_a_signature_made_elsewhere_is_brought_into_the_artifacts_form(r: int, s: int) -> None:
    raw, der = join_numbers(r, s), encode_dss_signature(r, s)
    for form in (raw, base64.b64encode(raw), base64.encodebytes(raw), base64.urlsafe_b64encode(raw).rstrip(b"=")):
        assert parse_signature(form) == raw
    if len(der) != len(raw):
        for form in (der, base64.b64encode(der), base64.encodebytes(der)):
            assert parse_signature(form) == raw


@given(st.binary(min_size=256, max_size=256))
def test_an_rsa_signature_is_taken_raw_and_in_base64(raw: bytes) -> None:
    for form in (raw, base64.b64encode(raw), base64.encodebytes(raw)):
        assert parse_signature(form) == raw


@pytest.mark.parametrize(("r", "s"), [(0, 1), (1, 0), (P256_ORDER, 1), (1, P256_ORDER), (1 << 256, 1)])
def test_r_and_s_outside_the_group_are_refused_in_der(r: int, s: int) -> None:
    assert read_der(encode_dss_signature(r, s)) is None


@pytest.mark.parametrize("bad", [bytes(32) + b"\x01" * 32, b"\x01" * 32 + bytes(32), b"\xff" * 64, b"\x01" * 63])
def test_r_and_s_outside_the_group_are_refused_side_by_side(bad: bytes) -> None:
    assert split_numbers(bad) is None


@pytest.mark.parametrize(
    "der",
    [
        "3006020101020101" + "00",  # a byte after the end
        "308106020101020101",  # a long length where a short one does
        "30070202000102 0101",  # a number with a zero too many
        "3006020181020101",  # a negative number
        "3003020101",  # one number
        "3009020101020101020101",  # three
        "3106020101020101",  # a set
        "3080020101020101 0000",  # indefinite length
    ],
)
def test_der_is_read_strictly(der: str) -> None:
    assert read_der(bytes.fromhex(der)) is None


def test_the_shortest_der_is_taken() -> None:
    assert read_der(bytes.fromhex("3006020101020101")) == (1, 1)


@pytest.mark.parametrize("data", [b"", b"\n", b"AAAA", bytes(63), bytes(255), b"not a signature at all"])
def test_data_that_is_no_signature_is_refused(data: bytes) -> None:
    with pytest.raises(SignatureError, match="cannot use this signature"):
        parse_signature(data)


def test_importing_the_keys_does_not_load_the_cryptographic_library() -> None:
    code = (
        "import sys, bistable.artifact.keys as k; k.decode_signature(b'AAAA'); sys.exit('cryptography' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
