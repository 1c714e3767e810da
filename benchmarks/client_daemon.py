"""Measure the service beside the daemon of Debian's Mender client: memory, polls, start, and Continue over D-Bus.

python benchmarks/client_daemon.py           measure; the table goes to docs/reference/benchmarks-client.md
python benchmarks/client_daemon.py --show    measure; the table goes to stdout only

Needs `dbus-daemon`; and `mender`, `busybox` and root (a chroot) for what it is compared with.
"""

import asyncio
import os
import platform
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

HERE = Path(__file__).parent
TOP = HERE.parent
sys.path[:0] = [str(TOP / "client/tests"), str(TOP / "artifact/tests")]

from client_bus import Peer as Caller  # noqa: E402
from client_bus import running_bus  # noqa: E402
from client_pair import IDENTITY, TheirDaemon, artifact  # noqa: E402
from client_server import Deployment, FakeServer  # noqa: E402
from client_service import Stations, until  # noqa: E402
from dbus_fast import Message, MessageType  # noqa: E402

from bistable.client.bus import names  # noqa: E402

PAGE = TOP / "docs/reference/benchmarks-client.md"
BEGIN, END = "<!-- begin of what benchmarks/client_daemon.py makes -->", "<!-- end of what it makes -->"

POLLS = 1000
"""At a poll each half hour these are three weeks; an hour has two."""
THEIR_POLLS = 100
"""The Mender client stops asking after some dozens of signals, so it polls each second, as often as it can."""
STARTS = 10
CONTINUES = 50

MEMORY = 30.0
START = 0.5
CONTINUE = 0.1
GROWTH = 0.25
"""MB that may come and go."""


@dataclass
class Seen:
    """What was measured of one of both; None for what it does not have."""

    first: float = 0.0
    idle: float = 0.0
    growth: float = 0.0
    private: float = 0.0
    updated: float = 0.0
    poll: float = 0.0
    ready: list[float] = field(default_factory=list)
    asks: list[float] = field(default_factory=list)


class Service:
    """A process that asks a server, and can be told to do so."""

    def __init__(self, process: "subprocess.Popen[Any]", server: FakeServer, *, signals: bool) -> None:
        self.process, self.server, self.signals = process, server, signals

    def poll(self) -> None:
        """Wait until it has asked once more."""
        asked = len(self.server.of("next"))
        if self.signals:
            self.process.send_signal(signal.SIGUSR1)
        self.server.wait_for(lambda one: len(one.of("next")) > asked)

    def memory(self, name: str = "Rss") -> float:
        """Return what it has in memory, in MB."""
        wait_idle(self.process.pid)
        lines = Path(f"/proc/{self.process.pid}/smaps_rollup").read_text().splitlines()
        wanted = {"Rss": ("Rss",), "private": ("Private_Clean", "Private_Dirty")}[name]
        return sum(int(line.split()[1]) for line in lines if line.split(":")[0] in wanted) * 1024 / 1e6

    def cpu(self) -> float:
        """Return the seconds of processors that it, and what it started, used."""
        ticks = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()[11:15]
        return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")

    def end(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


def wait_idle(pid: int) -> None:
    """Wait until a process has not run for a moment."""
    before = -1
    while (now := int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11])) != before:
        before = now
        time.sleep(0.3)


