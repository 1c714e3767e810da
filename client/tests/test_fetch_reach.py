"""Whether a new system still reaches its server."""

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from client_http import listening, saying

from bistable.client.errors import HealthError
from bistable.client.fetch import FetchSettings, require_reachable
from bistable.client.fetch.reach import ROUNDS


class Refusing(BaseHTTPRequestHandler):
    """A server that is there, and has nothing for us."""

    def do_GET(self) -> None:
        self.send_error(404)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[str]:
    made = ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
    thread = threading.Thread(target=made.serve_forever, args=(0.02,))
    thread.start()
    yield f"http://127.0.0.1:{made.server_port}/"
    made.shutdown()
    thread.join()
    made.server_close()


@pytest.fixture
def nobody() -> str:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{unused.getsockname()[1]}/"


def test_any_answer_is_enough(server: str) -> None:
    require_reachable([server], FetchSettings())


def test_one_server_of_several_is_enough(server: str, nobody: str) -> None:
    require_reachable([nobody, server], FetchSettings(sleep=lambda _: pytest.fail("waited")))


def test_no_answer_is_a_reason_not_to_stay(nobody: str) -> None:
    waits: list[float] = []
    with pytest.raises(HealthError, match="cannot reach a server from the new system") as caught:
        require_reachable([nobody], FetchSettings(sleep=waits.append))
    assert waits
    assert "require-server-reachable" in str(caught.value.hint)
    assert ROUNDS > 1


def test_a_wish_without_a_server_is_never_fulfilled() -> None:
    with pytest.raises(HealthError, match="there is no server to be asked"):
        require_reachable([], FetchSettings(sleep=lambda _: None))


def test_a_redirect_to_where_we_do_not_go_is_an_answer() -> None:
    with listening() as site:
        site.answers = [saying(302, Location="ftp://127.0.0.1/")]
        require_reachable([site.url], FetchSettings(sleep=lambda _: pytest.fail("waited")))
