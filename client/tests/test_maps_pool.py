"""Which maps are in force: what replaces what, what expires when, and what a server's pause is without its server."""

import pytest
from client_maps import APPLICATION, DEPLOYMENT, OTHER, at, made
from hypothesis import given
from hypothesis import strategies as st

from bistable.client.maps import (
    LOCAL_MAPS,
    Action,
    ControlMap,
    MapError,
    OfflinePolicy,
    Pool,
    Question,
    Source,
    WhenOffline,
)
from bistable.client.model import Point

LIFE = 100.0
LOCAL, SERVER = Source.LOCAL, Source.SERVER


def put(
    pool: Pool,
    control_map: ControlMap,
    source: Source = LOCAL,
    now: float = 0.0,
    life: float = LIFE,
    scoped: bool = False,
) -> Pool:
    return pool.insert(control_map, source, now=now, life=life, scoped=scoped)


def there(pool: Pool) -> set[tuple[Source, str, int]]:
    return set(pool.entries)


def said(pool: Pool, now: float, point: Point = Point.INSTALL) -> Action:
    return pool.decide(at(point), now)[0].action


# --- what replaces what


def test_a_local_map_replaces_the_one_of_the_same_id_and_priority() -> None:
    pool = put(put(Pool(), made(APPLICATION, 1, install="pause")), made(APPLICATION, 2, install="pause"))
    pool = put(pool, made(APPLICATION, 1, install="fail"), now=5.0)
    assert there(pool) == {(LOCAL, APPLICATION, 1), (LOCAL, APPLICATION, 2)}
    assert said(pool, 6.0) is Action.PAUSE
    assert said(put(pool, made(APPLICATION, 2)), 6.0) is Action.FAIL


def test_a_local_map_without_states_takes_away_that_of_the_same_id_and_priority() -> None:
    pool = put(put(Pool(), made(APPLICATION, 1, install="pause")), made(APPLICATION, 2, install="pause"))
    assert there(put(pool, made(APPLICATION, 1, install="continue"))) == {(LOCAL, APPLICATION, 2)}


def test_taking_away_what_is_not_there_changes_nothing() -> None:
    pool = put(Pool(), made(install="pause"))
    assert put(pool, made(OTHER)) is pool
    assert pool.remove_server_maps(OTHER) is pool
    assert pool.remove_deployment(OTHER) is pool
    assert pool.remove_expired(LIFE - 1) is pool


def test_a_server_map_replaces_all_priorities_of_its_id() -> None:
    pool = put(put(Pool(), made(DEPLOYMENT, 1, install="pause"), SERVER), made(DEPLOYMENT, 4, install="pause"))
    pool = put(pool, made(install="pause"))
    pool = put(pool, made(DEPLOYMENT, 2, install="fail"), SERVER)
    assert there(pool) == {(SERVER, DEPLOYMENT, 2), (LOCAL, APPLICATION, 0)}


def test_a_server_map_takes_the_place_of_that_of_a_forgotten_deployment() -> None:
    pool = put(put(Pool(), made(OTHER, install="pause"), SERVER), made(DEPLOYMENT, install="pause"), SERVER)
    assert there(pool) == {(SERVER, DEPLOYMENT, 0)}


def test_a_server_map_without_states_stays_so_that_the_server_is_asked_again() -> None:
    pool = put(Pool(), made(DEPLOYMENT), SERVER)
    assert pool.has_server_map(DEPLOYMENT)
    assert said(pool, 1.0) is Action.CONTINUE


def test_a_server_without_a_map_takes_away_what_has_the_id() -> None:
    pool = put(
        put(put(Pool(), made(DEPLOYMENT, 1, install="pause"), SERVER), made(DEPLOYMENT, 4, install="pause")), made()
    )
    pool = put(pool, made(install="pause"))
    assert there(pool.remove_server_maps(DEPLOYMENT)) == {(LOCAL, APPLICATION, 0)}


def test_a_scoped_local_map_stays_beside_the_server_map_and_ends_with_the_deployment() -> None:
    pool = put(Pool(), made(DEPLOYMENT, install="pause"), scoped=True)
    pool = put(pool, made(DEPLOYMENT, install="fail"), SERVER)
    assert there(pool) == {(LOCAL, DEPLOYMENT, 0), (SERVER, DEPLOYMENT, 0)}
    assert there(pool.remove_server_maps(DEPLOYMENT)) == {(LOCAL, DEPLOYMENT, 0)}
    assert there(pool.remove_deployment(DEPLOYMENT)) == set()


def test_a_local_map_neither_replaces_nor_deletes_that_of_the_server() -> None:
    pool = put(Pool(), made(DEPLOYMENT, install="pause"), SERVER)
    assert said(put(pool, made(DEPLOYMENT)), 1.0) is Action.PAUSE
    assert said(put(pool, made(DEPLOYMENT, install="force_continue")), 1.0) is Action.PAUSE


