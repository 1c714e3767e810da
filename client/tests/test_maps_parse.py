"""What is a valid update control map, and what is said about one that is not."""

import json
from contextlib import suppress
from typing import Any

import pytest
from client_maps import APPLICATION, DEPLOYMENT, KEYS, raw_map
from hypothesis import given
from hypothesis import strategies as st

from bistable.client.maps import MAP_SIZE, Action, ControlMap, MapError, Rule, encode_map, parse_map, read_map
from bistable.client.model import Point

INSTALL = KEYS[Point.INSTALL]


def parse(raw: object) -> ControlMap:
    return parse_map(json.dumps(raw))


def fault_of(raw: object) -> MapError:
    with pytest.raises(MapError) as caught:
        parse(raw)
    return caught.value


def with_rule(**rule: Any) -> dict[str, Any]:
    return {"id": APPLICATION, "states": {INSTALL: rule}}


# --- what is taken


def test_a_whole_map_is_read() -> None:
    rule = {"action": "pause", "on_map_expire": "continue", "on_action_executed": "force_continue"}
    found = parse({"id": APPLICATION, "priority": -3, "states": dict.fromkeys(KEYS.values(), rule)})
    expected = Rule(
        action=Action.PAUSE,
        on_map_expire=Action.CONTINUE,
        on_action_executed=Action.FORCE_CONTINUE,
        expiry_told=True,
    )
    assert found == ControlMap(id=APPLICATION, priority=-3, states=dict.fromkeys(KEYS, expected))


@pytest.mark.parametrize("left_out", [{}, {"priority": None, "states": None}, {"states": {}}])
def test_priority_and_states_have_defaults(left_out: dict[str, Any]) -> None:
    assert parse({"id": APPLICATION, **left_out}) == ControlMap(id=APPLICATION, priority=0, states={})


@pytest.mark.parametrize("priority", [-10, -1, 0, 10])
def test_a_priority_in_range_is_taken(priority: int) -> None:
    assert parse({"id": APPLICATION, "priority": priority}).priority == priority


@pytest.mark.parametrize(
    ("action", "expired"),
    [("continue", "continue"), ("force_continue", "force_continue"), ("pause", "fail"), ("fail", "fail")],
)
@pytest.mark.parametrize("nothing", [{}, {"on_map_expire": "", "on_action_executed": None}])
def test_what_is_not_said_follows_from_the_action(action: str, expired: str, nothing: dict[str, Any]) -> None:
    rule = parse(with_rule(**{**nothing, "action": action, "on_map_expire": "fail"})).states[Point.INSTALL]
    assert rule.on_action_executed is Action(action)
    found = parse(with_rule(action=action, **nothing)).states
    if action == "continue":
        assert found == {}
    else:
        assert found[Point.INSTALL].on_map_expire is Action(expired)
        assert not found[Point.INSTALL].expiry_told


@pytest.mark.parametrize("expired", ["continue", "force_continue", "fail"])
def test_an_expired_map_may_say_all_but_pause(expired: str) -> None:
    rule = parse(with_rule(action="pause", on_map_expire=expired)).states[Point.INSTALL]
    assert rule.on_map_expire is Action(expired)
    assert rule.expiry_told


@pytest.mark.parametrize("executed", [action.value for action in Action])
def test_an_executed_action_may_become_any(executed: str) -> None:
    rule = parse(with_rule(action="pause", on_action_executed=executed)).states[Point.INSTALL]
    assert rule.on_action_executed is Action(executed)


@pytest.mark.parametrize(
    "rule", [None, {}, {"action": ""}, {"action": "continue", "on_map_expire": "continue"}], ids=str
)
def test_a_state_that_says_nothing_is_removed(rule: Any) -> None:
    assert parse({"id": APPLICATION, "states": {INSTALL: rule}}).states == {}


@pytest.mark.parametrize("rule", [{"on_map_expire": "fail"}, {"on_action_executed": "pause"}], ids=str)
def test_a_state_that_continues_now_but_not_always_is_kept(rule: dict[str, str]) -> None:
    assert Point.INSTALL in parse({"id": APPLICATION, "states": {INSTALL: rule}}).states


def test_names_of_fields_are_taken_in_any_case() -> None:
    raw = {"ID": APPLICATION, "Priority": 4, "STATES": {INSTALL: {"Action": "pause", "On_Map_Expire": "continue"}}}
    found = parse(raw)
    assert (found.priority, found.states[Point.INSTALL].on_map_expire) == (4, Action.CONTINUE)


def test_names_are_folded_character_by_character_as_in_go() -> None:
    assert parse({"id": APPLICATION, "\u017ftate\u017f": {}}).states == {}
    assert "no field" in fault_of({"id": APPLICATION, "\ufb06ates": {}}).what


def test_a_map_of_the_deployment_may_leave_out_its_id() -> None:
    assert read_map({"priority": 1}, required_id=DEPLOYMENT).id == DEPLOYMENT
    assert read_map({"id": ""}, required_id=DEPLOYMENT).id == DEPLOYMENT
    assert read_map({"id": DEPLOYMENT}, required_id=DEPLOYMENT).id == DEPLOYMENT


# --- what is refused


