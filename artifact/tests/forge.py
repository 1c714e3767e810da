"""Artifacts made by hand, for tests: every part can be replaced by a wrong one. FORMAT.md §1 to §6, §9.

Nothing in here uses the code under test, so that a fault in the writer cannot hide the same fault in the reader.
"""

import base64
import gzip
import hashlib
import importlib
import json
import lzma
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final, TypeAlias

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import load_pem_private_key

KEYS: Final = Path(__file__).parent / "vectors" / "keys"
KINDS: Final = ("", ".gz", ".xz", ".zst")

BLOCK: Final = 512
END: Final = bytes(2 * BLOCK)
USTAR: Final = b"ustar\x0000"
GNU: Final = b"ustar  \x00"
V7: Final = bytes(8)

VERSION: Final = b'{"format":"mender","version":3}'
IMAGE: Final = b"an image of a root file system, so to say. " * 30

Line: TypeAlias = tuple[str, str]
"""Digest and name, as in a manifest."""

Member: TypeAlias = tuple[str, bytes]
Document: TypeAlias = Mapping[str, Any] | bytes


# --- tar


def tar_header(
    name: str | bytes,
    size: int = 0,
    *,
    flag: bytes = b"0",
    magic: bytes = USTAR,
    prefix: bytes = b"",
    link: bytes = b"",
    size_field: bytes | None = None,
    patches: Mapping[int, bytes] | None = None,
    off_by: int = 0,
) -> bytes:
    """Return a header block; `patches` puts bytes at offsets, `off_by` makes the checksum wrong."""
    block = bytearray(BLOCK)

    def put(offset: int, value: bytes) -> None:
        block[offset : offset + len(value)] = value

    put(0, name if isinstance(name, bytes) else name.encode())
    put(100, b"0000600\x000000000\x000000000\x00")
    put(124, b"%011o\x00" % size if size_field is None else size_field)
    put(136, b"00000000000\x00")
    put(156, flag)
    put(157, link)
    put(257, magic)
    put(345, prefix)
    for offset, value in (patches or {}).items():
        put(offset, value)
    assert len(block) == BLOCK
    put(148, b" " * 8)
    put(148, b"%06o\x00 " % (sum(block) + off_by))
    return bytes(block)


def tar_member(name: str | bytes, body: bytes = b"", **header: Any) -> bytes:
    """Return a whole member, its body filled up to the block size."""
    return tar_header(name, len(body), **header) + body + bytes(-len(body) % BLOCK)


def tar(*members: bytes | tuple[str | bytes, bytes], end: bytes = END) -> bytes:
    """Return an archive of ready members, or of (name, body)."""
    return b"".join(m if isinstance(m, bytes) else tar_member(*m) for m in members) + end


def pax(*records: tuple[str, str] | bytes, flag: bytes = b"x") -> bytes:
    """Return an extension header of PAX records; bytes stand as they are."""
    return tar_member(
        "PaxHeaders/x", b"".join(r if isinstance(r, bytes) else pax_record(*r) for r in records), flag=flag
    )


def pax_record(key: str, value: str) -> bytes:
    """Return one record, which starts with its own length."""
    rest = f" {key}={value}\n".encode()
    length = len(rest)
    while len(str(length)) + len(rest) != length:
        length = len(str(length)) + len(rest)
    return str(length).encode() + rest


def gnu_long_name(name: str, flag: bytes = b"L") -> bytes:
    """Return the extension header that gives the next member its name."""
    return tar_member("././@LongLink", name.encode() + b"\x00", flag=flag, magic=GNU)


# --- compression


def compress(kind: str, data: bytes) -> bytes:
    """Compress with the ordinary libraries; `kind` is the suffix."""
    if kind == ".gz":
        return gzip.compress(data, 6, mtime=0)
    if kind == ".xz":
        return lzma.compress(data, preset=0)
    if kind == ".zst":
        return zstd(data)
    return data


def zstd(data: bytes) -> bytes:
    """Return one frame with a checksum."""
    encoder = zstd_encoder()
    return bytes(encoder.compress(data) + encoder.flush())


def zstd_encoder() -> Any:
    """Return what makes a frame with a checksum, piece by piece."""
    try:
        library = importlib.import_module("compression.zstd")
        return library.ZstdCompressor(options={library.CompressionParameter.checksum_flag: 1})
    except ImportError:
        library = importlib.import_module("zstandard")
    return library.ZstdCompressor(write_checksum=True).compressobj()


# --- documents


def encode(document: Document) -> bytes:
    """Return a document's bytes; bytes stand as they are."""
    if isinstance(document, bytes):
        return document
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()


def header_info(payload_type: str | None = "rootfs-image", **changes: Any) -> dict[str, Any]:
    """Return a `header-info`; a change to ... takes a key away."""
    document = {
        "payloads": [{"type": payload_type}],
        "artifact_provides": {"artifact_name": "release-1"},
        "artifact_depends": {"device_type": ["board"]},
    }
    return {key: value for key, value in (document | changes).items() if value is not ...}


def type_info(payload_type: str | None = "rootfs-image", **changes: Any) -> dict[str, Any]:
    """Return a `type-info`; a change to ... takes a key away."""
    document = {"type": payload_type, "artifact_provides": {"rootfs-image.version": "release-1"}}
    return {key: value for key, value in (document | changes).items() if value is not ...}


def digest(data: bytes) -> str:
    """Return SHA-256 in hex."""
    return hashlib.sha256(data).hexdigest()


@cache
def private(name: str) -> Any:
    """Return a test key, unchecked, because checking takes longer than a test."""
    return load_pem_private_key((KEYS / f"{name}.key").read_bytes(), None, unsafe_skip_rsa_key_validation=True)


