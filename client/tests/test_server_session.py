"""Requests of a device that is logged in: what is tried again, and where, and what is not believed."""

import ssl
import time
from collections.abc import Iterator

import pytest
from client_answers import Fault, dropping, garbage, page, redirecting, refusing, saying, slow
from client_certificates import Authority
from client_http import listening
from client_login import Client, client_of, nobody_listens
from client_server import INVENTORY, V1, Deployment, FakeServer, make_token

from bistable.client.errors import AbortedError, ServerError
from bistable.client.fetch.proxies import Proxies
from bistable.client.server import DeviceKey, NotAcceptedError, Patience, TransientServerError
from bistable.client.server.keys import make_key
from bistable.client.server.message import ANSWER_SIZE, Answer, Method, Request

NEXT = Request(method=Method.GET, path=f"{V1}/next")
ONCE = Patience(attempts=1)


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> DeviceKey:
    return make_key(tmp_path_factory.mktemp("key") / "key.pem")


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer() as found:
        yield found


@pytest.fixture
def other() -> Iterator[FakeServer]:
    with FakeServer() as found:
        yield found


@pytest.fixture
def client(server: FakeServer, key: DeviceKey) -> Client:
    return client_of(server, key=key)


def ask(client: Client, patience: Patience = ONCE) -> Answer:
    return client.session.call(NEXT, patience)


# --- the token


def test_a_request_logs_in_first_and_shows_the_token(client: Client, server: FakeServer) -> None:
    assert ask(client).status == 204
    assert server.lines()[0].startswith("POST")
    [asked] = server.of("next")
    assert asked.fields["authorization"] == f"Bearer {make_token(1)}"
    ask(client)
    assert len(server.logins) == 1


def test_a_token_that_has_run_out_is_replaced_once(client: Client, server: FakeServer) -> None:
    ask(client)
    server.forget_tokens()
    assert ask(client).status == 204
    assert len(server.logins) == 2


def test_a_server_that_takes_no_token_at_all_is_not_asked_for_ever(client: Client, server: FakeServer) -> None:
    server.fail("next", refusing(401), times=-1)
    with pytest.raises(NotAcceptedError, match="it let the device in, but"):
        ask(client, Patience(attempts=5))
    assert len(server.logins) == 2
    assert len(server.of("next")) == 2


def test_a_device_that_is_not_accepted_asks_nothing(client: Client, server: FakeServer) -> None:
    server.accepts = False
    with pytest.raises(NotAcceptedError, match="does not accept this device"):
        ask(client)
    assert server.of("next") == []


def test_a_device_that_is_dismissed_loses_its_token(client: Client, server: FakeServer) -> None:
    ask(client)
    server.accepts = False
    server.forget_tokens()
    with pytest.raises(NotAcceptedError):
        ask(client)
    assert client.authenticator.standing.pending
    assert client.changes[-1].token is None


def test_a_login_can_be_made_to_come_first(client: Client, server: FakeServer) -> None:
    ask(client)
    client.authenticator.forget()
    ask(client)
    assert len(server.logins) == 2


# --- again


@pytest.mark.parametrize("fault", [refusing(500), refusing(502), refusing(503), refusing(408), page(), page(502)])
def test_what_time_may_heal_is_asked_again_after_growing_waits(
    fault: Fault, client: Client, server: FakeServer
) -> None:
    server.fail("next", fault, times=4)
    assert ask(client, Patience(attempts=5)).status == 204
    assert client.waiting.announced == [1, 2, 4, 8]


def test_waits_differ_from_device_to_device(server: FakeServer, key: DeviceKey) -> None:
    client = client_of(server, key=key, jitter=lambda: 0.5)
    server.fail("next", refusing(500), times=2)
    ask(client, Patience(attempts=3))
    assert client.waiting.announced == [0.75, 1.5]


def test_attempts_come_to_an_end(client: Client, server: FakeServer) -> None:
    server.fail("next", refusing(500, "out of order"), times=-1)
    with pytest.raises(TransientServerError, match=r"500 .*out of order"):
        ask(client, Patience(attempts=3))
    assert len(server.of("next")) == 3
    assert len(client.waiting.announced) == 2


