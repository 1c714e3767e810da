"""Reads an artifact once, forward, from anything that gives bytes: a file, a pipe, a socket. FORMAT.md §11."""

from collections.abc import Iterator
from typing import Final, Protocol

from bistable.artifact.errors import RejectedError, Where, quoted
from bistable.artifact.limits import MIB
from bistable.artifact.model import Artifact, Compression, Head, PayloadFile
from bistable.artifact.streams import open_decompressor
from bistable.artifact.streams.source import Source
from bistable.artifact.tar import Kind, Member, TarReader
from bistable.artifact.trust import FileCheck, Intake, Policy

DATA_STEM: Final = "data/0000.tar"
CHUNK: Final = MIB // 2


class Sink(Protocol):
    """Where payload bytes go. What was written between `begin` and `commit` must not be used before `commit`."""

    def begin(self, name: str, size: int) -> None:
        """Get ready for the file `name` of `size` bytes (as claimed; checked by its digest only)."""
        ...

    def write(self, data: bytes) -> None:
        """Take the next bytes, which are not yet trusted."""
        ...

    def commit(self) -> None:
        """Keep the file: its digest matched."""
        ...

    def discard(self) -> None:
        """Throw away what was written since `begin`: the file is not what the manifest says."""
        ...


class _Nowhere:
    """The sink of those who only want to know whether the artifact is whole."""

    def begin(self, name: str, size: int) -> None: ...
    def write(self, data: bytes) -> None: ...
    def commit(self) -> None: ...
    def discard(self) -> None: ...


class ArtifactReader:
    """One pass over one artifact: `read_head`, then `files` to their end, then `finish`.

    `source` is any binary stream; nothing is read twice and nothing is sought.
    """

    def __init__(self, source: Source, policy: Policy | None = None) -> None:
        self._intake = Intake(policy or Policy())
        self._outer = TarReader(source, archive="artifact", found=self._intake.findings)
        self._head: Head | None = None
        self._data: Member | None = None
        self._files: list[PayloadFile] = []
        self._walk: Iterator[IncomingFile] | None = None
        self._compression: Compression | None = None
        self._data_start = 0
        self.members: list[tuple[str, bytes]] = []
        """Name and stored bytes of the members before the payload, in order, once the head was read."""

    @property
    def data_span(self) -> tuple[int, int, int] | None:
        """Where the data member lies, once the head was read: its header's start, its body's start, its body's end.

        None if there is none. FORMAT.md §6.
        """
        if self._data is None:
            return None
        return self._data.offset, self._data_start, self._data_start + self._data.size

    @property
    def data_compression(self) -> Compression | None:
        """How the data member is compressed, once the head was read; None if there is none."""
        return self._compression

    def read_head(self) -> Head:
        """Read all that stands before the payload and return it, checked.

        Raises:
            RejectedError: the artifact breaks a rule (and its kinds: SignatureError, UnsupportedError, LimitError).
            PolicyError: it is sound but refused.
        """
        if self._head is not None:
            return self._head
        while (member := self._outer.next_member()) is not None:
            compression = Compression.of_member(member.name, DATA_STEM)
            if compression is not None:
                self._data, self._compression = member, compression
                self._data_start = self._outer.position
                _check_file(member)
                break
            limit = self._intake.limit(member.name)
            _check_file(member)
            body = self._outer.read_all(member, limit=limit)
            self._intake.accept(member.name, body)
            self.members.append((member.name, body))
        self._head = self._intake.head()
        return self._head

    def files(self) -> Iterator["IncomingFile"]:
        """Return the payload files in stored order, always the same iterator; what is not read of one is skipped.

        Raises:
            RejectedError: the data member breaks a rule.
        """
        if self._walk is None:
            self._walk = self._walk_files()
        return self._walk

    def _walk_files(self) -> Iterator["IncomingFile"]:
        self.read_head()
        if self._data is None or self._compression is None:
            return
        name = self._data.name
        body = _Body(self._outer)
        inner = TarReader(
            open_decompressor(body, self._compression, member=name), archive=name, found=self._intake.findings
        )
        while (member := inner.next_member()) is not None:
            if member.kind is not Kind.FILE:
                raise RejectedError(
                    f"cannot read {name}: {quoted(member.name)} is a {member.kind.value}, not a file",
                    where=Where(member=name, offset=member.offset),
                    rule="payload.kind",
                )
            incoming = IncomingFile(member, inner, self._intake.begin_file(member.name))
            yield incoming
            self._files.append(incoming.finish())

    def finish(self) -> Artifact:
        """Read to the end of the stream, files that nobody took included, and return what the artifact was.

        Raises:
            RejectedError: a listed file is missing or does not match, or something follows that must not.
        """
        head = self.read_head()
        for incoming in self.files():
            incoming.finish()
        if (extra := self._outer.next_member()) is not None:
            raise RejectedError(
                f"cannot read artifact: the member {quoted(extra.name)} stands after the payload",
                where=Where(member="artifact", offset=extra.offset),
                rule="structure.order",
            )
        self._intake.finish(data_present=self._data is not None)
        return Artifact(
            head=head,
            files=tuple(self._files),
            data_compression=self._compression,
            size=self._outer.position,
            findings=tuple(self._intake.findings),
        )


