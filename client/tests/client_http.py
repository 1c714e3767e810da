"""A web server and a proxy on the loopback device whose answers a test chooses, and settings that never really wait."""

import random
import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self, TypeAlias

from bistable.client.fetch import FetchSettings

CONTENT = random.Random(7).randbytes(2_300_000)
WHEN = "Tue, 06 Oct 2026 12:00:00 GMT"
LATER = "Wed, 07 Oct 2026 12:00:00 GMT"


@dataclass
class Site:
    """What is served, what the next answers are, and what was asked."""

    content: bytes = CONTENT
    etag: str | None = '"one"'
    modified: str | None = None
    answers: list["Answer"] = field(default_factory=list)
    asked: list[dict[str, str]] = field(default_factory=list)
    url: str = ""

    @property
    def ranges(self) -> list[str | None]:
        """The ranges that were asked for."""
        return [fields.get("range") for fields in self.asked]


class Handler(BaseHTTPRequestHandler):
    """Serves `site.content` with ranges, unless the site's next answer is something else."""

    server: "Listener"
    timeout = 5

    def do_GET(self) -> None:
        site = self.server.site
        site.asked.append({name.lower(): value for name, value in self.headers.items()} | {":path": self.path})
        answer = site.answers.pop(0) if site.answers else serve
        answer(self, site)

    def do_CONNECT(self) -> None:
        """Be a proxy: carry bytes to and fro."""
        site = self.server.site
        site.asked.append({name.lower(): value for name, value in self.headers.items()} | {":path": self.path})
        if site.answers:
            site.answers.pop(0)(self, site)
            return
        host, _, port = self.path.rpartition(":")
        with socket.create_connection((host, int(port)), timeout=5) as there:
            self.send_response_only(200)
            self.end_headers()
            back = threading.Thread(target=carry, args=(there, self.connection), daemon=True)
            back.start()
            carry(self.connection, there)
            back.join(5)

    def log_message(self, *args: Any) -> None:
        pass


Answer: TypeAlias = Callable[[Handler, Site], None]


def carry(source: socket.socket, sink: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass


class Listener(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    site: Site

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass


class listening:  # noqa: N801 - used as a function
    """A server for as long as the block lasts."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self._listener = Listener(("127.0.0.1", 0), Handler)
        self._listener.site = Site()
        if context is not None:
            # The handshake belongs to the thread of its connection: a failed one must not end the server.
            self._listener.socket = context.wrap_socket(
                self._listener.socket, server_side=True, do_handshake_on_connect=False
            )
        scheme = "http" if context is None else "https"
        self._listener.site.url = f"{scheme}://127.0.0.1:{self._listener.server_port}/a.mender"
        self._thread = threading.Thread(target=self._listener.serve_forever, args=(0.005,))

    def __enter__(self) -> Site:
        self._thread.start()
        return self._listener.site

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown()
        self._thread.join()
        self._listener.server_close()


# --- answers


def send_head(handler: Handler, status: int, fields: dict[str, str]) -> None:
    handler.send_response_only(status)
    for name, value in fields.items():
        handler.send_header(name, value)
    handler.end_headers()


def validators(site: Site) -> dict[str, str]:
    found = {"ETag": site.etag, "Last-Modified": site.modified}
    return {name: value for name, value in found.items() if value is not None}


def serve(handler: Handler, site: Site, *, until: int | None = None) -> None:
    """Answer as a good server does; close the connection before byte `until` of the whole file."""
    asked = handler.headers.get("Range")
    condition = handler.headers.get("If-Range")
    total = len(site.content)
    start, status = 0, 200
    fields: dict[str, str] = {}
    if asked and condition in {None, site.etag, site.modified}:
        start = int(asked.removeprefix("bytes=").rstrip("-"))
        if start >= total:
            send_head(handler, 416, {"Content-Range": f"bytes */{total}", "Content-Length": "0"})
            return
        fields, status = {"Content-Range": f"bytes {start}-{total - 1}/{total}"}, 206
    send_head(handler, status, {"Content-Length": str(total - start), **validators(site), **fields})
    handler.wfile.write(site.content[start:until])
    if until is not None:
        handler.connection.shutdown(socket.SHUT_RDWR)


def dropping(until: int) -> Answer:
    """Break off before byte `until` of the whole file."""
    return lambda handler, site: serve(handler, site, until=until)


def whole(handler: Handler, site: Site, *, until: int | None = None) -> None:
    """Answer as a server that knows no ranges."""
    send_head(handler, 200, {"Content-Length": str(len(site.content)), **validators(site)})
    handler.wfile.write(site.content[:until])
    if until is not None:
        handler.connection.shutdown(socket.SHUT_RDWR)


def dropping_whole(until: int) -> Answer:
    return lambda handler, site: whole(handler, site, until=until)


def saying(status: int, body: bytes = b"", **fields: str) -> Answer:
    """Answer with a status, header fields and a body."""
    given = {"Content-Length": str(len(body))} | {name.replace("_", "-"): value for name, value in fields.items()}

    def answer(handler: Handler, _site: Site) -> None:
        send_head(handler, status, given)
        handler.wfile.write(body)

    return answer


def part(start: int, *, says: str | None = None) -> Answer:
    """Answer with the part from `start` on, whatever was asked for; `says` is the Content-Range."""

    def answer(handler: Handler, site: Site) -> None:
        total = len(site.content)
        field = f"bytes {start}-{total - 1}/{total}" if says is None else says
        send_head(handler, 206, {"Content-Length": str(total - start), "Content-Range": field, **validators(site)})
        handler.wfile.write(site.content[start:])

    return answer


def replaced(content: bytes, *, etag: str | None = None, then: Answer = serve) -> Answer:
    """Serve other bytes from now on."""

    def answer(handler: Handler, site: Site) -> None:
        site.content, site.etag = content, etag or site.etag
        then(handler, site)

    return answer


# --- settings


@dataclass
class Waiting:
    """A clock that only waits move, and what was waited for."""

    time: float = 1000.0
    seconds: list[float] = field(default_factory=list)
    whys: list[str] = field(default_factory=list)
    announced: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.seconds.append(seconds)
        self.time += seconds

    def on_wait(self, why: str, seconds: float) -> None:
        self.whys.append(why)
        self.announced.append(seconds)

    def settings(self, **more: Any) -> FetchSettings:
        given: dict[str, Any] = {
            "timeout": 5.0,
            "sleep": self.sleep,
            "monotonic": lambda: self.time,
            "on_wait": self.on_wait,
            "jitter": lambda: 1.0,
        }
        return FetchSettings(**(given | more))


class Patience(Exception):  # noqa: N818
    """What a check raises that has seen enough."""


def after(calls: int) -> Callable[[], None]:
    """Return a check that ends the fetch at its call number `calls`."""
    left = [calls]

    def check() -> None:
        left[0] -= 1
        if left[0] <= 0:
            raise Patience

    return check


class Reading:
    """What was read, also where an error ended it."""

    def __init__(self) -> None:
        self.data = bytearray()

    def take(self, source: Any, *, size: int = 65536, limit: int | None = None) -> Self:
        """Read to the end, or until there are `limit` bytes."""
        while limit is None or len(self.data) < limit:
            wanted = size if limit is None else min(size, limit - len(self.data))
            data = source.read(wanted)
            assert len(data) <= wanted
            if not data:
                break
            self.data += data
        return self