def test_steady_attempts_come_at_even_distances(client: Client, server: FakeServer) -> None:
    server.fail("next", refusing(500), times=3)
    ask(client, Patience(attempts=4, longest=300, steady=300))
    assert client.waiting.announced == [300, 300, 300]


@pytest.mark.parametrize("at", range(0, 120, 7))
def test_a_connection_may_break_at_any_byte(at: int, client: Client, server: FakeServer) -> None:
    server.deployment = Deployment()
    ask(client)
    server.fail("next", dropping(at))
    answer = ask(client, Patience(attempts=2))
    assert answer.status == 200
    assert answer.body.endswith(b"}")


@pytest.mark.parametrize("status", [400, 403, 404, 405, 409, 410, 413, 422])
def test_a_refusal_is_an_answer(status: int, client: Client, server: FakeServer) -> None:
    server.fail("next", refusing(status))
    assert ask(client, Patience(attempts=5)).status == status
    assert client.waiting.announced == []


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\0" * 70_000,
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1\r\n\r\n",
        b"HTTP/1.1 20O OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
        b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 1000,
        b"HTTP/1.1 200 OK\r\na: " + b"b" * 70_000,
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n\x1f\x8b",
    ],
    ids=range(11),
)
def test_garbage_is_no_answer(raw: bytes, client: Client, server: FakeServer) -> None:
    ask(client)
    server.fail("next", garbage(raw), times=-1)
    with pytest.raises(TransientServerError):
        ask(client, Patience(attempts=2))


# --- limits


def test_a_server_that_wants_fewer_requests_gets_them(client: Client, server: FakeServer) -> None:
    server.fail("next", saying(429, Retry_After="42"))
    assert ask(client, Patience(attempts=2)).status == 204
    assert client.waiting.announced == [42]


def test_a_server_may_name_a_time_of_day(server: FakeServer, key: DeviceKey) -> None:
    client = client_of(server, key=key, now=lambda: 1_790_000_000.0)
    when = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(1_790_000_050))
    server.fail("next", saying(503, Retry_After=when))
    ask(client, Patience(attempts=2))
    assert client.waiting.announced == [50]


@pytest.mark.parametrize("words", ["soon", "-5", "1e9", "Mon, 99 Foo", "9" * 40])
def test_a_time_that_makes_no_sense_is_not_waited_for(words: str, client: Client, server: FakeServer) -> None:
    server.fail("next", saying(429, Retry_After=words))
    ask(client, Patience(attempts=2))
    assert client.waiting.announced == [1]


def test_a_long_wait_is_left_to_the_caller(client: Client, server: FakeServer) -> None:
    server.fail("next", saying(429, Retry_After="3600"))
    with pytest.raises(TransientServerError) as raised:
        ask(client, Patience(attempts=5, longest=60))
    assert raised.value.retry_after == 3600
    assert client.waiting.announced == []


def test_an_abort_ends_a_wait(server: FakeServer, key: DeviceKey) -> None:
    calls = []

    def check() -> None:
        calls.append(1)
        if len(calls) > 100:
            raise AbortedError("cannot go on: enough")

    client = client_of(server, key=key, check=check)
    server.fail("next", saying(429, Retry_After="100000"))
    with pytest.raises(AbortedError):
        ask(client, Patience(attempts=2, longest=1e9))


def test_an_abort_ends_an_answer_that_comes_slowly(server: FakeServer, key: DeviceKey) -> None:
    calls: list[int] = []

    def check() -> None:
        calls.append(1)
        if server.of("next"):
            raise AbortedError("cannot go on: enough")

    server.fail("next", slow(1, 0.001))
    with pytest.raises(AbortedError):
        ask(client_of(server, key=key, check=check))


