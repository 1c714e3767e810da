"""A server that answers as a test says: whole, in ranges, broken off, or with lies."""

import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import SHUT_RDWR
from typing import Any, TypeAlias

import pytest

from bistable.artifact.source import HttpSettings, open_source

CONTENT = bytes(range(256)) * 8
WHEN = "Tue, 06 Oct 2026 12:00:00 GMT"


class Handler(BaseHTTPRequestHandler):
    """Serves `site.content` with ranges, unless the site's next answer is something else."""

    server: "Listener"
    timeout = 5

    def do_GET(self) -> None:
        site = self.server.site
        site.asked.append({name.lower(): value for name, value in self.headers.items()} | {":path": self.path})
        answer = site.answers.pop(0) if site.answers else serve
        answer(self, site)

    def log_message(self, *args: Any) -> None:
        pass


Answer: TypeAlias = "Callable[[Handler, Site], None]"


@dataclass
class Site:
    """What is served, what the next answers are, and what was asked."""

    content: bytes = CONTENT
    etag: str | None = '"one"'
    modified: str | None = None
    answers: list[Answer] = field(default_factory=list)
    asked: list[dict[str, str]] = field(default_factory=list)
    url: str = ""


class Listener(ThreadingHTTPServer):
    daemon_threads = True
    site: Site

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass


def send_head(handler: Handler, status: int, fields: dict[str, str]) -> None:
    handler.send_response_only(status)
    for name, value in fields.items():
        handler.send_header(name, value)
    handler.end_headers()


def validators(site: Site) -> dict[str, str]:
    found = {"ETag": site.etag, "Last-Modified": site.modified}
    return {name: value for name, value in found.items() if value is not None}


def serve(handler: Handler, site: Site, *, until: int | None = None) -> None:
    """Answer as a good server does; close the connection after byte `until` of the whole file."""
    asked = handler.headers.get("Range")
    condition = handler.headers.get("If-Range")
    total = len(site.content)
    if asked and condition in {None, site.etag, site.modified}:
        start = int(asked.removeprefix("bytes=").rstrip("-"))
        fields = {"Content-Range": f"bytes {start}-{total - 1}/{total}"}
        status = 206
    else:
        start, fields, status = 0, {}, 200
    send_head(handler, status, {"Content-Length": str(total - start), **validators(site), **fields})
    handler.wfile.write(site.content[start:until])
    if until is not None:
        handler.connection.shutdown(SHUT_RDWR)


def dropping(until: int) -> Answer:
    return lambda handler, site: serve(handler, site, until=until)


def saying(status: int, **fields: str) -> Answer:
    return lambda handler, site: send_head(
        handler, status, {"Content-Length": "0"} | {name.replace("_", "-"): value for name, value in fields.items()}
    )


def whole(handler: Handler, site: Site) -> None:
    """Answer as a server that knows no ranges."""
    send_head(handler, 200, {"Content-Length": str(len(site.content)), **validators(site)})
    handler.wfile.write(site.content)


def range_of(text: str) -> Answer:
    def answer(handler: Handler, site: Site) -> None:
        send_head(handler, 206, {"Content-Length": "10", "Content-Range": text, **validators(site)})
        handler.wfile.write(bytes(10))

    return answer


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setenv("no_proxy", "*")
    with listening() as found:
        yield found


class listening:  # noqa: N801 - used as a function
    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self._listener = Listener(("127.0.0.1", 0), Handler)
        self._listener.site = Site()
        if context is not None:
            self._listener.socket = context.wrap_socket(self._listener.socket, server_side=True)
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


@dataclass
class Waiting:
    """Settings that record the waits instead of waiting."""

    seconds: list[float] = field(default_factory=list)
    whys: list[str] = field(default_factory=list)

    def settings(self, **more: Any) -> HttpSettings:
        return HttpSettings(
            timeout=5,
            sleep=self.seconds.append,
            jitter=lambda: 1.0,
            on_retry=lambda why, _seconds: self.whys.append(why),
            **more,
        )


def read_all(site: Site, waiting: Waiting | None = None, *, size: int = 300, **more: Any) -> bytes:
    found = bytearray()
    with open_source(site.url, settings=(waiting or Waiting()).settings(**more)) as source:
        while data := source.read(size):
            found += data
    return bytes(found)
