"""The bytes that stand before the payload: version, manifest, signature, header. FORMAT.md §1, §5, §12."""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from bistable.artifact import documents
from bistable.artifact.errors import RequestError
from bistable.artifact.header import PREFIX
from bistable.artifact.keys import encode_signature
from bistable.artifact.keys.ports import Signer
from bistable.artifact.limits import HEADER_EXPANDED_SIZE, HEADER_STORED_SIZE, JSON_SIZE, MANIFEST_SIZE
from bistable.artifact.model import Compression, Header, Manifest, ManifestLine
from bistable.artifact.streams import stored
from bistable.artifact.tar import END, encode_header, padding

SCRIPT_MODE: Final = 0o755


def member(name: str, body: bytes, *, mtime: int, mode: int = 0o600) -> bytes:
    """Return one whole tar member."""
    return encode_header(name, len(body), mode=mode, mtime=mtime) + body + padding(len(body))


def header_member(header: Header, kind: Compression, *, mtime: int) -> tuple[str, bytes]:
    """Return name and stored bytes of the header; their length does not depend on the values of digests in it.

    Raises:
        RequestError: it is larger than readers take.
    """
    info, type_info = documents.encode_header_info(header.info), documents.encode_type_info(header.type_info)
    _require(max(len(info), len(type_info)), JSON_SIZE, "one document of the header")
    parts = [member("header-info", info, mtime=mtime)]
    parts += [
        member(f"scripts/{script.name}", script.content, mtime=mtime, mode=SCRIPT_MODE)
        for script in sorted(header.scripts, key=lambda script: script.name)
    ]
    parts.append(member(PREFIX + "type-info", type_info, mtime=mtime))
    if header.meta_data is not None:
        parts.append(member(PREFIX + "meta-data", header.meta_data, mtime=mtime))
    archive = b"".join(parts) + END
    body = stored(kind, archive)
    _require(len(archive), HEADER_EXPANDED_SIZE, "the header with its scripts")
    _require(len(body), HEADER_STORED_SIZE, "the header with its scripts")
    return f"header.tar{kind.value}", body


def manifest_for(files: Iterable[tuple[str, str]], header_name: str, header_body: bytes, version: bytes) -> Manifest:
    """Return the manifest in the order that all real writers use: payload files, header, version."""
    return Manifest(
        lines=(
            *documents.payload_lines(tuple(files)),
            ManifestLine(name=header_name, digest=hashlib.sha256(header_body).hexdigest()),
            ManifestLine(name="version", digest=hashlib.sha256(version).hexdigest()),
        )
    )


def build_head(
    header: Header,
    files: Sequence[tuple[str, str]],
    kind: Compression,
    *,
    mtime: int,
    sign: Callable[[bytes], bytes] | None,
) -> tuple[bytes, bytes]:
    """Return (the head's bytes up to the data member, the manifest's bytes).

    `files` are (name, digest) in manifest order; `sign` makes the signature over the manifest, None leaves it out.

    Raises:
        RequestError: a part is larger than readers take.
    """
    header_name, header_body = header_member(header, kind, mtime=mtime)
    manifest = documents.encode_manifest(manifest_for(files, header_name, header_body, documents.VERSION_3))
    _require(len(manifest), MANIFEST_SIZE, "the list of payload files")
    signature = None if sign is None else encode_signature(sign(manifest))
    version = documents.VERSION_3
    return frame_head(version, manifest, signature, header_name, header_body, mtime=mtime), manifest


def frame_head(
    version: bytes, manifest: bytes, signature: bytes | None, header_name: str, header_body: bytes, *, mtime: int
) -> bytes:
    """Return the members that stand before the payload, from ready bodies."""
    parts = [member("version", version, mtime=mtime), member("manifest", manifest, mtime=mtime)]
    if signature is not None:
        parts.append(member("manifest.sig", signature, mtime=mtime))
    parts.append(member(header_name, header_body, mtime=mtime))
    return b"".join(parts)


def _require(size: int, limit: int, what: str) -> None:
    """Refuse to write what readers refuse to read. FORMAT.md §10."""
    if size > limit:
        raise RequestError(f"cannot write {size} bytes for {what}: readers take at most {limit}")


def placeholder_signature(signer: Signer | None) -> Callable[[bytes], bytes] | None:
    """Return something that makes signatures of the right length without asking the signer."""
    return None if signer is None else lambda _: bytes(signer.signature_size)
