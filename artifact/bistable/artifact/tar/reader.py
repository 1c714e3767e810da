"""A tar reader that goes forward only, believes nothing, and says where it was when it refused. FORMAT.md §1.1."""

from dataclasses import dataclass
from enum import Enum
from typing import Final, NoReturn

from bistable.artifact.errors import LimitError, RejectedError, Where, quoted
from bistable.artifact.limits import MIB, SPARSE_REGIONS, TAR_EXTENSION_SIZE
from bistable.artifact.model import Finding
from bistable.artifact.streams.source import Source
from bistable.artifact.tar.block import BLOCK, Block, decode_header
from bistable.artifact.tar.extensions import (
    Regions,
    check_regions,
    extended_gnu_regions,
    old_gnu_regions,
    parse_pax,
    pax_number,
    pax_sparse_map,
)

_ZERO_BLOCK: Final = bytes(BLOCK)
_ZEROS: Final = bytes(MIB)
_PADDING_LIMIT: Final = 64 * MIB
"""Zeros after the end of an archive: tar pads to 10 KiB, `dd` to an erase block; more is an attack on patience."""

_FILES: Final = {b"0", b"\x00", b"7"}
_LINKS_AND_DEVICES: Final = {b"1", b"2", b"3", b"4", b"6"}
_EXTENSIONS: Final = {b"x", b"L", b"K"}


class Kind(Enum):
    """What a member is."""

    FILE = "file"
    DIRECTORY = "directory"
    SPECIAL = "link, device or pipe"


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A member's name, kind and size in bytes; `offset` is where its (first) header block starts in the archive."""

    name: str
    kind: Kind
    size: int
    offset: int
    sparse: bool = False


