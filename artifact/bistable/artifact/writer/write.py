"""Writes an artifact in one pass over its input. FORMAT.md §12.

The head's length is known before its content is: digests and signatures have fixed lengths, and the header is stored
in a form whose length depends on nothing else. So the payload goes straight to its place, hashed and compressed on
the way, and the head is filled in at the end.
"""

import hashlib
import stat
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO, Final

from bistable.artifact.errors import MachineError, PolicyError
from bistable.artifact.files import replacing, write_all
from bistable.artifact.keys.ports import Signer
from bistable.artifact.limits import MIB
from bistable.artifact.model import ROOTFS_IMAGE, Compression, Header, PayloadFile
from bistable.artifact.streams import Codec
from bistable.artifact.tar import BLOCK, END, encode_header, padding
from bistable.artifact.writer.data import Progress, data_writer
from bistable.artifact.writer.head import build_head, placeholder_signature
from bistable.artifact.writer.request import WriteRequest, check_request

_NO_DIGEST: Final = "0" * 64


def ignore_progress(_count: int) -> None:
    """Take note of progress, and do nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How to write: compression, signer, the time stamped on members (Unix seconds), and who is told of progress.

    `max_size`: the most bytes that the artifact may have; writing ends as soon as it is larger.
    """

    codec: Codec = field(default_factory=Codec)
    signer: Signer | None = None
    mtime: int = 0
    max_size: int | None = None
    on_progress: Progress = ignore_progress


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What was written: `size` in bytes, the manifest's SHA-256, the payload files, and who signed it."""

    name: str
    size: int
    manifest_digest: str
    files: tuple[PayloadFile, ...]
    compression: Compression
    key: str | None


def write_artifact(target: Path, request: WriteRequest, options: Options | None = None) -> Written:
    """Write an artifact to the file `target`, which appears whole or not at all.

    A `target` that is a pipe or a device is written to as a stream.

    Raises:
        RequestError: the request cannot be expressed in the format.
        KeyUnusableError: the signer cannot sign.
        PolicyError: it would be larger than `max_size`.
        MachineError: a file cannot be read or written.
    """
    check_request(request)
    if not _is_stream(target):
        with replacing(target) as out:
            return write_to_file(out, request, options)
    with ExitStack() as stack:
        try:
            stream = stack.enter_context(target.open("wb", buffering=0))
        except OSError as e:
            raise MachineError(f"cannot write {target}: {e.strerror or e}") from e
        return write_to_stream(stream, request, options)


def _is_stream(target: Path) -> bool:
    """Return whether `target` is there and not a file that can be replaced."""
    try:
        return not stat.S_ISREG(target.stat().st_mode)
    except FileNotFoundError:
        return False
    except OSError as e:
        raise MachineError(f"cannot write {target}: {e.strerror or e}") from e


def write_to_stream(stream: BinaryIO, request: WriteRequest, options: Options | None = None) -> Written:
    """Write an artifact to something that cannot seek, such as standard output.

    The tar header in front of the payload holds its compressed size, so the artifact is put together in an unnamed file
    (in TMPDIR) first; the input is still read once only.

    Raises:
        RequestError: the request cannot be expressed in the format.
        KeyUnusableError: the signer cannot sign.
        PolicyError: it would be larger than `max_size`.
        MachineError: a file cannot be read or written.
        BrokenPipeError: nobody reads `stream` any more.
    """
    with ExitStack() as stack:
        try:
            spool = stack.enter_context(tempfile.TemporaryFile(buffering=0))
            written = write_to_file(spool, request, options)
            spool.seek(0)
        except OSError as e:
            raise MachineError(
                f"cannot write a temporary file: {e.strerror or e}", hint="TMPDIR says in which directory"
            ) from e
        try:
            while chunk := spool.read(MIB):
                write_all(stream, chunk)
            stream.flush()
        except BrokenPipeError:
            raise  # not a fault: programs that write to pipes end quietly then
        except OSError as e:
            raise MachineError(f"cannot write the artifact: {e.strerror or e}") from e
    return written


def write_to_file(out: BinaryIO, request: WriteRequest, options: Options | None = None) -> Written:
    """Write an artifact into an empty, seekable file, from its start."""
    check_request(request)
    options = options or Options()
    kind = options.codec.kind
    promised, _ = _head(request, {item.name: _NO_DIGEST for item in request.files}, options, real=False)
    out.seek(len(promised) + BLOCK)
    with data_writer(out, options.codec, mtime=options.mtime, on_progress=_watching(out, options)) as data:
        size_follows = request.header.info.payload_type == ROOTFS_IMAGE
        files = tuple(data.add(item, size_follows=size_follows) for item in request.files)
        stored_size = data.finish()
    write_all(out, padding(stored_size) + END)
    size = out.tell()
    _check_size(size, options)
    head, manifest = _head(request, {file.name: file.digest for file in files}, options, real=True)
    if len(head) != len(promised):
        raise MachineError("cannot fill in the head: the signer made a signature of another length than it said")
    out.seek(0)
    write_all(out, head + encode_header(f"data/0000.tar{kind.value}", stored_size, mtime=options.mtime))
    return Written(
        name=request.header.info.artifact_name,
        size=size,
        manifest_digest=hashlib.sha256(manifest).hexdigest(),
        files=files,
        compression=kind,
        key=None if options.signer is None else options.signer.public.name,
    )


def _watching(out: BinaryIO, options: Options) -> Progress:
    """Return what is told of progress: the caller, and the check whether the output is still small enough."""

    def progress(count: int) -> None:
        options.on_progress(count)
        _check_size(out.tell(), options)

    return options.on_progress if options.max_size is None else progress


def _check_size(size: int, options: Options) -> None:
    if options.max_size is not None and size > options.max_size:
        raise PolicyError(f"cannot write this artifact: it is larger than {options.max_size} bytes, the most allowed")


def _head(request: WriteRequest, digests: Mapping[str, str], options: Options, *, real: bool) -> tuple[bytes, bytes]:
    header = with_checksum(request.header, request.checksum_key, digests)
    signer = options.signer
    sign = (signer.sign if signer is not None else None) if real else placeholder_signature(signer)
    return build_head(header, list(digests.items()), options.codec.kind, mtime=options.mtime, sign=sign)


def with_checksum(header: Header, key: str | None, digests: Mapping[str, str]) -> Header:
    """Return the header with the digest of the (only) payload file among what it provides."""
    if key is None or not digests:
        return header
    provides = {**header.type_info.provides, key: next(iter(digests.values()))}
    return replace(header, type_info=replace(header.type_info, provides=provides))
