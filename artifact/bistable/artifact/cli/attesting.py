"""What is attested: options, and the way from an artifact's head to signed statements beside it."""

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from bistable.artifact.cli.contents import read_small
from bistable.artifact.cli.framework import option
from bistable.artifact.cli.options import FILE, bundle
from bistable.artifact.cli.render import count_text
from bistable.artifact.errors import RequestError

if TYPE_CHECKING:
    from bistable.artifact.attest import Bill, VerifiedAttestation
    from bistable.artifact.keys import Signer
    from bistable.artifact.model import Compression, Head

F = TypeVar("F", bound=Callable[..., Any])

SECTION: Final = "Attestations"
BILL_SIZE: Final = 64 * 1024 * 1024
"""Largest bill of materials that is read, in bytes: as much as one attestation may hold."""

_URI: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[!-~]+", re.ASCII)
_DIGEST: Final = re.compile(r"[0-9a-f]{32,128}", re.ASCII)


def uri(text: str) -> str:
    """Read a URI."""
    if not _URI.fullmatch(text):
        raise click.BadParameter(f"{text!r} is not a URI such as https://ci.example.com/firmware")
    return text


def digest(text: str) -> tuple[str, str]:
    """Read `ALGORITHM:HEX`."""
    algorithm, _, value = text.partition(":")
    if not algorithm or not _DIGEST.fullmatch(value):
        raise click.BadParameter(f"{text!r} is not a digest such as gitCommit:c27d339ee6075c1f744c5d4b200f7901aad2c369")
    return algorithm, value


@dataclass(frozen=True, slots=True, kw_only=True)
class Attesting:
    """What the options said is to be attested."""

    provenance: str | None = None
    invocation: str | None = None
    source: Sequence[tuple[str, tuple[str, str]]] = ()
    sbom: Sequence[Path] = ()

    @property
    def wanted(self) -> bool:
        """Return whether anything is to be attested."""
        return self.provenance is not None or bool(self.sbom)

    def bills(self) -> "list[Bill]":
        """Read the bills of materials.

        Raises:
            RequestError: one cannot be read, or is none; or an option stands without the one it belongs to.
        """
        from bistable.artifact.attest import parse_bill

        if self.provenance is None and (self.invocation or self.source):
            raise RequestError("cannot use --invocation or --source without --provenance")
        return [parse_bill(read_small(path, BILL_SIZE), name=str(path)) for path in self.sbom]

    def statements(self, head: "Head", compression: "Compression | None", bills: "Sequence[Bill]") -> list[bytes]:
        """Return what is to be signed."""
        from bistable.artifact.attest import (
            PROVENANCE_TYPE,
            BuildRecord,
            Material,
            make_provenance,
            make_statement,
            materials_of,
        )
        from bistable.artifact.writer import source_date_epoch

        made = [make_statement(head, predicate_type=bill.predicate_type, predicate=bill.document) for bill in bills]
        if self.provenance is None:
            return made
        sources = [
            Material(name="source", uri=where, algorithm=algorithm, digest=value)
            for where, (algorithm, value) in self.source
        ]
        record = BuildRecord(
            builder=self.provenance,
            materials=[*materials_of(head), *sources],
            compression=compression,
            invocation=self.invocation,
            finished=source_date_epoch() if os.environ.get("SOURCE_DATE_EPOCH") else None,
        )
        return [make_statement(head, predicate_type=PROVENANCE_TYPE, predicate=make_provenance(head, record)), *made]


def attesting_options(function: F) -> F:
    """Add the options that say what to attest, handed over as `attesting`."""
    return bundle(
        "attesting",
        Attesting,
        [
            option(
                "--provenance",
                type=uri,
                metavar="URI",
                section=SECTION,
                help="Attest how the artifact was written (SLSA provenance), by the builder that this URI names, such "
                "as the address of a pipeline.",
            ),
            option(
                "--invocation",
                metavar="ID",
                section=SECTION,
                help="Name this run of the builder in the provenance, such as the address of a job.",
            ),
            option(
                "--source",
                type=(uri, digest),
                multiple=True,
                metavar="URI DIGEST",
                section=SECTION,
                help="Name a source in the provenance and its digest, such as git+https://git.example.com/app.git "
                "gitCommit:c27d339e... May be given several times.",
            ),
            option(
                "--sbom",
                type=FILE,
                multiple=True,
                metavar="FILE",
                section=SECTION,
                help="Attest this bill of materials: SPDX or CycloneDX in JSON. May be given several times.",
            ),
        ],
    )(function)


def sign_statements(statements: "Sequence[bytes]", signer: "Signer") -> list[bytes]:
    """Return the signed lines of a bundle."""
    from bistable.artifact.attest import sign_statement

    return [sign_statement(statement, signer) for statement in statements]


def attestation_text(found: "VerifiedAttestation") -> str:
    """Return what an attestation says in one line."""
    from bistable.artifact.attest import ProvenanceSummary

    said = found.summary
    if said is None:
        what = found.predicate_type
    elif isinstance(said, ProvenanceSummary):
        what = f"provenance: built by {said.builder} from {count_text(said.dependencies, 'material')}"
    else:
        what = f"{said.format}: {count_text(said.packages, 'package')}" + (f" in {said.name}" if said.name else "")
    return f"{what}; by {found.key}"


def attestation_document(found: "VerifiedAttestation") -> dict[str, Any]:
    """Return an attestation as a document, with its summary; the predicate itself is in the file."""
    from dataclasses import asdict

    return {
        "kind": found.kind.value,
        "predicate_type": found.predicate_type,
        "key": found.key,
        "summary": None if found.summary is None else asdict(found.summary),
    }
