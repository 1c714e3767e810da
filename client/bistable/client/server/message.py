"""A request to the device API, and its answer, as values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from bistable.artifact.limits import KIB

ANSWER_SIZE: Final = 256 * KIB
"""The largest answer that is taken; the largest that makes sense, an offer with a control map, has a few KiB."""


class Method(Enum):
    """What a request does."""

    GET = "GET"
    POST = "POST"
    PUT = "PUT"
    PATCH = "PATCH"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is asked: `path` begins at the server's root, `body` is JSON."""

    method: Method
    path: str
    body: bytes | None = None
    fields: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What `server` answered; `after` is how many seconds it asks to wait, `page` whether it is a web page."""

    server: str
    status: int
    body: bytes = b""
    after: float = 0.0
    page: bool = False

    @property
    def good(self) -> bool:
        """Whether the request was done."""
        return 200 <= self.status < 300
