"""Artifacts in words and as JSON: what `show` and `verify` say of them."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from bistable.artifact.cli.render import (
    View,
    clean,
    count_text,
    finding_document,
    finding_lines,
    rows,
    size_text,
    styled,
)
from bistable.artifact.model import Artifact, Augment, Compression, Head, SignatureState, TypeInfo

Pairs: TypeAlias = Iterable[tuple[str, str | Iterable[str]]]


def show_view(source: str, head: Head, compression: Compression | None, artifact: Artifact | None) -> View:
    """Return all that an artifact says of itself; `artifact` None: only the head was read."""
    findings = head.findings if artifact is None else artifact.findings
    lines = rows([*_identity(head, artifact), *_payload(head, compression, artifact), *_header(head)])
    if head.augment is not None:
        lines += ["", "Augmented, not covered by any signature:", *rows(_augment(head.augment), indent="  ")]
    if findings:
        lines += ["", *finding_lines(findings)]
    return View(
        schema="artifact.show/1",
        document={"source": source, **document_of(head, compression, artifact)},
        lines=lines,
    )


def verify_view(source: str, artifact: Artifact, attested: Sequence[tuple[str, Mapping[str, Any]]] | None) -> View:
    """Return what was checked of an artifact that is good; `attested` are (text, document), None: not asked for."""
    head = artifact.head
    total = sum(file.size for file in artifact.files)
    signed = head.signature is SignatureState.VERIFIED
    verdict = styled("good", fg="green", bold=True) if signed else styled("whole, but not signed", fg="yellow")
    files = f"{count_text(len(artifact.files), 'file')}, {size_text(total)}; all digests match"
    checked = rows(
        [
            ("artifact", f"{clean(head.header.info.artifact_name)} for {_listed(head.header.info.device_types)}"),
            ("signature", _signature(head)),
            ("head", f"format version {head.version}; version and header match the manifest"),
            ("payload", files if artifact.files else "no files"),
            ("attested", [clean(text) for text, _ in attested or ()]),
        ],
        indent="  ",
    )
    return View(
        schema="artifact.verify/1",
        document={
            "source": source,
            **document_of(head, artifact.data_compression, artifact),
            "attestations": None if attested is None else [document for _, document in attested],
        },
        lines=[
            f"{clean(source)}: {verdict}",
            *checked,
            *finding_lines(artifact.findings),
        ],
    )


def document_of(head: Head, compression: Compression | None, artifact: Artifact | None) -> dict[str, Any]:
    """Return an artifact as a document; what only reading the payload tells is null without `artifact`."""
    info = head.header.info
    sizes = {} if artifact is None else {file.name: file.size for file in artifact.files}
    findings = head.findings if artifact is None else artifact.findings
    return {
        "artifact_name": info.artifact_name,
        "artifact_group": info.artifact_group,
        "device_types": list(info.device_types),
        "depends_artifact_names": list(info.depends_names),
        "depends_groups": list(info.depends_groups),
        "format_version": head.version,
        "signature": {"state": head.signature.value.replace(" ", "-"), "key": head.key},
        "manifest_sha256": head.manifest_digest,
        "header_compression": head.header_compression.label,
        "size": None if artifact is None else artifact.size,
        "payload": {
            "type": info.payload_type,
            "compression": None if compression is None else compression.label,
            "checked": artifact is not None,
            "files": [
                {"name": name, "size": sizes.get(name), "sha256": digest}
                for name, digest in head.payload_digests().items()
            ],
            **_type_info_document(head.header.type_info),
            "meta_data": _parsed(head.header.meta_data),
        },
        "scripts": [{"name": script.name, "size": len(script.content)} for script in head.header.scripts],
        "augment": None if head.augment is None else _augment_document(head.augment),
        "findings": [finding_document(finding) for finding in findings],
    }


def _type_info_document(info: TypeInfo) -> dict[str, Any]:
    return {
        "provides": dict(info.provides),
        "depends": {key: value if isinstance(value, str) else list(value) for key, value in info.depends.items()},
        "clears_provides": None if info.clears_provides is None else list(info.clears_provides),
    }


def _augment_document(augment: Augment) -> dict[str, Any]:
    return {
        "type": augment.payload_type,
        "files": [{"name": n, "sha256": digest} for n, digest in augment.manifest.payload_digests().items()],
        **_type_info_document(augment.type_info),
        "meta_data": _parsed(augment.meta_data),
    }


def _identity(head: Head, artifact: Artifact | None) -> Pairs:
    info = head.header.info
    needs = [
        f"{what} {_listed(names, ' or ')}"
        for what, names in (("artifact", info.depends_names), ("group", info.depends_groups))
        if names
    ]
    return [
        ("Artifact", clean(info.artifact_name)),
        ("Group", clean(info.artifact_group or "")),
        ("Made for", _listed(info.device_types)),
        ("Installs on", needs),
        ("Signature", _signature(head)),
        ("Format", f"version {head.version}, header {_stored(head.header_compression)}"),
        ("Manifest", f"sha256 {head.manifest_digest}"),
        ("Size", "" if artifact is None else size_text(artifact.size)),
    ]


def _payload(head: Head, compression: Compression | None, artifact: Artifact | None) -> Pairs:
    kind = head.header.info.payload_type
    stored = "" if compression is None else f", {_stored(compression)}"
    digests = head.payload_digests()
    sizes = {} if artifact is None else {file.name: str(file.size) for file in artifact.files}
    width = max((len(size) for size in sizes.values()), default=0)
    state = "" if artifact is not None else " (not read, not checked)"
    yield "Payload", "empty" if kind is None else f"{clean(kind)}{stored}, {count_text(len(digests), 'file')}{state}"
    yield "Files", [f"{digest}  {sizes.get(name, ''):>{width}}  {clean(name)}" for name, digest in digests.items()]


def _header(head: Head) -> Pairs:
    return [
        *_type_info(head.header.type_info),
        ("Scripts", [f"{script.name} ({size_text(len(script.content))})" for script in head.header.scripts]),
        ("Meta-data", _meta_data(head.header.meta_data)),
    ]


def _type_info(info: TypeInfo) -> Pairs:
    depends = {key: value if isinstance(value, str) else " or ".join(value) for key, value in info.depends.items()}
    clears = "everything (no list is given)" if info.clears_provides is None else _listed(info.clears_provides)
    return [
        ("Provides", [f"{clean(key)} = {clean(value)}" for key, value in sorted(info.provides.items())]),
        ("Depends", [f"{clean(key)} = {clean(value)}" for key, value in sorted(depends.items())]),
        ("Clears", clears or "nothing"),
    ]


def _augment(augment: Augment) -> Pairs:
    return [
        ("Payload", clean(augment.payload_type or "")),
        ("Files", [f"{digest}  {clean(name)}" for name, digest in augment.manifest.payload_digests().items()]),
        *_type_info(augment.type_info),
        ("Meta-data", _meta_data(augment.meta_data)),
    ]


def _signature(head: Head) -> str:
    if head.signature is SignatureState.VERIFIED:
        return f"{styled('verified', fg='green')} with {clean(head.key or '')}"
    if head.signature is SignatureState.UNSIGNED:
        return f"{styled('none', fg='yellow')}: not signed"
    return f"{styled('not checked', fg='yellow')}: signed, but no key was given (-k)"


def _stored(compression: Compression) -> str:
    return "not compressed" if compression is Compression.NONE else compression.label


def _listed(items: Iterable[str], glue: str = ", ") -> str:
    return glue.join(clean(item) for item in items)


def _meta_data(raw: bytes | None) -> list[str]:
    return [clean(line) for line in json.dumps(_parsed(raw), indent=2, ensure_ascii=False).splitlines()] if raw else []


def _parsed(raw: bytes | None) -> Any:
    """Return meta-data as a value; the reader has checked that it is one JSON object."""
    return json.loads(raw) if raw else None
