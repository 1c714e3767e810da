"""What many maps come to, against a model that does it as the client in Go does: with lists that it changes."""

from dataclasses import dataclass, field
from typing import Any

import pytest
from client_maps import APPLICATION, DEPLOYMENT, KEYS, OTHER, at, made, raw_map
from hypothesis import given, settings
from hypothesis import strategies as st

from bistable.client.maps import Action, ControlMap, Decision, Pool, Question, Source, read_map
from bistable.client.model import Point

LIFE = 100.0
POINTS = [Point.INSTALL, Point.REBOOT, Point.COMMIT]


def pool_of(*maps: ControlMap, source: Source = Source.LOCAL) -> Pool:
    pool = Pool()
    for one in maps:
        pool = pool.insert(one, source, now=0.0, life=LIFE)
    return pool


def said(pool: Pool, question: Question | None = None, now: float = 1.0) -> Action:
    return pool.decide(question or at(), now)[0].action


def names(decision: Decision) -> set[tuple[str, int, Action]]:
    return {(voice.id, voice.priority, voice.action) for voice in decision.by}


# --- by example


def test_nothing_is_said_without_maps() -> None:
    assert Pool().decide(at(), 0.0) == (Decision(action=Action.CONTINUE), Pool())


@pytest.mark.parametrize(
    ("actions", "decided"),
    [
        (["continue"], Action.CONTINUE),
        (["pause"], Action.PAUSE),
        (["force_continue"], Action.CONTINUE),
        (["fail"], Action.FAIL),
        (["force_continue", "pause"], Action.PAUSE),
        (["force_continue", "fail"], Action.FAIL),
        (["force_continue", "pause", "fail", "continue"], Action.FAIL),
    ],
)
def test_in_one_priority_fail_goes_over_pause_over_force_continue(actions: list[str], decided: Action) -> None:
    maps = [
        made(APPLICATION[:-1] + str(number), install={"action": action, "on_action_executed": "pause"})
        for number, action in enumerate(actions)
    ]
    assert said(pool_of(*maps)) is decided


@pytest.mark.parametrize("lower", ["pause", "fail"])
def test_force_continue_of_higher_priority_goes_over_all_below(lower: str) -> None:
    assert (
        said(pool_of(made(APPLICATION, 1, install="force_continue"), made(OTHER, 0, install=lower))) is Action.CONTINUE
    )


def test_continue_of_higher_priority_leaves_it_to_those_below() -> None:
    high = made(APPLICATION, 1, install={"action": "continue", "on_map_expire": "fail"})
    assert said(pool_of(high, made(OTHER, 0, install="pause"))) is Action.PAUSE


def test_a_map_has_no_say_at_other_points() -> None:
    pool = pool_of(made(install="fail"))
    assert said(pool, at(Point.REBOOT)) is Action.CONTINUE
    assert said(pool, at(Point.DOWNLOAD)) is Action.CONTINUE


def test_an_expired_map_says_what_it_has_for_that() -> None:
    pool = pool_of(made(install={"action": "fail", "on_map_expire": "continue"}))
    assert said(pool, now=LIFE - 0.001) is Action.FAIL
    assert said(pool, now=LIFE) is Action.CONTINUE


def test_an_executed_map_that_expires_says_what_it_has_for_its_expiry() -> None:
    pool = pool_of(made(install={"action": "pause", "on_action_executed": "continue"}))
    _, pool = pool.decide(at(), 1.0)
    assert said(pool, now=LIFE) is Action.FAIL


def test_who_decides_is_told() -> None:
    pool = pool_of(
        made(APPLICATION, 2, install="pause"),
        made(OTHER, 2, install="pause"),
        made(DEPLOYMENT, 2, install="force_continue"),
        made(APPLICATION, 1, install="fail"),
    )
    decision, _ = pool.decide(at(), 1.0)
    assert names(decision) == {(APPLICATION, 2, Action.PAUSE), (OTHER, 2, Action.PAUSE)}
    assert {voice.until for voice in decision.by} == {LIFE}
    assert {voice.source for voice in decision.by} == {Source.LOCAL}


def test_who_forces_the_update_on_is_told() -> None:
    decision, _ = pool_of(made(install="force_continue")).decide(at(), 1.0)
    assert names(decision) == {(APPLICATION, 0, Action.FORCE_CONTINUE)}


# --- once executed


ONCE = {"action": "pause", "on_action_executed": "continue"}


def test_a_pause_once_holds_until_something_changes() -> None:
    first, pool = pool_of(made(install=ONCE)).decide(at(), 1.0)
    for now in (1.0, 2.0, LIFE - 1):
        again, same = pool.decide(at(), now)
        assert (again, same) == (first, pool)
    changed = pool.insert(made(OTHER, commit="pause"), Source.LOCAL, now=3.0, life=LIFE)
    assert said(changed) is Action.CONTINUE


def test_a_refresh_begins_a_pause_once_anew() -> None:
    _, pool = pool_of(made(install=ONCE)).decide(at(), 1.0)
    pool = pool.insert(made(install=ONCE), Source.LOCAL, now=2.0, life=LIFE)
    assert said(pool, now=2.0) is Action.PAUSE


