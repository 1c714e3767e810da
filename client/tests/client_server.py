"""A server with the device API on the loopback device: it remembers all that it was asked, and fails as it is told to.

It knows what Debian's mender client 3.4.0 sends as well as what ours sends. What can be made to fail, and how, is in
client_answers.py.
"""

import base64
import json
import re
import socket
import ssl
import threading
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from client_answers import Asked, Delivery, Fault, Reply
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import load_pem_public_key

DEPLOYMENT = "11111111-2222-3333-4444-555555555555"
LOGIN = "/api/devices/v1/authentication/auth_requests"
INVENTORY = "/api/devices/v1/inventory/device/attributes"
V1 = "/api/devices/v1/deployments/device/deployments"
V2 = "/api/devices/v2/deployments/device/deployments"
STATUSES = {
    "downloading",
    "pause_before_installing",
    "installing",
    "pause_before_rebooting",
    "rebooting",
    "pause_before_committing",
    "success",
    "failure",
    "already-installed",
}
FINAL = {"success", "failure", "already-installed"}
LONGEST_WAIT = 60.0


@dataclass
class Rule:
    """A fault for the next `times` requests of a kind, after the first `skip`; a negative number is for ever."""

    kind: str
    fault: Fault
    times: int
    skip: int
    when: Callable[[Asked], bool]


@dataclass
class Deployment:
    """What the server has for the devices."""

    artifact_name: str = "release-2"
    id: str = DEPLOYMENT
    device_types: list[str] = field(default_factory=lambda: ["board"])
    control_map: dict[str, Any] | None = None
    uri: str | None = None
    """Where the artifact is, if it is not on this server."""
    expire: str | None = "2100-01-01T00:00:00Z"


