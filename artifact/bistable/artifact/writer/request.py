"""What to write, and whether it can be written: every rule is checked before the first byte. FORMAT.md §3.2, §5."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bistable.artifact import documents
from bistable.artifact.errors import RejectedError, RequestError
from bistable.artifact.jsonio import parse_object
from bistable.artifact.limits import FILE_NAME_BYTES, JSON_SIZE, PAYLOAD_FILES, SCRIPT_SIZE
from bistable.artifact.model import ROOTFS_IMAGE, Header, HeaderInfo, Script, TypeInfo

if TYPE_CHECKING:
    from bistable.artifact.writer.inputs import PayloadInput

_NAME_IN_TAR: Final = 100
_MODULE_NAME: Final = re.compile(r"[A-Za-z0-9_.,+-]+", re.ASCII)
CHECKSUM_KEY: Final = "rootfs-image.checksum"
LEGACY_CHECKSUM_KEY: Final = "rootfs_image_checksum"


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteRequest:
    """An artifact to be written. `checksum_key` is a provides key that gets the SHA-256 of the (only) file."""

    header: Header
    files: "tuple[PayloadInput, ...]" = ()
    checksum_key: str | None = None


def check_request(request: WriteRequest) -> None:
    """Check that a request can be expressed in the format and will be taken by the readers.

    Raises:
        RequestError: what is wrong with it.
    """
    check_header(request.header)
    names = [item.name for item in request.files]
    for name in names:
        _check_file_name(name)
    _unique(names, "payload file")
    kind = request.header.info.payload_type
    if kind == ROOTFS_IMAGE and len(names) != 1:
        raise RequestError(f"cannot write a rootfs image with {len(names)} files: it has exactly one")
    if kind is None and names:
        raise RequestError("cannot write an empty payload with files", hint="give it a payload type, or no file")
    if len(names) > PAYLOAD_FILES:
        raise RequestError(f"cannot write {len(names)} files: at most {PAYLOAD_FILES} are allowed")


def check_header(header: Header) -> None:
    """Check what goes into the header: names, texts, scripts, meta-data, and that they fit together.

    Raises:
        RequestError: what is wrong.
    """
    _check_info(header.info)
    _check_type_info(header.type_info)
    if header.info.payload_type != header.type_info.payload_type:
        raise RequestError("cannot write a header whose two payload types differ")
    for key in ("artifact_name", "artifact_group"):
        if key in header.type_info.provides:
            raise RequestError(
                f"cannot provide {key} as a free key: it has a place of its own",
                hint="--artifact-name or --provides-group sets it",
            )
    _check_scripts(header.scripts)
    if header.info.payload_type is None and (header.scripts or header.meta_data is not None):
        raise RequestError("cannot write an empty payload with scripts or meta-data")
    if header.meta_data:
        check_meta_data(header.meta_data)


def check_meta_data(content: bytes) -> None:
    """Check that `content` is one JSON object that all readers understand alike.

    Raises:
        RequestError: it is not.
    """
    try:
        parse_object(content, member="meta-data")
    except RejectedError as e:
        raise RequestError(
            f"cannot use this meta-data: {e.what.removeprefix('cannot read meta-data: ')}",
            hint="meta-data is one JSON object",
        ) from e


def _check_info(info: HeaderInfo) -> None:
    if not info.artifact_name or any(character.isspace() for character in info.artifact_name):
        raise RequestError(f"cannot use the artifact name {info.artifact_name!r}: it is empty or has white space")
    if not info.device_types:
        raise RequestError("cannot write an artifact for no device type", hint="name at least one with -t TYPE")
    groups = () if info.artifact_group is None else (info.artifact_group,)
    for text in (info.artifact_name, *groups, *info.device_types, *info.depends_names, *info.depends_groups):
        why = "is empty" if not text else documents.check_text(text)
        if why is not None:
            raise RequestError(f"cannot use {text[:80]!r} as a name: it {why}")
    kind = info.payload_type
    if kind is not None and (not _MODULE_NAME.fullmatch(kind) or kind.startswith(".") or len(kind) > _NAME_IN_TAR):
        raise RequestError(
            f"cannot use the payload type {kind!r}: it is the name of an update module on the device",
            hint="letters, digits and _ . , + - only, not starting with a dot",
        )


def _check_type_info(info: TypeInfo) -> None:
    _check_pairs("provide", info.provides)
    for key, value in info.depends.items():
        if not isinstance(value, str):
            raise RequestError(
                f"cannot depend on a list of values for {key}: device clients from 4.0 on refuse lists",
                hint="write one artifact for each value",
            )
        _check_pairs("depend on", {key: value})
    for pattern in info.clears_provides or ():
        if not pattern.isprintable():
            raise RequestError(f"cannot clear {pattern!r}: it holds characters that cannot be printed")


def _check_pairs(verb: str, pairs: Mapping[str, str]) -> None:
    for key, value in pairs.items():
        if not key or not key.isprintable() or not value.isprintable():
            raise RequestError(f"cannot {verb} {key!r}={value!r}: empty key, or characters that cannot be printed")


def _check_scripts(scripts: tuple[Script, ...]) -> None:
    for script in scripts:
        name = script.name
        if not documents.SCRIPT_NAME.fullmatch(name) or "/" in name or not name.isprintable():
            raise RequestError(
                f"cannot use {name!r} as a state script: not a name the device knows",
                hint="Artifact(Install|Reboot|Commit|Rollback|RollbackReboot|Failure)_(Enter|Leave|Error)_NN[_name]",
            )
        if len(f"scripts/{name}".encode()) > _NAME_IN_TAR:
            raise RequestError(f"cannot use the state script {name}: its name is too long")
        if len(script.content) > SCRIPT_SIZE:
            raise RequestError(f"cannot use the state script {name}: larger than {SCRIPT_SIZE} bytes")
    _unique([script.name for script in scripts], "state script")


def _check_file_name(name: str) -> None:
    if not documents.FILE_NAME.fullmatch(name) or name in {".", ".."}:
        raise RequestError(
            f"cannot use the payload file name {name!r}: letters, digits and _ . , - only", hint="rename the file"
        )
    if len(name) > FILE_NAME_BYTES:
        raise RequestError(
            f"cannot use the payload file name {name!r}: {len(name)} bytes, device clients take {FILE_NAME_BYTES}",
            hint="rename the file",
        )


def _unique(names: Iterable[str], what: str) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise RequestError(f"cannot write two {what}s of the same name: {name}")
        seen.add(name)


def meta_data_limit() -> int:
    """Return the largest meta-data, in bytes, that the readers take."""
    return JSON_SIZE
