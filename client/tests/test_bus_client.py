"""The synchronous face of the daemon, and the commands that use it."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pytest
from client_bus import ME, Bus, FakeService, Grant, running_bus, server_in_thread

from bistable.client.bus.client import UpdatesClient
from bistable.client.bus.events import CHANGED, ENDED, HELD, STARTED, STATE_CHANGED, STOPPED, BusEvent
from bistable.client.bus.failures import BusError, DeniedError, NotHeldError, NotRunningError, error_from_bus
from bistable.client.bus.ports import HolderView, ProgressView, View
from bistable.client.ctl.app import run
from bistable.client.ctl.commands.watch import lines
from bistable.client.errors import ClientError, NothingToDoError
from bistable.client.maps import MapError
from bistable.client.model import Point

HELD_VIEW = View(
    state="paused-before-reboot", update_id="u1", artifact="r2", held_at="reboot", held_by=("kiosk: busy",)
)


@dataclass
class Rig:
    bus: Bus
    within: Callable[[Callable[[FakeService], Any]], Any]

    def calls(self) -> list[Any]:
        found: list[Any] = self.within(lambda service: list(service.calls))
        return found

    def show(self, view: View) -> None:
        self.within(lambda service: service.show(view))

    def fail(self, name: str, error: Exception) -> None:
        self.within(lambda service: service.failing.update({name: error}))

    def released(self, grant: Grant) -> None:
        self.within(lambda _service: grant.released.wait())


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    with server_in_thread(tmp_path) as (bus, within):
        monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", bus.address)
        yield Rig(bus, within)


# --- the face


def test_a_call_returns_what_the_daemon_gives(rig: Rig) -> None:
    with UpdatesClient(rig.bus.address) as bus:
        assert bus.call("Commit") == []
        assert bus.call("SetControlMap", "{}") == [1800]
        assert bus.call("Install", "/a", {})[0].startswith("update-of-")


def test_a_descriptor_is_returned_as_such(rig: Rig) -> None:
    rig.within(lambda service: setattr(service, "bundle", b"archive"))
    with UpdatesClient() as bus:
        (descriptor,) = bus.call("CollectSupportBundle")
        assert os.read(descriptor, 100) == b"archive"
        os.close(descriptor)


def test_properties_are_plain_values(rig: Rig) -> None:
    rig.show(HELD_VIEW)
    with UpdatesClient() as bus:
        found = bus.properties()
    assert found["HeldBy"] == ["kiosk: busy"]
    assert found["Progress"] == {}


@pytest.mark.parametrize("error", [NothingToDoError("cannot commit: no", hint="wait"), MapError("cannot use it: no")])
def test_an_error_of_the_daemon_comes_with_its_class_words_and_hint(rig: Rig, error: ClientError) -> None:
    rig.fail("commit", error)
    with UpdatesClient() as bus, pytest.raises(type(error)) as raised:
        bus.call("Commit")
    assert (raised.value.what, raised.value.hint, raised.value.code) == (error.what, error.hint, error.code)


def test_without_a_daemon_that_is_said(tmp_path: Path) -> None:
    with running_bus(tmp_path) as bus, UpdatesClient(bus.address) as client:
        for ask in (lambda: client.call("Commit"), client.properties, lambda: next(client.watch())):
            with pytest.raises(NotRunningError, match="it does not run"):
                ask()


def test_without_a_bus_that_is_said(tmp_path: Path) -> None:
    with pytest.raises(BusError, match="cannot reach the bus"), UpdatesClient(f"unix:path={tmp_path}/none"):
        pytest.fail("there is no bus")


def test_a_bus_that_goes_away_is_said(rig: Rig) -> None:
    with UpdatesClient() as client:
        rig.bus.stop()
        with pytest.raises(BusError):
            client.call("Commit")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("org.freedesktop.DBus.Error.ServiceUnknown", NotRunningError),
        ("org.freedesktop.DBus.Error.NameHasNoOwner", NotRunningError),
        ("org.freedesktop.DBus.Error.AccessDenied", DeniedError),
        ("org.freedesktop.DBus.Error.NoReply", BusError),
        ("io.bistable.Updates1.Error.NotHeld", NotHeldError),
        ("io.bistable.Updates1.Error.OfTomorrow", ClientError),
        ("com.example.Strange", ClientError),
        ("", ClientError),
    ],
)
def test_every_error_has_a_class(name: str, kind: type[ClientError]) -> None:
    error = error_from_bus(name, "")
    assert type(error) is kind
    assert error.what or not name


def test_a_watch_tells_everything_in_order(rig: Rig) -> None:
    with UpdatesClient() as client:
        watch = client.watch()
        first = next(watch)
        assert first.kind == STARTED
        assert first.values["State"] == "idle"
        rig.show(HELD_VIEW)
        rig.show(View(state="idle", last_result="success"))
        events = [next(watch) for _ in range(6)]
    assert [event.kind for event in events] == [CHANGED, STATE_CHANGED, HELD, CHANGED, STATE_CHANGED, ENDED]
    assert events[2].values == {"update_id": "u1", "point": "reboot", "reasons": ["kiosk: busy"]}
    assert events[5].values == {"update_id": "u1", "result": "success", "error_code": "", "error": ""}


def test_a_watch_goes_on_when_the_daemon_stops_and_starts(tmp_path: Path) -> None:
    with running_bus(tmp_path) as bus, _daemon(bus) as daemon, UpdatesClient(bus.address) as client:
        watch = client.watch()
        assert next(watch).kind == STARTED
        daemon.restart()
        assert next(watch) == BusEvent(kind=STOPPED)
        event = next(watch)
        assert (event.kind, event.values["State"]) == (STARTED, "idle")


HELPERS = [Path(__file__).parent, Path(__file__).parents[2] / "artifact" / "tests"]


class _daemon:  # noqa: N801 - used as a function
    """A server in a process of its own."""

    CODE = """