def test_the_expiry_of_another_map_ends_a_pause_once() -> None:
    pool = Pool().insert(made(OTHER, commit="pause"), Source.LOCAL, now=0.0, life=10.0)
    pool = pool.insert(made(install=ONCE), Source.LOCAL, now=0.0, life=LIFE)
    _, pool = pool.decide(at(), 1.0)
    assert said(pool, now=9.0) is Action.PAUSE
    assert said(pool, now=10.0) is Action.CONTINUE


def test_maps_below_the_one_that_decides_are_not_executed() -> None:
    pool = pool_of(made(APPLICATION, 1, install="pause"), made(OTHER, 0, install=ONCE))
    _, pool = pool.decide(at(), 1.0)
    gone = pool.insert(made(APPLICATION, 1), Source.LOCAL, now=2.0, life=LIFE)
    assert said(gone) is Action.PAUSE


def test_looking_executes_nothing() -> None:
    pool = pool_of(made(install=ONCE))
    assert pool.look(at(), 1.0).action is Action.PAUSE
    assert pool == pool_of(made(install=ONCE))


def test_the_merged_result_shows_what_holds_now() -> None:
    _, pool = pool_of(made(install=ONCE, commit="fail")).decide(at(), 1.0)
    merged = pool.merged(DEPLOYMENT, 2.0)
    assert {point: decision.action for point, decision in merged.items()} == {
        Point.DOWNLOAD: Action.CONTINUE,
        Point.INSTALL: Action.PAUSE,
        Point.REBOOT: Action.CONTINUE,
        Point.COMMIT: Action.FAIL,
    }
    assert names(merged[Point.COMMIT]) == {(APPLICATION, 0, Action.FAIL)}


# --- whose deployment


def test_a_local_map_holds_every_deployment_unless_it_is_scoped() -> None:
    pool = Pool().insert(made(OTHER, install="pause"), Source.LOCAL, now=0.0, life=LIFE)
    assert said(pool) is Action.PAUSE
    pool = Pool().insert(made(OTHER, install="pause"), Source.LOCAL, now=0.0, life=LIFE, scoped=True)
    assert said(pool) is Action.CONTINUE
    assert said(pool, at(deployment=OTHER)) is Action.PAUSE


def test_a_server_map_holds_only_its_own_deployment() -> None:
    pool = pool_of(made(OTHER, install="pause"), source=Source.SERVER)
    assert said(pool) is Action.CONTINUE
    assert said(pool, at(deployment=OTHER)) is Action.PAUSE


# --- what is waived


def waiving(*sources: Source) -> Question:
    return Question(point=Point.INSTALL, deployment=DEPLOYMENT, waived=frozenset(sources))


def both(high: Source, low: Source, action: str = "pause") -> Pool:
    pool = Pool().insert(made(DEPLOYMENT, 0, install=action), low, now=0.0, life=LIFE, scoped=True)
    return pool.insert(made(DEPLOYMENT, 5, install=action), high, now=0.0, life=LIFE, scoped=True)


@pytest.mark.parametrize("high", list(Source))
def test_a_waived_pause_does_not_hide_one_that_is_not(high: Source) -> None:
    low = Source.LOCAL if high is Source.SERVER else Source.SERVER
    pool = both(high, low)
    for waived in Source:
        (kept,) = set(Source) - {waived}
        decision, _ = pool.decide(waiving(waived), 1.0)
        assert {voice.source for voice in decision.by} == {kept}
        assert decision.action is Action.PAUSE
    assert said(pool, waiving(*Source)) is Action.CONTINUE


def test_a_fail_is_not_waived() -> None:
    assert said(both(Source.SERVER, Source.LOCAL, "fail"), waiving(*Source)) is Action.FAIL


# --- against the model


@dataclass
class ModelMap:
    source: Source
    id: str
    priority: int
    states: dict[str, dict[str, str]]
    expires: float