def test_the_end_of_a_deployment_leaves_what_has_another_id() -> None:
    pool = put(put(Pool(), made(install="pause")), made(DEPLOYMENT, install="pause"), SERVER)
    assert there(pool.remove_deployment(DEPLOYMENT)) == {(LOCAL, APPLICATION, 0)}


# --- how many


def test_more_local_maps_than_allowed_are_refused_and_the_others_stay() -> None:
    pool = Pool()
    for number in range(LOCAL_MAPS):
        pool = put(pool, made(f"{APPLICATION[:-3]}{number:03}", install="pause"))
    with pytest.raises(MapError, match=str(LOCAL_MAPS)) as caught:
        put(pool, made(OTHER, install="pause"))
    assert caught.value.hint is not None
    assert len(pool.entries) == LOCAL_MAPS
    refreshed = put(pool, made(f"{APPLICATION[:-3]}000", install="fail"), now=1.0)
    assert said(refreshed, 2.0) is Action.FAIL
    assert put(refreshed, made(DEPLOYMENT, install="pause"), SERVER).has_server_map(DEPLOYMENT)
    assert len(put(refreshed, made(f"{APPLICATION[:-3]}000")).entries) == LOCAL_MAPS - 1


def test_a_thousand_refreshes_leave_one_map() -> None:
    pool = Pool()
    for number in range(1000):
        pool = put(pool, made(install="pause"), now=float(number))
        pool = put(pool, made(f"{number:08}{DEPLOYMENT[8:]}", install="pause"), SERVER, now=float(number))
        pool = pool.decide(at(), float(number))[1]
    assert len(pool.entries) == 2


# --- expiry


@pytest.mark.parametrize("action", ["continue", "force_continue", "pause", "fail"])
@pytest.mark.parametrize("expired", ["continue", "force_continue", "fail"])
@pytest.mark.parametrize("source", list(Source))
@pytest.mark.parametrize("start", [0.0, -50.0, 1e6])
def test_a_map_says_what_it_has_for_its_expiry_from_then_on(
    action: str, expired: str, source: Source, start: float
) -> None:
    rule = {"action": action, "on_map_expire": expired, "on_action_executed": action}
    pool = put(Pool(), made(DEPLOYMENT, install=rule), source, now=start)
    final = {"continue": Action.CONTINUE, "force_continue": Action.CONTINUE, "pause": Action.PAUSE, "fail": Action.FAIL}
    assert said(pool, start) is final[action]
    assert said(pool, start + LIFE * 0.999) is final[action]
    assert said(pool, start + LIFE) is final[expired]
    assert said(pool, start + 1e9) is final[expired]


def test_a_refreshed_map_lives_anew() -> None:
    pool = put(put(Pool(), made(install="pause")), made(install="pause"), now=90.0)
    assert said(pool, 189.0) is Action.PAUSE
    assert said(pool, 190.0) is Action.FAIL


def test_what_is_expired_is_removed_on_demand_only() -> None:
    pool = put(put(Pool(), made(install="pause")), made(OTHER, install="pause"), now=50.0)
    assert there(pool.remove_expired(LIFE)) == {(LOCAL, OTHER, 0)}
    assert len(pool.entries) == 2


def test_a_local_pause_that_nobody_refreshes_fails_by_default() -> None:
    """As in the client where it comes from: a dead application must not hold a device for ever."""
    assert said(put(Pool(), made(install="pause")), LIFE) is Action.FAIL


# --- without the server


def held(policy: OfflinePolicy, **rule: str) -> Pool:
    return put(Pool(policy=policy), made(DEPLOYMENT, install={"action": "pause", **rule}), SERVER)


@pytest.mark.parametrize(
    ("policy", "at_expiry", "at_limit"),
    [
        (OfflinePolicy(), Action.PAUSE, Action.PAUSE),
        (OfflinePolicy(when_offline=WhenOffline.STAY, limit=30.0), Action.PAUSE, Action.PAUSE),
        (OfflinePolicy(when_offline=WhenOffline.CONTINUE), Action.CONTINUE, Action.CONTINUE),
        (OfflinePolicy(when_offline=WhenOffline.CONTINUE, limit=30.0), Action.PAUSE, Action.CONTINUE),
        (OfflinePolicy(when_offline=WhenOffline.FAIL, limit=30.0), Action.PAUSE, Action.FAIL),
    ],
    ids=str,
)
def test_a_pause_of_the_server_outlives_its_map_as_the_policy_says(
    policy: OfflinePolicy, at_expiry: Action, at_limit: Action
) -> None:
    pool = held(policy)
    assert said(pool, LIFE - 1) is Action.PAUSE
    assert said(pool, LIFE) is at_expiry
    assert said(pool, LIFE + 29.0) is at_expiry
    assert said(pool, LIFE + 30.0) is at_limit


