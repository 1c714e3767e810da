"""The log of one deployment: what the client said while it was at it, in a file that is bounded and can be sent."""

import json
import logging
import os
import re
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Final, Self

from bistable.artifact.errors import BistableError
from bistable.artifact.limits import KIB, MIB
from bistable.client.files import replacing
from bistable.client.server.wire import LogLine

KEPT: Final = 5
MIN_FREE: Final = 100 * KIB
"""Without so much room on the data partition no log is begun: others need it more."""

MAX_SIZE: Final = MIB
MESSAGE_SIZE: Final = 8 * KIB
LOGGER: Final = "bistable.client"

_NAME: Final = re.compile(r"deployments\.(\d{4})\.([0-9A-Za-z_-]{1,64})\.log", re.ASCII)


class DeploymentLog(logging.Handler):
    """Writes what the client logs into the deployment's file, as lines of JSON.

    The newest log has the number 0001. One that grows beyond `limit` loses its older half. If it cannot be written, the
    update goes on without.
    """

    def __init__(self, path: Path, limit: int = MAX_SIZE) -> None:
        super().__init__()
        self._path, self._limit = path, limit
        self._file: BinaryIO | None = None
        with suppress(OSError):
            self._file = _appending(path)

    @classmethod
    def start(
        cls, directory: Path, deployment: str, *, limit: int = MAX_SIZE, logger: str = LOGGER, min_free: int = MIN_FREE
    ) -> Self | None:
        """Begin the log of a deployment, or go on with it; None if there is no room for it."""
        try:
            state = os.statvfs(directory)
            if state.f_bavail * state.f_frsize < min_free:
                return None
            path = _place(directory, deployment)
        except OSError:
            return None
        handler = cls(path, limit)
        logging.getLogger(logger).addHandler(handler)
        return handler

    def stop(self, logger: str = LOGGER) -> None:
        """End the log, durably."""
        logging.getLogger(logger).removeHandler(self)
        self.close()

    def close(self) -> None:
        """Close the file."""
        self.acquire()
        try:
            if self._file is not None:
                with suppress(OSError):
                    os.fdatasync(self._file.fileno())
                self._give_up()
        finally:
            self.release()
        super().close()

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        if self._file is None:
            return
        try:
            self._file.write(_line(record))
            if self._file.tell() > self._limit:
                self._cut()
        except (OSError, BistableError):
            self._give_up()
        except Exception:  # noqa: BLE001 - as every handler does: a bad call of the logger must not end an update
            self.handleError(record)

    def _cut(self) -> None:
        assert self._file is not None
        data = _tail(self._path, self._limit // 2)
        self._give_up()
        with replacing(self._path) as file:
            file.write(data)
        self._file = _appending(self._path)

    def _give_up(self) -> None:
        if self._file is not None:
            with suppress(OSError):
                self._file.close()
            self._file = None


def read_log(directory: Path, deployment: str) -> list[LogLine]:
    """Return what was logged during a deployment, as far as it can be read; what is damaged is passed over."""
    for path in sorted(_logs(directory).values()):
        match = _NAME.fullmatch(path.name)
        if match is not None and match[2] == deployment:
            try:
                data = _tail(path, 2 * MAX_SIZE)
            except OSError:
                return []
            return [line for text in data.split(b"\n") if (line := _read_line(text)) is not None]
    return []


def _logs(directory: Path) -> dict[int, Path]:
    try:
        found = [(match, path) for path in directory.iterdir() if (match := _NAME.fullmatch(path.name))]
    except OSError:
        return {}
    return {int(match[1]): path for match, path in sorted(found, key=lambda pair: pair[1].name, reverse=True)}


def _place(directory: Path, deployment: str) -> Path:
    """Return where the log goes: where it is, or in the first place, with the others moved on by one."""
    logs = sorted(_logs(directory).items())
    for _, path in logs:
        match = _NAME.fullmatch(path.name)
        if match is not None and match[2] == deployment:
            return path
    for position, (number, path) in reversed(list(enumerate(logs))):
        if position >= KEPT - 1 or number >= 9999:
            path.unlink(missing_ok=True)
        else:
            match = _NAME.fullmatch(path.name)
            assert match is not None
            path.rename(path.with_name(f"deployments.{number + 1:04}.{match[2]}.log"))
    return directory / f"deployments.0001.{deployment}.log"


def _appending(path: Path) -> BinaryIO:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    file = os.fdopen(descriptor, "ab", buffering=0)
    file.seek(0, os.SEEK_END)
    return file


def _tail(path: Path, size: int) -> bytes:
    """Return the last whole lines of a file."""
    with path.open("rb") as file:
        start = max(0, file.seek(0, os.SEEK_END) - size)
        file.seek(start)
        data = file.read(size)
    return data if start == 0 else data.partition(b"\n")[2]


def _line(record: logging.LogRecord) -> bytes:
    message = record.getMessage()
    if len(message) > MESSAGE_SIZE:
        message = message[:MESSAGE_SIZE] + "…"
    values = {"level": record.levelname.lower(), "message": message, "timestamp": _when(record.created)}
    return json.dumps(values, ensure_ascii=False).encode("utf-8", "replace") + b"\n"


def _when(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _read_line(text: bytes) -> LogLine | None:
    try:
        values: Any = json.loads(text)
        found = [values[name] for name in ("timestamp", "level", "message")]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    if not all(isinstance(value, str) for value in found):
        return None
    return LogLine(timestamp=found[0], level=found[1], message=found[2])
