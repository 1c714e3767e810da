"""Logins that another process signs: what it takes to use a key is several megabytes, for an answer that lasts days."""

import json
import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bistable.artifact.errors import BistableError
from bistable.client.errors import ClientError, ConfigError, ProgramError, StoreError
from bistable.client.server.login import PATH as LOGIN
from bistable.client.server.login import SIGNATURE, Credentials
from bistable.client.server.message import Method, Request

if TYPE_CHECKING:
    from bistable.client.server.keys import DeviceKey

SECONDS: Final = 120.0
"""How long it may take; a token behind `server.auth-signer` has a minute of its own."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPlace:
    """Where the device's key is: see `find_key` and `command_key`."""

    own: Path
    existing: Path | None = None
    chosen: Path | None = None
    signer: tuple[str, ...] = ()
    public: Path | None = None

    def open(self) -> "DeviceKey":
        """Return the key.

        Raises:
            ConfigError: it cannot be used.
            StoreError: a new one cannot be made durable.
        """
        from bistable.client.server.keys import command_key, find_key

        if self.signer:
            return command_key(self.signer, self.public)
        return find_key(self.own, chosen=self.chosen, existing=self.existing)


@dataclass(frozen=True, slots=True, kw_only=True)
class AsideCredentials:
    """Who the device is, signed for by a process of its own for each login."""

    identity: Callable[[], Mapping[str, str | Sequence[str]]]
    place: KeyPlace
    tenant_token: str | None = field(default=None, repr=False)

    def request(self) -> Request:
        """Return the signed request to be let in.

        Raises:
            ClientError: the identity is not known, or the key cannot be used.
        """
        from bistable.client.run import run

        place = self.place
        asked = {
            "identity": self.identity(),
            "tenant_token": self.tenant_token,
            "own": str(place.own),
            "existing": _text(place.existing),
            "chosen": _text(place.chosen),
            "signer": place.signer,
            "public": _text(place.public),
        }
        command = [sys.executable, "-m", __name__]
        try:
            # What tells a signing program where its token is comes with the environment of the service.
            said = json.loads(run(command, timeout=SECONDS, stdin=json.dumps(asked).encode(), inherit=True).stdout)
            for words in said["log"]:
                _log.info("%s", words)
            if "error" in said:
                kind = StoreError if said["code"] == StoreError.code else ConfigError
                raise kind(said["error"], hint=said["hint"])
            body, signature = said["body"].encode(), said["signature"]
        except (ProgramError, ValueError, KeyError, TypeError) as e:
            raise ConfigError(f"cannot sign a login: {e}") from e
        return Request(method=Method.POST, path=LOGIN, body=body, fields={SIGNATURE: signature})


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


def _path(text: str | None) -> Path | None:
    return None if text is None else Path(text)


def answer(text: bytes) -> dict[str, Any]:
    """Return what the process says: a signed request, or why there is none."""
    asked = json.loads(text)
    place = KeyPlace(
        own=Path(asked["own"]),
        existing=_path(asked["existing"]),
        chosen=_path(asked["chosen"]),
        signer=tuple(asked["signer"]),
        public=_path(asked["public"]),
    )
    credentials = Credentials(identity=lambda: asked["identity"], key=place.open, tenant_token=asked["tenant_token"])
    try:
        request = credentials.request()
    except BistableError as e:
        return {"error": e.what, "hint": e.hint, "code": e.code if isinstance(e, ClientError) else ""}
    assert request.body is not None
    return {"body": request.body.decode(), "signature": request.fields[SIGNATURE]}


class _Said(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.words.append(record.getMessage())


def main() -> None:
    """Answer one question, from the standard input to the standard output."""
    said = _Said()
    logging.basicConfig(handlers=[said], level=logging.INFO)
    found = answer(sys.stdin.buffer.read())
    sys.stdout.write(json.dumps({**found, "log": said.words}))


if __name__ == "__main__":
    main()