class FakeServer:
    """The server, for as long as a `with` block lasts. All that can be set may be changed at any time."""

    def __init__(self, *, artifact: bytes = b"", context: ssl.SSLContext | None = None, port: int = 0) -> None:
        self.artifact = artifact
        self.deployment: Deployment | None = None
        self.accepts = True
        """Whether devices are let in."""
        self.checks_tokens = True
        self.ways = {"v2", "v1 POST", "v1 GET"}
        """How the next deployment may be asked for."""
        self.serves_maps = True
        self.takes_put = True
        """Whether the inventory may be replaced."""
        self.aborts_at: set[str] = set()
        """Statuses that are answered with 409: the deployment was aborted."""
        self.gone = False
        """Whether the deployment is unknown on its control map's address: it was aborted."""
        self.on_status: Callable[[str, str, str | None], None] = lambda _deployment, _status, _substate: None
        """Told of each status that was taken: deployment, status, substate."""
        self.asked: list[Asked] = []
        self.logins: list[Asked] = []
        self.wrong_logins: list[str] = []
        """Why logins were refused as malformed."""
        self.statuses: list[tuple[str, str | None]] = []
        self.logs: dict[str, list[dict[str, str]]] = {}
        self.inventories: dict[str | None, list[dict[str, Any]]] = defaultdict(list)
        self.finished: set[tuple[str | None, str]] = set()
        """Device and deployment of each final status."""
        self.tokens: dict[str, str] = {}
        self._rules: list[Rule] = []
        self._changed = threading.Condition()
        self._over = threading.Event()
        self._listener = _Listener(("127.0.0.1", port), _Handler)
        self._listener.fake = self
        if context is not None:
            # The handshake belongs to the thread of its connection: a failed one must not end the server.
            self._listener.socket = context.wrap_socket(
                self._listener.socket, server_side=True, do_handshake_on_connect=False
            )
        self.port = self._listener.server_port
        self.url = f"{'http' if context is None else 'https'}://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._listener.serve_forever, args=(0.005,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._listener.shutdown()
        self._thread.join()
        self._listener.server_close()

    # --- what a test does

    def fail(
        self,
        kind: str,
        fault: Fault,
        *,
        times: int = 1,
        skip: int = 0,
        when: Callable[[Asked], bool] = lambda _asked: True,
    ) -> None:
        """Have requests of a kind fail; the fault that was set first comes first. `times=-1` is for ever."""
        with self._changed:
            self._rules.append(Rule(kind, fault, times, skip, when))

    def heal(self) -> None:
        """Take back all faults."""
        with self._changed:
            self._rules.clear()

    def forget_tokens(self) -> None:
        """Have every token be one that has run out."""
        with self._changed:
            self.tokens.clear()

    def of(self, kind: str) -> list[Asked]:
        """Return the requests of a kind."""
        with self._changed:
            return [asked for asked in self.asked if asked.kind == kind]

    def lines(self) -> list[str]:
        """Return method and path of every request."""
        with self._changed:
            return [asked.line for asked in self.asked]

    def status_names(self) -> list[str]:
        """Return the statuses without those that only tell a substate, each once in a row."""
        with self._changed:
            names = [status for status, substate in self.statuses if substate is None]
        return [name for index, name in enumerate(names) if index == 0 or names[index - 1] != name]

    def wait_for(self, true: Callable[["FakeServer"], bool], seconds: float = LONGEST_WAIT) -> None:
        """Wait until something is true of the server; it is looked at after each request."""
        with self._changed:
            assert self._changed.wait_for(lambda: true(self), seconds), [asked.line for asked in self.asked]

    def wait_for_status(self, status: str, count: int = 1) -> None:
        """Wait until a status was told `count` times, substates not counted."""
        self.wait_for(lambda server: server.statuses.count((status, None)) >= count)

    # --- what requests do

    def answer(self, asked: Asked) -> Reply | Delivery:
        """Return what is answered, and remember the request."""
        with self._changed:
            self.asked.append(asked)
            rule = self._rule(asked)
            due = self._due(asked)
            made = due if rule is None else rule.fault(asked, due)
            self._changed.notify_all()
            return due if made is None else made

    def _rule(self, asked: Asked) -> Rule | None:
        for rule in self._rules:
            if rule.kind not in {asked.kind, "any"} or not rule.when(asked):
                continue
            if rule.skip:
                rule.skip -= 1
                return None
            if rule.times:
                rule.times -= 1
                return rule
        return None

    def _due(self, asked: Asked) -> Reply:
        if asked.kind == "artifact":
            return self._serve(asked)
        if asked.kind == "login":
            return self._let_in(asked)
        if asked.kind == "unknown":
            return _error(404, "no such page")
        if self.checks_tokens and asked.device is None:
            return _error(401, "unauthorized")
        answer: Callable[[Asked], Reply] = getattr(self, f"_take_{asked.kind}")
        return answer(asked)

    def _let_in(self, asked: Asked) -> Reply:
        self.logins.append(asked)
        why = wrong_with(asked)
        if why is not None:
            self.wrong_logins.append(why)
            return _error(401 if "signature" in why else 400, why)
        if not self.accepts:
            return _error(401, "dev auth: unauthorized")
        token = make_token(len(self.logins))
        self.tokens[token] = asked.json["pubkey"]
        return Reply(status=200, body=token.encode(), fields={"Content-Type": "application/jwt"})

    def _take_next(self, asked: Asked) -> Reply:
        way = "v2" if asked.path.startswith(V2) else f"v1 {asked.method}"
        if way not in self.ways:
            return _error(404, "no such page")
        deployment = self.deployment
        if deployment is None or (asked.device, deployment.id) in self.finished:
            return Reply(status=204)
        source: dict[str, Any] = {"uri": deployment.uri or f"{self.url}/artifact"}
        if deployment.expire is not None:
            source["expire"] = deployment.expire
        offer: dict[str, Any] = {
            "id": deployment.id,
            "artifact": {
                "source": source,
                "artifact_name": deployment.artifact_name,
                "device_types_compatible": deployment.device_types,
            },
        }
        if way == "v2" and deployment.control_map is not None:
            offer["update_control_map"] = deployment.control_map
        return _json(offer)

    def _take_map(self, asked: Asked) -> Reply:
        deployment = self.deployment
        if not self.serves_maps or self.gone or deployment is None or deployment.id not in asked.path:
            return _error(404, "no such deployment")
        return _json({} if deployment.control_map is None else {"update_control_map": deployment.control_map})

    def _take_status(self, asked: Asked) -> Reply:
        deployment = asked.path.split("/")[-2]
        status, substate = asked.json["status"], asked.json.get("substate")
        # The Mender client 3.4.0 tells substates with an empty status.
        if status not in STATUSES and not (status == "" and substate):
            return _error(400, "no such status")
        if status in self.aborts_at:
            return _error(409, "the deployment was aborted")
        self.statuses.append((status, substate))
        # It also tells substates of scripts with a final status, long before the end.
        if status in FINAL and "executing script" not in (substate or "").lower():
            self.finished.add((asked.device, deployment))
        self.on_status(deployment, status, substate)
        return Reply(status=204)

    def _take_log(self, asked: Asked) -> Reply:
        self.logs[asked.path.split("/")[-2]] = asked.json["messages"]
        return Reply(status=204)

    def _take_inventory(self, asked: Asked) -> Reply:
        if asked.method == "PUT" and not self.takes_put:
            return _error(405, "use PATCH")
        self.inventories[asked.device] = asked.json
        return Reply(status=200)

    def _serve(self, asked: Asked) -> Reply:
        fields = {"Content-Type": "application/octet-stream", "ETag": '"one"', "Accept-Ranges": "bytes"}
        total = len(self.artifact)
        match = re.fullmatch(r"bytes=(\d+)-(\d*)", asked.fields.get("range", ""))
        if match is None:
            return Reply(body=self.artifact, fields=fields)
        first, last = int(match[1]), int(match[2] or total - 1)
        if first >= total:
            return Reply(status=416, fields={"Content-Range": f"bytes */{total}"})
        fields["Content-Range"] = f"bytes {first}-{min(last, total - 1)}/{total}"
        return Reply(status=206, body=self.artifact[first : last + 1], fields=fields)

    def device_of(self, fields: Mapping[str, str]) -> str | None:
        with self._changed:
            return self.tokens.get(fields.get("authorization", "").removeprefix("Bearer "))

    def pause(self, seconds: float) -> bool:
        """Wait, unless the server is being ended; return whether it is."""
        return self._over.wait(seconds)


