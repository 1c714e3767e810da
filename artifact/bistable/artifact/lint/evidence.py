"""What a linter has to know of an artifact, gathered in one pass over it. FORMAT.md §11."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from bistable.artifact.errors import LimitError
from bistable.artifact.keys import decode_signature
from bistable.artifact.limits import MIB
from bistable.artifact.lint.frames import PREFIX_SIZE, Needs, decoder_needs
from bistable.artifact.lint.inside import Inside, look_inside
from bistable.artifact.model import ROOTFS_IMAGE, Artifact, Compression, Finding, Head, PayloadFile
from bistable.artifact.reader import ArtifactReader
from bistable.artifact.scratch import scratch_file, unpack_file
from bistable.artifact.streams import Source
from bistable.artifact.trust import Policy

_WINDOW_RULE: Final = "compression.window"


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """An artifact as a linter sees it.

    `size` in bytes; `signature` decoded, None if unsigned; `data_needs` is what decompressing the payload takes;
    `data_stored` the stored size of the data member in bytes, None if there is none. `findings` are what the reader
    tolerated. `payload_read` is False if the payload could not be read within this reader's limits. `inside` is what
    the image says of itself, None if nobody looked.
    """

    head: Head
    size: int
    signature: bytes | None
    data_compression: Compression | None
    data_stored: int | None
    data_needs: Needs
    findings: tuple[Finding, ...]
    files: tuple[PayloadFile, ...] = ()
    payload_read: bool = True
    inside: Inside | None = None


def examine(source: Source) -> Evidence:
    """Read a whole artifact, check all digests, and return what a linter has to know.

    Raises:
        RejectedError: it is no artifact, or a damaged one; a signature is not checked.
    """
    return _examine(source, _read_through)


def examine_image(source: Source) -> Evidence:
    """Do what `examine` does, and look into the image of a root file system, unpacked to an unnamed file in TMPDIR.

    Raises:
        RejectedError: as for `examine`.
        MachineError: there is no room to unpack, or a tool is missing.
    """
    return _examine(source, _read_into)


def _examine(source: Source, read_payload: Callable[[ArtifactReader], tuple[Artifact, Inside | None]]) -> Evidence:
    watched = _Watched(source)
    reader = ArtifactReader(watched, Policy(allow_augment=True))
    head = reader.read_head()
    watched.start_keeping()
    span = reader.data_span
    body = dict(reader.members).get("manifest.sig")
    evidence = Evidence(
        head=head,
        size=0,
        signature=None if body is None else decode_signature(body)[0],
        data_compression=reader.data_compression,
        data_stored=None if span is None else span[2] - span[1],
        data_needs=Needs(),
        findings=head.findings,
    )
    try:
        artifact, inside = read_payload(reader)
        evidence = replace(
            evidence, size=artifact.size, findings=artifact.findings, files=tuple(artifact.files), inside=inside
        )
    except LimitError as e:
        if e.rule != _WINDOW_RULE:
            raise
        evidence = replace(evidence, size=watched.drain(), payload_read=False)
    if reader.data_compression is None or span is None:
        return evidence
    return replace(evidence, data_needs=decoder_needs(reader.data_compression, watched.kept[: span[2] - span[1]]))


def _read_through(reader: ArtifactReader) -> tuple[Artifact, None]:
    return reader.finish(), None


def _read_into(reader: ArtifactReader) -> tuple[Artifact, Inside | None]:
    head = reader.read_head()
    names = list(head.payload_digests())
    if head.header.info.payload_type != ROOTFS_IMAGE or len(names) != 1:
        return _read_through(reader)
    with scratch_file(names[0]) as scratch:
        artifact = unpack_file(reader, scratch)
        return artifact, look_inside(scratch.path)


class _Watched:
    """A source that keeps the first bytes that pass from some moment on, and counts all."""

    def __init__(self, source: Source) -> None:
        self.kept = b""
        self._source = source
        self._keeping = False
        self._count = 0

    def start_keeping(self) -> None:
        """Keep what comes from now on: nothing of the payload was read yet, since the reader never reads ahead."""
        self._keeping = True

    def read(self, size: int, /) -> bytes:
        data = self._source.read(size)
        self._count += len(data)
        if self._keeping and len(self.kept) < PREFIX_SIZE:
            self.kept += data[: PREFIX_SIZE - len(self.kept)]
        return data

    def drain(self) -> int:
        """Read to the end and return how many bytes there were."""
        while self.read(MIB):
            pass
        return self._count
