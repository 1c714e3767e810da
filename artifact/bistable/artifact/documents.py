"""The documents inside an artifact, from bytes to values and back. FORMAT.md §2, §3, §5, §9.

Each `parse_*` takes the raw bytes and a list to which it appends what it tolerated; each `encode_*` gives the bytes
that the writer stores.
"""

import re
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any, Final

from bistable.artifact import jsonio
from bistable.artifact.errors import RejectedError, UnsupportedError, Where, quoted
from bistable.artifact.limits import FILE_NAME_BYTES, TEXT_BYTES, VERSION_SIZE
from bistable.artifact.model import (
    DATA_PREFIX,
    FORMAT_NAME,
    ROOTFS_IMAGE,
    Finding,
    HeaderInfo,
    Manifest,
    ManifestLine,
    TypeInfo,
)

VERSION_3: Final = b'{"format":"mender","version":3}'
UNKNOWN_KEYS: Final = 20
"""Unknown keys that are reported of one object; a hostile one may hold a hundred thousand."""

FILE_NAME: Final = re.compile(r"[A-Za-z0-9_.,-]+", re.ASCII)
SCRIPT_NAME: Final = re.compile(
    r"Artifact(Install|Reboot|Commit|Rollback|RollbackReboot|Failure)_(Enter|Leave|Error)_[0-9]{2}(_\S+)?", re.ASCII
)
_LINE: Final = re.compile(rb"([0-9a-f]{64})  (\S+)")


def parse_version(raw: bytes, found: list[Finding]) -> int:
    """Return the format version, 2 or 3. FORMAT.md §2.

    Raises:
        UnsupportedError: another version.
        RejectedError: not the version document of an artifact.
    """
    document = jsonio.parse_object(raw, member="version", limit=VERSION_SIZE)
    if document.get("format") != FORMAT_NAME:
        raise _bad("version", f'"format" must be "{FORMAT_NAME}"', rule="version.format")
    version = document.get("version")
    if type(version) is not int:
        raise _bad("version", '"version" must be a whole number', rule="version.number")
    if version not in {2, 3}:
        raise UnsupportedError(
            f"cannot read this artifact: format version {quoted(version)} is not supported, only 2 and 3 are",
            where=Where(member="version"),
            rule="version.unsupported",
        )
    _tolerate_unknown(document, {"format", "version"}, "version", found)
    return version


def parse_manifest(raw: bytes, *, member: str, found: list[Finding]) -> Manifest:
    """Return the lines of a manifest; grammar and uniqueness are checked, completeness is not. FORMAT.md §3."""
    lines: list[ManifestLine] = []
    names: set[str] = set()
    texts = raw.split(b"\n")
    if not texts[-1]:
        texts.pop()
    offset = 0
    for number, text in enumerate(texts, start=1):
        where = Where(member=member, line=number, offset=offset)
        line = _parse_line(text, where)
        if line.name in names:
            raise RejectedError(
                f"cannot read {member}: {quoted(line.name)} is listed twice", where=where, rule="manifest.duplicate"
            )
        names.add(line.name)
        lines.append(line)
        offset += len(text) + 1
    if raw and not raw.endswith(b"\n"):
        found.append(
            Finding(
                rule="manifest.unterminated",
                what=f"the last line of {member} has no line end; some readers drop such a line",
                where=Where(member=member, line=len(lines)),
            )
        )
    return Manifest(lines=tuple(lines))


def _parse_line(text: bytes, where: Where) -> ManifestLine:
    match = _LINE.fullmatch(text)
    if match is None:
        raise RejectedError(
            f"cannot read {where.member}: line {where.line} is not '<64 lower-case hex digits>  <name>'",
            where=where,
            rule="manifest.line",
        )
    try:
        return ManifestLine(digest=match[1].decode(), name=match[2].decode("utf-8"))
    except UnicodeDecodeError as e:
        raise RejectedError(
            f"cannot read {where.member}: the name in line {where.line} is not UTF-8", where=where, rule="manifest.line"
        ) from e


def encode_manifest(manifest: Manifest) -> bytes:
    """Return the manifest member's bytes."""
    return "".join(f"{line.digest}  {line.name}\n" for line in manifest.lines).encode()


def check_file_name(name: str, *, member: str, found: list[Finding]) -> None:
    """Check the name of a payload file. FORMAT.md §3.2.

    Raises:
        RejectedError: characters or names that no reader takes, or that could lead out of a directory.
    """
    if not FILE_NAME.fullmatch(name) or name in {".", ".."}:
        raise _bad(
            member,
            f"payload file name {quoted(name)} is not allowed (letters, digits and _ . , - only)",
            rule="payload.file-name",
        )
    if len(name) > FILE_NAME_BYTES:
        found.append(
            Finding(
                rule="payload.long-name",
                what=f"payload file name {quoted(name)} is longer than {FILE_NAME_BYTES} bytes",
                where=Where(member=member),
                hint="device clients from 4.0 on refuse it; write the artifact again with a shorter name",
            )
        )