def make_token(number: int) -> str:
    def part(value: Any) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    claims = {"jti": str(number), "iss": "Mender", "mender.device": True, "exp": 4_000_000_000}
    return f"{part({'alg': 'RS256', 'typ': 'JWT'})}.{part(claims)}.c2lnbmF0dXJl"


def wrong_with(asked: Asked) -> str | None:
    """Return what is wrong with a login, None if nothing is."""
    try:
        request = asked.json
        key = load_pem_public_key(request["pubkey"].encode())
        identity = json.loads(request["id_data"])
        signature = base64.b64decode(asked.fields["x-men-signature"], validate=True)
    except (ValueError, KeyError, TypeError, AttributeError) as e:
        return f"malformed: {e!r}"
    if not isinstance(identity, dict) or not identity or not isinstance(request.get("tenant_token", ""), str):
        return "malformed: no identity"
    try:
        match key:
            case rsa.RSAPublicKey():
                key.verify(signature, asked.body, padding.PKCS1v15(), hashes.SHA256())
            case ec.EllipticCurvePublicKey():
                key.verify(signature, asked.body, ec.ECDSA(hashes.SHA256()))
            case ed25519.Ed25519PublicKey():
                key.verify(signature, asked.body)
            case _:
                return "malformed: a key of an unknown kind"
    except InvalidSignature:
        return "wrong signature"
    return None


def _json(value: Any) -> Reply:
    return Reply(body=json.dumps(value).encode(), fields={"Content-Type": "application/json"})


def _error(status: int, words: str) -> Reply:
    body = json.dumps({"error": words, "request_id": "1"}).encode()
    return Reply(status=status, body=body, fields={"Content-Type": "application/json", "X-MEN-RequestID": "1"})


_KINDS = (
    ("login", re.compile(rf"POST {LOGIN}")),
    ("next", re.compile(rf"(POST {V2}|POST {V1}|GET {V1})/next")),
    ("map", re.compile(rf"GET {V2}/[^/]+/update_control_map")),
    ("status", re.compile(rf"PUT {V1}/[^/]+/status")),
    ("log", re.compile(rf"PUT {V1}/[^/]+/log")),
    ("inventory", re.compile(rf"(PUT|PATCH) {INVENTORY}")),
    ("artifact", re.compile(r"GET /artifact")),
)


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 256
    fake: FakeServer

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass


class _Handler(BaseHTTPRequestHandler):
    server: _Listener
    protocol_version = "HTTP/1.1"
    timeout = 30

    def log_message(self, *args: Any) -> None:
        pass

    def handle_any(self) -> None:
        fake = self.server.fake
        body = self._body()
        parts = urlsplit(self.path)
        fields = {name.lower(): value for name, value in self.headers.items()}
        line = f"{self.command} {parts.path}"
        kind = next((name for name, pattern in _KINDS if pattern.fullmatch(line)), "unknown")
        asked = Asked(
            method=self.command,
            path=parts.path,
            query=parse_qs(parts.query),
            fields=fields,
            body=body,
            kind=kind,
            device=fake.device_of(fields),
        )
        made = fake.answer(asked)
        self.close_connection = True
        if isinstance(made, Reply):
            self.wfile.write(made.raw(self.command))
            return
        step = made.step or max(1, len(made.raw))
        for start in range(0, len(made.raw), step):
            self.wfile.write(made.raw[start : start + step])
            if made.step and fake.pause(made.pause):
                break
        self.connection.shutdown(socket.SHUT_RDWR)

    def do_GET(self) -> None:
        self.handle_any()

    def do_PUT(self) -> None:
        self.handle_any()

    def do_POST(self) -> None:
        self.handle_any()

    def do_PATCH(self) -> None:
        self.handle_any()

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        # The Mender client repeats a request after a login in this way.
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return body
