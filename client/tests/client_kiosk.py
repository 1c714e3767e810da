"""The example with a screen: the service on a private bus with simulated slots, and the program behind the page."""

import http.client
import json
import os
import re
import select
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from client_bus import Bus

from bistable.client.boot.simulated import read_device

KIOSK = Path(__file__).parent.parent / "examples/kiosk/kiosk.py"
PATIENCE = 60.0
SLOT = 4 << 20

CONFIG = """[device]
type = "demo-board"
data-dir = "{folder}/data"
artifact-info-file = "{folder}/artifact_info"
[slots]
a = "{folder}/slot-a.img"
b = "{folder}/slot-b.img"
[boot]
backend = "simulated"
simulated-state = "{folder}/device.json"
[modules]
directories = ["{folder}/modules"]
[scripts]
rootfs-dir = "{folder}/scripts"
[health]
directory = "{folder}/health.d"
{more}
"""


class Program:
    """A process of the test, and what it says."""

    def __init__(self, command: list[str], log: Path) -> None:
        with log.open("ab") as errors:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, env={**os.environ}
            )

    def line(self) -> str:
        """Return the next line of what it says."""
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], PATIENCE)
        assert ready, "it says nothing"
        return self.process.stdout.readline().decode().strip()

    def end(self, *, crash: bool = False) -> None:
        """End it, in its own way or not."""
        if crash:
            self.process.kill()
        else:
            self.process.terminate()
        try:
            self.process.wait(PATIENCE)
        finally:
            self.process.kill()
            self.process.wait()
            assert self.process.stdout is not None
            self.process.stdout.close()


