"""Take the tree of an image from a tar file, and give a tree as one.

Here tarfile is right, and `bistable.artifact.tar`, which refuses whatever an artifact does not need, is not: a root
file system has owners, links, devices and attributes. Nothing is extracted under a name that the archive chose.
"""

import os
import tarfile  # noqa: TID251 -- see above
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, Final, Self, TypeVar, cast

from bistable.artifact.errors import RejectedError, RequestError
from bistable.artifact.image.model import DEVICES, Attributes, Entry, Kind
from bistable.artifact.image.tree import Node, TreeBuilder
from bistable.artifact.limits import MEMBER_SIZE, MIB
from bistable.artifact.model import Compression
from bistable.artifact.streams import open_decompressor

_MAGICS: Final = {
    b"\x1f\x8b": Compression.GZIP,
    b"\xfd7zXZ\x00": Compression.XZ,
    b"\x28\xb5\x2f\xfd": Compression.ZSTD,
}
_KINDS: Final[Mapping[bytes, Kind]] = {
    tarfile.REGTYPE: Kind.FILE,
    tarfile.AREGTYPE: Kind.FILE,
    tarfile.CONTTYPE: Kind.FILE,
    tarfile.GNUTYPE_SPARSE: Kind.FILE,
    tarfile.DIRTYPE: Kind.DIRECTORY,
    tarfile.SYMTYPE: Kind.SYMLINK,
    tarfile.CHRTYPE: Kind.CHARACTER_DEVICE,
    tarfile.BLKTYPE: Kind.BLOCK_DEVICE,
    tarfile.FIFOTYPE: Kind.PIPE,
}
_TYPES: Final = {kind: type_flag for type_flag, kind in reversed([*_KINDS.items()])}
_EXTENSIONS: Final = frozenset({tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, b"L", b"K"})
_EXTENSION_LIMIT: Final = MIB
_ATTRIBUTE: Final = "SCHILY.xattr."
_ACCESS_LISTS: Final = "SCHILY.acl."
_ID_LIMIT: Final = 1 << 32
_ENTRY_LIMIT: Final = 5_000_000
_Info = TypeVar("_Info", bound=tarfile.TarInfo)


class _StrictInfo(tarfile.TarInfo):
    """Makes a broken header an error; tarfile takes it for the end of the archive, and the image would lack files."""

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> Self:
        try:
            return super().fromtarfile(archive)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]  # the end mark, which tarfile knows by it
            raise
        except tarfile.EmptyHeaderError as e:  # type: ignore[attr-defined]
            raise ValueError("it ends without its end mark: it is cut off") from e
        except tarfile.HeaderError as e:
            raise ValueError(f"a header is damaged ({e})") from e

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        return _with_small_extension(super().frombuf(buf, encoding, errors))

    @classmethod
    def _frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str, **how: bool) -> Self:
        """Stand in for `frombuf`: a hardened tarfile, as in Debian 12's Python 3.11.2, calls this instead."""
        info: Self = super()._frombuf(buf, encoding, errors, **how)  # type: ignore[misc]
        return _with_small_extension(info)


def _with_small_extension(info: _Info) -> _Info:
    """Return `info` before tarfile reads the whole of an extension header into memory."""
    if info.type in _EXTENSIONS and not 0 <= info.size <= _EXTENSION_LIMIT:
        raise ValueError("an extension header is too large")
    return info


def add_tar(builder: TreeBuilder, source: Path, staging: Path) -> None:
    """Add all members of the tar file `source` (plain, gzip, xz or zstd); contents go to numbered files in `staging`.

    Raises:
        RequestError: the file cannot be read, is damaged or cut off, or has members that an image cannot have.
    """
    try:
        with source.open("rb") as file:
            kind = _compression(file)
            content = open_decompressor(file, kind, member=source.name)
            with tarfile.open(
                fileobj=cast("BinaryIO", content),  # it needs `read` only
                mode="r|",
                tarinfo=_StrictInfo,
                encoding="utf-8",
                errors="surrogateescape",
            ) as archive:
                _add_members(builder, archive, staging)
            while content.read(MIB):
                pass  # up to the end, where checksums are
    except RejectedError as e:
        raise RequestError(e.what, hint="make or fetch the archive again") from e
    except (tarfile.TarError, ValueError, OverflowError, RecursionError, EOFError) as e:
        raise RequestError(f"cannot read {source}: {e}", hint="make or fetch the archive again") from e
    except OSError as e:
        raise RequestError(f"cannot read {source}: {e.strerror or e}") from e


def stream_tar(nodes: Iterable[Node], base: Path) -> Iterator[bytes]:
    """Yield `nodes`, whose contents are in `base`, as a tar file with extended headers.

    Raises:
        RequestError: a file changed while it was read.
    """
    for node in nodes:
        info = _info(node)
        yield info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
        if info.size:
            yield from _content(base, node, info.size)
            yield bytes(-info.size % tarfile.BLOCKSIZE)
    yield bytes(2 * tarfile.BLOCKSIZE)


