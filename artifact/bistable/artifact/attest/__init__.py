"""Attestations: signed statements about an artifact, in a file beside it. docs/reference/attestations.md.

Attest how an artifact was built, and check it::

    from bistable.artifact import attest

    record = attest.BuildRecord(builder="https://ci.example.com/firmware", materials=attest.materials_of(head))
    statement = attest.make_statement(
        head, predicate_type=attest.PROVENANCE_TYPE, predicate=attest.make_provenance(head, record)
    )
    attest.write_bundle(attest.bundle_path(artifact), [attest.sign_statement(statement, signer)])

    lines = attest.load_bundle(str(attest.bundle_path(artifact)))
    found = attest.verify_bundle(lines, head=head, verifiers=verifiers)
    attest.require_attestations(found, kinds={attest.PredicateKind.PROVENANCE})
"""

from bistable.artifact.attest.bills import DEFAULT_VENDOR, Bill, as_bill, make_cyclonedx, make_spdx, parse_bill
from bistable.artifact.attest.bundle import (
    VerifiedAttestation,
    append_to_bundle,
    load_bundle,
    read_bundle,
    require_attestations,
    verify_bundle,
    write_bundle,
)
from bistable.artifact.attest.dsse import sign_statement
from bistable.artifact.attest.packages import DPKG_STATUS, parse_dpkg_status
from bistable.artifact.attest.paths import BUNDLE_SUFFIX, CHAIN_SUFFIX, beside, bundle_path, chain_path
from bistable.artifact.attest.predicates import PROVENANCE_TYPE, BillSummary, PredicateKind, ProvenanceSummary
from bistable.artifact.attest.provenance import BuildRecord, Material, make_provenance, materials_of
from bistable.artifact.attest.statement import Subject, make_statement, subjects_of
from bistable.artifact.packages import Package

__all__ = [
    "BUNDLE_SUFFIX",
    "CHAIN_SUFFIX",
    "DEFAULT_VENDOR",
    "DPKG_STATUS",
    "PROVENANCE_TYPE",
    "Bill",
    "BillSummary",
    "BuildRecord",
    "Material",
    "Package",
    "PredicateKind",
    "ProvenanceSummary",
    "Subject",
    "VerifiedAttestation",
    "append_to_bundle",
    "as_bill",
    "beside",
    "bundle_path",
    "chain_path",
    "load_bundle",
    "make_cyclonedx",
    "make_provenance",
    "make_spdx",
    "make_statement",
    "materials_of",
    "parse_bill",
    "parse_dpkg_status",
    "read_bundle",
    "require_attestations",
    "sign_statement",
    "subjects_of",
    "verify_bundle",
    "write_bundle",
]