class TarReader:
    """Reads members one after the other from `source`; `archive` names it in errors.

    Call `next_member`, then `read` until it gives nothing, and so on; a body that was not read is skipped.
    """

    def __init__(self, source: Source, *, archive: str, found: list[Finding]) -> None:
        self.position = 0
        """Bytes taken from the source so far."""
        self._source = source
        self._archive = archive
        self._found = found
        self._stored_left = 0
        self._padding = 0
        self._regions: list[tuple[int, int]] = []
        self._expanded_at = 0
        self._expanded_size = 0
        self._sparse = False

    def next_member(self) -> Member | None:
        """Return the next member, or None at the end; then only zeros follow, up to the end of the source.

        Raises:
            RejectedError: not a tar archive, cut off, or with anything but zeros after its end.
        """
        self._skip_body()
        start = self.position
        records: dict[str, str] = {}
        seen: set[bytes] = set()
        while True:
            block = self._next_block()
            if block is None:
                if seen:
                    self._refuse("an extension header describes no member", "tar.extension")
                return None
            if block.type_flag == b"g":
                self._refuse("a global PAX header is not allowed", "tar.global")
            if block.type_flag not in _EXTENSIONS:
                return self._begin(block, records, start)
            # Readers disagree about which of two wins; and a chain of them would have no end.
            if block.type_flag in seen:
                self._refuse("two extension headers of the same kind before one member", "tar.extension")
            seen.add(block.type_flag)
            for key, value in self._extension_records(block).items():
                if records.setdefault(key, value) != value:
                    self._refuse(f"two extension headers differ about {key}", "tar.extension")

    def read(self, size: int, /) -> bytes:
        """Return 1 to `size` bytes of the member's content, or nothing at its end."""
        return self._read_sparse(size) if self._sparse else self._read_stored(size)

    def read_all(self, member: Member, *, limit: int) -> bytes:
        """Return the whole content of the current member, which may have at most `limit` bytes."""
        if member.size > limit:
            raise LimitError(
                f"cannot read {quoted(member.name)}: {member.size} bytes, at most {limit} are allowed",
                where=Where(member=self._archive, offset=member.offset),
                rule="limit.member",
            )
        parts = []
        while part := self.read(MIB):
            parts.append(part)
        return b"".join(parts)

    # --- one member

    def _begin(self, block: Block, records: dict[str, str], start: int) -> Member:
        where = self._where()
        size = pax_number(records, "size", where)
        self._stored_left = block.size if size is None else size
        self._padding = -self._stored_left % BLOCK
        name = self._name(block, records)
        kind = self._kind(block, name)
        if kind is not Kind.FILE:
            # POSIX gives links, devices and directories no body, whatever their size field says.
            self._stored_left = self._padding = 0
        self._sparse = False
        sparse_size = self._sparse_size(block, records, where)
        if sparse_size is not None and kind is Kind.FILE:
            self._sparse, self._expanded_at, self._expanded_size = True, 0, sparse_size
            self._tolerate(
                "tar.sparse", f"{quoted(name)} is stored as a sparse member", "small readers do not expand it"
            )
        final = sparse_size if self._sparse and sparse_size is not None else self._stored_left
        return Member(name=name, kind=kind, size=final, offset=start, sparse=self._sparse)

    def _name(self, block: Block, records: dict[str, str]) -> str:
        is_sparse = "GNU.sparse.major" in records or "GNU.sparse.map" in records
        given = records.get("GNU.sparse.name" if is_sparse else "path", records.get("path"))
        if given is not None:
            return given
        try:
            return block.name.decode("utf-8")
        except UnicodeDecodeError:
            self._refuse(f"the member name {quoted(block.name)} is not UTF-8", "tar.name")

    def _kind(self, block: Block, name: str) -> Kind:
        if block.type_flag == b"5" or (block.type_flag in _FILES and name.endswith("/")):
            return Kind.DIRECTORY
        if block.type_flag in _LINKS_AND_DEVICES:
            return Kind.SPECIAL
        if block.type_flag not in _FILES | {b"S"}:
            self._tolerate(
                "tar.type-flag", f"{quoted(name)} has the unknown type flag {block.type_flag!r}; read as a file"
            )
        return Kind.FILE

    def _sparse_size(self, block: Block, records: dict[str, str], where: Where) -> int | None:
        """Return the expanded size and set the regions, if the member is sparse in any of the four known ways."""
        forms = {key for key in records if key in {"GNU.sparse.major", "GNU.sparse.map"}}
        if len(forms) + (block.type_flag == b"S") > 1 or (not forms and any("GNU.sparse." in key for key in records)):
            # Readers differ about which of two forms counts, and about a name or size that comes without a map.
            self._refuse("records of a sparse member that do not belong together", "tar.sparse-map")
        if block.type_flag == b"S":
            first, expanded, more = old_gnu_regions(block, where)
            found = list(first)
            while more:
                extra, more = extended_gnu_regions(self._exactly(BLOCK), where)
                found += extra
                if not extra or len(found) > SPARSE_REGIONS:
                    self._refuse("a sparse map is too long", "tar.sparse-map")
            regions = tuple(found)
        elif "GNU.sparse.major" in records:
            realsize = pax_number(records, "GNU.sparse.realsize", where)
            if records["GNU.sparse.major"] != "1" or realsize is None:
                self._refuse("an unknown form of sparse member", "tar.sparse-map")
            regions, expanded = self._stored_map(), realsize
        elif "GNU.sparse.map" in records:
            sparse_size = pax_number(records, "GNU.sparse.size", where)
            if sparse_size is None:
                self._refuse("a sparse member has no size", "tar.sparse-map")
            regions, expanded = pax_sparse_map(records["GNU.sparse.map"], where), sparse_size
        else:
            return None
        self._regions = list(check_regions(regions, stored=self._stored_left, expanded=expanded, where=where))[::-1]
        return expanded

    def _stored_map(self) -> Regions:
        """Read the map of PAX form 1.0: decimal lines in the blocks before the data."""
        numbers: list[int] = []
        text = b""
        while not numbers or len(numbers) < 1 + 2 * numbers[0]:
            line, end, rest = text.partition(b"\n")
            if not end:
                if len(text) > 32 or self._stored_left < BLOCK:
                    self._refuse("a sparse map is cut off", "tar.sparse-map")
                self._stored_left -= BLOCK
                text += self._exactly(BLOCK)
                continue
            text = rest
            if not line.isdigit() or len(line) > 20:
                self._refuse("a sparse map holds something that is not a number", "tar.sparse-map")
            numbers.append(int(line))
            if numbers[0] > SPARSE_REGIONS:
                self._refuse("a sparse map is too long", "tar.sparse-map")
        return tuple(zip(numbers[1::2], numbers[2::2], strict=True))

    # --- bodies

    def _read_stored(self, size: int) -> bytes:
        if not self._stored_left:
            return b""
        data = self._source.read(min(size, self._stored_left))
        if not data:
            self._refuse(f"cut off, {self._stored_left} bytes of a member are missing", "tar.truncated")
        self.position += len(data)
        self._stored_left -= len(data)
        return data

    def _read_sparse(self, size: int) -> bytes:
        if self._regions:
            offset, length = self._regions[-1]
            if offset == self._expanded_at:
                data = self._read_stored(min(size, length))
                self._expanded_at += len(data)
                self._regions.pop()
                if len(data) < length:
                    self._regions.append((self._expanded_at, length - len(data)))
                return data
            hole = offset - self._expanded_at
        else:
            hole = self._expanded_size - self._expanded_at
        data = _ZEROS[: min(size, hole)]
        self._expanded_at += len(data)
        return data

    def _skip_body(self) -> None:
        while self._stored_left:
            self._read_stored(MIB)
        if self._padding:
            # Whatever fills the last block is no part of the content and covered by nothing; it is not looked at.
            self._exactly(self._padding)
            self._padding = 0
        self._sparse = False
        self._regions = []

    # --- blocks

    def _next_block(self) -> Block | None:
        raw = self._up_to(BLOCK)
        if not raw:
            self._tolerate("tar.no-end", f"{self._archive} ends without the two zero blocks that end an archive")
            return None
        if len(raw) < BLOCK:
            self._refuse("cut off inside a header block", "tar.truncated")
        if raw == _ZERO_BLOCK:
            self._finish()
            return None
        return self._decode(raw)

    def _decode(self, raw: bytes) -> Block:
        try:
            return decode_header(raw, self._where(back=BLOCK))
        except RejectedError as e:
            if self.position > BLOCK:
                raise
            why = f"cannot read {self._archive}: it does not start as a tar archive does"
            raise RejectedError(why, where=e.where, rule=e.rule) from e

    def _finish(self) -> None:
        """Read to the end of the source: at least one more zero block is due, and only zeros are allowed."""
        start = self.position
        while chunk := self._source.read(MIB):
            self.position += len(chunk)
            if chunk.strip(b"\x00"):
                self._refuse("something stands after the end of the archive", "tar.trailing")
            if self.position - start > _PADDING_LIMIT:
                self._refuse("the padding after the end of the archive has no end", "tar.trailing")
        if self.position - start < BLOCK:
            self._tolerate("tar.no-end", f"{self._archive} ends with one zero block where two are due")

    def _extension_records(self, block: Block) -> dict[str, str]:
        """Return what the extension header says of the next member, as PAX records."""
        body = self._extension(block)
        if block.type_flag == b"x":
            return parse_pax(body, self._where())
        # The target of a long link does not matter: links are refused.
        return {"path": self._long_name(body)} if block.type_flag == b"L" else {}

    def _extension(self, block: Block) -> bytes:
        if block.size > TAR_EXTENSION_SIZE:
            self._refuse(f"an extension header of {block.size} bytes", "tar.extension")
        body = self._exactly(block.size)
        self._exactly(-block.size % BLOCK)
        return body

    def _long_name(self, body: bytes) -> str:
        try:
            return body.partition(b"\x00")[0].decode("utf-8")
        except UnicodeDecodeError:
            self._refuse("a long member name is not UTF-8", "tar.name")

    def _exactly(self, size: int) -> bytes:
        data = self._up_to(size)
        if len(data) < size:
            self._refuse(f"cut off, {size - len(data)} bytes are missing", "tar.truncated")
        return data

    def _up_to(self, size: int) -> bytes:
        data = self._source.read(size) if size else b""
        while data and len(data) < size:
            more = self._source.read(size - len(data))
            if not more:
                break
            data += more
        self.position += len(data)
        return data

    # --- words

    def _where(self, *, back: int = 0) -> Where:
        return Where(member=self._archive, offset=self.position - back)

    def _tolerate(self, rule: str, what: str, hint: str | None = None) -> None:
        self._found.append(Finding(rule=rule, what=what, hint=hint, where=self._where()))

    def _refuse(self, why: str, rule: str) -> NoReturn:
        raise RejectedError(f"cannot read {self._archive}: {why}", where=self._where(), rule=rule)