def parse_header_info(raw: bytes, *, version: int, found: list[Finding]) -> HeaderInfo:
    """Return what `header-info` says, for either format version. FORMAT.md §5.1, §9."""
    document = jsonio.parse_object(raw, member="header-info")
    return _header_info_2(document, found) if version == 2 else _header_info_3(document, found)


def _header_info_3(document: Mapping[str, Any], found: list[Finding]) -> HeaderInfo:
    name = "header-info"
    _tolerate_unknown(document, {"payloads", "artifact_provides", "artifact_depends"}, name, found)
    provides = _object(document, "artifact_provides", name)
    depends = _object(document, "artifact_depends", name)
    _tolerate_unknown(provides, {"artifact_name", "artifact_group"}, f"{name}: artifact_provides", found)
    _tolerate_unknown(depends, {"artifact_name", "device_type", "artifact_group"}, f"{name}: artifact_depends", found)
    group = provides.get("artifact_group")
    return HeaderInfo(
        payload_type=parse_payloads(document, "payloads", found),
        artifact_name=_text(provides.get("artifact_name"), "artifact_name"),
        artifact_group=None if group is None else _text(group, "artifact_group"),
        device_types=_device_types(depends.get("device_type"), "device_type"),
        depends_names=_texts(depends.get("artifact_name"), "artifact_depends: artifact_name"),
        depends_groups=_texts(depends.get("artifact_group"), "artifact_depends: artifact_group"),
    )


def _header_info_2(document: Mapping[str, Any], found: list[Finding]) -> HeaderInfo:
    _tolerate_unknown(document, {"artifact_name", "updates", "device_types_compatible"}, "header-info", found)
    payload_type = parse_payloads(document, "updates", found)
    if payload_type != ROOTFS_IMAGE:
        raise _bad("header-info", f"format version 2 carries {ROOTFS_IMAGE} only", rule="header-info.payload-type")
    return HeaderInfo(
        payload_type=payload_type,
        artifact_name=_text(document.get("artifact_name"), "artifact_name"),
        device_types=_device_types(document.get("device_types_compatible"), "device_types_compatible"),
    )


def parse_payloads(document: Mapping[str, Any], key: str, found: list[Finding]) -> str | None:
    """Return the type of the one payload listed under `key`; None is the empty payload."""
    payloads = document.get(key)
    if not isinstance(payloads, list) or len(payloads) != 1 or not isinstance(payloads[0], dict):
        raise _bad("header-info", f'"{key}" must list exactly one payload', rule="header-info.payloads")
    payload = payloads[0]
    _tolerate_unknown(payload, {"type"}, f"header-info: {key}", found)
    if "type" not in payload:
        raise _bad("header-info", "the payload has no type", rule="header-info.payload-type")
    return _payload_type(payload["type"], "header-info")


def parse_type_info(raw: bytes, *, found: list[Finding]) -> TypeInfo:
    """Return what `type-info` says; that its type agrees with the header is checked elsewhere. FORMAT.md §5.2."""
    name = "type-info"
    document = jsonio.parse_object(raw, member=name)
    known = {"type", "artifact_provides", "artifact_depends", "clears_artifact_provides"}
    _tolerate_unknown(document, known, name, found)
    if "type" not in document:
        raise _bad(name, '"type" is missing', rule="type-info.type")
    payload_type = document["type"]
    clears = document.get("clears_artifact_provides")
    return TypeInfo(
        # The empty type is a fault of mender-artifact 3.3.0 to 4.3.0 that lives on in the field.
        payload_type="" if payload_type == "" else _payload_type(payload_type, name),
        provides=_provides(document.get("artifact_provides")),
        depends=_depends(document.get("artifact_depends")),
        clears_provides=None if clears is None else _strings(clears, "clears_artifact_provides", name),
    )


def parse_files(raw: bytes, *, found: list[Finding]) -> str:
    """Return the one file name that the `files` entry of format version 2 lists. FORMAT.md §9."""
    document = jsonio.parse_object(raw, member="files")
    _tolerate_unknown(document, {"files"}, "files", found)
    names = _strings(document.get("files"), "files", "files")
    if len(names) != 1:
        raise _bad("files", "exactly one file must be listed", rule="files.count")
    return names[0]


