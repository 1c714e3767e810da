"""The bytes of the device API: what is sent to the byte, and that garbage never comes to more than our own errors."""

import json
from typing import Any

import pytest
from client_server import DEPLOYMENT
from hypothesis import given
from hypothesis import strategies as st

from bistable.client.errors import ServerError
from bistable.client.server import LogLine, Offered, OfferError
from bistable.client.server.wire import (
    attributes_body,
    log_body,
    parse_control_map,
    parse_offer,
    parse_token,
    provides_body,
    provides_body_v2,
    provides_query,
    status_body,
)

OFFER: dict[str, Any] = {
    "id": DEPLOYMENT,
    "artifact": {
        "id": "22222222-2222-3333-4444-555555555555",
        "artifact_name": "release-2",
        "source": {"uri": "https://files.example/a?X-Signature=b%2Bc", "expire": "2030-01-01T00:00:00Z"},
        "device_types_compatible": ["board", "other"],
    },
    "type": "software",
}


def encoded(value: Any) -> bytes:
    return json.dumps(value).encode()


def changed(path: str, value: Any) -> bytes:
    """Return the offer with something else at a place; `...` removes it."""
    offer = json.loads(encoded(OFFER))
    *parents, last = path.split(".")
    place = offer
    for parent in parents:
        place = place[parent]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return encoded(offer)


# --- what is sent


def test_what_the_device_provides_is_sent_as_servers_know_it() -> None:
    provides = {"device_type": "board", "artifact_name": "release 1", "rootfs-image.version": "1"}
    assert json.loads(provides_body(provides)) == provides
    assert json.loads(provides_body_v2(provides)) == {"device_provides": provides, "update_control_map": True}
    assert provides_query(provides) == "artifact_name=release+1&device_type=board"


def test_a_status_without_a_substate_has_none() -> None:
    assert status_body("installing", None) == b'{"status":"installing"}'
    assert json.loads(status_body("installing", 'a "b"')) == {"status": "installing", "substate": 'a "b"'}


def test_the_same_inventory_is_the_same_bytes() -> None:
    one, other = {"b": ("2", "3"), "a": "é"}, {"a": "é", "b": ["2", "3"]}
    assert attributes_body(one) == attributes_body(other)
    assert json.loads(attributes_body(one)) == [{"name": "a", "value": "é"}, {"name": "b", "value": ["2", "3"]}]


def line(message: str) -> LogLine:
    return LogLine(timestamp="2026-10-06T12:00:00.000Z", level="info", message=message)


def test_a_short_log_is_sent_whole() -> None:
    assert json.loads(log_body([line("a"), line("b")], 10_000)) == {
        "messages": [
            {"timestamp": "2026-10-06T12:00:00.000Z", "level": "info", "message": "a"},
            {"timestamp": "2026-10-06T12:00:00.000Z", "level": "info", "message": "b"},
        ]
    }


@given(st.lists(st.text(max_size=200), max_size=40), st.integers(400, 4000))
def test_of_a_long_log_the_end_is_sent_within_the_limit(texts: list[str], limit: int) -> None:
    body = log_body([line(text) for text in texts], limit)
    assert len(body) <= limit
    sent = [message["message"] for message in json.loads(body)["messages"]]
    if sent and sent[0].endswith("are left out: the log is too long)") and sent != texts:
        left_out = len(texts) - len(sent) + 1
        assert sent[0].startswith(f"({left_out} earlier")
        sent = sent[1:]
    clean = [text.encode("utf-8", "replace").decode() for text in texts]
    assert sent == (clean[-len(sent) :] if sent else [])


# --- what is received


def test_an_offer_is_read() -> None:
    assert parse_offer(encoded({**OFFER, "new": {"a": [1]}})) == Offered(
        id=DEPLOYMENT,
        uri="https://files.example/a?X-Signature=b%2Bc",
        artifact_name="release-2",
        device_types=("board", "other"),
        expire="2030-01-01T00:00:00Z",
    )


def test_an_offer_hands_on_its_control_map_as_it_is() -> None:
    wanted = {"id": "another", "states": {"é": None}, "priority": 1.5}
    found = parse_offer(encoded({**OFFER, "update_control_map": wanted})).control_map
    assert found is not None
    assert json.loads(found) == wanted
    assert parse_offer(encoded({**OFFER, "update_control_map": None})).control_map is None
    assert parse_offer(encoded({**OFFER, "update_control_map": []})).control_map == "[]"


