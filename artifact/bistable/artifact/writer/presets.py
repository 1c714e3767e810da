"""Requests for the three kinds of artifact, with the provides and clears of the real tools. FORMAT.md §5.5."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bistable.artifact.model import ROOTFS_IMAGE, Header, HeaderInfo, Script, TypeInfo
from bistable.artifact.writer.defaults import SoftwareVersion
from bistable.artifact.writer.inputs import InputFile, PayloadInput
from bistable.artifact.writer.request import CHECKSUM_KEY, WriteRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class Extras:
    """What an artifact may carry beside its name, device types and files.

    `clears` come before the default patterns, which `default_clears` switches; `software` names the version key.
    """

    group: str | None = None
    depends_names: Sequence[str] = ()
    depends_groups: Sequence[str] = ()
    provides: Mapping[str, str] = field(default_factory=dict)
    depends: Mapping[str, str] = field(default_factory=dict)
    clears: Sequence[str] = ()
    default_clears: bool = True
    scripts: Sequence[Script] = ()
    software: SoftwareVersion = field(default_factory=SoftwareVersion)


def rootfs_request(
    image: Path | PayloadInput,
    *,
    name: str,
    device_types: Sequence[str],
    extras: Extras | None = None,
    checksum_key: str | None = CHECKSUM_KEY,
) -> WriteRequest:
    """Return a request for a root filesystem image; `checksum_key` None leaves its digest out of the provides."""
    header = _header(ROOTFS_IMAGE, name, device_types, extras or Extras(), meta_data=b"")
    return WriteRequest(header=header, files=(_input(image),), checksum_key=checksum_key)


def module_request(
    payload_type: str,
    files: Sequence[Path | PayloadInput],
    *,
    name: str,
    device_types: Sequence[str],
    extras: Extras | None = None,
    meta_data: bytes | None = None,
) -> WriteRequest:
    """Return a request for files (any number) that the update module `payload_type` will install."""
    header = _header(payload_type, name, device_types, extras or Extras(), meta_data=meta_data)
    return WriteRequest(header=header, files=tuple(_input(file) for file in files))


def bootstrap_request(*, name: str, device_types: Sequence[str], extras: Extras | None = None) -> WriteRequest:
    """Return a request for an empty payload, which tells a new device what it already has. FORMAT.md §8."""
    return WriteRequest(header=_header(None, name, device_types, extras or Extras(), meta_data=None))


def _header(
    payload_type: str | None, name: str, device_types: Sequence[str], extras: Extras, *, meta_data: bytes | None
) -> Header:
    software = extras.software
    default_clears = software.clears(payload_type) if extras.default_clears else ()
    clears = tuple(extras.clears) + tuple(p for p in default_clears if p not in extras.clears)
    return Header(
        info=HeaderInfo(
            payload_type=payload_type,
            artifact_name=name,
            artifact_group=extras.group,
            device_types=tuple(device_types),
            depends_names=tuple(extras.depends_names),
            depends_groups=tuple(extras.depends_groups),
        ),
        type_info=TypeInfo(
            payload_type=payload_type,
            provides={**software.provides(payload_type, name), **extras.provides},
            depends=dict(extras.depends),
            clears_provides=clears or None,
        ),
        scripts=tuple(extras.scripts),
        meta_data=meta_data,
    )


def _input(file: Path | PayloadInput) -> PayloadInput:
    return InputFile(name=file.name, path=file) if isinstance(file, Path) else file
