"""Whatever is said in whatever order, whatever fails, and wherever the power goes: the device comes to a legal end."""

from contextlib import ExitStack

from client_device import NEW, OLD, A, Device, Loss, When
from client_rig import (
    ANSWERS,
    HALF_PROVIDES,
    NEW_PROVIDES,
    OLD_PROVIDES,
    VALID_STATUSES,
    Rig,
    Scenario,
    World,
    artifact,
    memory,
)
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from bistable.client.deployment.engine import Engine
from bistable.client.errors import BusyError, NotBootedError, NothingToDoError, UsageError
from bistable.client.machine import PAUSES, State
from bistable.client.model import Mode, Point, RebootNeed

FAILING = [
    "Download",
    "ArtifactInstall_Enter",
    "ArtifactInstall",
    "ArtifactReboot_Enter",
    "ArtifactVerifyReboot",
    "health",
    "reach",
    "ArtifactCommit_Enter",
    "ArtifactCommit",
    "ArtifactFailure",
    "Cleanup",
    "reboot",
]
cuts = st.none() | st.tuples(st.integers(0, 25), st.sampled_from(When))
losses = st.sampled_from(Loss)
REFUSALS = (BusyError, NotBootedError, NothingToDoError, UsageError)
INCONSISTENT = [HALF_PROVIDES, {**NEW_PROVIDES, "artifact_name": "release-2_INCONSISTENT"}]


class Updates(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.rig = Rig(directory=self.stack.enter_context(memory()))
        self.scenario = Scenario(name="none", mode=Mode.MANAGED, kind="mod")

    @initialize(
        mode=st.sampled_from(Mode),
        kind=st.sampled_from(["rootfs-image", "mod"]),
        need=st.sampled_from(RebootNeed),
        rollback=st.booleans(),
        fails=st.sets(st.sampled_from(FAILING), max_size=2),
        holds=st.sets(st.sampled_from(Point)),
        stops=st.sets(
            st.sampled_from([State.PAUSED_INSTALL, State.PAUSED_COMMIT, State.AFTER_COMMIT, State.ROLLBACK]), max_size=2
        ),
        cut=cuts,
        loss=losses,
    )
    def begin(
        self,
        mode: Mode,
        kind: str,
        need: RebootNeed,
        rollback: bool,
        fails: set[str],
        holds: set[Point],
        stops: set[State],
        cut: tuple[int, When] | None,
        loss: Loss,
    ) -> None:
        self.scenario = Scenario(
            name="some", mode=mode, kind=kind, need=need, rollback=rollback, stops=frozenset(stops)
        )
        self.rig.device = Device()
        self.rig.device.module.need, self.rig.device.module.rollback = need, rollback
        self.rig.world = World(artifact=artifact(kind), fails=fails, holds=holds)
        self.say("begin", cut, loss)

    @rule(what=st.sampled_from(["recover", "resume", "commit", "rollback", "abort", "begin"]), cut=cuts, loss=losses)
    def say(self, what: str, cut: tuple[int, When] | None, loss: Loss) -> None:
        rig, before = self.rig, self.rig.record()
        rig.recorder.cut = None if cut is None else (len(rig.recorder.calls) + cut[0], cut[1])
        if what == "begin" and before is None and rig.results():
            return
        try:
            rig.do(
                {
                    "begin": lambda engine: engine.begin(
                        "there", name="one", mode=self.scenario.mode, stops=self.scenario.stops
                    ),
                    "recover": Engine.recover,
                }.get(what)
                or ANSWERS[what],
                loss,
            )
        except REFUSALS:
            assert what != "recover"
        finally:
            rig.recorder.cut = None
        if what == "recover" and before is not None and before.state in PAUSES:
            fell_back = before.state is State.PAUSED_COMMIT and before.target not in {None, rig.device.running}
            after = rig.record()
            assert fell_back or (after is not None and after.state is before.state), "a pause was left by itself"

    @precondition(lambda self: self.rig.device.pending)
    @rule()
    def the_reboot_comes(self) -> None:
        self.rig.device.reboot()

    @rule()
    def the_power_goes(self) -> None:
        self.rig.device.lose_power()

    @rule(points=st.sets(st.sampled_from(Point)))
    def somebody_holds_other_points(self, points: set[Point]) -> None:
        self.rig.world.holds = points

    @rule(by=st.floats(-1e9, 2e9))
    def the_clock_jumps(self, by: float) -> None:
        self.rig.device.wall += by

    @rule()
    def what_failed_fails_no_more(self) -> None:
        self.rig.world.fails = set()

    @invariant()
    def the_running_slot_is_good_or_on_trial(self) -> None:
        device, record = self.rig.device, self.rig.record()
        on_trial = record is not None and record.target == device.running
        assert device.running in device.memory.good or on_trial or self.looped()
        assert device.memory.good, "there is nothing to fall back to"

    @invariant()
    def what_is_provided_is_old_or_new(self) -> None:
        record, provides = self.rig.record(), self.rig.provides()
        ended_well = record is None and self.rig.results() == ["success"]
        if ended_well or (record is not None and record.committed and not record.inconsistent):
            assert provides == NEW_PROVIDES
        elif record is not None and record.state not in {State.CLEANUP, State.REPORT}:
            assert provides == OLD_PROVIDES
        else:
            assert provides in [OLD_PROVIDES, *INCONSISTENT]

    @invariant()
    def what_is_told_is_valid(self) -> None:
        assert set(self.rig.statuses) <= VALID_STATUSES

    def looped(self) -> bool:
        return any(one.trouble is not None and one.trouble.code == "loop" for one in self.rig.finished)

    def teardown(self) -> None:
        try:
            self._end()
        finally:
            self.rig.close()
            self.stack.close()

    def _end(self) -> None:
        rig = self.rig
        rig.recorder.cut = None
        # It may go on failing; what fails for ever ends in the loop limit.
        self.scenario.finish(rig)
        assert rig.record() is None
        results = rig.results()
        if not results:
            assert "payload Download" not in rig.trace
            return
        assert len(results) == 1
        if self.looped():
            return
        new = results == ["success"]
        undone = rig.provides() == OLD_PROVIDES
        if new:
            assert rig.finished[-1].committed
        if self.scenario.kind == "rootfs-image":
            assert new or undone or rig.provides() in INCONSISTENT
            assert rig.device.running in rig.device.memory.good
            assert rig.device.next_boot() == rig.device.running
            if undone:
                assert rig.device.running == A
        elif new or undone:
            # What restarts itself is restarted by the person who leads the update.
            if self.scenario.mode is Mode.STANDALONE and self.scenario.need is not RebootNeed.NONE:
                rig.device.reboot()
            assert rig.device.module.installed == rig.device.module.running == (NEW if new else OLD)


Updates.TestCase.settings = settings(max_examples=120, stateful_step_count=20)
TestUpdates = Updates.TestCase
