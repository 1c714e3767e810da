"""Opens an artifact for one forward pass: a file, standard input, or addresses that are fetched until all is there."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Protocol

from bistable.artifact.errors import BistableError
from bistable.artifact.source import is_address, open_source
from bistable.client.errors import ClientError, FetchError, UsageError
from bistable.client.fetch.digest import MARK, Prefix, RunningDigest
from bistable.client.fetch.failures import ChangedError, TransientFetchError
from bistable.client.fetch.identity import place_of
from bistable.client.fetch.settings import FetchSettings
from bistable.client.fetch.spool import Kept, Spool

if TYPE_CHECKING:
    from bistable.client.fetch.body import RemoteBody

log = logging.getLogger(__name__)


class ArtifactSource(Protocol):
    """An open artifact: its `name` for people, its `size` in bytes if that is known, and `read`."""

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def size(self) -> int | None: ...  # noqa: D102
    def read(self, size: int, /) -> bytes:
        """Return 1 to `size` bytes, or nothing at the end; a FetchError says why there are no more."""


@contextmanager
def open_artifact(
    where: str,
    settings: FetchSettings,
    *,
    mirrors: Sequence[str] = (),
    spool: Spool | None = None,
    key: str | None = None,
) -> Iterator[ArtifactSource]:
    """Open the artifact that lies at `where`: a file, `-` for standard input, or an http(s) address.

    `mirrors` are addresses of the same artifact, asked where the first one fails. With a `spool`, what arrives is kept
    under `key` (the address, if it is not given) and used by the next call with the same key.

    Raises:
        FetchError: it cannot be opened. TransientFetchError: but perhaps later.
        ConfigError: a certificate or key of the settings cannot be used.
        UsageError: the address cannot be used.
    """
    if not is_address(where):
        if mirrors:
            raise UsageError("cannot fetch from mirrors of what is not an address")
        with _open_local(where, settings) as source:
            yield source
        return
    download = _Download([where, *mirrors], settings, spool, key)
    try:
        download.start()
        yield download
    finally:
        download.close()


class _Local:
    def __init__(self, source: ArtifactSource, settings: FetchSettings) -> None:
        self._source = source
        self._settings = settings
        self.name = source.name
        self.size = source.size

    def read(self, size: int, /) -> bytes:
        self._settings.check()
        try:
            return self._source.read(size)
        except BistableError as e:
            raise FetchError(e.what, hint=e.hint) from e


@contextmanager
def _open_local(where: str, settings: FetchSettings) -> Iterator[ArtifactSource]:
    with ExitStack() as stack:
        try:
            source = stack.enter_context(open_source(where))
        except BistableError as e:
            raise FetchError(e.what, hint=e.hint) from e
        yield _Local(source, settings)


class _Download:
    """What was kept, from the spool; then what follows, from the servers."""

    def __init__(self, names: Sequence[str], settings: FetchSettings, spool: Spool | None, key: str | None) -> None:
        # Loaded here, since a command that fetches nothing should not wait for it.
        from bistable.artifact.source.address import parse_address

        try:
            self._addresses = [parse_address(name) for name in names]
        except BistableError as e:
            raise UsageError(e.what, hint=e.hint) from e
        self._settings = settings
        self._spool = spool
        # An address may be a signed link, which is not to be kept as it is.
        self._key = place_of(self._addresses[0]) if key is None else key
        self._kept: Prefix | None = None
        self._again = RunningDigest()
        self._block = memoryview(b"")
        self._body = self._make_body(None)

    @property
    def name(self) -> str:
        return self._body.shown

    @property
    def size(self) -> int | None:
        return self._body.size

    def start(self) -> None:
        """Connect, so that the size is known and what was kept is not used for something else."""
        kept = None if self._spool is None else self._spool.resume(self._key, self._settings.check)
        if kept is not None:
            self._body.close()
            self._body, self._kept = self._make_body(kept), kept.digest.prefix()
            try:
                self._body.connect()
            except ChangedError as e:
                log.info("starting again from the first byte: %s", e.what)
                self._body.close()
                self._body, self._kept, kept = self._make_body(None), None, None
            else:
                log.info("going on after %d kept bytes", self._kept.position)
        if kept is None:
            if self._spool is not None:
                self._spool.begin(self._key)
            self._body.connect()

    def read(self, size: int, /) -> bytes:
        self._settings.check()
        return self._fetch(size) if self._kept is None else self._replay(self._kept, size)

    def close(self) -> None:
        self._body.close()
        if self._spool is not None:
            self._spool.finish(self._body.digest, self._body.identity)

    def _make_body(self, kept: Kept | None) -> "RemoteBody":
        from bistable.client.fetch.body import RemoteBody

        if kept is None:
            return RemoteBody(self._addresses, self._settings)
        return RemoteBody(self._addresses, self._settings, digest=kept.digest, identity=kept.identity)

    def _replay(self, kept: Prefix, size: int) -> bytes:
        """Return what was kept, in blocks that are compared once more: it may be long since it was checked."""
        if not self._block:
            self._block = self._next_block(kept)
        data = bytes(self._block[:size])
        self._block = self._block[size:]
        if not self._block and self._again.position == kept.position:
            self._kept = None
        return data

    def _next_block(self, kept: Prefix) -> memoryview:
        assert self._spool is not None
        at = self._again.position
        size = min(MARK, kept.position - at)
        try:
            block, why = self._spool.replay(size, at), "it is not what it was"
        except OSError as e:
            block, why = b"", e.strerror or str(e)
        self._again.update(block)
        if len(block) != size or not self._again.agrees(kept):
            self._throw_away()
            raise TransientFetchError(f"cannot read back what was kept of {self.name}: {why}", hint="start again")
        return memoryview(block)

    def _fetch(self, size: int) -> bytes:
        try:
            data = self._body.read(size)
        except ChangedError:
            self._throw_away()
            raise
        if data and self._spool is not None and self._body.identity is not None:
            self._spool.take(data, self._body.digest, self._body.identity)
        return data

    def _throw_away(self) -> None:
        try:
            if self._spool is not None:
                self._spool.discard()
        except ClientError as e:
            log.info("%s", e)