def test_an_offer_need_not_say_when_it_ends() -> None:
    assert parse_offer(changed("artifact.source.expire", ...)).expire is None


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("artifact", ...),
        ("artifact", []),
        ("artifact.source", None),
        ("artifact.source.uri", ...),
        ("artifact.source.uri", ""),
        ("artifact.source.uri", "ftp://a/b"),
        ("artifact.source.uri", "file:///etc/shadow"),
        ("artifact.source.uri", "https://"),
        ("artifact.source.uri", "https://a/\n"),
        ("artifact.source.uri", 1),
        ("artifact.source.expire", 1),
        ("artifact.artifact_name", ...),
        ("artifact.artifact_name", ""),
        ("artifact.artifact_name", "a\x1b[31m"),
        ("artifact.artifact_name", "a" * 5000),
        ("artifact.device_types_compatible", ...),
        ("artifact.device_types_compatible", []),
        ("artifact.device_types_compatible", "board"),
        ("artifact.device_types_compatible", ["board", 1]),
        ("artifact.device_types_compatible", ["a"] * 1001),
    ],
)
def test_an_offer_that_makes_no_sense_is_refused_by_its_name(path: str, value: Any) -> None:
    with pytest.raises(OfferError, match=path.rpartition(".")[0] or path) as raised:
        parse_offer(changed(path, value))
    assert raised.value.deployment == DEPLOYMENT


@pytest.mark.parametrize("name", [..., None, "", 1, "../../etc", "a/b", "a" * 65, "a b", "é"], ids=str)
def test_an_offer_without_a_usable_name_is_refused(name: Any) -> None:
    with pytest.raises(OfferError, match="its id is missing") as raised:
        parse_offer(changed("id", name))
    assert raised.value.deployment is None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{",
        b'{"id":1}{"id":2}',
        b'{"id":"a","id":"b"}',
        b"\xff",
        b'{"a":' * 100 + b"1" + b"}" * 100,
        b"{" + b" " * 300_000 + b"}",
    ],
    ids=range(9),
)
def test_what_is_not_one_json_object_is_refused(body: bytes) -> None:
    for parse in (parse_offer, parse_control_map):
        with pytest.raises(ServerError):
            parse(body)


def test_a_control_map_may_be_there_or_not() -> None:
    assert parse_control_map(b'{"update_control_map":{"id":"a"}}') == '{"id": "a"}'
    assert parse_control_map(b"{}") is None
    assert parse_control_map(b'{"update_control_map":null,"new":1}') is None


@pytest.mark.parametrize("body", [b"a.b.c", b"a.b.c\n", b"eyJ_-.e30.", b"a.b."])
def test_a_token_is_read(body: bytes) -> None:
    assert parse_token(body) == body.decode().strip()


@pytest.mark.parametrize(
    "body", [b"", b"a.b", b"a b.c.d", b"a.b.c\r\nX: y", "é.b.c".encode(), b'"a.b.c"', b"a.b.c" * 9999]
)
def test_what_is_no_token_is_refused(body: bytes) -> None:
    with pytest.raises(ServerError, match="not a token"):
        parse_token(body)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=12,
)
PLACES = st.sampled_from(
    [
        "id",
        "artifact",
        "artifact.source",
        "artifact.source.uri",
        "artifact.source.expire",
        "artifact.artifact_name",
        "artifact.device_types_compatible",
        "update_control_map",
    ]
)


@given(st.binary(max_size=300) | JSON.map(lambda value: json.dumps(value).encode()))
def test_garbage_comes_to_our_errors_only(body: bytes) -> None:
    for parse in (parse_offer, parse_control_map, parse_token):
        try:
            parse(body)
        except ServerError as e:
            assert e.what.startswith("cannot use the server's")  # noqa: PT017 - it need not raise


@given(PLACES, JSON)
def test_an_offer_with_garbage_in_one_place_is_sound_or_refused(path: str, value: Any) -> None:
    try:
        found = parse_offer(changed(path, value))
    except OfferError:
        return
    assert found.id
    assert found.uri.startswith(("http://", "https://", "HTTP"))
    assert found.artifact_name.isprintable()
    assert found.device_types


@given(st.integers(0, len(encoded(OFFER)) - 1), st.binary(min_size=1, max_size=3))
def test_an_offer_with_wrong_bytes_is_sound_or_refused(at: int, wrong: bytes) -> None:
    body = encoded(OFFER)
    try:
        found = parse_offer(body[:at] + wrong + body[at + len(wrong) :])
    except OfferError:
        return
    assert isinstance(found, Offered)