class Stream:
    """What a page is told, as it comes."""

    def __init__(self, kiosk: "Kiosk") -> None:
        self._connection = http.client.HTTPConnection(kiosk.host, timeout=PATIENCE)
        self._connection.request("GET", f"/events?token={kiosk.token}")
        self.reply = self._connection.getresponse()
        assert self.reply.status == 200, self.reply.status
        self.last: dict[str, Any] = {}
        self.seen: list[dict[str, Any]] = []

    def until(self, wanted: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
        """Return the first view of that kind, from the one seen last on."""
        if self.last and wanted(self.last):
            return self.last
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            line = self.reply.readline()
            assert line, f"the stream ended; seen last: {self.last}"
            if line.startswith(b"data: "):
                self.last = json.loads(line[6:])
                self.seen.append(self.last)
                if wanted(self.last):
                    return self.last
        raise AssertionError(f"it did not come; seen last: {self.last}")

    def close(self) -> None:
        self.reply.close()
        self._connection.close()


class Kiosk:
    """The program behind the page, as a page sees it."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.address = program.line()
        self.host = urlsplit(self.address).netloc
        found = re.search(r'name="kiosk-token" content="([^"]+)"', self.get("/")[1])
        assert found
        self.token = found[1]

    def get(self, path: str, **headers: str) -> tuple[int, str]:
        return self._ask("GET", path, None, headers)

    def post(self, path: str, body: Any, **headers: str) -> tuple[int, Any]:
        """Say something as the page does."""
        given = {"X-Kiosk-Token": self.token, **headers}
        status, text = self._ask("POST", path, json.dumps(body).encode(), given)
        return status, json.loads(text)

    def enable(self, enabled: bool = True) -> None:
        assert self.post("/enabled", {"enabled": enabled})[0] == 200

    def answer(self, word: str, view: dict[str, Any]) -> None:
        """Answer the question of a view."""
        said = {"answer": word, "point": view["question"], "update": view["update"]}
        assert self.post("/answer", said) == (200, {"result": None})

    def _ask(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> tuple[int, str]:
        connection = http.client.HTTPConnection(self.host, timeout=PATIENCE)
        try:
            connection.request(method, path, body, headers)
            reply = connection.getresponse()
            return reply.status, reply.read().decode()
        finally:
            connection.close()


class Rig:
    """A simulated device whose slot a runs release-1, with the service and the screen on one bus."""

    def __init__(self, folder: Path, bus: Bus, *, more: str = "") -> None:
        self.folder, self.bus = folder, bus
        (folder / "artifact_info").write_text("artifact_name=release-1\n")
        for name in ("slot-a.img", "slot-b.img"):
            with (folder / name).open("wb") as file:
                file.truncate(SLOT)
        self.state = folder / "device.json"
        self.config = folder / "bistable.toml"
        self.config.write_text(CONFIG.format(folder=folder, more=more))
        self._run("-m", "bistable.client.boot.simulated", "create", str(self.state))
        self._programs: list[Program] = []
        self.daemon: Program | None = None

    def artifact(self, name: str, *, size: int = SLOT) -> Path:
        """Make an artifact with an image that does not compress."""
        image = self.folder / f"{name}.ext4"
        image.write_bytes(os.urandom(size // 2) + bytes(size - size // 2))
        made = self.folder / f"{name}.mender"
        words = ["artifact", "write", "rootfs", "-f", str(image), "-n", name, "-t", "demo-board", "-o", str(made)]
        self._run("-c", "from bistable.artifact.cli import main; main()", *words)
        return made

    def _run(self, *words: str) -> None:
        subprocess.run([sys.executable, *words], check=True, capture_output=True)

    def program(self, *command: str) -> Program:
        started = Program([sys.executable, *command], self.folder / "programs.log")
        self._programs.append(started)
        return started

    def start_daemon(self) -> None:
        where = ["--config", str(self.config), "--bus", self.bus.address]
        self.daemon = self.program("-m", "bistable.client.daemon", *where)

    def restart_daemon(self, *, crash: bool = False) -> None:
        """Do what a reboot, or systemd, does to the service."""
        assert self.daemon is not None
        self.daemon.end(crash=crash)
        self._programs.remove(self.daemon)
        self.start_daemon()

    def start_kiosk(self, port: int = 0) -> Kiosk:
        where = ["--bus", self.bus.address, "--state", str(self.folder / "screen.json")]
        return Kiosk(self.program(str(KIOSK), "--port", str(port), *where))

    def stop(self, kiosk: Kiosk, *, crash: bool = False) -> None:
        kiosk.program.end(crash=crash)
        self._programs.remove(kiosk.program)

    def wait_booted(self, slot: str) -> None:
        """Wait until the simulated device has been rebooted into a slot."""
        wait(lambda: read_device(self.state).booted == slot, f"the device does not boot slot {slot}")

    def install(self, where: str | Path) -> None:
        """Begin an update, as whoever offers one does."""
        self.call("Install", "sa{sv}", str(where), "0")

    def call(self, member: str, *words: str) -> str:
        name = "io.bistable.Updates1"
        command = ["busctl", f"--address={self.bus.address}", "call", name, "/io/bistable/Updates1", name]
        done = subprocess.run([*command, member, *words], check=True, capture_output=True, timeout=PATIENCE)
        return done.stdout.decode()

    def wait_state(self, state: str) -> None:
        """Wait until the service has come to a state of the update."""
        name = "io.bistable.Updates1"
        command = ["busctl", f"--address={self.bus.address}", "get-property", name, "/io/bistable/Updates1", name]

        def there() -> bool:
            done = subprocess.run([*command, "State"], check=False, capture_output=True, timeout=PATIENCE)
            return done.stdout.decode().strip() == f's "{state}"'

        wait(there, f"the update does not come to {state}")

    def close(self) -> None:
        for program in self._programs:
            program.end(crash=True)


def wait(wanted: Callable[[], bool], words: str) -> None:
    """Return when something is so."""
    deadline, pause = time.monotonic() + PATIENCE, threading.Event()
    while not wanted():
        assert time.monotonic() < deadline, words
        pause.wait(0.02)


def slow_server(file: Path) -> AbstractContextManager[tuple[str, threading.Event]]:
    """Serve a file: half of it at once, the rest when the event is set. Yields the address and the event."""
    return _serving(file, lambda size: size // 2, PATIENCE)


def dripping_server(file: Path) -> AbstractContextManager[tuple[str, threading.Event]]:
    """Serve a file at two megabytes a second until the event is set, then at once."""
    return _serving(file, lambda _: 200_000, 0.1)


@contextmanager
def _serving(file: Path, piece: Callable[[int], int], patience: float) -> Iterator[tuple[str, threading.Event]]:
    go = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            data = file.read_bytes()
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            size = piece(len(data))
            with suppress(OSError):
                for at in range(0, len(data), size):
                    self.wfile.write(data[at : at + size])
                    go.wait(patience)

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/{file.name}", go
    finally:
        go.set()
        server.shutdown()
        server.server_close()
        thread.join()
