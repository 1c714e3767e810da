"""Maps in the store: their lives go on across restarts and reboots, and nothing damaged or old stops the client."""

import json
from typing import Any

import pytest
from client_maps import APPLICATION, DEPLOYMENT, KEYS, OTHER, at, made, raw_map
from hypothesis import given
from hypothesis import strategies as st

from bistable.client.errors import StoreError
from bistable.client.maps import (
    LOCAL_MAPS,
    Action,
    Moment,
    OfflinePolicy,
    Pool,
    Source,
    decode_pool,
    encode_pool,
)
from bistable.client.model import Point

LIFE = 100.0
BOOT_LIFE = 600.0
POLICY = OfflinePolicy()
ONCE = {"action": "pause", "on_action_executed": "continue"}


def reread(pool: Pool, before: Moment, after: Moment) -> Pool:
    return decode_pool(encode_pool(pool, before), after, pool.policy, boot_life=BOOT_LIFE)


def decode(raw: object, now: float = 0.0) -> Pool:
    return decode_pool(json.dumps(raw), Moment(boot_id="b", now=now), POLICY, boot_life=BOOT_LIFE)


def boot(number: int, now: float) -> Moment:
    return Moment(boot_id=f"boot-{number}", now=now)


def left(pool: Pool, now: float) -> float:
    (entry,) = pool.entries.values()
    return entry.expires - now


def one(life: float = LIFE, now: float = 0.0) -> Pool:
    return Pool().insert(made(install="pause"), Source.LOCAL, now=now, life=life)


# --- the same boot


def test_a_restart_of_the_client_changes_nothing() -> None:
    pool = Pool().insert(made(install=ONCE, commit="fail"), Source.LOCAL, now=5.0, life=LIFE)
    pool = pool.insert(made(DEPLOYMENT, 3, reboot="pause"), Source.SERVER, now=6.0, life=50.0)
    pool = pool.insert(made(OTHER, 3, reboot="pause"), Source.LOCAL, now=6.0, life=50.0, scoped=True)
    decision, pool = pool.decide(at(), 7.0)
    found = reread(pool, boot(1, 8.0), boot(1, 20.0))
    assert found.asked == pool.asked
    assert {key: entry.expires for key, entry in found.entries.items()} == {
        key: pytest.approx(entry.expires) for key, entry in pool.entries.items()
    }
    assert found.decide(at(), 20.0) == (decision, found)


def test_the_time_between_two_processes_of_one_boot_counts() -> None:
    assert left(reread(one(), boot(1, 10.0), boot(1, 70.0)), 70.0) == pytest.approx(30.0)


# --- another boot


def test_the_time_without_power_does_not_count() -> None:
    assert left(reread(one(), boot(1, 40.0), boot(2, 0.0)), 0.0) == pytest.approx(60.0)


def test_the_time_from_the_boot_to_the_client_counts() -> None:
    assert left(reread(one(), boot(1, 40.0), boot(2, 20.0)), 20.0) == pytest.approx(40.0)


def test_a_slow_boot_takes_at_most_half_of_what_is_left() -> None:
    assert left(reread(one(), boot(1, 40.0), boot(2, 500.0)), 500.0) == pytest.approx(30.0)


def test_an_expired_map_stays_expired_and_grows_older() -> None:
    found = reread(one(), boot(1, 150.0), boot(2, 25.0))
    assert left(found, 25.0) == pytest.approx(-75.0)
    assert found.decide(at(), 25.0)[0].action is Action.FAIL


def test_half_of_the_life_is_that_of_the_whole_life() -> None:
    pool = Pool().insert(made(DEPLOYMENT, install="pause"), Source.SERVER, now=0.0, life=LIFE)
    found = reread(pool, boot(1, 40.0), boot(2, 0.0))
    assert not found.refresh_due(DEPLOYMENT, 9.0, 1800.0)
    assert found.refresh_due(DEPLOYMENT, 11.0, 1800.0)


def test_a_clock_that_starts_at_zero_makes_no_map_younger() -> None:
    found = reread(one(now=1e6), boot(1, 1e6 + 30.0), boot(2, 0.0))
    assert left(found, 0.0) == pytest.approx(70.0)
    assert found.decide(at(), 69.0)[0].action is Action.PAUSE
    assert found.decide(at(), 71.0)[0].action is Action.FAIL


def test_a_device_that_boots_again_and_again_is_not_held_for_ever() -> None:
    pool, moment = one(life=3600.0), boot(0, 0.0)
    for number in range(1, 1000):
        after = boot(number, 10.0)
        pool = reread(pool, moment, after)
        moment = after
        if left(pool, moment.now) < 1.0:
            break
    assert number < 400


TIMES = st.floats(0.0, 1000.0)


@given(
    st.floats(1.0, 1e5),
    st.lists(st.tuples(st.sampled_from(["run", "restart", "reboot"]), TIMES, TIMES), max_size=20),
)
def test_whatever_happens_when_no_life_gets_longer_and_none_is_lost(
    life: float, events: list[tuple[str, float, float]]
) -> None:
    pool, moment, boots = one(life), boot(0, 0.0), 0
    ran = booting = 0.0
    for event, seconds, until_client in events:
        before = Moment(boot_id=moment.boot_id, now=moment.now + seconds)
        ran += seconds
        if event == "run":
            moment = before
            continue
        if event == "restart":
            moment = Moment(boot_id=moment.boot_id, now=before.now + until_client)
            ran += until_client
        else:
            boots += 1
            moment = boot(boots, until_client)
            booting += until_client
        pool = reread(pool, before, moment)
    rest = left(pool, moment.now)
    assert rest <= life - ran + 1e-6
    assert rest >= life - ran - booting - 1e-6