def _compression(file: BinaryIO) -> Compression:
    start = file.read(6)
    file.seek(0)
    return next((kind for magic, kind in _MAGICS.items() if start.startswith(magic)), Compression.NONE)


def _add_members(builder: TreeBuilder, archive: tarfile.TarFile, staging: Path) -> None:
    count = 0
    while (info := archive.next()) is not None:
        archive.members = []  # type: ignore[attr-defined]  # tarfile would keep them all
        count += 1
        if count > _ENTRY_LIMIT:
            raise ValueError(f"it has more than {_ENTRY_LIMIT} members")
        path = _path(info.name)
        if any(key.startswith(_ACCESS_LISTS) for key in info.pax_headers):
            builder.left_out.append(f"{path}: the access control list")
        if info.islnk():
            _add_link(builder, path, info)
            continue
        entry = _entry(path, info)
        content = ""
        if entry.kind is Kind.FILE:
            content = f"{count:08d}"
            _store(archive, info, staging / content)
        # Numbered, so that a later member of the same name does not join in the hard links of an earlier one.
        builder.add(entry, content=content, identity=None if path == "/" else (path, count))


def _add_link(builder: TreeBuilder, path: str, info: tarfile.TarInfo) -> None:
    target = builder.get(_path(info.linkname))
    if target is None or target[0].kind is Kind.DIRECTORY:
        raise ValueError(f"{path} is a hard link to {info.linkname}, which is no file before it in the archive")
    entry, content, identity = target
    if entry.path == path:
        return
    builder.add(replace(entry, path=path), content=content, identity=identity)


def _path(name: str) -> str:
    """A name with a leading slash means the root of the image; one that climbs means no good."""
    parts = [part for part in name.split("/") if part not in {"", "."}]
    if ".." in parts or "\x00" in name:
        raise ValueError(f"the name {name!r} leads out of the archive")
    return "/" + "/".join(parts)


def _entry(path: str, info: tarfile.TarInfo) -> Entry:
    kind = _KINDS.get(info.type)
    if kind is None:
        raise ValueError(f"{path} is a member of the unknown type {info.type!r}")
    if not (0 <= info.uid < _ID_LIMIT and 0 <= info.gid < _ID_LIMIT and 0 <= info.size <= MEMBER_SIZE):
        raise ValueError(f"{path} has an owner or a size that is out of range")
    if kind is Kind.SYMLINK and not info.linkname:
        raise ValueError(f"{path} is a symbolic link to nothing")
    return Entry(
        path=path,
        kind=kind,
        mode=info.mode & 0o7777,
        uid=info.uid,
        gid=info.gid,
        size=info.size if kind is Kind.FILE else 0,
        mtime=int(info.mtime),
        target=info.linkname if kind is Kind.SYMLINK else "",
        device=(info.devmajor, info.devminor) if kind in DEVICES else None,
        attributes=_attributes(info.pax_headers),
    )


def _attributes(headers: Mapping[str, str]) -> Attributes:
    return tuple(
        sorted(
            (key.removeprefix(_ATTRIBUTE), value.encode("utf-8", "surrogateescape"))
            for key, value in headers.items()
            if key.startswith(_ATTRIBUTE)
        )
    )


def _store(archive: tarfile.TarFile, info: tarfile.TarInfo, path: Path) -> None:
    """Write the content of a member to `path`; what is zero becomes a hole."""
    body = archive.extractfile(info)
    assert body is not None
    with body, path.open("xb") as file:
        while chunk := body.read(MIB):
            if any(chunk):
                file.write(chunk)
            else:
                file.seek(len(chunk), os.SEEK_CUR)
        file.truncate(info.size)


def _info(node: Node) -> tarfile.TarInfo:
    entry = node.entry
    info = tarfile.TarInfo(entry.path.lstrip("/") or ".")
    info.mode, info.uid, info.gid, info.mtime = entry.mode, entry.uid, entry.gid, entry.mtime
    if node.linked is not None:
        info.type, info.linkname = tarfile.LNKTYPE, node.linked.lstrip("/")
        return info
    info.type, info.size, info.linkname = _TYPES[entry.kind], entry.size, entry.target
    if entry.device is not None:
        info.devmajor, info.devminor = entry.device
    info.pax_headers = {_ATTRIBUTE + name: value.decode("utf-8", "surrogateescape") for name, value in entry.attributes}
    return info


def _content(base: Path, node: Node, size: int) -> Iterator[bytes]:
    path = os.path.join(os.fsencode(base), node.content.encode("utf-8", "surrogateescape"))  # noqa: PTH118
    left = size
    try:
        with open(path, "rb") as file:  # noqa: PTH123
            while chunk := file.read(min(MIB, left)):
                left -= len(chunk)
                yield chunk
    except OSError as e:
        raise RequestError(f"cannot read {node.entry.path} of the source: {e.strerror}") from e
    if left:
        raise RequestError(f"cannot read {node.entry.path} of the source: it changed while it was read")
