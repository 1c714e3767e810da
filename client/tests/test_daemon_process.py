"""The service as a process: signals, systemd, its end at any moment, D-Bus, and commands beside it."""

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self

import pytest
from client_bench import ENVIRONMENT
from client_bus import Bus, busctl, running_bus
from client_service import (
    APPLICATION,
    LONGEST,
    POLL,
    Station,
    Stations,
    control_map,
    everywhere,
    steps,
    until,
)
from client_service_updates import SUCCESS, check_statuses

from bistable.client.boot.simulated import boot, read_device
from bistable.client.bus import names
from bistable.client.machine import State
from bistable.client.model import Point

MAPPED = [Point.INSTALL, Point.REBOOT, Point.COMMIT]
PAUSED = {
    Point.INSTALL: State.PAUSED_INSTALL,
    Point.REBOOT: State.PAUSED_REBOOT,
    Point.COMMIT: State.PAUSED_COMMIT,
}


class Process:
    """The service as a process of its own."""

    def __init__(self, station: Station, *more: str, bus: str = "none", variables: Mapping[str, str] | None = None):
        self._station = station
        command = [sys.executable, "-m", "bistable.client.daemon", "--config", str(station.place / "device.toml")]
        self._log = (station.place / "service.log").open("ab")
        self.process = subprocess.Popen(
            [*command, "--bus", bus, *more],
            env={**ENVIRONMENT, **(variables or {})},
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            cwd=station.place,
            start_new_session=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end(signal.SIGKILL)

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def end(self, number: signal.Signals) -> int:
        """End it, and return how it ended."""
        if self.process.poll() is None:
            self.send(number)
        code = self.process.wait(LONGEST)
        self._log.close()
        return code

    def until(self, state: State) -> None:
        """Wait until the store says that the update is in a state."""
        until(lambda: self._station.state() is state)

    def until_over(self) -> str:
        until(lambda: bool(self._station.results()))
        return self._station.results()[0]


@contextmanager
def systemd(place: Path) -> Iterator[tuple[dict[str, str], socket.socket]]:
    """Give what systemd tells a service, and the socket on which it hears of it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as hears:
        hears.bind(str(place / "notify"))
        hears.settimeout(LONGEST)
        yield {"NOTIFY_SOCKET": str(place / "notify"), "WATCHDOG_USEC": "300000"}, hears


def test_systemd_hears_of_the_start_of_life_and_of_the_end(stations: Stations) -> None:
    station = stations.station()
    with systemd(station.place) as (variables, hears), Process(station, variables=variables) as process:
        heard = [hears.recv(100).decode() for _ in range(4)]
        assert heard.count("READY=1") == 1
        assert heard.count("WATCHDOG=1") == 3
        assert process.end(signal.SIGTERM) == 0
        hears.setblocking(False)
        last = heard[-1]
        while last != "STOPPING=1":
            last = hears.recv(100).decode()


def test_signals_have_it_ask_for_an_update_and_send_the_inventory(stations: Stations) -> None:
    station = stations.station()
    (server,) = station.servers
    with Process(station) as process:
        server.wait_for(lambda one: len(one.of("next")) == 1)
        process.send(signal.SIGUSR1)
        server.wait_for(lambda one: len(one.of("next")) == 2)
        before = len(server.of("inventory"))
        process.send(signal.SIGUSR2)
        server.wait_for(lambda one: len(one.of("inventory")) == before + 1)
        station.offer()
        process.send(signal.SIGUSR1)
        assert process.until_over() == "success"
        assert process.end(signal.SIGINT) == 0


def test_only_one_service_runs(stations: Stations) -> None:
    station = stations.station()
    with Process(station):
        station.servers[0].wait_for(lambda one: bool(one.of("next")))
        with Process(station) as second:
            assert second.process.wait(LONGEST) == 1


def test_a_configuration_that_is_wrong_ends_it_with_words(stations: Stations) -> None:
    station = stations.station()
    (station.place / "device.toml").write_text("[server]\nurls = 1\n")
    with Process(station) as process:
        assert process.process.wait(LONGEST) == 1
    assert "urls" in (station.place / "service.log").read_text()


# --- its end


@pytest.mark.parametrize("point", MAPPED)
def test_a_pause_survives_that_the_service_is_killed(stations: Stations, point: Point) -> None:
    station = stations.station()
    station.offer(control_map=control_map(**{point.value: "pause"}))
    with Process(station) as process:
        process.until(PAUSED[point])
        process.end(signal.SIGKILL)
    calls = station.calls()
    (server,) = station.servers
    asked = len(server.of("map"))
    with Process(station) as process:
        # A service that starts does not know what the server has said in the meantime.
        server.wait_for(lambda one: len(one.of("map")) == asked + 1)
        process.end(signal.SIGTERM)
    assert station.calls() == calls
    assert station.state() is PAUSED[point]
    server.deployment.control_map = control_map(**{point.value: "force_continue"})  # type: ignore[union-attr]
    with Process(station) as process:
        assert process.until_over() == "success"
    assert station.calls() == SUCCESS
    check_statuses(station)


CUT_IN = ["Download", "ArtifactInstall_Enter", "ArtifactInstall", "ArtifactReboot", "ArtifactCommit", "Cleanup"]
BACK_CUT_IN = ["ArtifactRollback", "ArtifactRollbackReboot", "ArtifactFailure"]


def marked(names_: list[str], quick: str) -> list[Any]:
    return [pytest.param(name, marks=() if name == quick else pytest.mark.slow) for name in names_]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize(
    "call",
    [*marked([*CUT_IN, "ArtifactCommit_Leave"], "ArtifactInstall"), *marked(BACK_CUT_IN, "ArtifactRollback")],
)
def test_an_update_comes_to_a_true_end_whatever_call_its_service_ends_in(
    stations: Stations, call: str, number: signal.Signals
) -> None:
    station = stations.station()
    station.offer()
    if call in BACK_CUT_IN:
        station.fail("ArtifactCommit")
    with station.meeting(call) as go_on, Process(station) as process:
        station.until_called(call)
        assert process.end(number) == (0 if number is signal.SIGTERM else -number)
        go_on()
    with Process(station) as process:
        result = process.until_over()
        station.servers[0].wait_for(lambda one: steps(one)[-1:] == [result])
    assert result == ("failure" if call in {"ArtifactInstall", *BACK_CUT_IN} else "success")
    check_statuses(station)
    calls = station.calls()
    for name in {one for one in calls if one.endswith("_Enter")}:
        assert calls.count(name) == 1 + (name == f"script {call}"), name


def test_a_root_file_system_is_installed_over_the_reboot(stations: Stations) -> None:
    station = stations.station()
    station.offer_rootfs(control_map=everywhere(MAPPED, "continue"))
    before = read_device(station.memory).boot_id
    with Process(station) as process:
        until(lambda: read_device(station.memory).boot_id != before)
        process.end(signal.SIGKILL)
    with Process(station) as process:
        assert process.until_over() == "success"
    assert read_device(station.memory).booted == "b"
    assert steps(station.servers[0]) == ["downloading", "installing", "rebooting", "installing", "success"]


def test_a_pause_before_the_reboot_survives_power_cuts_and_is_no_reboot(stations: Stations) -> None:
    station = stations.station()
    station.offer_rootfs(control_map=control_map(reboot="pause"))
    with Process(station) as process:
        process.until(State.PAUSED_REBOOT)
        process.end(signal.SIGKILL)
    boot(station.memory)
    with Process(station) as process:
        station.servers[0].wait_for(lambda one: one.status_names()[-1] == "pause_before_rebooting")
        process.end(signal.SIGTERM)
    assert station.state() is State.PAUSED_REBOOT
    assert read_device(station.memory).booted == "a"


# --- once, from a timer


def test_run_once_it_does_what_there_is_and_ends(stations: Stations) -> None:
    station = stations.station()
    with Process(station, "--once") as process:
        assert process.process.wait(LONGEST) == 0
    station.offer(control_map=control_map(commit="pause"))
    with Process(station, "--once") as process:
        assert process.process.wait(LONGEST) == 0
    assert station.state() is State.PAUSED_COMMIT
    assert station.calls() == SUCCESS[:10]
    station.servers[0].deployment.control_map = control_map()  # type: ignore[union-attr]
    with Process(station, "--once") as process:
        assert process.process.wait(LONGEST) == 0
    assert station.results() == ["success"]


# --- D-Bus, and commands


@contextmanager
def on_bus(station: Station) -> Iterator[tuple[Bus, Process]]:
    with ExitStack() as stack:
        bus = stack.enter_context(running_bus(station.place))
        variables, hears = stack.enter_context(systemd(station.place))
        process = stack.enter_context(Process(station, bus=bus.address, variables=variables))
        while hears.recv(100) != b"READY=1":
            pass
        yield bus, process


def called(bus: Bus, *words: str) -> str:
    command = [word.replace("{bus}", bus.address) for word in busctl(*words)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_an_application_of_mender_holds_an_update_and_knows_the_token(stations: Stations) -> None:
    station = stations.station()
    (server,) = station.servers
    update = ["call", names.UPDATE_NAME, names.UPDATE_PATH, names.UPDATE_INTERFACE, "SetUpdateControlMap", "s"]
    login = [names.AUTH_NAME, names.AUTH_PATH, names.AUTH_INTERFACE]
    with on_bus(station) as (bus, process):
        # The login of the start is over: what comes now is the one that is asked for.
        server.wait_for(lambda one: bool(one.of("next")))
        rule = f"type=signal,interface={names.AUTH_INTERFACE}"
        command = ["dbus-monitor", "--address", bus.address, rule]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as monitor:
            assert monitor.stdout is not None
            assert "NameAcquired" in monitor.stdout.readline()
            assert called(bus, "call", *login, "FetchJwtToken") == "b true"
            while "JwtTokenStateChange" not in monitor.stdout.readline():
                pass
            token = monitor.stdout.readline().split('"')[1]
            monitor.kill()
        assert called(bus, "call", *login, "GetJwtToken") == f'ss "{token}" "{server.url}"'
        assert token in server.tokens
        assert called(bus, *update, json.dumps(control_map(APPLICATION, install="pause"))) == f"i {POLL}"
        station.offer()
        process.send(signal.SIGUSR1)
        process.until(State.PAUSED_INSTALL)
        called(bus, *update, json.dumps(control_map(APPLICATION)))
        assert process.until_over() == "success"
    assert station.calls() == SUCCESS


def test_an_operator_sees_and_leads_an_update_over_dbus(stations: Stations) -> None:
    station = stations.station()
    path = station.module("mod", "release-1", {"a": b"1"})
    our = [names.NAME, names.PATH, names.INTERFACE]
    with on_bus(station) as (bus, process):
        assert (
            called(
                bus, "call", *our, "Install", "sa{sv}", str(path), "2", "job", "s", "job", "stops", "as", "1", "commit"
            )
            == 's "job"'
        )
        process.until(State.PAUSED_COMMIT)
        until(lambda: called(bus, "get-property", *our, "State") == 's "paused-before-commit"')
        assert called(bus, "get-property", *our, "HeldAt") == 's "commit"'
        assert "asked for this stop" in called(bus, "get-property", *our, "HeldBy")
        done = station.ctl("install", str(path))
        assert done.returncode == 1
        called(bus, "call", *our, "Continue", "ssb", "job", "", "false")
        assert process.until_over() == "success"
        assert '"job"' in called(bus, "call", *our, "GetHistory")


def test_a_command_is_refused_while_the_service_is_at_work(stations: Stations) -> None:
    station = stations.station()
    station.offer()
    with station.meeting("ArtifactInstall") as go_on, Process(station) as process:
        station.until_called("ArtifactInstall")
        for words in (["commit"], ["rollback"], ["abort"]):
            done = station.ctl(*words)
            assert done.returncode == 1, done.stderr
        go_on()
        assert process.until_over() == "success"


def test_a_bus_that_comes_late_or_never_keeps_nobody_waiting(stations: Stations) -> None:
    station = stations.station()
    station.offer()
    with Process(station, bus="unix:path=/nowhere") as process:
        assert process.until_over() == "success"
        assert process.end(signal.SIGTERM) == 0