def signed(message: bytes, key: str = "ec256") -> bytes:
    """Return the signature of `message` by a test key, in the artifact's form, before base64."""
    signer = private(key)
    if isinstance(signer, rsa.RSAPrivateKey):
        return signer.sign(message, padding.PKCS1v15(), hashes.SHA256())
    r, s = decode_dss_signature(signer.sign(message, ec.ECDSA(hashes.SHA256())))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def same(value: Any) -> Any:
    """Change nothing."""
    return value


@dataclass(kw_only=True)
class Augment:
    """The unsigned part. FORMAT.md §5.7."""

    info: Document = field(default_factory=lambda: {"payloads": [{"type": "delta"}]})
    type_info: Document = field(default_factory=lambda: type_info("delta"))
    files: Sequence[Member] = (("more.bin", b"more"),)
    extra: Sequence[Member] = ()
    kind: str | None = None
    lines: Callable[[list[Line]], list[Line]] = same


@dataclass(kw_only=True)
class Forge:
    """The parts of an artifact; what is not given is as it should be, and fits what is given.

    `header_archive` and `data_archive` are archives before compression, `header` and `data` after it. `lines`,
    `manifest` and `signature` change what was made. `key` signs.
    """

    kind: str = ".gz"
    data_kind: str | None = None
    version: bytes = VERSION
    info: Document = field(default_factory=header_info)
    scripts: Sequence[Member] = ()
    type_info: Document = field(default_factory=type_info)
    meta_data: bytes | None = b""
    header_archive: bytes | None = None
    header: bytes | None = None
    files: Sequence[Member] = (("rootfs.ext4", IMAGE),)
    data_archive: bytes | None = None
    data: bytes | None = None
    lines: Callable[[list[Line]], list[Line]] = same
    manifest: Callable[[bytes], bytes] = same
    key: str | None = None
    signature: Callable[[bytes], bytes] = base64.b64encode
    augment: Augment | None = None

    def header_members(self) -> list[Member]:
        """Return what the header archive holds."""
        members = [("header-info", encode(self.info))]
        members += [(f"scripts/{name}", body) for name, body in self.scripts]
        members.append(("headers/0000/type-info", encode(self.type_info)))
        if self.meta_data is not None:
            members.append(("headers/0000/meta-data", self.meta_data))
        return members

    def members(self) -> list[Member]:
        """Return the artifact's members in their order."""
        header_archive = tar(*self.header_members()) if self.header_archive is None else self.header_archive
        header_name, header = f"header.tar{self.kind}", self.header
        if header is None:
            header = compress(self.kind, header_archive)
        added = () if self.augment is None else self.augment.files
        data_archive = tar(*self.files, *added) if self.data_archive is None else self.data_archive
        data_kind = self.kind if self.data_kind is None else self.data_kind
        data = compress(data_kind, data_archive) if self.data is None else self.data
        lines = [
            *[(digest(body), f"data/0000/{name}") for name, body in self.files],
            (digest(header), header_name),
            (digest(self.version), "version"),
        ]
        manifest = self.manifest(manifest_of(self.lines(lines)))
        members = [("version", self.version), ("manifest", manifest)]
        if self.key is not None:
            members.append(("manifest.sig", self.signature(signed(manifest, self.key))))
        if self.augment is None:
            members.append((header_name, header))
        else:
            members += self._with_augment(self.augment, (header_name, header))
        return [*members, (f"data/0000.tar{data_kind}", data)]

    def _with_augment(self, augment: Augment, header: Member) -> list[Member]:
        kind = self.kind if augment.kind is None else augment.kind
        archive = tar(
            ("header-info", encode(augment.info)),
            ("headers/0000/type-info", encode(augment.type_info)),
            *augment.extra,
        )
        name, body = f"header-augment.tar{kind}", compress(kind, archive)
        lines = [(digest(content), f"data/0000/{file}") for file, content in augment.files]
        manifest = manifest_of(augment.lines([*lines, (digest(body), name)]))
        return [("manifest-augment", manifest), header, (name, body)]

    def build(self, end: bytes = END) -> bytes:
        """Return the artifact."""
        return tar(*self.members(), end=end)


def manifest_of(lines: Sequence[Line]) -> bytes:
    """Return a manifest's bytes."""
    return "".join(f"{value}  {name}\n" for value, name in lines).encode()


def module(*files: Member, **changes: Any) -> Forge:
    """Return the parts of an artifact for an update module."""
    changes = {"info": header_info("mod"), "type_info": type_info("mod"), "meta_data": None, **changes}
    return Forge(files=files, **changes)


def bootstrap(**changes: Any) -> Forge:
    """Return the parts of an artifact with the empty payload. FORMAT.md §8."""
    changes = {"info": header_info(None), "type_info": type_info(None), "meta_data": None, "files": (), **changes}
    return Forge(**changes)


def version_2(**changes: Any) -> Forge:
    """Return the parts of an artifact in format version 2. FORMAT.md §9."""
    info = {"artifact_name": "release-1", "updates": [{"type": "rootfs-image"}], "device_types_compatible": ["board"]}
    archive = tar(
        ("header-info", encode(changes.pop("info", info))),
        *changes.pop("files_entry", [("headers/0000/files", b'{"files":["rootfs.ext4"]}')]),
        ("headers/0000/type-info", encode(changes.pop("type_info", {"type": "rootfs-image"}))),
        ("headers/0000/meta-data", b""),
    )
    return Forge(version=b'{"format":"mender","version":2}', **({"header_archive": archive} | changes))