def encode_header_info(info: HeaderInfo) -> bytes:
    """Return the `header-info` member of format version 3."""
    provides: dict[str, Any] = {"artifact_name": info.artifact_name}
    if info.artifact_group is not None:
        provides["artifact_group"] = info.artifact_group
    depends: dict[str, Any] = {}
    if info.depends_names:
        depends["artifact_name"] = list(info.depends_names)
    depends["device_type"] = list(info.device_types)
    if info.depends_groups:
        depends["artifact_group"] = list(info.depends_groups)
    return jsonio.encode(
        {
            "payloads": [{"type": info.payload_type}],
            "artifact_provides": provides,
            "artifact_depends": depends,
        }
    )


def encode_type_info(info: TypeInfo) -> bytes:
    """Return the `type-info` member; maps are sorted by key, empty ones left out.

    An empty list of clears is written, too: no list means that the device clears everything. FORMAT.md §5.6.
    """
    document: dict[str, Any] = {"type": info.payload_type}
    if info.depends:
        document["artifact_depends"] = {
            key: value if isinstance(value, str) else list(value) for key, value in sorted(info.depends.items())
        }
    if info.provides:
        document["artifact_provides"] = dict(sorted(info.provides.items()))
    if info.clears_provides is not None:
        document["clears_artifact_provides"] = list(info.clears_provides)
    return jsonio.encode(document)


def check_text(value: str) -> str | None:
    """Return why `value` cannot be an artifact name, group or device type; None if it can. FORMAT.md §5.1."""
    if len(value.encode("utf-8", "surrogatepass")) > TEXT_BYTES:
        return f"is longer than {TEXT_BYTES} bytes"
    if not value.isprintable():
        return "holds characters that cannot be printed"
    return None


def _text(value: object, key: str) -> str:
    if not isinstance(value, str) or not value:
        raise _bad("header-info", f'"{key}" must be a text that is not empty', rule="header-info.text")
    why = check_text(value)
    if why is not None:
        raise _bad("header-info", f'"{key}" {why}', rule="header-info.text")
    return value


def _texts(value: object, key: str) -> tuple[str, ...]:
    if value is None:
        return ()
    return tuple(_text(item, key) for item in _strings(value, key, "header-info"))


def _device_types(value: object, key: str) -> tuple[str, ...]:
    device_types = _texts(value, key)
    if not device_types:
        raise _bad("header-info", f'"{key}" must name at least one device type', rule="header-info.device-type")
    return device_types


def _payload_type(value: object, member: str) -> str | None:
    if value is None:
        return None
    # The type becomes the name of a program in the device's module directory: it must not lead out of it.
    if not isinstance(value, str) or not value or value.startswith(".") or "/" in value or not value.isprintable():
        raise _bad(member, f"{quoted(value)} cannot be a payload type", rule="header-info.payload-type")
    return value


def _provides(value: object) -> dict[str, str]:
    provides = _mapping(value, "artifact_provides")
    for key, item in provides.items():
        if not isinstance(item, str):
            raise _bad("type-info", f'"artifact_provides": {quoted(key)} must be a string', rule="type-info.provides")
    return provides


def _depends(value: object) -> dict[str, str | tuple[str, ...]]:
    depends: dict[str, str | tuple[str, ...]] = {}
    for key, item in _mapping(value, "artifact_depends").items():
        depends[key] = (
            item if isinstance(item, str) else _strings(item, f"artifact_depends: {quoted(key)}", "type-info")
        )
    return depends


def _mapping(value: object, key: str) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise _bad("type-info", f'"{key}" must be an object', rule="type-info.kind")
    return value


def _object(document: Mapping[str, Any], key: str, member: str) -> dict[str, Any]:
    value = document.get(key)
    if not isinstance(value, dict):
        raise _bad(member, f'"{key}" is missing or not an object', rule="header-info.kind")
    return value


def _strings(value: object, key: str, member: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise _bad(member, f'"{key}" must be a list of strings', rule="json.list")
    return tuple(value)


def _tolerate_unknown(document: Mapping[str, Any], known: set[str], member: str, found: list[Finding]) -> None:
    unknown = (key for key in document if key not in known)
    found.extend(
        Finding(
            rule="json.unknown-key",
            what=f"{member} holds the unknown key {quoted(key)}",
            where=Where(member=member),
            hint="some readers refuse it; others ignore it",
        )
        for key in islice(unknown, UNKNOWN_KEYS)
    )


def _bad(member: str, why: str, *, rule: str) -> RejectedError:
    return RejectedError(f"cannot read {member}: {why}", where=Where(member=member), rule=rule)


def payload_lines(files: Sequence[tuple[str, str]]) -> tuple[ManifestLine, ...]:
    """Return the manifest lines of payload files given as (name, digest)."""
    return tuple(ManifestLine(name=DATA_PREFIX + name, digest=digest) for name, digest in files)