@pytest.mark.parametrize("policy", [OfflinePolicy(), OfflinePolicy(when_offline=WhenOffline.FAIL)], ids=str)
def test_a_server_that_said_what_its_absence_means_is_obeyed(policy: OfflinePolicy) -> None:
    assert said(held(policy, on_map_expire="continue"), LIFE) is Action.CONTINUE
    assert said(held(OfflinePolicy(), on_map_expire="fail"), LIFE) is Action.FAIL


def test_a_pause_once_of_the_server_is_not_ended_by_the_expiry_of_its_map() -> None:
    _, pool = held(OfflinePolicy(), on_action_executed="continue").decide(at(), 1.0)
    assert said(pool, 1e9) is Action.PAUSE


def test_until_when_a_pause_lasts_is_told_if_anything_ends_it() -> None:
    def until(pool: Pool, now: float) -> float | None:
        (voice,) = pool.look(at(), now).by
        return voice.until

    late = OfflinePolicy(when_offline=WhenOffline.CONTINUE, limit=30.0)
    assert until(held(OfflinePolicy()), 1.0) is None
    assert until(held(late), 1.0) == LIFE + 30.0
    assert until(held(OfflinePolicy(), on_map_expire="fail"), 1.0) == LIFE
    assert until(held(OfflinePolicy(), on_map_expire="fail"), LIFE) is None


# --- what comes


EVERY = 1800.0


def test_nothing_comes_without_maps() -> None:
    assert Pool().next_change(0.0, EVERY) is None


def test_the_next_change_of_a_local_map_is_its_expiry() -> None:
    pool = put(Pool(), made(install="pause"))
    assert pool.next_change(0.0, EVERY) == LIFE
    assert pool.next_change(60.0, EVERY) == LIFE - 60.0
    assert pool.next_change(LIFE, EVERY) is None


@pytest.mark.parametrize(("every", "due"), [(EVERY, LIFE / 2), (10.0, 10.0)])
def test_a_server_map_is_to_be_refreshed_at_half_of_its_life_or_when_the_server_is_asked_anyway(
    every: float, due: float
) -> None:
    pool = put(Pool(), made(DEPLOYMENT, install="pause"), SERVER)
    assert pool.next_change(0.0, every) == due
    assert not pool.refresh_due(DEPLOYMENT, due - 1, every)
    assert pool.refresh_due(DEPLOYMENT, due, every)
    assert pool.refresh_due(DEPLOYMENT, LIFE * 2, every)
    assert not pool.refresh_due(OTHER, LIFE, every)


def test_a_server_that_cannot_be_asked_is_asked_more_and_more_rarely_but_always_again() -> None:
    pool = put(Pool(), made(DEPLOYMENT, install="pause"), SERVER, life=1e4)
    now, waits = EVERY, []
    for _ in range(20):
        waits.append(pool.next_change(now, EVERY))
        now += waits[-1] or 0.0
    assert waits[:5] == [60.0, 60.0, 120.0, 240.0, 480.0]
    assert waits[-8:] == [EVERY] * 8


def test_a_server_that_is_asked_often_is_asked_again_as_often() -> None:
    pool = put(Pool(), made(DEPLOYMENT, install="pause"), SERVER, life=1e4)
    assert pool.next_change(7000.0, 5.0) == 5.0


def test_the_limit_of_the_policy_is_a_change() -> None:
    pool = held(OfflinePolicy(when_offline=WhenOffline.FAIL, limit=30.0))
    assert pool.next_change(LIFE, EVERY) == 30.0


MOMENTS = st.floats(0.0, 1e7, allow_nan=False)
LIVES = st.floats(1e-6, 1e6, allow_nan=False)


@given(st.lists(st.tuples(MOMENTS, LIVES, st.booleans()), max_size=6), MOMENTS, st.sampled_from(list(WhenOffline)))
def test_whoever_waits_for_each_change_wakes_often_enough_and_never_in_circles(
    maps: list[tuple[float, float, bool]], now: float, when: WhenOffline
) -> None:
    pool = Pool(policy=OfflinePolicy(when_offline=when, limit=5.0))
    for number, (stamped, life, server) in enumerate(maps):
        source = SERVER if server else LOCAL
        identifier = DEPLOYMENT if server else f"{APPLICATION[:-1]}{number}"
        pool = put(pool, made(identifier, install="pause", commit="pause"), source, stamped, life)
    question = Question(point=Point.COMMIT, deployment=DEPLOYMENT)
    for _ in range(20):
        wait = pool.next_change(now, EVERY)
        if wait is None:
            assert pool.look(question, now).action is pool.look(question, now + 1e12).action
            assert not pool.has_server_map(DEPLOYMENT)
            break
        assert wait >= 0.1
        just_before = pool.look(question, now + (wait - 0.1) * 0.999)
        assert just_before == pool.look(question, now), "something changed that nobody was woken for"
        now += wait
