"""Bills of materials: taking one that another tool made, and making a minimal one from a list of packages.

What is made here is deterministic: its identifiers are derived from its content, its time is given by the caller.
"""

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any, Final

from bistable.artifact import jsonio
from bistable.artifact.attest.dsse import LINE_SIZE
from bistable.artifact.attest.predicates import (
    CYCLONEDX_TYPE,
    SPDX3_TYPE,
    SPDX_TYPE,
    BillSummary,
    PredicateKind,
    summarize,
)
from bistable.artifact.attest.provenance import timestamp
from bistable.artifact.errors import RejectedError, RequestError
from bistable.artifact.model import JsonObject
from bistable.artifact.packages import Package, distinct

DEFAULT_VENDOR: Final = "debian"
_CONTENT_ID: Final = uuid.UUID("d9c148d1-6292-4f97-bea3-919d960c2099")
_ROOT: Final = "SPDXRef-Image"
_CONVERTER: Final = "convert it to JSON: `pyspdxtools` does that for SPDX, `cyclonedx convert` for CycloneDX"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """A bill of materials that can be attested: `document` is the predicate, `predicate_type` its type."""

    predicate_type: str
    summary: BillSummary
    document: JsonObject = field(repr=False)


def parse_bill(data: bytes, *, name: str) -> Bill:
    """Take an SPDX (2.x, 3.x) or CycloneDX document in JSON; which it is its content tells. `name` names it in errors.

    Raises:
        RequestError: it is neither, or not JSON.
    """
    start = data[:4096].lstrip(b"\xef\xbb\xbf \t\r\n")
    if start.startswith(b"<"):
        raise RequestError(f"cannot attach {name}: it is XML, and JSON is needed", hint=_CONVERTER)
    if start.startswith((b"SPDXVersion:", b"#")):
        raise RequestError(f"cannot attach {name}: it is SPDX tag-value text, and JSON is needed", hint=_CONVERTER)
    try:
        return as_bill(jsonio.parse_object(data, member=name, limit=LINE_SIZE), name=name)
    except RejectedError as e:
        raise _unusable(name, e) from e


def as_bill(document: JsonObject, *, name: str) -> Bill:
    """Take a document that is JSON already.

    Raises:
        RequestError: it is neither SPDX nor CycloneDX.
    """
    if "bomFormat" in document:
        kind, predicate_type = PredicateKind.CYCLONEDX, CYCLONEDX_TYPE
    elif "spdxVersion" in document:
        kind, predicate_type = PredicateKind.SPDX, SPDX_TYPE
    elif "@context" in document:
        kind, predicate_type = PredicateKind.SPDX, SPDX3_TYPE
    else:
        raise RequestError(
            f"cannot attach {name}: it is neither SPDX nor CycloneDX",
            hint='SPDX has "spdxVersion" or "@context", CycloneDX has "bomFormat"',
        )
    try:
        summary = summarize(kind, document, member=name)
    except RejectedError as e:
        raise _unusable(name, e) from e
    assert isinstance(summary, BillSummary)
    return Bill(predicate_type=predicate_type, summary=summary, document=document)


def make_spdx(packages: Iterable[Package], *, name: str, created: int, vendor: str = DEFAULT_VENDOR) -> dict[str, Any]:
    """Return an SPDX 2.3 document for an image called `name`; `created` is in Unix seconds."""
    listed = distinct(packages)
    identifiers = [f"SPDXRef-Package-{number}" for number in range(1, len(listed) + 1)]
    root = _spdx_package(_ROOT, name) | {"primaryPackagePurpose": "OPERATING-SYSTEM"}
    return {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": name,
        "documentNamespace": _content_urn("spdx", name, created, vendor, listed),
        "creationInfo": {"created": timestamp(created), "creators": [f"Tool: bistable-{version('bistable')}"]},
        "packages": [
            root,
            *(
                _spdx_package(identifier, package.name)
                | {"versionInfo": package.version, "externalRefs": [_spdx_url(package, vendor)]}
                for identifier, package in zip(identifiers, listed, strict=True)
            ),
        ],
        "relationships": [
            _relationship("SPDXRef-DOCUMENT", "DESCRIBES", _ROOT),
            *(_relationship(_ROOT, "CONTAINS", identifier) for identifier in identifiers),
        ],
    }


def make_cyclonedx(
    packages: Iterable[Package], *, name: str, created: int, vendor: str = DEFAULT_VENDOR
) -> dict[str, Any]:
    """Return a CycloneDX 1.6 document for an image called `name`; `created` is in Unix seconds."""
    listed = distinct(packages)
    urls = [package.url(vendor) for package in listed]
    tool = {"type": "application", "name": "bistable", "version": version("bistable")}
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": _content_urn("cyclonedx", name, created, vendor, listed),
        "version": 1,
        "metadata": {
            "timestamp": timestamp(created),
            "tools": {"components": [tool]},
            "component": {"type": "operating-system", "bom-ref": "image", "name": name},
        },
        "components": [
            {"type": "library", "bom-ref": url, "name": package.name, "version": package.version, "purl": url}
            for url, package in zip(urls, listed, strict=True)
        ],
        "dependencies": [{"ref": "image", "dependsOn": urls}],
    }


def _unusable(name: str, error: RejectedError) -> RequestError:
    """Turn what is wrong with a document into what is wrong with the request to attach it."""
    why = error.what.removeprefix(f"cannot use {name}: ").removeprefix(f"cannot read {name}: ")
    return RequestError(f"cannot attach {name}: {why}", hint=error.hint)


def _content_urn(kind: str, name: str, created: int, vendor: str, packages: Sequence[Package]) -> str:
    """Return an identifier that is the same for the same content only."""
    rows = [[package.name, package.version, package.architecture] for package in packages]
    content = jsonio.encode({"kind": kind, "name": name, "created": created, "vendor": vendor, "packages": rows})
    return uuid.uuid5(_CONTENT_ID, content.decode()).urn


def _spdx_package(identifier: str, name: str) -> dict[str, Any]:
    return {"SPDXID": identifier, "name": name, "downloadLocation": "NOASSERTION", "filesAnalyzed": False}


def _spdx_url(package: Package, vendor: str) -> dict[str, str]:
    return {
        "referenceCategory": "PACKAGE-MANAGER",
        "referenceType": "purl",
        "referenceLocator": package.url(vendor),
    }


def _relationship(element: str, kind: str, related: str) -> dict[str, str]:
    return {"spdxElementId": element, "relationshipType": kind, "relatedSpdxElement": related}
