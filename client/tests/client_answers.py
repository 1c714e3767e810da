"""What the fake server is asked, what it answers, and what it can be made to answer instead."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A request, and what was answered (0 if the connection was broken instead)."""

    method: str
    path: str
    query: Mapping[str, list[str]]
    fields: Mapping[str, str]
    """Names in small letters."""
    body: bytes
    kind: str
    """login, next, map, status, log, inventory, artifact or unknown."""
    device: str | None = None
    """The public key of the device that asks."""

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def line(self) -> str:
        return f"{self.method} {self.path}"


@dataclass(frozen=True, kw_only=True)
class Reply:
    """An answer."""

    status: int = 200
    body: bytes = b""
    fields: Mapping[str, str] = field(default_factory=dict)

    def raw(self, method: str = "GET") -> bytes:
        fields = {"Content-Length": str(len(self.body)), "Connection": "close", **self.fields}
        if self.status == 204:
            fields.pop("Content-Length", None)
        lines = [f"HTTP/1.1 {self.status} said", *(f"{name}: {value}" for name, value in fields.items() if value)]
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + (b"" if method == "HEAD" else self.body)


Fault: TypeAlias = Callable[[Asked, Reply], "Reply | Delivery | None"]
"""Turns the answer that is due into another, or into bytes; None leaves it as it is."""


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """Raw bytes; then the connection is closed. With a `step` they come so many at a time, `pause` seconds apart."""

    raw: bytes
    step: int | None = None
    pause: float = 0.0


# --- faults


def saying(status: int, body: bytes | str = b"", **fields: str) -> Fault:
    """Answer something else; header fields have _ for -."""
    data = body.encode() if isinstance(body, str) else body
    named = {name.replace("_", "-"): value for name, value in fields.items()}
    return lambda _asked, _due: Reply(status=status, body=data, fields=named)


def refusing(status: int, words: str = "no") -> Fault:
    """Answer as the server does that refuses something."""
    return saying(status, json.dumps({"error": words, "request_id": "1"}), Content_Type="application/json")


def page(status: int = 200) -> Fault:
    """Answer with a web page, as a captive portal does."""
    return saying(status, "<!DOCTYPE html><html>Accept our terms</html>", Content_Type="text/html; charset=utf-8")


def redirecting(target: str, status: int = 302) -> Fault:
    return saying(status, Location=target)


def dropping(at: int = 0) -> Fault:
    """Break the connection before byte `at` of the answer, its head included."""
    return lambda asked, due: Delivery(raw=due.raw(asked.method)[:at])


def slow(step: int, pause: float) -> Fault:
    return lambda asked, due: Delivery(raw=due.raw(asked.method), step=step, pause=pause)


def garbage(raw: bytes) -> Fault:
    """Answer with bytes that may not even be HTTP."""
    return lambda _asked, _due: Delivery(raw=raw)


def changing(change: Callable[[dict[str, Any]], Any]) -> Fault:
    """Answer as it is due, with the JSON changed in place, or replaced by what `change` returns."""

    def apply(_asked: Asked, due: Reply) -> Reply:
        if due.status != 200:
            return due
        value = json.loads(due.body)
        changed = change(value)
        return Reply(status=200, body=json.dumps(value if changed is None else changed).encode(), fields=due.fields)

    return apply