@given(st.integers(0, 30), st.sampled_from(["restart", "reboot"]))
def test_a_pause_once_is_not_lost_by_asking_again_after_it_was_kept(seconds: int, event: str) -> None:
    pool = Pool().insert(made(install=ONCE), Source.LOCAL, now=0.0, life=LIFE)
    decision, pool = pool.decide(at(), 1.0)
    now = 1.0 + seconds
    found = reread(pool, boot(1, now), boot(1, now) if event == "restart" else boot(2, 0.0))
    again, _ = found.decide(at(), now if event == "restart" else 0.0)
    assert again.action is decision.action is Action.PAUSE


# --- from the client in Go


def go_map(identifier: str, priority: int = 0) -> dict[str, Any]:
    rule = {"action": "pause", "on_map_expire": "fail", "on_action_executed": "pause"}
    return {"id": identifier, "priority": priority, "states": {KEYS[Point.INSTALL]: rule}}


def test_what_the_client_in_go_kept_is_taken_over() -> None:
    found = decode({"active": [go_map(APPLICATION, 2)], "expired": [go_map(OTHER, 1)]}, now=5.0)
    assert [(key.source, key.id, key.priority) for key in found.entries] == [
        (Source.LOCAL, APPLICATION, 2),
        (Source.LOCAL, OTHER, 1),
    ]
    active, expired = found.entries.values()
    assert active.expires == 5.0 + BOOT_LIFE
    assert expired.expires == 5.0


@pytest.mark.parametrize(
    "raw", [{"active": None, "expired": None}, {"active": []}, {"expired": [None, 3, {}]}], ids=str
)
def test_what_it_kept_of_nothing_is_nothing(raw: dict[str, Any]) -> None:
    assert decode(raw) == Pool()


# --- what makes no sense


@pytest.mark.parametrize("text", ["", "{", "[]", "7", "null", "[" * 100000])
def test_what_is_no_object_is_a_fault_of_the_store(text: str) -> None:
    with pytest.raises(StoreError, match="update control maps"):
        decode_pool(text, boot(1, 0.0), POLICY, boot_life=BOOT_LIFE)


def values(**changes: Any) -> dict[str, Any]:
    usual = {
        "map": raw_map(install="pause"),
        "source": "local",
        "scoped": False,
        "life": 10.0,
        "left": 5.0,
        "executed": [],
    }
    return {**usual, **changes}


@pytest.mark.parametrize(
    "changes",
    [
        {"map": None},
        {"map": {"id": "x"}},
        {"source": "moon"},
        {"source": None},
        {"life": 0},
        {"life": -1.0},
        {"life": "10"},
        {"life": True},
        {"life": 1e12},
        {"life": float("nan")},
        {"left": float("inf")},
        {"left": None},
        {"executed": ["never"]},
        {"executed": 7},
    ],
    ids=str,
)
def test_a_map_that_makes_no_sense_is_left_out_and_others_stay(changes: dict[str, Any]) -> None:
    other = values(map=raw_map(OTHER, install="pause"))
    found = decode({"maps": [values(**changes), other, 7, None], "asked": None})
    assert [key.id for key in found.entries] == [OTHER]


def test_what_a_newer_client_has_added_is_not_looked_at() -> None:
    found = decode({"maps": [values(colour="red")], "asked": {"point": "lunch"}, "version": 9})
    assert len(found.entries) == 1
    assert found.asked is None


def test_no_life_is_longer_than_it_was() -> None:
    (entry,) = decode({"maps": [values(left=1e9)]}).entries.values()
    assert entry.expires <= 10.0


def test_not_more_maps_come_back_than_there_can_be() -> None:
    many = [values(map=raw_map(f"{number:08}{APPLICATION[8:]}", install="pause")) for number in range(1000)]
    assert len(decode({"maps": many}).entries) == LOCAL_MAPS + 1


@pytest.mark.parametrize("lost", [APPLICATION, OTHER])
def test_an_answer_is_none_any_more_if_any_map_cannot_be_read(lost: str) -> None:
    pool = Pool().insert(made(install=ONCE), Source.LOCAL, now=0.0, life=LIFE)
    pool = pool.insert(made(OTHER, commit="pause"), Source.LOCAL, now=0.0, life=LIFE)
    raw = json.loads(encode_pool(pool.decide(at(), 1.0)[1], boot(1, 1.0)))
    assert decode(raw).asked is not None
    for values_of_one in raw["maps"]:
        if values_of_one["map"]["id"] == lost:
            values_of_one["life"] = None
    assert decode(raw).asked is None


def test_an_answer_about_maps_that_are_gone_is_no_answer() -> None:
    _, pool = Pool().insert(made(install=ONCE), Source.LOCAL, now=0.0, life=LIFE).decide(at(), 1.0)
    raw = json.loads(encode_pool(pool, boot(1, 1.0)))
    raw["maps"] = []
    assert decode(raw).asked is None


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "maps",
                        "asked",
                        "now",
                        "boot_id",
                        "map",
                        "source",
                        "left",
                        "life",
                        "executed",
                        "point",
                        "deployment",
                        "waived",
                        "over",
                        "active",
                        "expired",
                    ]
                ),
                inner,
                max_size=4,
            )
        ),
    )
)
def test_whatever_the_store_holds_is_a_pool_or_a_store_error(raw: Any) -> None:
    try:
        pool = decode(raw)
    except StoreError:
        return
    reread(pool, Moment(boot_id="b", now=0.0), boot(1, 0.0))