def test_an_answer_that_takes_too_long_in_all_is_given_up(server: FakeServer, key: DeviceKey) -> None:
    client = client_of(server, key=key, monotonic=time.monotonic, seconds=0.2)
    server.fail("next", slow(1, 0.05), times=-1)
    with pytest.raises(TransientServerError, match="no answer in time"):
        ask(client)


def test_an_answer_that_comes_slowly_is_taken(client: Client, server: FakeServer) -> None:
    server.deployment = Deployment()
    server.fail("next", slow(16, 0.001))
    assert ask(client).status == 200


@pytest.mark.parametrize("size", [ANSWER_SIZE, ANSWER_SIZE + 1])
def test_an_answer_has_a_limited_size(size: int, client: Client, server: FakeServer) -> None:
    server.fail("next", saying(200, b"x" * size))
    if size > ANSWER_SIZE:
        with pytest.raises(TransientServerError, match="more than 262144 bytes"):
            ask(client)
    else:
        assert len(ask(client).body) == size


def test_a_large_request_arrives_whole(client: Client, server: FakeServer) -> None:
    body = b'[{"name":"a","value":"' + b"x" * 900_000 + b'"}]'
    client.session.call(Request(method=Method.PUT, path=INVENTORY, body=body), ONCE)
    assert server.of("inventory")[0].body == body


# --- where it leads to


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_the_token_does_not_go_where_a_server_redirects(
    status: int, client: Client, server: FakeServer, other: FakeServer
) -> None:
    server.fail("next", redirecting(f"{other.url}{V1}/next", status), times=-1)
    with pytest.raises(TransientServerError, match="which is another"):
        ask(client)
    assert other.asked == []


def test_a_redirect_within_the_server_is_followed(client: Client, server: FakeServer) -> None:
    server.fail("next", redirecting(f"{V1}/next?again=1", 307))
    assert ask(client).status == 204
    assert len(server.of("next")) == 2
    assert {asked.fields["authorization"] for asked in server.of("next")} == {f"Bearer {make_token(1)}"}


def test_a_body_follows_a_redirect_that_says_so(client: Client, server: FakeServer) -> None:
    server.fail("inventory", redirecting(INVENTORY, 308))
    request = Request(method=Method.PUT, path=INVENTORY, body=b"[]")
    assert client.session.call(request, ONCE).status == 200
    assert [asked.body for asked in server.of("inventory")] == [b"[]", b"[]"]


@pytest.mark.parametrize(
    "fault",
    [redirecting(f"{V1}/next", 302), redirecting("", 302), redirecting("ftp://a/", 307), redirecting("http://[", 307)],
)
def test_a_redirect_that_leads_nowhere_is_no_answer(fault: Fault, client: Client, server: FakeServer) -> None:
    server.fail("next", fault, times=-1)
    with pytest.raises(TransientServerError):
        ask(client)


def test_a_server_may_lie_below_a_path(key: DeviceKey, server: FakeServer) -> None:
    client = client_of(f"{server.url}/below/", key=key)
    server.fail("any", saying(404))
    with pytest.raises(TransientServerError):
        ask(client)
    assert server.lines() == ["POST /below/api/devices/v1/authentication/auth_requests"]


@pytest.mark.parametrize("fault", [page(200), page(401), page(403), page(409), page(511), saying(200, "\n<html>")])
def test_a_captive_portal_is_no_answer(fault: Fault, client: Client, server: FakeServer) -> None:
    server.fail("next", fault)
    with pytest.raises(TransientServerError) as raised:
        ask(client)
    assert "captive portal" in str(raised.value.hint) or "511" in str(raised.value)
    assert client.authenticator.standing.token is not None


def test_a_page_that_says_404_may_be_of_a_server_that_does_not_know_the_path(
    client: Client, server: FakeServer
) -> None:
    server.fail("next", page(404))
    answer = ask(client)
    assert (answer.status, answer.page) == (404, True)


# --- several servers


