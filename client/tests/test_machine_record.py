"""The record of an update in its stored form: nothing is lost, and what newer clients write can be read."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bistable.client.errors import StoreError
from bistable.client.machine import Mark, Record, State, Trouble, decode_record, encode_record
from bistable.client.model import Mode, Offer, Point, RebootNeed, SlotName

words = st.text(max_size=12)
numbers = st.floats(allow_nan=False, allow_infinity=False)
offers = st.builds(
    Offer,
    name=words,
    payload_type=st.none() | words,
    group=st.none() | words,
    device_types=st.lists(words, max_size=3).map(tuple),
    provides=st.dictionaries(words, words, max_size=3),
    depends=st.dictionaries(words, st.lists(words, max_size=3).map(tuple), max_size=3),
    clears=st.none() | st.lists(words, max_size=3).map(tuple),
)
troubles = st.builds(Trouble, code=words, what=words, state=st.sampled_from(State), hint=st.none() | words)
records = st.builds(
    Record,
    id=words,
    mode=st.sampled_from(Mode),
    state=st.sampled_from(State),
    where=words,
    boot_id=words,
    mark=st.sampled_from(Mark),
    offer=st.none() | offers,
    origin=st.none() | words.map(SlotName),
    target=st.none() | words.map(SlotName),
    supports_rollback=st.none() | st.booleans(),
    reboot_need=st.none() | st.sampled_from(RebootNeed),
    install_boot_id=st.none() | words,
    restarted=st.booleans(),
    transitions=st.integers(0, 100),
    check_seconds=numbers,
    stops=st.frozensets(st.sampled_from(State)),
    passes=st.frozensets(st.sampled_from(Point)),
    trouble=st.none() | troubles,
    aborted=st.booleans(),
    undo=st.booleans(),
    rolled_back=st.booleans(),
    inconsistent=st.booleans(),
    committed=st.booleans(),
    began=numbers,
)
RECORD = Record(
    id="one",
    mode=Mode.STANDALONE,
    state=State.REBOOT,
    where="there",
    boot_id="b",
    mark=Mark.STARTED,
    stops=frozenset({State.CLEANUP}),
    trouble=Trouble(code="x", what="y", state=State.CHECK),
)


def changed(**changes: Any) -> str:
    return json.dumps(json.loads(encode_record(RECORD)) | changes)


@given(records)
def test_a_record_comes_back_as_it_was(record: Record) -> None:
    assert decode_record(encode_record(record)) == record


def test_what_a_newer_client_added_is_ignored() -> None:
    assert decode_record(changed(colour="blue", list=[1], nested={"a": {}})) == RECORD


def test_a_state_of_a_newer_client_is_the_one_that_it_names_for_older_ones_from_its_beginning() -> None:
    record = decode_record(changed(state="polishing", state_if_unknown="rollback"))
    assert record.state is State.ROLLBACK
    assert record.mark is Mark.FRESH


def test_a_state_that_is_known_is_not_replaced() -> None:
    assert decode_record(changed(state_if_unknown="rollback")) == RECORD


def test_an_unknown_state_without_another_is_an_error() -> None:
    with pytest.raises(StoreError, match="cannot read the record of the update in progress"):
        decode_record(changed(state="polishing"))


def test_stops_and_passes_that_only_newer_clients_know_are_left_out() -> None:
    record = decode_record(changed(stops=["cleanup", "polishing"], passes=["moonrise", "commit"]))
    assert record.stops == {State.CLEANUP}
    assert record.passes == {Point.COMMIT}


def test_an_error_from_a_state_that_only_newer_clients_know_is_read() -> None:
    told = decode_record(changed(trouble={"code": "x", "what": "y", "state": "polishing", "hint": None})).trouble
    assert told == Trouble(code="x", what="y", state=State.REBOOT)


def test_what_an_older_client_did_not_know_has_its_first_value() -> None:
    few = {"id": "one", "mode": "managed", "state": "install", "where": "there", "boot_id": "b"}
    assert decode_record(json.dumps(few)) == Record(
        id="one", mode=Mode.MANAGED, state=State.INSTALL, where="there", boot_id="b"
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "null",
        "[]",
        '"state"',
        "7",
        "{}",
        "[" * 100_000,
        '{"id": "one", "mode": "managed", "state": "install", "where": "there"}',
        '{"id": "one", "mode": "managed", "state": [], "where": "there", "boot_id": "b"}',
        '{"id": "one", "mode": "led", "state": "install", "where": "there", "boot_id": "b"}',
        '{"id": "one", "mode": "managed", "state": "install", "where": "there", "boot_id": "b", "stops": 1}',
        '{"id": "one", "mode": "managed", "state": "install", "where": "there", "boot_id": "b", "offer": {}}',
        '{"id": "one", "mode": "managed", "state": "install", "where": "there", "boot_id": "b", "trouble": []}',
    ],
)
def test_what_makes_no_sense_is_a_store_error(text: str) -> None:
    with pytest.raises(StoreError, match="cannot read the record of the update in progress"):
        decode_record(text)


@given(records, st.data())
def test_a_damaged_record_is_an_error_or_a_record(record: Record, data: st.DataObject) -> None:
    text = encode_record(record)
    at = data.draw(st.integers(0, len(text) - 1))
    damaged = text[:at] + data.draw(st.characters(codec="utf-8")) + text[at + data.draw(st.integers(0, 3)) :]
    with suppress(StoreError):
        assert isinstance(decode_record(damaged), Record)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | words, lambda part: st.lists(part) | st.dictionaries(words, part)
    )
)
def test_any_json_is_an_error_or_a_record(value: object) -> None:
    with pytest.raises(StoreError):
        decode_record(json.dumps(value))
