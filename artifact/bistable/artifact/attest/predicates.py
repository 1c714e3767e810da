"""What attestations say: the types that are known, their required shape, and a summary of each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, NoReturn, TypeAlias

from bistable.artifact.errors import RejectedError, Where, quoted
from bistable.artifact.model import JsonObject

PROVENANCE_TYPE: Final = "https://slsa.dev/provenance/v1"
SPDX_TYPE: Final = "https://spdx.dev/Document"
SPDX3_TYPE: Final = "https://spdx.dev/Document/v3"
CYCLONEDX_TYPE: Final = "https://cyclonedx.org/bom"


class PredicateKind(Enum):
    """What an attestation is about; `OTHER` is any type that is not known here."""

    PROVENANCE = "provenance"
    SPDX = "spdx"
    CYCLONEDX = "cyclonedx"
    OTHER = "other"

    @classmethod
    def of(cls, predicate_type: str) -> "PredicateKind":
        """Return the kind of a predicate type; bills of materials may carry their version behind it (`/v2.3`)."""
        if predicate_type == PROVENANCE_TYPE:
            return cls.PROVENANCE
        for base, kind in ((SPDX_TYPE, cls.SPDX), (CYCLONEDX_TYPE, cls.CYCLONEDX)):
            if predicate_type == base or predicate_type.startswith(base + "/v"):
                return kind
        return cls.OTHER


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvenanceSummary:
    """How an artifact was built, as its builder says; times are RFC 3339 text, `dependencies` are counted."""

    builder: str
    build_type: str
    dependencies: int
    invocation: str | None
    started: str | None
    finished: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BillSummary:
    """What a bill of materials is about: its format with version, its own name, and how many packages it lists."""

    format: str
    name: str | None
    packages: int


Summary: TypeAlias = ProvenanceSummary | BillSummary | None


def summarize(kind: PredicateKind, predicate: JsonObject, *, member: str) -> Summary:
    """Check the shape of a predicate of a known kind and return what people want to know of it, None for others.

    Raises:
        RejectedError: it is not of the shape that its type demands.
    """
    if kind is PredicateKind.PROVENANCE:
        return _provenance(predicate, member)
    if kind is PredicateKind.SPDX:
        return _spdx(predicate, member)
    return _cyclonedx(predicate, member) if kind is PredicateKind.CYCLONEDX else None


def _provenance(predicate: JsonObject, member: str) -> ProvenanceSummary:
    definition = _object(predicate, "buildDefinition", member)
    details = _object(predicate, "runDetails", member)
    _object(definition, "externalParameters", member)
    metadata = _object(details, "metadata", member) if "metadata" in details else {}
    return ProvenanceSummary(
        builder=_text(_object(details, "builder", member), "id", member),
        build_type=_text(definition, "buildType", member),
        dependencies=len(_objects(definition, "resolvedDependencies", member)),
        invocation=_optional_text(metadata, "invocationId", member),
        started=_optional_text(metadata, "startedOn", member),
        finished=_optional_text(metadata, "finishedOn", member),
    )


def _spdx(predicate: JsonObject, member: str) -> BillSummary:
    if "@context" in predicate:
        return _spdx3(predicate, member)
    version = _text(predicate, "spdxVersion", member)
    if not version.startswith("SPDX-2."):
        _refuse(member, f"{quoted(version)} is not a version of SPDX that is written in this form")
    return BillSummary(
        format=version, name=_text(predicate, "name", member), packages=len(_objects(predicate, "packages", member))
    )


def _spdx3(predicate: JsonObject, member: str) -> BillSummary:
    context = predicate["@context"]
    contexts = [context] if isinstance(context, str) else context if isinstance(context, list) else []
    prefix = "https://spdx.org/rdf/3."
    address = next((text for text in contexts if isinstance(text, str) and text.startswith(prefix)), None)
    if address is None:
        _refuse(member, '"@context" does not name SPDX 3')
    elements = _objects(predicate, "@graph", member)
    document = next((element for element in elements if element.get("type") == "SpdxDocument"), {})
    return BillSummary(
        format=f"SPDX-3.{address.removeprefix(prefix).partition('/')[0]}",
        name=_optional_text(document, "name", member),
        packages=sum(element.get("type") == "software_Package" for element in elements),
    )


def _cyclonedx(predicate: JsonObject, member: str) -> BillSummary:
    if predicate.get("bomFormat") != "CycloneDX":
        _refuse(member, '"bomFormat" must be "CycloneDX"')
    metadata = _object(predicate, "metadata", member) if "metadata" in predicate else {}
    component = _object(metadata, "component", member) if "component" in metadata else {}
    return BillSummary(
        format=f"CycloneDX-{_text(predicate, 'specVersion', member)}",
        name=_optional_text(component, "name", member),
        packages=len(_objects(predicate, "components", member)),
    )


def _object(document: JsonObject, key: str, member: str) -> JsonObject:
    value = document.get(key)
    if not isinstance(value, Mapping):
        _refuse(member, f'"{key}" must be an object')
    return value


def _objects(document: JsonObject, key: str, member: str) -> Sequence[Mapping[str, Any]]:
    value = document.get(key, [])
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        _refuse(member, f'"{key}" must be a list of objects')
    return value


def _text(document: JsonObject, key: str, member: str) -> str:
    value = document.get(key)
    if not isinstance(value, str) or not value:
        _refuse(member, f'"{key}" must be text')
    return value


def _optional_text(document: JsonObject, key: str, member: str) -> str | None:
    return _text(document, key, member) if document.get(key) is not None else None


def _refuse(member: str, why: str) -> NoReturn:
    raise RejectedError(f"cannot use {member}: {why}", where=Where(member=member), rule="attestation.predicate")
