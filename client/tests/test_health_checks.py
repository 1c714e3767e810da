"""Checks are asked in order, again if they want, until the deadline, which lasts over power cuts."""

import pytest
from client_scripts import Time

from bistable.client.errors import AbortedError, HealthError
from bistable.client.health import UnhealthyError
from bistable.client.health.checks import ASK_EVERY, Answer, Check, Verdict, all_good

GOOD, LATER, BAD = (Answer(verdict=verdict, reasons=f"because {verdict.value}") for verdict in Verdict)


class Asked:
    """Checks that answer what they are told to, the last answer for ever, and take their time for it."""

    def __init__(self) -> None:
        self.time = Time()
        self.order: list[str] = []
        self.limits: list[float] = []
        self.used: list[float] = []
        self.checks: list[Check] = []

    def add(self, name: str, *answers: Answer, seconds: float = 0.0) -> None:
        left = list(answers)

        def ask(limit: float) -> Answer:
            self.order.append(name)
            self.limits.append(limit)
            self.time.now += seconds
            return left.pop(0) if len(left) > 1 else left[0]

        self.checks.append(Check(name=name, ask=ask))

    def ask(self, *, deadline: float = 100.0, used: float = 0.0) -> float:
        return all_good(
            self.checks,
            deadline=deadline,
            used=used,
            clock=self.time.clock,
            sleep=self.time.sleep,
            on_used=self.used.append,
        )


@pytest.fixture
def asked() -> Asked:
    return Asked()


def test_nothing_to_ask_is_healthy(asked: Asked) -> None:
    assert asked.ask(used=7.0) == 7.0


def test_a_check_is_asked_once_those_before_it_are_good(asked: Asked) -> None:
    asked.add("a", LATER, LATER, GOOD)
    asked.add("b", GOOD)
    assert asked.ask() == 2 * ASK_EVERY
    assert asked.order == ["a", "a", "a", "b"]


def test_a_bad_check_ends_it_at_once_and_says_why(asked: Asked) -> None:
    asked.add("a", BAD, seconds=3)
    asked.add("b", GOOD)
    with pytest.raises(UnhealthyError, match="a says that it is not") as raised:
        asked.ask(used=1.0)
    assert raised.value.hint == "because bad"
    assert raised.value.used == 4.0
    assert asked.order == ["a"]
    assert isinstance(raised.value, HealthError)


def test_a_check_that_is_never_good_fails_at_the_deadline(asked: Asked) -> None:
    asked.add("a", LATER)
    with pytest.raises(UnhealthyError, match="a is still not good after 12 s") as raised:
        asked.ask(deadline=12.0)
    assert raised.value.hint == "because later"
    assert raised.value.used == 12.0
    # At 0, 5 and 10 s, and for the last time at 12 s.
    assert asked.limits == [12.0, 7.0, 2.0, 0.0]


def test_it_may_become_good_at_the_last_moment(asked: Asked) -> None:
    asked.add("a", LATER, LATER, GOOD)
    assert asked.ask(deadline=7.0) == 7.0


def test_all_checks_share_one_deadline(asked: Asked) -> None:
    asked.add("a", GOOD, seconds=60)
    asked.add("b", LATER, seconds=30)
    with pytest.raises(UnhealthyError, match="b is still not good") as raised:
        asked.ask(deadline=100.0)
    assert asked.limits[:2] == [100.0, 40.0]
    assert raised.value.used >= 100.0


def test_what_earlier_boots_used_counts(asked: Asked) -> None:
    asked.add("a", LATER)
    with pytest.raises(UnhealthyError):
        asked.ask(deadline=100.0, used=95.0)
    assert asked.limits == [5.0, 0.0]


def test_after_the_deadline_everything_is_asked_once_more(asked: Asked) -> None:
    asked.add("a", GOOD)
    asked.add("b", GOOD)
    assert asked.ask(deadline=100.0, used=300.0) == 300.0


def test_what_was_used_is_told_after_each_answer(asked: Asked) -> None:
    asked.add("a", LATER, GOOD, seconds=1)
    asked.ask(used=10.0)
    assert asked.used == [11.0, 12.0 + ASK_EVERY]


def test_who_is_told_may_stop_it(asked: Asked) -> None:
    def on_used(_: float) -> None:
        raise AbortedError("enough")

    asked.add("a", LATER)
    with pytest.raises(AbortedError):
        all_good(asked.checks, deadline=9, used=0, clock=asked.time.clock, sleep=asked.time.sleep, on_used=on_used)