class IncomingFile:
    """One payload file on its way in. Its bytes are trusted only after `finish` (or the next step of `files`)."""

    def __init__(self, member: Member, inner: TarReader, check: FileCheck) -> None:
        self.name = member.name
        self.size = member.size
        self._inner = inner
        self._check = check
        self._done: PayloadFile | None = None

    def chunks(self) -> Iterator[bytes]:
        """Yield the content in pieces of at most CHUNK bytes; NOT trusted until the file's end was reached."""
        while data := self._inner.read(CHUNK):
            self._check.update(data)
            yield data

    def unhashed_chunks(self) -> Iterator[bytes]:
        """Yield the content without hashing it, for who hashes what became of it and calls `finish_as`.

        That spares a device one of two hashes over the same bytes. `finish` cannot succeed after this.
        """
        while data := self._inner.read(CHUNK):
            yield data

    def finish_as(self, digest: str) -> PayloadFile:
        """Check the SHA-256 (lower case hexadecimal) of what `unhashed_chunks` became, and return the file.

        Raises:
            RejectedError: the digest does not match, or not all of the file was taken.
        """
        if self._done is None:
            whole = not self._inner.read(1)
            self._done = self._check.finish_as(digest if whole else "", self.size)
        return self._done

    def finish(self) -> PayloadFile:
        """Read what is left, check the digest and return the file.

        Raises:
            RejectedError: the digest does not match.
        """
        if self._done is None:
            for _ in self.chunks():
                pass
            self._done = self._check.finish()
        return self._done


def read_artifact(source: Source, policy: Policy | None = None, sink: Sink | None = None) -> Artifact:
    """Read a whole artifact, check everything, and hand the payload files to `sink`.

    The sink's `commit` is called for a file only after its digest matched; `discard` when anything failed inside it.

    Raises:
        RejectedError: the artifact breaks a rule (and its kinds: SignatureError, UnsupportedError, LimitError).
        PolicyError: it is sound but refused.
    """
    target = sink or _Nowhere()
    reader = ArtifactReader(source, policy)
    reader.read_head()
    for incoming in reader.files():
        target.begin(incoming.name, incoming.size)
        try:
            for chunk in incoming.chunks():
                target.write(chunk)
            incoming.finish()
        except BaseException:
            target.discard()
            raise
        target.commit()
    return reader.finish()


class _Body:
    """The body of the outer reader's current member, as a source."""

    def __init__(self, outer: TarReader) -> None:
        self._outer = outer

    def read(self, size: int, /) -> bytes:
        return self._outer.read(size)


def _check_file(member: Member) -> None:
    if member.kind is not Kind.FILE:
        raise RejectedError(
            f"cannot read artifact: {quoted(member.name)} is a {member.kind.value}, not a file",
            where=Where(member="artifact", offset=member.offset),
            rule="structure.kind",
        )
