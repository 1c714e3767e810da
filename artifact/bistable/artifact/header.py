"""The header archive: scripts, type-info and meta-data in their one allowed order. FORMAT.md §5.

Nothing in here is called before the digest of the whole member was found in a believed manifest.
"""

from dataclasses import dataclass, field
from typing import Final, NoReturn

from bistable.artifact import documents
from bistable.artifact.errors import LimitError, RejectedError, Where, quoted
from bistable.artifact.jsonio import parse_object
from bistable.artifact.limits import HEADER_EXPANDED_SIZE, JSON_SIZE, MIB, SCRIPT_SIZE
from bistable.artifact.model import ROOTFS_IMAGE, Augment, Finding, Header, HeaderInfo, Manifest, Script, TypeInfo
from bistable.artifact.streams.source import Source
from bistable.artifact.tar import Kind, Member, TarReader

PREFIX: Final = "headers/0000/"
_DIRECTORIES: Final = {"scripts", "headers", "headers/0000"}
_ORDER: Final = {"header-info": 0, "scripts/": 1, PREFIX + "files": 2, PREFIX + "type-info": 3, PREFIX + "meta-data": 4}


@dataclass(slots=True, kw_only=True)
class _Parts:
    """The members of a header archive as raw bytes, each at most once."""

    documents: dict[str, bytes] = field(default_factory=dict)
    scripts: dict[str, Script] = field(default_factory=dict)
    directories: set[str] = field(default_factory=set)

    def required(self, name: str, archive: str) -> bytes:
        """Return a member that must be there."""
        if name not in self.documents:
            _refuse(archive, f"{name} is missing", "header.missing")
        return self.documents[name]


def parse_header(source: Source, *, archive: str, version: int, manifest: Manifest, found: list[Finding]) -> Header:
    """Parse the expanded header archive of a version 2 or 3 artifact and check its parts against one another.

    Raises:
        LimitError: larger than limits.HEADER_EXPANDED_SIZE.
        RejectedError: anything that FORMAT.md §5 does not allow.
    """
    parts = _read_parts(source, archive, found)
    info = documents.parse_header_info(parts.required("header-info", archive), version=version, found=found)
    type_info = documents.parse_type_info(parts.required(PREFIX + "type-info", archive), found=found)
    header = Header(
        info=info,
        type_info=type_info,
        scripts=tuple(parts.scripts.values()),
        meta_data=parts.documents.get(PREFIX + "meta-data"),
    )
    _check_version_parts(header, parts, version, archive, manifest, found)
    _check_type(header, archive, found)
    _check_provides(info, type_info, archive)
    _check_meta_data(header, archive, found)
    return header


def parse_augment(
    source: Source, *, archive: str, manifest: Manifest, signed: HeaderInfo, found: list[Finding]
) -> Augment:
    """Parse the expanded `header-augment.tar`, which may repeat what the `signed` header-info says. FORMAT.md §5.7.

    Raises:
        RejectedError: it changes name, group or depends, or holds scripts or anything else that must not come unsigned.
    """
    parts = _read_parts(source, archive, found)
    info = parse_object(parts.required("header-info", archive), member="header-info")
    said = parse_object(documents.encode_header_info(signed), member="header-info")
    for key in info:
        if key != "payloads" and info[key] is not None and info[key] != said.get(key):
            _refuse(archive, f"the unsigned header-info changes {quoted(key)}", "augment.header-info")
    payload_type = documents.parse_payloads(info, "payloads", found)
    type_info = documents.parse_type_info(parts.required(PREFIX + "type-info", archive), found=found)
    if parts.scripts or PREFIX + "files" in parts.documents:
        _refuse(archive, "scripts must not come unsigned", "augment.scripts")
    if payload_type is None or type_info.payload_type != payload_type:
        _refuse(archive, "the types in header-info and type-info differ", "header.type")
    meta_data = parts.documents.get(PREFIX + "meta-data")
    if meta_data:
        parse_object(meta_data, member="meta-data")
    return Augment(manifest=manifest, payload_type=payload_type, type_info=type_info, meta_data=meta_data)


def _read_parts(source: Source, archive: str, found: list[Finding]) -> _Parts:
    parts = _Parts()
    reader = TarReader(source, archive=archive, found=found)
    place, expanded = -1, 0
    while (member := reader.next_member()) is not None:
        # A sparse member is larger than what was read for it.
        expanded += member.size
        if max(expanded, reader.position) > HEADER_EXPANDED_SIZE:
            raise _too_large(archive)
        if _is_tolerated_directory(member, archive, parts, found):
            continue
        if member.kind is not Kind.FILE:
            _refuse(archive, f"{quoted(member.name)} is a {member.kind.value}, not a file", "header.kind", member)
        is_script = member.name.startswith("scripts/")
        rank = _ORDER.get("scripts/" if is_script else member.name)
        if rank is None:
            _refuse(archive, f"the member {quoted(member.name)} is not allowed", "header.unknown", member)
        if rank < place or (rank == place and not is_script):
            _refuse(archive, f"the member {quoted(member.name)} is not allowed here", "header.order", member)
        if place < 0 and rank > 0:
            _refuse(archive, "header-info must come first", "header.order", member)
        place = rank
        if is_script:
            _read_script(reader, member, archive, parts)
        else:
            parts.documents[member.name] = reader.read_all(member, limit=JSON_SIZE)
    return parts


