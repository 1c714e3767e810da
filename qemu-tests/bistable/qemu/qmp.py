"""QEMU's monitor: one JSON document a line, answers and events mixed. (docs/interop/qmp-spec.txt of QEMU)"""

import json
import socket
import time
from collections import deque
from typing import Any, Final

from bistable.artifact.errors import MachineError
from bistable.tools.bench.patience import MONITOR, scaled

MOST: Final = 1024 * 1024
"""Bytes of one document; the longest ones, lists of all devices, have some ten thousand."""


class Monitor:
    """A connection to a running QEMU.

    Raises:
        MachineError: QEMU does not answer; what it wrote on ending is in its own log.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._pending = b""
        self._events: deque[dict[str, Any]] = deque()
        self._next(time.monotonic() + scaled(MONITOR))
        self.ask("qmp_capabilities")

    def ask(self, command: str, **arguments: object) -> Any:
        """Have QEMU do something, and return its answer.

        Raises:
            MachineError: it refuses, or does not answer.
        """
        question = {"execute": command, "arguments": arguments} if arguments else {"execute": command}
        deadline = time.monotonic() + scaled(MONITOR)
        try:
            self._connection.sendall(json.dumps(question).encode() + b"\n")
        except OSError as e:
            raise MachineError(f"cannot ask QEMU to {command}: {e.strerror}") from e
        while True:
            document = self._next(deadline)
            if "event" in document:
                self._events.append(document)
            elif "error" in document:
                raise MachineError(f"cannot have QEMU do {command}: {document['error'].get('desc')}")
            else:
                return document["return"]

    def wait_for(self, event: str, *, seconds: float) -> dict[str, Any]:
        """Return the next event of that name, from those that came since the last call; others before it are dropped.

        Raises:
            MachineError: it does not come in time.
        """
        deadline = time.monotonic() + scaled(seconds)
        while True:
            document = self._events.popleft() if self._events else self._next(deadline)
            if document.get("event") == event:
                return document

    def close(self) -> None:
        """Let go of the connection."""
        self._connection.close()

    def _next(self, deadline: float) -> dict[str, Any]:
        while b"\n" not in self._pending:
            left = deadline - time.monotonic()
            if left <= 0 or len(self._pending) > MOST:
                raise MachineError("cannot talk to QEMU: it does not answer")
            self._connection.settimeout(left)
            try:
                data = self._connection.recv(65536)
            except TimeoutError:
                continue
            except OSError as e:
                raise MachineError(f"cannot talk to QEMU: {e.strerror}") from e
            if not data:
                raise MachineError("cannot talk to QEMU: it has ended")
            self._pending += data
        line, _, self._pending = self._pending.partition(b"\n")
        document = json.loads(line)
        assert isinstance(document, dict)
        return document
