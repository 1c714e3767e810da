"""An update that is led by hand: begun, gone on with, and looked at."""

from collections.abc import Iterator

import pytest
from client_rig import Rig, artifact, memory

from bistable.client.deployment.engine import Engine, Stand
from bistable.client.machine import State
from bistable.client.model import Mode, RebootNeed

MANAGED, STANDALONE = Mode.MANAGED, Mode.STANDALONE


@pytest.fixture
def rig() -> Iterator[Rig]:
    with memory() as directory:
        made = Rig(directory=directory)
        yield made
        made.close()


def begin(rig: Rig, mode: Mode = MANAGED, stops: frozenset[State] = frozenset()) -> Stand:
    stand = rig.do(lambda engine: engine.begin("there", name="one", mode=mode, stops=stops))
    assert stand is not None
    return stand


def recovered(rig: Rig) -> Stand:
    stand = rig.do(Engine.recover)
    assert stand is not None
    return stand


def said(rig: Rig, act: str) -> Stand:
    acts = {"resume": Engine.resume, "commit": Engine.commit, "rollback": Engine.rollback}
    stand = rig.do(acts.get(act, lambda engine: engine.abort("somebody said so")))
    assert stand is not None
    return stand


def rebooted(rig: Rig) -> Stand:
    assert rig.device.pending
    rig.device.reboot()
    return recovered(rig)


def module(rig: Rig, need: RebootNeed = RebootNeed.NONE, *, rollback: bool = True) -> Rig:
    rig.device.module.need, rig.device.module.rollback = need, rollback
    rig.world.artifact = artifact("mod")
    return rig


def trace(rig: Rig) -> list[str]:
    return [call.partition(" ")[2] for call in rig.trace]
