"""Deployments: how they are asked for, and what the server is told of them."""

from collections.abc import Iterator

import pytest
from client_answers import Fault, changing, dropping, page, refusing, saying
from client_login import Client, client_of, nobody_listens
from client_server import DEPLOYMENT, V1, V2, Deployment, FakeServer

from bistable.client.errors import AbortedError, ServerError, UsageError
from bistable.client.server import (
    Deployments,
    DeviceKey,
    GoneError,
    LogLine,
    OfferError,
    Patience,
    TransientServerError,
    WithdrawnError,
)
from bistable.client.server.deployments import STATUSES
from bistable.client.server.keys import make_key

PROVIDES = {"artifact_name": "release-1", "device_type": "board", "rootfs-image.version": "release-1"}
ONCE = Patience(attempts=1)
MAP = {"id": DEPLOYMENT, "priority": 1, "states": {"ArtifactInstall_Enter": {"action": "pause"}}}


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> DeviceKey:
    return make_key(tmp_path_factory.mktemp("key") / "key.pem")


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer() as found:
        yield found


@pytest.fixture
def client(server: FakeServer, key: DeviceKey) -> Client:
    return client_of(server, key=key)


@pytest.fixture
def deployments(client: Client) -> Deployments:
    return client.deployments


# --- the next one


def test_there_may_be_none(deployments: Deployments, server: FakeServer) -> None:
    assert deployments.next(PROVIDES, ONCE) is None
    [asked] = server.of("next")
    assert asked.line == f"POST {V2}/next"
    assert asked.json == {"device_provides": PROVIDES, "update_control_map": True}
    assert asked.fields["content-type"] == "application/json"


def test_an_offer_is_read_with_its_control_map(deployments: Deployments, server: FakeServer) -> None:
    server.deployment = Deployment(control_map=MAP)
    offered = deployments.next(PROVIDES, ONCE)
    assert offered is not None
    assert (offered.id, offered.artifact_name, offered.device_types) == (DEPLOYMENT, "release-2", ("board",))
    assert offered.uri == f"{server.url}/artifact"
    assert offered.control_map is not None
    assert '"pause"' in offered.control_map


WAYS = [f"POST {V2}/next", f"POST {V1}/next", f"GET {V1}/next"]


@pytest.mark.parametrize(
    ("ways", "tried"), [({"v2"}, 1), ({"v1 POST", "v1 GET"}, 2), ({"v1 GET"}, 3)], ids=["v2", "v1", "v1 GET"]
)
def test_older_servers_are_asked_in_their_own_way(
    ways: set[str], tried: int, deployments: Deployments, server: FakeServer
) -> None:
    server.ways, server.deployment = ways, Deployment()
    assert deployments.next(PROVIDES, ONCE) is not None
    assert [asked.line for asked in server.of("next")] == WAYS[:tried]
    assert deployments.next(PROVIDES, ONCE) is not None
    assert [asked.line for asked in server.of("next")][tried:] == [WAYS[tried - 1]]


def test_the_first_version_of_the_api_gets_what_it_knows(deployments: Deployments, server: FakeServer) -> None:
    server.ways = {"v1 GET"}
    deployments.next(PROVIDES, ONCE)
    _, post, get = server.of("next")
    assert post.json == PROVIDES
    assert get.query == {"artifact_name": ["release-1"], "device_type": ["board"]}
    assert get.body == b""


def test_a_web_server_that_says_404_in_html_is_an_older_server(deployments: Deployments, server: FakeServer) -> None:
    server.deployment = Deployment()
    server.fail("next", page(404))
    assert deployments.next(PROVIDES, ONCE) is not None


def test_a_server_that_knows_no_way_is_told_of_and_asked_anew_the_next_time(
    deployments: Deployments, server: FakeServer
) -> None:
    server.ways = set()
    with pytest.raises(ServerError, match="none of the ways"):
        deployments.next(PROVIDES, ONCE)
    server.ways = {"v2"}
    assert deployments.next(PROVIDES, ONCE) is None