@pytest.mark.parametrize(
    ("raw", "pointer"),
    [
        ({}, "/id"),
        ({"id": None}, "/id"),
        ({"id": ""}, "/id"),
        ({"id": 7}, "/id"),
        ({"id": "too-short"}, "/id"),
        ({"id": APPLICATION + "a"}, "/id"),
        ({"id": APPLICATION + "\n"}, "/id"),
        ({"id": APPLICATION.replace("a", "g")}, "/id"),
        ({"id": APPLICATION.replace("-", "a")}, "/id"),
        ({"id": APPLICATION, "priority": 11}, "/priority"),
        ({"id": APPLICATION, "Priority": -11}, "/Priority"),
        ({"id": APPLICATION, "priority": 10**30}, "/priority"),
        ({"id": APPLICATION, "priority": 1.0}, "/priority"),
        ({"id": APPLICATION, "priority": True}, "/priority"),
        ({"id": APPLICATION, "priority": "1"}, "/priority"),
        ({"id": APPLICATION, "states": []}, "/states"),
        ({"id": APPLICATION, "states": "all"}, "/states"),
        ({"id": APPLICATION, "states": {"Download_Enter": {}}}, "/states/Download_Enter"),
        ({"id": APPLICATION, "states": {INSTALL.lower(): {}}}, f"/states/{INSTALL.lower()}"),
        ({"id": APPLICATION, "states": {"a/b~c": {}}}, "/states/a~1b~0c"),
        ({"id": APPLICATION, "states": {INSTALL: "pause"}}, f"/states/{INSTALL}"),
        (with_rule(action="stop"), f"/states/{INSTALL}/action"),
        (with_rule(action="Pause"), f"/states/{INSTALL}/action"),
        (with_rule(action=1), f"/states/{INSTALL}/action"),
        (with_rule(on_map_expire="pause"), f"/states/{INSTALL}/on_map_expire"),
        (with_rule(on_action_executed="never"), f"/states/{INSTALL}/on_action_executed"),
        (with_rule(until=7), f"/states/{INSTALL}/until"),
        ({"id": APPLICATION, "stamp": 7}, "/stamp"),
        ({"id": APPLICATION, "expired": True}, "/expired"),
        ({"id": APPLICATION, "ID": APPLICATION}, "/ID"),
        (with_rule(action="pause", Action="fail"), f"/states/{INSTALL}/Action"),
    ],
    ids=str,
)
def test_a_fault_is_named_with_its_place(raw: dict[str, Any], pointer: str) -> None:
    fault = fault_of(raw)
    assert fault.pointer == pointer
    assert fault.what.startswith(f"cannot use the update control map: {pointer}: ")
    assert fault.code == "map"


def test_a_map_of_another_deployment_is_refused() -> None:
    with pytest.raises(MapError, match=DEPLOYMENT) as caught:
        read_map({"id": APPLICATION}, required_id=DEPLOYMENT)
    assert caught.value.pointer == "/id"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "{",
        '{"id": "' + APPLICATION + '"} {}',
        '{"id": "' + APPLICATION + '", "id": "' + APPLICATION + '"}',
        '{"id": "' + APPLICATION + '", "priority": NaN}',
        '{"id": "' + APPLICATION + '", "priority": ' + "9" * 5000 + "}",
        '{"id": "\ud800"}',
        '{"id": "\\ud800"}',
        '{"id":' + "[" * 1000 + "]" * 1000 + "}",
        '{"id": "' + APPLICATION + '"}' + " " * MAP_SIZE,
    ],
)
def test_what_is_not_one_strict_json_object_of_small_size_is_refused(text: str) -> None:
    with pytest.raises(MapError, match="update control map") as caught:
        parse_map(text)
    assert caught.value.pointer == ""


def test_what_is_quoted_in_a_message_is_short_and_harmless() -> None:
    fault = fault_of({"id": APPLICATION, "x\x1b[2J" * 500: 1})
    assert "\x1b" not in fault.what
    assert len(fault.what) < 400


# --- properties

ACTIONS = st.sampled_from([None, "", *(action.value for action in Action)])
EXPIRED = ACTIONS.filter(lambda action: action != "pause")
RULES = st.fixed_dictionaries({}, optional={"action": ACTIONS, "on_map_expire": EXPIRED, "on_action_executed": ACTIONS})
RAW_MAPS = st.fixed_dictionaries(
    {"id": st.uuids().map(str)},
    optional={
        "priority": st.integers(-10, 10),
        "states": st.dictionaries(st.sampled_from(list(KEYS.values())), st.none() | RULES),
    },
)


def completed(rule: dict[str, Any] | None) -> dict[str, str]:
    """The defaults, done as the client in Go does them: one after the other, in place."""
    told = {key: value for key, value in (rule or {}).items() if value}
    told.setdefault("action", "continue")
    told.setdefault("on_map_expire", "fail" if told["action"] == "pause" else told["action"])
    told.setdefault("on_action_executed", told["action"])
    return told


@given(RAW_MAPS)
def test_defaults_are_those_of_the_client_in_go(raw: dict[str, Any]) -> None:
    nothing = {"action": "continue", "on_map_expire": "continue", "on_action_executed": "continue"}
    expected = {key: completed(rule) for key, rule in raw.get("states", {}).items() if completed(rule) != nothing}
    found = {
        KEYS[point]: {name: getattr(rule, name).value for name in nothing} for point, rule in parse(raw).states.items()
    }
    assert found == expected


@given(RAW_MAPS)
def test_a_map_comes_back_from_its_own_wire_form(raw: dict[str, Any]) -> None:
    found = parse(raw)
    assert parse(encode_map(found)) == found


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(st.sampled_from(["id", "priority", "states", "action", INSTALL, "x"]), inner)
        ),
        max_leaves=10,
    )
)
def test_whatever_is_sent_is_a_map_or_a_map_error(raw: Any) -> None:
    with suppress(MapError):
        parse_map(json.dumps(raw))


def test_the_helper_makes_what_the_wire_has() -> None:
    assert raw_map(install="pause")["states"] == {INSTALL: {"action": "pause"}}
