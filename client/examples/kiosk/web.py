"""The page on loopback: static files, one stream of events, and the few things that a person can say."""

import asyncio
import hmac
import json
import secrets
import threading
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import parse_qs, urlsplit

from updates import RefusedError

PAGE: Final = Path(__file__).parent / "page"
FILES: Final = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/style.css": ("style.css", "text/css; charset=utf-8"),
    "/app.js": ("app.js", "text/javascript; charset=utf-8"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
MOST_BODY: Final = 4096
MOST_STREAMS: Final = 16
"""Pages that are open at a time; each has a thread."""

HEARTBEAT: Final = 10.0
"""Seconds between two signs of life on a stream: a page that is closed is noticed by the next one."""

PATIENCE: Final = 90.0
"""Seconds for an answer of the program behind the page; a little more than it waits for the update service."""


class Behind(Protocol):
    """What the page can ask for."""

    async def enable(self, enabled: bool) -> None:
        """Ask about updates, or not."""
        ...

    async def answer(self, word: str, point: str, update: str) -> None:
        """Do what a person answered."""
        ...

    async def check(self) -> None:
        """Look for an update now."""
        ...

    async def history(self) -> Sequence[Mapping[str, str]]:
        """Return the updates that ended."""
        ...


class Board:
    """The newest view, for all threads that wait for one."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._number, self._text, self._closed = 0, "{}", False

    def publish(self, view: Mapping[str, Any]) -> None:
        """Show another view."""
        text = json.dumps(view)
        with self._changed:
            if text != self._text:
                self._number, self._text = self._number + 1, text
                self._changed.notify_all()

    def close(self) -> None:
        """Have everybody stop waiting."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def after(self, number: int, patience: float) -> tuple[int, str] | None:
        """Return the newest view and its number; the one that is known already if there is no newer one in time.

        None: there will be no more.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._number > number, patience)
            return None if self._closed else (self._number, self._text)


class Site:
    """Serves the page on 127.0.0.1, in threads of its own."""

    def __init__(self, port: int, board: Board, behind: Behind, loop: asyncio.AbstractEventLoop) -> None:
        self.board, self.behind, self.loop = board, behind, loop
        self.token = secrets.token_urlsafe(24)
        """Known to pages that came from here alone: others cannot read them, and so cannot press their buttons."""
        self.streams = threading.BoundedSemaphore(MOST_STREAMS)
        site = self

        class Bound(Handler):
            pass

        Bound.site = site
        self._server = ThreadingHTTPServer(("127.0.0.1", port), Bound)
        self._server.daemon_threads = True
        self.host = f"127.0.0.1:{self._server.server_port}"
        self.address = f"http://{self.host}/"

    def start(self) -> None:
        """Begin to serve."""
        threading.Thread(target=self._server.serve_forever, name="site", daemon=True).start()

    def stop(self) -> None:
        """Serve no more."""
        self.board.close()
        self._server.shutdown()
        self._server.server_close()

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Have the event loop do something, and wait for it."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(PATIENCE)


class Handler(BaseHTTPRequestHandler):
    """Answers one request after the other on a connection."""

    site: Site
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "kiosk", ""
    timeout = 60

    def do_GET(self) -> None:
        """Give a file, the stream, or the history."""
        where = urlsplit(self.path)
        if not self._expected():
            return
        if where.path in FILES:
            self._give_file(*FILES[where.path])
        elif where.path == "/events" and self._knows(parse_qs(where.query).get("token", [""])[0]):
            self._stream()
        elif where.path == "/history" and self._knows(self.headers.get("X-Kiosk-Token", "")):
            self._do(self.site.behind.history())
        elif where.path not in {"/events", "/history"}:
            self._give(404, {"error": "There is no such page."})

    def do_POST(self) -> None:
        """Take what a person said."""
        if not self._expected() or not self._knows(self.headers.get("X-Kiosk-Token", "")):
            return
        try:
            said = self._read()
            match urlsplit(self.path).path:
                case "/enabled":
                    work = self.site.behind.enable(_flag(said["enabled"]))
                case "/answer":
                    work = self.site.behind.answer(*(_text(said[key]) for key in ("answer", "point", "update")))
                case "/check":
                    work = self.site.behind.check()
                case _:
                    self._give(404, {"error": "There is no such page."})
                    return
        except (ValueError, KeyError, TypeError):
            self.close_connection = True
            self._give(400, {"error": "This cannot be understood."})
            return
        self._do(work)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name in the class above
        """Be quiet: the token is in an address."""

    # --- parts of it

    def _expected(self) -> bool:
        """Tell whether this page was asked for by its own name, and not by one that somebody led here."""
        if self.headers.get("Host") == self.site.host:
            return True
        self._give(403, {"error": f"This page is at {self.site.address}"})
        return False

    def _knows(self, token: str) -> bool:
        """Tell whether the request is of a page that came from here."""
        foreign = self.headers.get("Origin", f"http://{self.site.host}") != f"http://{self.site.host}"
        if not foreign and hmac.compare_digest(token.encode(), self.site.token.encode()):
            return True
        self._give(403, {"error": "This page is out of date; load it again."})
        return False

    def _read(self) -> Any:
        length = int(self.headers.get("Content-Length", ""))
        if not 0 <= length <= MOST_BODY:
            raise ValueError("too long")
        return json.loads(self.rfile.read(length))

    def _do(self, work: Coroutine[Any, Any, Any]) -> None:
        try:
            result = self.site.run(work)
        except RefusedError as e:
            self._give(409, {"error": str(e)})
        except TimeoutError:
            self._give(504, {"error": "The update service does not answer."})
        else:
            self._give(200, {"result": result})

    def _give_file(self, name: str, kind: str) -> None:
        text = (PAGE / name).read_text()
        if name == "index.html":
            text = text.replace("{{token}}", self.site.token)
        self._send(200, kind, text.encode())

    def _give(self, status: int, answer: Mapping[str, Any]) -> None:
        if status != 200:
            # Its body may not have been read.
            self.close_connection = True
        self._send(status, "application/json", json.dumps(answer).encode())

    def _send(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self._end_head()
        with suppress(ConnectionError):
            self.wfile.write(body)

    def _end_head(self) -> None:
        for name, value in HEADERS.items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()

    def _stream(self) -> None:
        """Tell each change as it comes, the first one at once."""
        if not self.site.streams.acquire(blocking=False):
            self._give(503, {"error": "This page is open too often."})
            return
        self.close_connection = True
        try:
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self._end_head()
            number = 0
            while (found := self.site.board.after(number, HEARTBEAT)) is not None:
                changed = found[0] > number
                number = found[0]
                self.wfile.write(f"data: {found[1]}\n\n".encode() if changed else b": still here\n\n")
        except (OSError, ValueError):
            pass  # the page was closed
        finally:
            self.site.streams.release()


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError("not a flag")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("not a text")
    return value