@dataclass
class Model:
    """Lists and replaced strings. What is left of its last answer is only whether anything changed since."""

    maps: list[ModelMap] = field(default_factory=list)
    last: tuple[Any, ...] | None = None
    answer: str = "continue"

    def insert(self, raw: dict[str, Any], source: Source, now: float, life: float) -> None:
        states = {key: self._full(state) for key, state in raw["states"].items()}
        plain = {"action": "continue", "on_map_expire": "continue", "on_action_executed": "continue"}
        states = {key: state for key, state in states.items() if state != plain}
        new = ModelMap(source, raw["id"], raw["priority"], states, now + life)
        before = self.maps
        if source is Source.SERVER:
            self.maps = [one for one in self.maps if one.source is Source.LOCAL and one.id != new.id] + [new]
        else:
            same = (Source.LOCAL, new.id, new.priority)
            self.maps = [one for one in self.maps if (one.source, one.id, one.priority) != same]
            if states:
                self.maps.append(new)
        if states or source is Source.SERVER or len(before) != len(self.maps):
            self.last = None

    def _full(self, state: dict[str, str]) -> dict[str, str]:
        action = state.get("action", "continue")
        expire = state.get("on_map_expire", "fail" if action == "pause" else action)
        executed = state.get("on_action_executed", action)
        return {"action": action, "on_map_expire": expire, "on_action_executed": executed}

    def clear_expired(self, now: float) -> None:
        left = [one for one in self.maps if one.expires > now]
        if len(left) != len(self.maps):
            self.maps, self.last = left, None

    def ask(self, question: Question, now: float) -> str:
        expired = [id(one) for one in self.maps if one.expires <= now]
        if self.last == (question, expired):
            return self.answer
        key, answer, heard = KEYS[question.point], "", False
        for priority in range(10, -11, -1):
            actions = []
            for one in self.maps:
                if one.priority != priority or key not in one.states:
                    continue
                heard = True
                state = one.states[key]
                action = state["on_map_expire"] if one.expires <= now else state["action"]
                actions.append("continue" if action == "pause" and one.source in question.waived else action)
                state["action"] = state["on_action_executed"]
            for action in ("fail", "pause", "force_continue"):
                if action in actions and not answer:
                    answer = action
            if answer:
                break
        answer = "continue" if answer in {"", "force_continue"} else answer
        if heard:
            self.last, self.answer = (question, expired), answer
        return answer


def told(action: str) -> dict[str, str]:
    """A server's pause says here what becomes of it, for the model knows no policy."""
    return {"action": action, "on_map_expire": "fail"} if action == "pause" else {"action": action}


ACTIONS = st.sampled_from([action.value for action in Action])
EXPIRED = st.sampled_from(["continue", "force_continue", "fail"])
RULES = st.builds(
    lambda action, more: {**told(action), **more},
    ACTIONS,
    st.fixed_dictionaries({}, optional={"on_map_expire": EXPIRED, "on_action_executed": ACTIONS}),
)
STATES = st.dictionaries(st.sampled_from(list(KEYS.values())), RULES, max_size=3)
LOCAL = st.builds(
    lambda name, priority, states: {"id": name, "priority": priority, "states": states},
    st.sampled_from([APPLICATION, OTHER, DEPLOYMENT]),
    st.sampled_from([-10, -1, 0, 1, 10]),
    STATES,
)
SERVER = st.builds(
    lambda priority, states: {"id": DEPLOYMENT, "priority": priority, "states": states},
    st.sampled_from([-10, 0, 1, 10]),
    STATES,
)
WAIVED = st.sampled_from([frozenset(), frozenset({Source.LOCAL}), frozenset(Source)])
STEPS = st.one_of(
    st.tuples(st.just("local"), LOCAL, st.sampled_from([1.0, 7.0, 30.0])),
    st.tuples(st.just("server"), SERVER, st.sampled_from([1.0, 7.0, 30.0])),
    st.tuples(st.just("pass"), st.sampled_from([0.5, 1.0, 10.0])),
    st.tuples(st.just("ask"), st.sampled_from(POINTS), WAIVED),
    st.tuples(st.just("ask"), st.sampled_from(POINTS), st.just(frozenset())),
    st.tuples(st.just("clear")),
)


@settings(max_examples=400)
@given(st.lists(STEPS, max_size=25), st.sampled_from([0.0, 1e6]))
def test_the_pool_answers_as_the_model_does(steps: list[tuple[Any, ...]], now: float) -> None:
    pool, model = Pool(), Model()
    for step in steps:
        match step:
            case ("local" | "server" as name, raw, life):
                source = Source(name)
                pool = pool.insert(read_map(raw), source, now=now, life=life)
                model.insert(raw, source, now, life)
            case ("pass", seconds):
                now += seconds
            case ("clear",):
                pool = pool.remove_expired(now)
                model.clear_expired(now)
            case ("ask", point, waived):
                question = Question(point=point, deployment=DEPLOYMENT, waived=waived)
                seen = pool.look(question, now)
                decision, pool = pool.decide(question, now)
                assert seen == decision
                assert decision.action.value == model.ask(question, now)
                assert pool.standing(question, now) in {None, decision}
            case _:
                raise AssertionError(step)
    assert {(entry.source.value, entry.control_map.id) for entry in pool.entries.values()} == {
        (one.source.value, one.id) for one in model.maps
    }


@given(st.lists(LOCAL, max_size=8), st.randoms(use_true_random=False))
def test_the_order_in_which_maps_come_does_not_matter(raws: list[dict[str, Any]], random: Any) -> None:
    unique = {(raw["id"], raw["priority"]): raw for raw in raws}
    shuffled = list(unique.values())
    random.shuffle(shuffled)
    one, two = (pool_of(*map(read_map, order)) for order in (unique.values(), shuffled))
    for point in POINTS:
        assert one.decide(at(point), 1.0)[0] == two.decide(at(point), 1.0)[0]


def test_the_model_notices_a_map_that_is_left_out() -> None:
    """A model that always agrees would prove nothing."""
    model = Model()
    model.insert(raw_map(install="pause"), Source.LOCAL, 0.0, LIFE)
    assert model.ask(at(), 1.0) != said(Pool()).value