def _read_script(reader: TarReader, member: Member, archive: str, parts: _Parts) -> None:
    name = member.name.removeprefix("scripts/")
    if not documents.SCRIPT_NAME.fullmatch(name) or "/" in name or not name.isprintable():
        _refuse(archive, f"{quoted(name)} is not the name of a state script", "script.name", member)
    if name in parts.scripts:
        _refuse(archive, f"the script {quoted(name)} is there twice", "script.duplicate", member)
    parts.scripts[name] = Script(name=name, content=reader.read_all(member, limit=SCRIPT_SIZE))


def _is_tolerated_directory(member: Member, archive: str, parts: _Parts, found: list[Finding]) -> bool:
    name = member.name.rstrip("/")
    if member.kind is not Kind.DIRECTORY or name not in _DIRECTORIES:
        return False
    if name in parts.directories:
        _refuse(archive, f"the directory {name} is there twice", "header.order", member)
    parts.directories.add(name)
    found.append(
        Finding(
            rule="header.directory",
            what=f"{archive} holds the directory {name}",
            where=Where(member=archive, offset=member.offset),
            hint="device clients from 4.0 on refuse it",
        )
    )
    return True


def _check_version_parts(
    header: Header, parts: _Parts, version: int, archive: str, manifest: Manifest, found: list[Finding]
) -> None:
    """Version 2 lists its one file in `files` and has no provides; version 3 has no `files`. FORMAT.md §9."""
    files = parts.documents.get(PREFIX + "files")
    if version == 3:
        if files is not None:
            _refuse(archive, "the member headers/0000/files belongs to format version 2", "header.unknown")
        return
    if files is None:
        _refuse(archive, "headers/0000/files is missing", "header.missing")
    name = documents.parse_files(files, found=found)
    if list(manifest.payload_digests()) != [name]:
        _refuse(archive, f"headers/0000/files names {quoted(name)}, the manifest does not", "files.mismatch")
    info = header.type_info
    if info.provides or info.depends or info.clears_provides is not None:
        _refuse(archive, "format version 2 has neither provides nor depends", "type-info.version")


def _check_type(header: Header, archive: str, found: list[Finding]) -> None:
    expected, given = header.info.payload_type, header.type_info.payload_type
    if given == expected:
        return
    if expected == ROOTFS_IMAGE and (given is None or given == ""):
        found.append(
            Finding(
                rule="type-info.empty-type",
                what="the payload type in type-info is empty, as mender-artifact 3.3.0 to 4.3.0 wrote it",
                where=Where(member="type-info"),
                hint="mender-artifact 4.4.0 refuses it; `bistable artifact repack --repair` mends it",
            )
        )
        return
    _refuse(
        archive,
        f"the payload type is {quoted(expected)} in header-info but {quoted(given)} in type-info",
        "header.type",
    )


def _check_provides(info: HeaderInfo, type_info: TypeInfo, archive: str) -> None:
    """A key in both places makes the real readers fail when they merge them."""
    taken = {"artifact_name"} | ({"artifact_group"} if info.artifact_group is not None else set())
    for key in sorted(taken & set(type_info.provides)):
        _refuse(archive, f"{key} is provided by header-info and by type-info", "type-info.provides")


def _check_meta_data(header: Header, archive: str, found: list[Finding]) -> None:
    if header.meta_data is None:
        return
    payload_type = header.info.payload_type
    if payload_type is None:
        _refuse(archive, "an empty payload must not have meta-data", "meta-data.not-allowed")
    if not header.meta_data:
        return
    parse_object(header.meta_data, member="meta-data")
    if payload_type == ROOTFS_IMAGE:
        found.append(
            Finding(
                rule="meta-data.rootfs",
                what="a rootfs image carries meta-data, which no device client uses",
                where=Where(member="meta-data"),
            )
        )


def _too_large(archive: str) -> LimitError:
    return LimitError(
        f"cannot read {archive}: more than {HEADER_EXPANDED_SIZE // MIB} MiB when expanded",
        where=Where(member=archive),
        rule="limit.header",
    )


def _refuse(archive: str, why: str, rule: str, member: Member | None = None) -> NoReturn:
    where = Where(member=archive, offset=None if member is None else member.offset)
    raise RejectedError(f"cannot read {archive}: {why}", where=where, rule=rule)