import asyncio, sys
sys.path[:0] = sys.argv[2:]
from client_bus import FakeService
from bistable.client.bus.server import BusServer

async def serve():
    server = BusServer()
    await server.start(FakeService(), sys.argv[1])
    print(flush=True)
    await server.wait_disconnected()

asyncio.run(serve())
"""

    def __init__(self, bus: Bus) -> None:
        self._command = [sys.executable, "-c", self.CODE, bus.address, *map(str, HELPERS)]

    def __enter__(self) -> Self:
        self._process = self._start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def restart(self) -> None:
        self._end()
        self._process = self._start()

    def _start(self) -> "subprocess.Popen[bytes]":
        process = subprocess.Popen(self._command, stdout=subprocess.PIPE)
        assert process.stdout is not None
        assert process.stdout.readline() == b"\n"
        return process

    def _end(self) -> None:
        self._process.kill()
        self._process.communicate()


# --- the commands


@pytest.mark.parametrize(
    ("words", "call"),
    [
        (["check"], ("check",)),
        (["send-inventory"], ("send_inventory",)),
        (["pause"], ("pause", tuple(Point), "", ME)),
        (
            ["pause", "--point", "reboot", "--point", "install", "--update", "u1"],
            ("pause", (Point.INSTALL, Point.REBOOT), "u1", ME),
        ),
        (["continue"], ("proceed", "", Point.REBOOT, False)),
        (["continue", "--point", "commit", "--force", "--update", "u1"], ("proceed", "u1", Point.COMMIT, True)),
    ],
)
@pytest.mark.parametrize("as_json", [False, True])
def test_a_command_asks_the_daemon(
    rig: Rig, capsys: pytest.CaptureFixture[str], words: list[str], call: tuple[Any, ...], as_json: bool
) -> None:
    rig.show(HELD_VIEW)
    assert run([*words, "--json"] if as_json else words) == 0
    assert rig.calls() == [call]
    out = capsys.readouterr().out
    if as_json:
        assert json.loads(out)["schema"] == f"bistable.ctl.{words[0]}/1"
    else:
        assert out.endswith(".\n")


@pytest.mark.parametrize("words", [["check"], ["pause"], ["continue"], ["watch"], ["send-inventory"]])
def test_a_command_without_a_daemon_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    with running_bus(tmp_path) as bus:
        monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", bus.address)
        assert run(words) == 1
    said = capsys.readouterr().err
    assert "it does not run" in said
    assert "start it (bistabled)" in said


def test_an_error_of_the_daemon_has_its_exit_code_and_its_code(rig: Rig, capsys: pytest.CaptureFixture[str]) -> None:
    rig.fail("pause", NothingToDoError("cannot pause: there is no such update in progress"))
    assert run(["pause", "--json"]) == 2
    said = capsys.readouterr()
    assert json.loads(said.out)["error"]["code"] == "no-update"
    assert "no such update in progress" in said.err


def test_without_the_library_a_command_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delitem(sys.modules, "bistable.client.bus.client", raising=False)
    monkeypatch.setitem(sys.modules, "bistable.client.bus.client", None)
    assert run(["check"]) == 1
    assert "dbus-fast" in capsys.readouterr().err


def test_inhibit_holds_while_the_command_runs(rig: Rig, tmp_path: Path) -> None:
    go = tmp_path / "go"
    os.mkfifo(go)
    codes: list[int] = []
    words = ["inhibit", "--why", "a backup runs", "--point", "reboot", "--", "sh", "-c", f"read _ < {go}; exit 7"]
    command = subprocess.Popen([sys.executable, "-m", "bistable.client.ctl", *words])
    with go.open("w") as file:  # the command has begun
        (grant,) = rig.within(lambda service: list(service.held))
        assert grant.what == ((Point.REBOOT,), "sh", "a backup runs", "block", None)
        file.write("\n")
    codes.append(command.wait(30))
    assert codes == [7]
    rig.released(grant)


def test_inhibit_that_is_killed_lets_go(rig: Rig, tmp_path: Path) -> None:
    go = tmp_path / "go"
    os.mkfifo(go)
    words = ["inhibit", "--why", "a backup runs", "--", "sh", "-c", f"read _ < {go}"]
    command = subprocess.Popen([sys.executable, "-m", "bistable.client.ctl", *words])
    with go.open("w") as file:
        (grant,) = rig.within(lambda service: list(service.held))
        command.kill()
        command.wait(30)
        # What it started still runs, and must not hold.
        rig.released(grant)
        file.write("\n")


def test_a_signal_to_inhibit_ends_the_command(rig: Rig, tmp_path: Path) -> None:
    go = tmp_path / "go"
    os.mkfifo(go)
    words = ["inhibit", "--why", "a backup runs", "--", "sh", "-c", f"read _ < {go}; read _ < {go}"]
    command = subprocess.Popen([sys.executable, "-m", "bistable.client.ctl", *words])
    with go.open("w") as file:
        file.write("\n")
        file.flush()
        command.send_signal(signal.SIGTERM)
        assert command.wait(30) == 128 + signal.SIGTERM


def test_the_command_of_inhibit_may_have_options_like_ours(rig: Rig, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["inhibit", "--why", "x", "--", "printf", "%s", "--json", "--", "check"]) == 0
    assert "--json" in capfd.readouterr().out


def test_inhibit_needs_a_reason_and_a_command(rig: Rig, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["inhibit", "--", "true"]) == 1
    assert run(["inhibit", "--why", "x"]) == 1
    assert run(["inhibit", "--why", "x", "--seconds", "-1", "--", "true"]) == 1
    assert rig.calls() == []
    assert "--why" in capsys.readouterr().err


def test_a_command_that_cannot_be_run_holds_nothing(rig: Rig, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["inhibit", "--why", "x", "--", "/nothing/here"]) == 1
    assert "cannot run /nothing/here" in capsys.readouterr().err
    (grant,) = rig.within(lambda service: service.grants)
    rig.released(grant)


def test_a_hold_that_is_lost_meanwhile_is_told(rig: Rig, tmp_path: Path) -> None:
    go = tmp_path / "go"
    os.mkfifo(go)
    words = ["inhibit", "--why", "x", "--seconds", "1", "--", "sh", "-c", f"read _ < {go}; exit 4"]
    with subprocess.Popen([sys.executable, "-m", "bistable.client.ctl", *words], stderr=subprocess.PIPE) as command:
        with go.open("w") as file:
            (grant,) = rig.within(lambda service: list(service.grants))
            rig.released(grant)
            file.write("\n")
        assert command.stderr is not None
        assert b"the hold ended before the command did" in command.stderr.read()
        assert command.wait(30) == 4


@contextmanager
def _watch(*words: str) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-m", "bistable.client.ctl", "watch", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as watch:
        try:
            yield watch
        finally:
            watch.kill()


def test_watch_writes_one_json_object_in_each_line_at_once(rig: Rig) -> None:
    with _watch("--json") as watch:
        assert watch.stdout is not None
        first = json.loads(watch.stdout.readline())
        assert (first["schema"], first["event"], first["values"]["State"]) == (
            "bistable.ctl.watch/1",
            "started",
            "idle",
        )
        rig.show(HELD_VIEW)
        events = [json.loads(watch.stdout.readline()) for _ in range(3)]
        assert [event["event"] for event in events] == ["changed", "state-changed", "held"]
        watch.send_signal(signal.SIGINT)
        assert watch.wait(30) == 130
        assert watch.stderr is not None
        assert watch.stderr.read() == "interrupted\n"


def test_watch_is_for_people_as_well(rig: Rig) -> None:
    rig.show(View(state="download", artifact="r2"))
    with _watch() as watch:
        assert watch.stdout is not None
        assert [watch.stdout.readline() for _ in range(2)] == ["state: download\n", "update: r2\n"]
        rig.show(View(state="idle", artifact="r2"))
        assert watch.stdout.readline() == "state: idle\n"
        watch.terminate()


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (BusEvent(kind=STOPPED), ["the daemon stopped"]),
        (BusEvent(kind=STATE_CHANGED, values={"old": "a", "new": "b", "reason": ""}), ["state: b"]),
        (BusEvent(kind=STATE_CHANGED, values={"old": "a", "new": "b", "reason": "c"}), ["state: b (c)"]),
        (BusEvent(kind=HELD, values={"point": "install", "reasons": ["x", "y"]}), ["held before install: x; y"]),
        (BusEvent(kind=ENDED, values={"result": "failure", "error": "no"}), ["ended: failure, no"]),
        (BusEvent(kind=CHANGED, values={"State": "x", "LastError": "y", "NextCheck": 4, "Tomorrow": 1}), []),
        (
            BusEvent(kind=CHANGED, values={"HeldBy": [], "RebootRequired": True}),
            ["held by: none", "reboot required: yes"],
        ),
        (BusEvent(kind=CHANGED, values={"Holders": [{"who": "a", "why": "b"}]}), ["holders: a: b"]),
        (BusEvent(kind=CHANGED, values={"Progress": {}}), ["progress: none"]),
        (
            BusEvent(
                kind=CHANGED,
                values={
                    "Progress": {"bytes": 2**20, "total": 2**21, "percent": 50, "rate": 2.0**20, "left": 1.2},
                },
            ),
            ["progress: 50 %, 1.0 MiB of 2.0 MiB, 1.0 MiB/s, 1 s left"],
        ),
        (BusEvent(kind=STARTED, values={"State": "idle", "Artifact": "", "Version": "1"}), ["state: idle"]),
    ],
)
def test_an_event_in_words(event: BusEvent, expected: list[str]) -> None:
    assert lines(event) == expected


def test_all_that_the_daemon_shows_can_be_told_in_words(rig: Rig) -> None:
    rig.show(
        View(
            state="download",
            progress=ProgressView(done=1, total=None, rate=None, left=None),
            holders=(HolderView(who="a", why="b", points=(Point.INSTALL,), mode="block", until=5.0),),
            reboot_required=True,
            last_error="x",
        )
    )
    with UpdatesClient() as client:
        told = lines(next(client.watch()))
    assert "holders: a: b" in told
    assert "progress: 0.0 MiB" in told


def test_the_completion_and_the_help_need_no_daemon(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["completion", "bash"]) == 0
    script = capsys.readouterr().out
    assert "continue)" in script
    assert "--force" in script
