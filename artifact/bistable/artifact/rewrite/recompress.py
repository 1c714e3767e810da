"""Compressing the payload differently.

No digest covers the compressed stream, so a signature stays valid as long as the head stays as it is. FORMAT.md §3.2,
§7.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from bistable.artifact.errors import MachineError
from bistable.artifact.files import replacing, write_all
from bistable.artifact.model import ROOTFS_IMAGE, SignatureState
from bistable.artifact.reader import ArtifactReader, IncomingFile
from bistable.artifact.rewrite.change import Changed, as_version_3
from bistable.artifact.tar import BLOCK, END, encode_header, padding
from bistable.artifact.writer.data import data_writer
from bistable.artifact.writer.head import build_head, frame_head
from bistable.artifact.writer.write import Options


def recompress_artifact(path: Path, target: Path, options: Options) -> Changed:
    """Write the artifact with its payload compressed by `options.codec` to `target`, all digests checked on the way.

    A signed artifact keeps its head to the letter, header compression included, unless a signer is given; any other
    gets a new header in the same compression as the payload, so that readers which lack the old one take it.

    Raises:
        RejectedError: the artifact breaks a rule; nothing is written then.
        MachineError: a file cannot be read or written.
    """
    try:
        with path.open("rb", buffering=0) as file, replacing(target) as out:
            return _recompress(ArtifactReader(file), out, options)
    except OSError as e:
        raise MachineError(f"cannot read {path}: {e.strerror or e}") from e


def _recompress(reader: ArtifactReader, out: BinaryIO, options: Options) -> Changed:
    head = reader.read_head()
    signer, kind = options.signer, options.codec.kind
    key = None if signer is None else signer.public.name
    kept = head.signature is not SignatureState.UNSIGNED and signer is None
    if kept:
        front = _same_head(reader, options.mtime)
    else:
        files = list(head.manifest.payload_digests().items())
        sign = None if signer is None else signer.sign
        front, _ = build_head(as_version_3(head), files, kind, mtime=options.mtime, sign=sign)
    write_all(out, front + bytes(BLOCK))
    with data_writer(out, options.codec, mtime=options.mtime, on_progress=options.on_progress) as data:
        for incoming in reader.files():
            data.add(_Passing(incoming), size_follows=head.header.info.payload_type == ROOTFS_IMAGE)
        stored_size = data.finish()
    reader.finish()
    write_all(out, padding(stored_size) + END)
    size = out.tell()
    out.seek(len(front))
    write_all(out, encode_header(f"data/0000.tar{kind.value}", stored_size, mtime=options.mtime))
    return Changed(name=head.header.info.artifact_name, size=size, key=key, signature_kept=kept, payload_read=True)


def _same_head(reader: ArtifactReader, mtime: int) -> bytes:
    """Return the members before the payload with the bodies that they have."""
    bodies = dict(reader.members)
    signature = bodies.get("manifest.sig")
    header_name = reader.members[-1][0]
    return frame_head(bodies["version"], bodies["manifest"], signature, header_name, bodies[header_name], mtime=mtime)


@dataclass(frozen=True, slots=True)
class _Passing:
    """A payload file that comes out of one artifact and goes into another."""

    incoming: IncomingFile

    @property
    def name(self) -> str:
        return self.incoming.name

    @property
    def size(self) -> int:
        return self.incoming.size

    @contextmanager
    def open(self) -> Iterator["_Passing"]:
        yield self

    def chunks(self) -> Iterator[memoryview]:
        for chunk in self.incoming.chunks():
            yield memoryview(chunk)
        self.incoming.finish()
