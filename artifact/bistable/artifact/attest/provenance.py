"""The SLSA provenance (v1) of an artifact: from what it was made, with which parameters, by whom.

It is as deterministic as the artifact: no time, host or user is in it unless the caller gives one.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any, Final

from bistable.artifact.errors import RequestError, quoted
from bistable.artifact.model import Compression, Head, JsonObject

BUILD_TYPE: Final = "urn:uuid:bc790a90-4d96-4e95-a81b-2484a680f81d#write-artifact-v1"
"""Names the parameters below, which docs/reference/attestations.md explains; a URN, since host names change hands."""

_URI: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[!-~]+", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """Something that went into an artifact: a file by name, or a source by `uri`; `digest` is hex.

    `algorithm` is `sha256`, or another of in-toto's names, such as `gitCommit`.
    """

    name: str
    digest: str
    uri: str | None = None
    algorithm: str = "sha256"


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildRecord:
    """What is known of a build beyond the artifact.

    `builder` is a URI that stands for whoever is trusted with the build, such as a pipeline; `parameters` are added to
    those that the artifact tells; times are Unix seconds.
    """

    builder: str
    materials: Sequence[Material]
    compression: Compression | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    invocation: str | None = None
    started: int | None = None
    finished: int | None = None


def materials_of(head: Head) -> tuple[Material, ...]:
    """Return what is inside an artifact as its own materials: payload files, state scripts, meta-data."""
    files = head.manifest.payload_digests()
    found = [Material(name=name, digest=digest) for name, digest in files.items()]
    found += [Material(name=f"scripts/{script.name}", digest=_sha256(script.content)) for script in head.header.scripts]
    if head.header.meta_data:
        found.append(Material(name="meta-data", digest=_sha256(head.header.meta_data)))
    return tuple(found)


def make_provenance(head: Head, record: BuildRecord) -> JsonObject:
    """Return the predicate that tells how the artifact with this head was written.

    Raises:
        RequestError: the builder is not named by a URI, or a time is out of range.
    """
    if not _URI.fullmatch(record.builder):
        raise RequestError(
            f"cannot attest a build by {quoted(record.builder)}: a builder is named by a URI",
            hint="for example https://ci.example.com/pipelines/firmware",
        )
    metadata = {
        "invocationId": record.invocation,
        "startedOn": _timestamp(record.started),
        "finishedOn": _timestamp(record.finished),
    }
    return {
        "buildDefinition": {
            "buildType": BUILD_TYPE,
            "externalParameters": {**_parameters(head, record.compression), **record.parameters},
            "resolvedDependencies": [_descriptor(material) for material in record.materials],
        },
        "runDetails": {
            "builder": {"id": record.builder, "version": {"bistable": version("bistable")}},
            "metadata": _given(metadata),
        },
    }


def _parameters(head: Head, compression: Compression | None) -> dict[str, Any]:
    """Return what a request asked for, as the artifact shows it; nothing that was left out."""
    info, type_info = head.header.info, head.header.type_info
    clears = type_info.clears_provides
    return _given(
        {
            "artifactName": info.artifact_name,
            "artifactGroup": info.artifact_group,
            "deviceTypes": list(info.device_types),
            "payloadType": info.payload_type,
            "dependsNames": list(info.depends_names) or None,
            "dependsGroups": list(info.depends_groups) or None,
            "provides": dict(sorted(type_info.provides.items())) or None,
            "depends": {key: _plain(value) for key, value in sorted(type_info.depends.items())} or None,
            "clearsProvides": None if clears is None else list(clears),
            "compression": None if compression is None else compression.label,
        }
    )


def _descriptor(material: Material) -> dict[str, Any]:
    return _given({"name": material.name, "uri": material.uri, "digest": {material.algorithm: material.digest}})


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}


def _plain(value: str | tuple[str, ...]) -> str | list[str]:
    return value if isinstance(value, str) else list(value)


def _timestamp(moment: int | None) -> str | None:
    return None if moment is None else timestamp(moment)


def timestamp(moment: int) -> str:
    """Return Unix seconds as RFC 3339 in UTC.

    Raises:
        RequestError: not a moment between the years 1 and 9999.
    """
    try:
        return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError) as e:
        raise RequestError(f"cannot use {moment} as a time: it is out of range") from e


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
