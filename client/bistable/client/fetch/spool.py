"""Keeps what was fetched of one artifact across restarts, so that a fetch goes on where the last one was cut off.

The bytes are made durable first, then the record that says how many of them count. What is found later is compared with
the digests of the record before a byte of it is used; what lies behind the last good one is cut off.
"""

import io
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bistable.artifact.errors import MachineError, RejectedError
from bistable.artifact.files import replacing, write_all
from bistable.artifact.limits import MIB
from bistable.client.errors import StoreError
from bistable.client.fetch.digest import MARK, RunningDigest
from bistable.client.fetch.identity import Identity
from bistable.client.fetch.record import RECORD_SIZE, Record, encode_record, parse_record

log = logging.getLogger(__name__)

DATA: Final = "download.part"
RECORD: Final = "download.json"
EVERY: Final = 8 * MIB


@dataclass(frozen=True, slots=True, kw_only=True)
class SpoolSettings:
    """Where, and how much of the disk: at most `max_size` bytes, and only while `min_free` bytes stay free.

    Both are looked at in steps of `every` bytes, which is also the most that a power cut costs.
    """

    directory: Path
    max_size: int
    min_free: int
    every: int = EVERY


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A checked prefix: the digest of its bytes, ready to go on, and what they are a part of."""

    digest: RunningDigest
    identity: Identity


class Spool:
    """The one file of kept bytes with its record. Without room for it a fetch goes on without it."""

    def __init__(self, settings: SpoolSettings) -> None:
        self._settings = settings
        self._data = settings.directory / DATA
        self._record = settings.directory / RECORD
        self._key = ""
        self._file: io.FileIO | None = None
        self._position = 0
        self._recorded = 0

    def resume(self, key: str, check: Callable[[], None]) -> Kept | None:
        """Return what is kept under `key`, as far as it is sound; all else is thrown away."""
        self.close()
        try:
            record = self._read_record()
            if record is not None and record.key == key:
                return self._recover(record, check)
            if record is not None:
                log.info("throwing away %d kept bytes of another artifact", record.prefix.position)
        except (OSError, MachineError, RejectedError) as e:
            log.info("throwing away what was kept of a download: %s", e)
        self._try_discard()
        return None

    def begin(self, key: str) -> None:
        """Start anew for `key`; what was kept before is gone."""
        self.close()
        try:
            self.discard()
            self._settings.directory.mkdir(parents=True, exist_ok=True)
            self._file = _open(self._data, os.O_CREAT | os.O_EXCL | os.O_RDWR)
        except (OSError, StoreError) as e:
            self._do_without(e)
        self._key, self._position, self._recorded = key, 0, 0

    def replay(self, size: int, at: int) -> bytes:
        """Return bytes that were kept, from byte `at` on."""
        assert self._file is not None
        return os.pread(self._file.fileno(), size, at)

    def take(self, data: bytes, digest: RunningDigest, identity: Identity) -> None:
        """Keep the bytes that `digest` has just taken."""
        if self._file is None:
            return
        try:
            if self._position == self._recorded and not self._has_room():
                # What there is stays of use.
                log.info("keeping no more than %d bytes of the download: that is all the room", self._position)
                self.finish(digest, identity)
                return
            write_all(self._file, data)
            self._position += len(data)
            if self._position - self._recorded >= self._settings.every:
                self._write_record(digest, identity)
        except (OSError, MachineError) as e:
            self._do_without(e)

    def finish(self, digest: RunningDigest, identity: Identity | None) -> None:
        """Record what came since the last time, and close."""
        if self._file is not None and self._position == 0:
            self._try_discard()
        if self._file is not None and identity is not None and self._position > self._recorded:
            try:
                self._write_record(digest, identity)
            except (OSError, MachineError) as e:
                self._do_without(e)
        self.close()

    def close(self) -> None:
        """Close; what was not recorded is lost."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def discard(self) -> None:
        """Remove all that is kept; it may be gone already.

        Raises:
            StoreError: it cannot be removed.
        """
        self.close()
        try:
            # The record first: without it the bytes mean nothing.
            self._record.unlink(missing_ok=True)
            self._data.unlink(missing_ok=True)
        except NotADirectoryError:
            return
        except OSError as e:
            raise StoreError(f"cannot remove what was kept of a download in {self._settings.directory}: {e}") from e

    def _try_discard(self) -> None:
        try:
            self.discard()
        except StoreError as e:
            log.info("%s", e)

    def _do_without(self, error: Exception) -> None:
        """Give back the room: others need it more, if the disk is full."""
        log.info("going on without keeping the download: %s", error)
        self._try_discard()

    def _has_room(self) -> bool:
        """Return whether the next `every` bytes may be kept."""
        if self._position + self._settings.every > self._settings.max_size:
            return False
        state = os.statvfs(self._settings.directory)
        return state.f_bavail * state.f_frsize - self._settings.every >= self._settings.min_free

    def _write_record(self, digest: RunningDigest, identity: Identity) -> None:
        assert self._file is not None
        os.fdatasync(self._file.fileno())
        record = Record(key=self._key, identity=identity, prefix=digest.prefix())
        with replacing(self._record) as file:
            write_all(file, encode_record(record))
        self._recorded = self._position

    def _read_record(self) -> Record | None:
        try:
            with _open(self._record, os.O_RDONLY) as file:
                raw = file.read(RECORD_SIZE + 1)
        except (FileNotFoundError, NotADirectoryError):
            return None
        return parse_record(raw)

    def _recover(self, record: Record, check: Callable[[], None]) -> Kept | None:
        file = _open(self._data, os.O_RDWR)
        try:
            digest = _sound_part(file, record, check)
            if digest.position < record.prefix.position:
                log.info("only %d of %d kept bytes are sound", digest.position, record.prefix.position)
            file.truncate(digest.position)
            file.seek(digest.position)
        except BaseException:
            file.close()
            raise
        if digest.position == 0:
            file.close()
            raise RejectedError("not even its first bytes are what they were")
        self._file, self._key = file, record.key
        self._position = self._recorded = digest.position
        return Kept(digest=digest, identity=record.identity)


def _sound_part(file: io.FileIO, record: Record, check: Callable[[], None]) -> RunningDigest:
    """Return the digest of the longest beginning that is what it was."""
    sound, digest = RunningDigest(), RunningDigest()
    while digest.position < record.prefix.position:
        check()
        data = file.read(min(MARK - digest.position % MARK, record.prefix.position - digest.position))
        digest.update(data)
        if not data or not digest.agrees(record.prefix):
            break
        if digest.position % MARK == 0 or digest.position == record.prefix.position:
            sound = digest.copy()
    return sound


def _open(path: Path, flags: int) -> io.FileIO:
    mode = "r" if flags & os.O_ACCMODE == os.O_RDONLY else "r+"
    return io.FileIO(os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600), mode)