def test_each_server_is_asked_in_its_own_way(server: FakeServer, key: DeviceKey) -> None:
    with FakeServer() as old:
        old.ways, old.deployment = {"v1 GET"}, Deployment(artifact_name="old")
        server.deployment = Deployment(artifact_name="new")
        deployments = client_of(old, server, key=key).deployments
        found = [deployments.next(PROVIDES, ONCE)]
        old.fail("next", dropping())
        found.append(deployments.next(PROVIDES, ONCE))
        server.fail("next", dropping())
        found.append(deployments.next(PROVIDES, ONCE))
        assert [one.artifact_name for one in found if one] == ["old", "new", "old"]
        assert [asked.line for asked in server.of("next")] == [WAYS[0]] * 2
        assert [asked.line for asked in old.of("next")] == [*WAYS, WAYS[2], WAYS[2]]


def test_a_deployment_that_no_longer_fits_was_ended_by_the_server(deployments: Deployments, server: FakeServer) -> None:
    server.fail("next", refusing(409, "conflict"))
    with pytest.raises(WithdrawnError, match="409"):
        deployments.next(PROVIDES, ONCE)


def test_an_offer_that_makes_no_sense_is_told_by_its_name(deployments: Deployments, server: FakeServer) -> None:
    server.deployment = Deployment()
    server.fail("next", changing(lambda offer: offer["artifact"].pop("source") and None))
    with pytest.raises(OfferError) as raised:
        deployments.next(PROVIDES, ONCE)
    assert raised.value.deployment == DEPLOYMENT


@pytest.mark.parametrize("fault", [refusing(500), dropping(), page(200), saying(429, Retry_After="9999")])
def test_a_server_in_trouble_is_no_server_without_deployments(
    fault: Fault, deployments: Deployments, server: FakeServer
) -> None:
    server.fail("next", fault)
    with pytest.raises(TransientServerError):
        deployments.next(PROVIDES, ONCE)


@pytest.mark.parametrize("status", [400, 403])
def test_a_refusal_to_say_is_told(status: int, deployments: Deployments, server: FakeServer) -> None:
    server.fail("next", refusing(status))
    with pytest.raises(ServerError, match=f"cannot ask for a deployment: the server answered {status}"):
        deployments.next(PROVIDES, ONCE)


def test_unknown_fields_of_an_offer_do_not_matter(deployments: Deployments, server: FakeServer) -> None:
    server.deployment = Deployment()
    server.fail("next", changing(lambda offer: {**offer, "new": [{}], "type": "unknown"}))
    assert deployments.next(PROVIDES, ONCE) is not None


# --- its control map


def test_the_control_map_is_asked_for_by_itself(deployments: Deployments, server: FakeServer) -> None:
    server.deployment = Deployment(control_map=MAP)
    found = deployments.control_map(DEPLOYMENT, ONCE)
    assert found is not None
    assert '"pause"' in found
    assert server.of("map")[0].line == f"GET {V2}/{DEPLOYMENT}/update_control_map"


def test_a_deployment_may_have_no_control_map_any_more(deployments: Deployments, server: FakeServer) -> None:
    server.deployment = Deployment()
    assert deployments.control_map(DEPLOYMENT, ONCE) is None
    server.fail("map", saying(204))
    assert deployments.control_map(DEPLOYMENT, ONCE) is None


@pytest.mark.parametrize("fault", [refusing(404), saying(404)])
def test_a_deployment_that_is_gone_is_gone(fault: Fault, deployments: Deployments, server: FakeServer) -> None:
    server.fail("map", fault)
    with pytest.raises(GoneError):
        deployments.control_map(DEPLOYMENT, ONCE)


@pytest.mark.parametrize("fault", [page(404), saying(404, "404 page not found\n"), refusing(503), dropping(10)])
def test_what_stands_in_front_of_a_server_cannot_end_a_deployment(
    fault: Fault, deployments: Deployments, server: FakeServer
) -> None:
    server.fail("map", fault)
    with pytest.raises(TransientServerError):
        deployments.control_map(DEPLOYMENT, ONCE)