@pytest.mark.parametrize("fault", [dropping(), refusing(500), page(), redirecting("http://portal.example/")])
def test_another_server_is_asked_at_once_when_one_fails(
    fault: Fault, server: FakeServer, other: FakeServer, key: DeviceKey
) -> None:
    client = client_of(server, other, key=key)
    server.fail("next", fault, times=-1)
    answer = ask(client)
    assert (answer.server, answer.status) == (other.url, 204)
    assert client.waiting.announced == []
    assert len(other.logins) == 1


def test_the_server_that_answered_is_stayed_with_until_it_fails(
    server: FakeServer, other: FakeServer, key: DeviceKey
) -> None:
    client = client_of(server, other, key=key)
    server.fail("next", dropping())
    assert [ask(client).server for _ in range(3)] == [other.url] * 3
    other.fail("next", dropping())
    assert ask(client).server == server.url


def test_only_after_all_servers_failed_it_is_waited(server: FakeServer, other: FakeServer, key: DeviceKey) -> None:
    client = client_of(server, other, key=key)
    for one in (server, other):
        one.fail("next", refusing(500))
    assert ask(client, Patience(attempts=2)).status == 204
    assert client.waiting.announced == [1]
    assert len(server.of("next")) + len(other.of("next")) == 3


def test_a_server_that_only_wants_fewer_requests_is_not_left(
    server: FakeServer, other: FakeServer, key: DeviceKey
) -> None:
    client = client_of(server, other, key=key)
    server.fail("next", saying(429, Retry_After="5"))
    assert ask(client, Patience(attempts=2)).server == server.url
    assert other.asked == []


def test_that_all_servers_are_out_of_reach_is_told(key: DeviceKey) -> None:
    client = client_of(nobody_listens(), nobody_listens(), key=key)
    with pytest.raises(TransientServerError, match="cannot ask the server: connection refused"):
        ask(client, Patience(attempts=3))
    assert client.waiting.announced == [1, 2]


# --- TLS and proxies


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def context(authority: Authority) -> ssl.SSLContext:
    return authority.context(authority.issue("server"))


def test_an_own_authority_is_trusted(authority: Authority, context: ssl.SSLContext, key: DeviceKey) -> None:
    with FakeServer(context=context) as server:
        assert ask(client_of(server, key=key, ca_file=authority.path)).status == 204


def test_a_server_that_nobody_vouches_for_gets_nothing(context: ssl.SSLContext, key: DeviceKey) -> None:
    with FakeServer(context=context) as server:
        with pytest.raises(TransientServerError, match="certificate is not trusted"):
            ask(client_of(server, key=key))
        assert server.asked == []


def test_a_server_may_ask_who_connects(authority: Authority, key: DeviceKey) -> None:
    context = authority.context(authority.issue("asks"), clients=authority.path)
    mine = authority.issue("device")
    with FakeServer(context=context) as server:
        known = client_of(
            server, key=key, certificate=mine.certificate, certificate_key=mine.key, ca_file=authority.path
        )
        assert ask(known).status == 204
        with pytest.raises(TransientServerError):
            ask(client_of(server, key=key, ca_file=authority.path))


def test_requests_go_through_a_proxy(
    authority: Authority, context: ssl.SSLContext, key: DeviceKey, server: FakeServer
) -> None:
    with FakeServer(context=context) as safe, listening() as proxy:
        there = proxy.url.removesuffix("/a.mender").replace("//", "//user:word@")
        proxies = Proxies(https=there)
        assert ask(client_of(safe, key=key, ca_file=authority.path, proxies=proxies)).status == 204
        assert {asked[":path"] for asked in proxy.asked} == {f"127.0.0.1:{safe.port}"}
        assert all("authorization" not in asked for asked in proxy.asked)
        assert {asked["proxy-authorization"] for asked in proxy.asked} == {"Basic dXNlcjp3b3Jk"}


def test_the_error_says_what_the_server_said(client: Client, server: FakeServer) -> None:
    server.fail("inventory", refusing(400, "no \x1b[31mcolours"))
    with pytest.raises(ServerError, match=r"400 \(Bad Request\): 'no \\x1b\[31mcolours'"):
        client.inventory.send({"a": "b"})