def measure_polls(service: Service, seen: Seen, polls: int, update: Callable[[], None]) -> None:
    """Measure memory and CPU over many polls, and the memory after an update."""
    service.server.wait_for(lambda one: bool(one.of("next")))
    seen.first = service.memory()
    for _ in range(polls // 20):
        service.poll()
    warm, cpu = service.memory(), service.cpu()
    for _ in range(polls):
        service.poll()
    seen.idle, seen.private = service.memory(), service.memory("private")
    seen.growth = seen.idle - warm
    seen.poll = (service.cpu() - cpu) / polls
    update()
    seen.updated = service.memory()


# --- ours


@contextmanager
def our_service(place: Path, address: str, notify: Path | None = None) -> Iterator["subprocess.Popen[Any]"]:
    variables = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/"}
    if notify is not None:
        variables["NOTIFY_SOCKET"] = str(notify)
    command = [sys.executable, "-m", "bistable.client.daemon", "--config", str(place / "device.toml")]
    with (place / "service.log").open("ab") as log:
        process = subprocess.Popen(
            [*command, "--bus", address], env=variables, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def measure_ours(place: Path) -> tuple[Seen, list[float]]:
    """Measure our service, on a bus and with a server."""
    seen = Seen()
    with Stations(place) as stations, running_bus(place) as bus:
        station = stations.station()
        (server,) = station.servers
        with our_service(station.place, bus.address):  # makes its store and its key
            server.wait_for(lambda one: bool(one.of("next")))
        for _ in range(STARTS):
            ready, asked = one_start(station.place, bus.address, server)
            seen.ready.append(ready)
            seen.asks.append(asked)
        server.asked.clear()
        with our_service(station.place, bus.address) as process:

            def update() -> None:
                station.offer()
                process.send_signal(signal.SIGUSR1)
                until(lambda: bool(station.results()))

            measure_polls(Service(process, server, signals=True), seen, POLLS, update)
            server.deployment = None
            station.program("modules/mod", "#!/bin/sh\nexit 0\n")
            path = station.module("mod", "release-9", {"a": b"1"})
            continued = asyncio.run(continues(bus.address, str(path)))
    return seen, continued


def one_start(place: Path, address: str, server: FakeServer) -> tuple[float, float]:
    """Return after how many seconds the service is ready, and after how many it asks the server."""
    notify = place / "notify"
    notify.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as hears:
        hears.bind(str(notify))
        asked, begin = len(server.asked), time.perf_counter()
        with our_service(place, address, notify):
            assert hears.recv(100) == b"READY=1"
            ready = time.perf_counter() - begin
            server.wait_for(lambda one: len(one.asked) > asked)
            return ready, time.perf_counter() - begin


async def continues(address: str, path: str) -> list[float]:
    """Return how long it takes from Continue to a service that goes on, many times."""
    caller = await Caller.connect(address)
    await caller.listen(f"type='signal',sender='{names.NAME}',interface='{names.PROPERTIES}'")
    found = []
    for number in range(CONTINUES):
        options = {"job": _variant("s", f"job-{number}"), "stops": _variant("as", ["install"])}
        caller.got.clear()
        _must(await caller.ask("Install", "sa{sv}", path, options))
        await caller.until(lambda message: _state(message) == "paused-before-install")
        caller.got.clear()
        begin = time.perf_counter()
        await caller.ask("Continue", "ssb", "", "install", False)
        await caller.until(lambda message: _state(message) not in {None, "paused-before-install"})
        found.append(time.perf_counter() - begin)
        await caller.until(lambda message: _state(message) == "idle")
    await caller.close()
    return found


def _variant(signature: str, value: object) -> Any:
    from dbus_fast import Variant

    return Variant(signature, value)


def _must(message: Message) -> None:
    if message.message_type is MessageType.ERROR:
        raise RuntimeError(f"{message.error_name}: {message.body}")


def _state(message: Message) -> str | None:
    if message.member != "PropertiesChanged":
        return None
    value = message.body[1].get("State")
    return None if value is None else str(value.value)


# --- theirs


def measure_theirs(place: Path) -> Seen:
    """Measure the daemon of the Mender client, without D-Bus."""
    seen = Seen()
    with FakeServer() as server:
        device = TheirDaemon(place / "mender")
        (device.root / "usr/share/mender/identity").mkdir(parents=True)
        device.program("usr/share/mender/identity/mender-device-identity", IDENTITY)
        device.configure(
            ServerURL=server.url,
            DBus={"Enabled": False},
            UpdatePollIntervalSeconds=1,
            InventoryPollIntervalSeconds=28800,
        )
        device.answer("SupportsRollback", "Yes\n")
        server.artifact = artifact()
        for number in range(STARTS + 1):
            asked, begin = len(server.asked), time.perf_counter()
            process = device.daemon()
            server.wait_for(lambda one, asked=asked: len(one.asked) > asked)  # type: ignore[misc]
            if number:  # the first one makes its key
                seen.asks.append(time.perf_counter() - begin)
            process.kill()
            process.communicate()
        server.asked.clear()
        process = device.daemon()
        try:

            def update() -> None:
                server.deployment = Deployment()
                server.wait_for_status("success")

            measure_polls(Service(process, server, signals=False), seen, THEIR_POLLS, update)
        finally:
            process.kill()
            process.communicate()
    return seen


# --- the page


def table(ours: Seen, continued: list[float], theirs: Seen | None) -> str:
    """Return the section of the page."""
    load = os.getloadavg()[0]
    head = f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, Python {platform.python_version()}, load {load:.1f}."
    median = statistics.median

    def other(value: Callable[[Seen], float | None], form: str) -> str:
        found = None if theirs is None else value(theirs)
        return "-" if found is None else form.format(found)

    def met(value: float, most: float | None) -> str:
        return "" if most is None else "yes" if value <= most else "NO"

    rows = [
        ("memory (RSS) after the first poll, MB", ours.first, other(lambda one: one.first, "{:.1f}"), MEMORY, "{:.1f}"),
        (f"… after {POLLS} polls", ours.idle, other(lambda one: one.idle, "{:.1f}"), MEMORY, "{:.1f}"),
        ("… of it not shared with others", ours.private, other(lambda one: one.private, "{:.1f}"), None, "{:.1f}"),
        (f"growth in {POLLS} polls, MB", ours.growth, other(lambda one: one.growth, "{:.2f}"), GROWTH, "{:.2f}"),
        ("memory (RSS) after an update, MB", ours.updated, other(lambda one: one.updated, "{:.1f}"), None, "{:.1f}"),
        (
            "CPU of a poll, ms",
            ours.poll * 1000,
            other(lambda one: one.poll * 1000, "{:.2f}"),
            None if theirs is None else theirs.poll * 1000,
            "{:.2f}",
        ),
        (f"start to ready, s, median of {STARTS}", median(ours.ready), "-", START, "{:.2f}"),
        (
            f"start to the first request, s, median of {STARTS}",
            median(ours.asks),
            other(lambda one: median(one.asks), "{:.2f}"),
            None,
            "{:.2f}",
        ),
        (f"Continue over D-Bus, ms, median of {CONTINUES}", median(continued) * 1000, "-", CONTINUE * 1000, "{:.1f}"),
        ("… the longest", max(continued) * 1000, "-", None, "{:.1f}"),
    ]
    lines = [
        "## The service",
        "",
        head,
        "",
        "The server is on the same machine and speaks HTTP. The service is on a D-Bus; the daemon of the Mender client",
        f"is not, which saves it memory. The service polls when a signal says so; the daemon {THEIR_POLLS} times,",
        "once a second. An hour has two polls if nothing else is set.",
        "",
        "| what | bistabled | mender 3.4.0 | at most | met |",
        "|---|---|---|---|---|",
    ]
    for what, value, beside, most, form in rows:
        limit = "" if most is None else form.format(most)
        lines.append(f"| {what} | {form.format(value)} | {beside} | {limit} | {met(value, most)} |")
    return "\n".join(lines)


def write(section: str) -> None:
    """Put the section into the page."""
    text = PAGE.read_text() if PAGE.exists() else "# Benchmarks of the client\n"
    before, begun, rest = text.partition(BEGIN)
    after = rest.partition(END)[2] if begun else ""
    PAGE.write_text(f"{before.rstrip()}\n\n{BEGIN}\n\n{section}\n\n{END}\n{after.lstrip()}")


def main() -> None:
    """Measure, and write the page."""
    with TemporaryDirectory(dir="/dev/shm") as place:
        ours, continued = measure_ours(Path(place))
        theirs = measure_theirs(Path(place)) if shutil.which("mender") and shutil.which("busybox") else None
    section = table(ours, continued, theirs)
    if "--show" in sys.argv[1:]:
        print(section)
    else:
        write(section)


if __name__ == "__main__":
    main()