def test_a_control_map_of_another_deployment_is_handed_on(deployments: Deployments, server: FakeServer) -> None:
    server.deployment = Deployment(control_map=MAP)
    server.fail("map", changing(lambda answer: answer["update_control_map"].update(id="another")))
    assert '"another"' in str(deployments.control_map(DEPLOYMENT, ONCE))


# --- what is told


@pytest.mark.parametrize("status", sorted(STATUSES))
def test_every_status_can_be_told(status: str, deployments: Deployments, server: FakeServer) -> None:
    deployments.status(DEPLOYMENT, status, None, ONCE)
    deployments.status(DEPLOYMENT, status, "Executing script: a", ONCE)
    assert server.statuses == [(status, None), (status, "Executing script: a")]
    assert server.of("status")[0].line == f"PUT {V1}/{DEPLOYMENT}/status"
    assert server.of("status")[0].body == b'{"status":"' + status.encode() + b'"}'


@pytest.mark.parametrize("status", ["", "pending", "aborted", "noartifact", "decommissioned", "Success"])
def test_only_what_a_device_may_say_is_told(status: str, deployments: Deployments, server: FakeServer) -> None:
    with pytest.raises(UsageError):
        deployments.status(DEPLOYMENT, status)
    assert server.asked == []


@pytest.mark.parametrize("status", sorted(STATUSES))
def test_an_abort_is_heard_at_every_status(status: str, deployments: Deployments, server: FakeServer) -> None:
    server.aborts_at = {status}
    with pytest.raises(AbortedError, match="was aborted on the server"):
        deployments.status(DEPLOYMENT, status, None, ONCE)


def test_a_page_that_says_conflict_aborts_nothing(deployments: Deployments, server: FakeServer) -> None:
    server.fail("status", page(409))
    with pytest.raises(TransientServerError):
        deployments.status(DEPLOYMENT, "installing", None, ONCE)


def test_a_status_for_an_unknown_deployment_is_told(deployments: Deployments, server: FakeServer) -> None:
    server.fail("status", refusing(404))
    with pytest.raises(GoneError):
        deployments.status(DEPLOYMENT, "installing", None, ONCE)


def test_long_words_are_cut(deployments: Deployments, server: FakeServer) -> None:
    deployments.status(DEPLOYMENT, "failure", "x" * 5000, ONCE)
    assert server.statuses == [("failure", "x" * 1000)]


def test_the_log_is_sent(deployments: Deployments, server: FakeServer) -> None:
    lines = [LogLine(timestamp="2026-10-06T12:00:00Z", level="info", message=text) for text in ("a", 'b"é')]
    deployments.log(DEPLOYMENT, lines, ONCE)
    assert server.of("log")[0].line == f"PUT {V1}/{DEPLOYMENT}/log"
    assert [line["message"] for line in server.logs[DEPLOYMENT]] == ["a", 'b"é']


def test_of_a_long_log_the_end_is_sent(deployments: Deployments, server: FakeServer) -> None:
    lines = [LogLine(timestamp="2026-10-06T12:00:00Z", level="info", message=f"{n:04} " + "x" * 95) for n in range(999)]
    deployments.log(DEPLOYMENT, lines, ONCE, limit=20_000)
    sent = server.logs[DEPLOYMENT]
    assert len(server.of("log")[0].body) <= 20_000
    assert sent[-1]["message"].startswith("0998")
    assert "earlier messages are left out" in sent[0]["message"]


def test_without_any_server_all_calls_say_so(key: DeviceKey) -> None:
    deployments = client_of(nobody_listens(), key=key).deployments
    with pytest.raises(TransientServerError):
        deployments.next(PROVIDES, ONCE)
    with pytest.raises(TransientServerError):
        deployments.control_map(DEPLOYMENT, ONCE)
    with pytest.raises(TransientServerError):
        deployments.status(DEPLOYMENT, "success", None, ONCE)
    with pytest.raises(TransientServerError):
        deployments.log(DEPLOYMENT, [], ONCE)
