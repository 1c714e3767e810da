"""A server for artifacts on this computer's loopback; it can be asked for parts, and can cut connections off."""

import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from bistable.tools.bench.errors import MisuseError

HOST: Final = "10.0.2.2"
"""Where a machine in QEMU finds this computer, also what listens on its loopback only."""

_RANGE: Final = re.compile(r"bytes=(\d+)-")
_CHUNK: Final = 64 * 1024


class Server:
    """Files, each under its name, for a device; as a context manager it serves inside the block.

    `host` is what the device calls this computer, `listen` the address to listen on: as they are, for QEMU.
    """

    def __init__(self, *, host: str = HOST, listen: str = "127.0.0.1") -> None:
        self.files: dict[str, Path] = {}
        self._host = host
        self.requests: list[tuple[str, int]] = []
        """Name and first byte of each request so far."""
        self._cuts: dict[str, list[int]] = {}
        self._http = ThreadingHTTPServer((listen, 0), _Handler)
        self._http.daemon_threads = True
        self._http.owner = self  # type: ignore[attr-defined]
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def add(self, path: Path, name: str | None = None) -> str:
        """Serve a file, and return the address under which the device finds it."""
        name = name or path.name
        self.files[name] = path
        return f"http://{self._host}:{self._http.server_port}/{name}"

    def cut(self, name: str, *after: int) -> None:
        """Cut the next connections for the file off, each after so many of its bytes (from where it began).

        Raises:
            MisuseError: there is no such file.
        """
        if name not in self.files:
            raise MisuseError(f"cannot cut off {name}: it is not served")
        self._cuts.setdefault(name, []).extend(after)

    def take_cut(self, name: str) -> int | None:
        """Return after how many bytes this connection ends, None: when all is sent."""
        cuts = self._cuts.get(name)
        return cuts.pop(0) if cuts else None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        """Answer without the content."""
        self._answer(with_body=False)

    def do_GET(self) -> None:
        """Answer with the file, from the byte that is asked for."""
        self._answer(with_body=True)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- its name in the base class
        """Say nothing: the list of requests is for that."""

    def _answer(self, *, with_body: bool) -> None:
        server: Server = self.server.owner  # type: ignore[attr-defined]
        name = self.path.lstrip("/")
        path = server.files.get(name)
        if path is None:
            self.send_error(404)
            return
        size = path.stat().st_size
        wanted = _RANGE.match(self.headers.get("Range", ""))
        start = int(wanted[1]) if wanted else 0
        if start >= size:
            self.send_error(416)
            return
        server.requests.append((name, start))
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Length", str(size - start))
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("ETag", f'"{size}-{int(path.stat().st_mtime)}"')
        if wanted:
            self.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
        self.end_headers()
        if with_body:
            self._send(path, start, server.take_cut(name))

    def _send(self, path: Path, start: int, limit: int | None) -> None:
        left = path.stat().st_size - start if limit is None else limit
        with path.open("rb") as file:
            file.seek(start)
            while left > 0 and (data := file.read(min(_CHUNK, left))):
                self.wfile.write(data)
                left -= len(data)
        if limit is not None:
            self.close_connection = True
