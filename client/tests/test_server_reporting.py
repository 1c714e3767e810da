"""What the server is told of an update, and that it is told the truth, however long that takes."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from client_answers import dropping, page, refusing, saying
from client_login import Client, client_of
from client_rig import Rig
from client_server import DEPLOYMENT, FakeServer

from bistable.client.deployment.engine import Engine
from bistable.client.deployment.reporting import KEY, OUTSTANDING, Reach, Report, ServerReporter
from bistable.client.errors import AbortedError, HealthError
from bistable.client.machine import Record, State, Trouble
from bistable.client.model import Mode
from bistable.client.server import DeviceKey, LogLine
from bistable.client.server.keys import make_key

LINES = [LogLine(timestamp="2026-10-06T12:00:00Z", level="info", message="it went wrong")]


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> DeviceKey:
    return make_key(tmp_path_factory.mktemp("key") / "key.pem")


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer() as found:
        yield found


@pytest.fixture
def client(server: FakeServer, key: DeviceKey) -> Client:
    return client_of(server, key=key)


def reporter_of(client: Client, reach: Reach | None = None) -> ServerReporter:
    return ServerReporter(
        client.deployments,
        client.memory,
        forget_login=client.authenticator.forget,
        read_log=lambda _deployment: LINES,
        reach=reach,
    )


def record(state: State = State.INSTALL, name: str = DEPLOYMENT, **more: object) -> Record:
    return Record(id=name, mode=Mode.MANAGED, state=state, where="", boot_id="", **more)  # type: ignore[arg-type]


GOOD = record(State.REPORT, committed=True)
BAD = record(
    State.REPORT, trouble=Trouble(code="health", what="cannot keep the update: it is ill", state=State.CHECK), undo=True
)


# --- on the way


def test_a_status_is_told(client: Client, server: FakeServer) -> None:
    reporter_of(client).tell(record(State.GATE_INSTALL), "installing")
    assert server.statuses == [("installing", None)]


def test_an_abort_is_an_error(client: Client, server: FakeServer) -> None:
    server.aborts_at = {"installing"}
    with pytest.raises(AbortedError):
        reporter_of(client).tell(record(State.GATE_INSTALL), "installing")


@pytest.mark.parametrize("fault", [dropping(), refusing(500), refusing(404), refusing(400), page(409)])
def test_an_update_does_not_wait_for_a_server_in_trouble(fault: object, client: Client, server: FakeServer) -> None:
    server.fail("status", fault, times=-1)  # type: ignore[arg-type]
    reporter_of(client).tell(record(), "installing")
    assert sum(client.waiting.announced) <= 5


def test_an_update_does_not_wait_for_a_server_that_wants_fewer_requests(client: Client, server: FakeServer) -> None:
    server.fail("status", saying(429, Retry_After="600"), times=-1)
    reporter_of(client).tell(record(), "installing")
    assert client.waiting.announced == []


def test_a_device_that_is_not_accepted_any_more_goes_on(client: Client, server: FakeServer) -> None:
    server.accepts = False
    reporter_of(client).tell(record(), "installing")
    assert server.statuses == []


@pytest.mark.parametrize("state", [state for state in State if state is not State.IDLE])
def test_a_substate_never_comes_with_a_final_or_an_empty_status(
    state: State, client: Client, server: FakeServer
) -> None:
    reporter = reporter_of(client)
    reporter.entered(record(state))
    reporter.substate("Executing script: a")
    [(status, substate)] = server.statuses
    assert substate == "Executing script: a"
    assert status not in {"", "success", "failure", "already-installed"}


def test_substates_come_with_the_status_of_their_state(client: Client, server: FakeServer) -> None:
    reporter = reporter_of(client)
    for state in (State.DOWNLOAD, State.INSTALL, State.REBOOT, State.VERIFY, State.COMMIT, State.ROLLBACK):
        reporter.entered(record(state))
        reporter.substate("a")
    assert [status for status, _ in server.statuses] == [
        "downloading",
        "installing",
        "rebooting",
        "rebooting",
        "installing",
        "installing",
    ]


def test_a_substate_disturbs_nothing(client: Client, server: FakeServer) -> None:
    reporter = reporter_of(client)
    reporter.substate("before any update")
    assert server.asked == []
    reporter.entered(record(State.ROLLBACK))
    server.aborts_at = {"installing"}
    reporter.substate("a")
    server.fail("status", dropping(), times=-1)
    reporter.substate("b")


def test_the_holder_of_a_pause_is_told_once(client: Client, server: FakeServer) -> None:
    reporter = reporter_of(client)
    paused = record(State.PAUSED_REBOOT)
    for _ in range(3):
        reporter.held(paused, ["the driver: the car moves", "the fleet"])
    reporter.held(paused, ["the fleet"])
    reporter.held(paused, [])
    assert server.statuses == [
        ("pause_before_rebooting", "held by the driver: the car moves; the fleet"),
        ("pause_before_rebooting", "held by the fleet"),
    ]


# --- the test before the commit


def test_a_new_system_need_not_reach_the_server(client: Client, server: FakeServer) -> None:
    reporter_of(client).confirm_reachable(record(State.COMMIT))
    assert server.asked == []


def test_a_new_system_logs_in_anew_and_says_something(client: Client, server: FakeServer) -> None:
    reporter = reporter_of(client, Reach(attempts=4, interval=300))
    reporter.tell(record(State.GATE_COMMIT), "installing")
    reporter.confirm_reachable(record(State.COMMIT))
    assert len(server.logins) == 2
    assert server.statuses == [("installing", None)] * 2


def test_a_new_system_may_take_some_attempts(client: Client, server: FakeServer) -> None:
    server.fail("any", dropping(), times=3)
    reporter_of(client, Reach(attempts=4, interval=300)).confirm_reachable(record(State.COMMIT))
    assert client.waiting.announced == [300] * 3


def test_a_new_system_that_does_not_reach_the_server_is_not_kept(client: Client, server: FakeServer) -> None:
    server.fail("any", dropping(), times=-1)
    with pytest.raises(HealthError, match="cannot reach the server from the new system"):
        reporter_of(client, Reach(attempts=4, interval=300)).confirm_reachable(record(State.COMMIT))
    assert client.waiting.announced == [300] * 3


def test_a_new_system_that_is_not_let_in_is_not_kept(client: Client, server: FakeServer) -> None:
    reporter = reporter_of(client, Reach(attempts=2, interval=1))
    reporter.tell(record(State.GATE_COMMIT), "installing")
    server.accepts = False
    with pytest.raises(HealthError):
        reporter.confirm_reachable(record(State.COMMIT))


def test_an_abort_is_heard_before_the_commit(client: Client, server: FakeServer) -> None:
    server.aborts_at = {"installing"}
    with pytest.raises(AbortedError):
        reporter_of(client, Reach(attempts=2, interval=1)).confirm_reachable(record(State.COMMIT))


# --- the end


def test_a_success_is_told_without_a_log(client: Client, server: FakeServer) -> None:
    reporter = reporter_of(client)
    reporter.finish(GOOD)
    assert server.statuses == [("success", None)]
    assert server.logs == {}
    assert reporter.outstanding() == []


def test_a_failure_is_told_with_its_reason_and_its_log(client: Client, server: FakeServer) -> None:
    reporter_of(client).finish(BAD)
    assert server.statuses == [("failure", "cannot keep the update: it is ill")]
    assert [line["message"] for line in server.logs[DEPLOYMENT]] == ["it went wrong"]


@pytest.mark.parametrize(
    "ended",
    [
        record(State.REPORT),
        record(State.REPORT, aborted=True),
        record(State.REPORT, undo=True),
        record(State.REPORT, committed=True, trouble=Trouble(code="script", what="a", state=State.AFTER_COMMIT)),
    ],
    ids=["nothing", "aborted", "undone", "a bad success"],
)
def test_only_what_is_permanent_and_went_well_is_a_success(ended: Record, client: Client, server: FakeServer) -> None:
    reporter_of(client).finish(ended)
    assert [status for status, _ in server.statuses] == ["failure"]


def test_a_result_that_cannot_be_told_is_kept_through_a_restart(
    client: Client, server: FakeServer, key: DeviceKey
) -> None:
    server.fail("any", dropping(), times=-1)
    reporter_of(client).finish(GOOD)
    restarted = client_of(server, key=key)
    restarted.memory = client.memory
    reporter = reporter_of(restarted)
    assert reporter.outstanding() == [Report(deployment=DEPLOYMENT, status="success")]
    assert not reporter.send_outstanding()
    server.heal()
    assert reporter.send_outstanding()
    assert server.statuses == [("success", None)]
    assert reporter.outstanding() == []


def test_results_are_told_in_their_order(client: Client, server: FakeServer) -> None:
    reporter = reporter_of(client)
    server.fail("any", dropping(), times=-1)
    for name in ("a", "b"):
        reporter.finish(record(State.REPORT, name, committed=True))
    server.heal()
    reporter.send_outstanding()
    assert [asked.path.split("/")[-2] for asked in server.of("status") if asked.device] == ["a", "b"]


def test_the_same_end_reported_again_after_a_power_cut_is_one(client: Client, server: FakeServer) -> None:
    reporter = reporter_of(client)
    server.fail("any", dropping(), times=-1)
    reporter.finish(GOOD)
    reporter.finish(GOOD)
    assert len(reporter.outstanding()) == 1


@pytest.mark.parametrize("fault", [refusing(409), refusing(404), refusing(400)])
def test_a_server_that_does_not_want_to_know_is_not_told_again(
    fault: object, client: Client, server: FakeServer
) -> None:
    server.fail("status", fault)  # type: ignore[arg-type]
    reporter = reporter_of(client)
    reporter.finish(BAD)
    assert reporter.outstanding() == []
    assert reporter.send_outstanding()


def test_a_log_that_did_not_arrive_is_sent_later_and_the_result_is_not_told_twice(
    client: Client, server: FakeServer
) -> None:
    server.fail("log", refusing(500), times=3)
    reporter = reporter_of(client)
    reporter.finish(BAD)
    assert [report.told for report in reporter.outstanding()] == [True]
    assert reporter.send_outstanding()
    assert reporter.outstanding() == []
    assert len(server.statuses) == 1
    assert server.logs


def test_a_log_that_never_arrives_holds_up_nothing(client: Client, server: FakeServer) -> None:
    server.fail("log", refusing(500), times=-1)
    reporter = reporter_of(client)
    reporter.finish(BAD)
    reporter.finish(record(State.REPORT, "another", committed=True))
    assert reporter.send_outstanding()
    assert [report.deployment for report in reporter.outstanding()] == [DEPLOYMENT]


def test_a_log_that_the_server_refuses_is_not_sent_again(client: Client, server: FakeServer) -> None:
    server.fail("log", refusing(413))
    reporter = reporter_of(client)
    reporter.finish(BAD)
    assert reporter.outstanding() == []


def test_an_end_of_the_client_while_it_tells_loses_nothing(server: FakeServer, key: DeviceKey) -> None:
    def check() -> None:
        if server.of("status"):
            raise AbortedError("cannot go on: the client is being ended")

    client = client_of(server, key=key, check=check)
    server.fail("status", dropping(), times=-1)
    reporter = reporter_of(client)
    reporter.finish(GOOD)
    assert reporter.outstanding() == [Report(deployment=DEPLOYMENT, status="success")]


def test_not_more_results_are_kept_than_there_is_room_for(client: Client, server: FakeServer) -> None:
    server.fail("any", dropping(), times=-1)
    reporter = reporter_of(client)
    for number in range(OUTSTANDING + 5):
        reporter.finish(record(State.REPORT, str(number), committed=True))
    assert reporter.outstanding()[0].deployment == "5"
    assert len(reporter.outstanding()) == OUTSTANDING


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"reports":1}', '{"reports":[1]}', '{"reports":[{"deployment":"a","status":"good"}]}', "\x00"],
)
def test_damaged_memory_holds_up_nothing(text: str, client: Client, server: FakeServer) -> None:
    client.memory.keep_value(KEY, text)
    reporter = reporter_of(client)
    assert reporter.send_outstanding()
    reporter.finish(GOOD)
    assert server.statuses == [("success", None)]


# --- with the engine and its store


def test_a_lost_server_does_not_keep_an_update_from_ending_or_the_next_from_beginning(
    tmp_path: Path, client: Client, server: FakeServer
) -> None:
    rig = Rig(directory=tmp_path)
    server.fail("any", dropping(), times=-1)

    def engine() -> Engine:
        found = rig.engine()
        reporter = ServerReporter(client.deployments, rig.kept())
        found._parts = replace(found._parts, reporter=reporter)
        return found

    for name in ("first", "second"):
        stand = engine().begin("a", name=name, mode=Mode.MANAGED)
        while stand.record is not None:
            rig.device.reboot()
            stand = engine().recover()
    # The second one is for what the first replaced.
    assert rig.results() == ["failure", "success"]
    server.heal()
    assert ServerReporter(client.deployments, rig.kept()).send_outstanding()
    told = [(asked.path.split("/")[-2], asked.json["status"]) for asked in server.of("status") if asked.device]
    assert told == [("first", "success"), ("second", "failure")]
