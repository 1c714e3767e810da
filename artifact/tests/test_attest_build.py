"""Provenance and bills of materials: made from what is known, the same for the same input, and valid elsewhere."""

import hashlib
import io
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bistable.artifact import Compression, Extras, InputBytes, Script, module_request, write_to_file
from bistable.artifact.attest import (
    PROVENANCE_TYPE,
    BillSummary,
    BuildRecord,
    Material,
    Package,
    as_bill,
    make_cyclonedx,
    make_provenance,
    make_spdx,
    make_statement,
    materials_of,
    parse_bill,
    parse_dpkg_status,
)
from bistable.artifact.errors import RequestError
from bistable.artifact.model import Head
from bistable.artifact.reader import ArtifactReader

PACKAGES = [
    Package(name="dash", version="0.5.12-2", architecture="arm64"),
    Package(name="bash", version="5.2.15-2+b2", architecture="arm64"),
    Package(name="libc6", version="1:2.36~rc1-9", architecture="arm64"),
    Package(name="bash", version="5.2.15-2+b2", architecture="arm64"),
]
STATUS = b"""Package: bash
Status: install ok installed
Architecture: arm64
Version: 5.2.15-2+b2
Description: GNU Bourne Again SHell
 Bash is an sh-compatible command language interpreter.
 .
 Package: not-a-field
Conffiles:
 /etc/bash.bashrc 89269e1298235f1b12b4c16e4065ad0d

Package: gone
Status: deinstall ok config-files
Architecture: all
Version: 1

Package: dash
Status: install ok installed
Architecture: arm64
Version: 0.5.12-2
"""


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture(scope="module")
def head() -> Head:
    """Return the head of an artifact that the writer made."""
    request = module_request(
        "app",
        [InputBytes(name="app.bin", content=b"program"), InputBytes(name="app.conf", content=b"settings")],
        name="app-7",
        device_types=["acorn", "beech"],
        extras=Extras(
            scripts=(Script(name="ArtifactInstall_Enter_00", content=b"#!/bin/sh\n"),),
            provides={"channel": "stable"},
            depends={"rootfs-image.version": "6"},
        ),
        meta_data=b'{"a":1}',
    )
    file = io.BytesIO()
    write_to_file(file, request)
    file.seek(0)
    return ArtifactReader(file).read_head()


# --- provenance


def test_what_is_inside_an_artifact_is_listed_as_its_material(head: Head) -> None:
    assert {material.name: material.digest for material in materials_of(head)} == {
        "app.bin": sha256(b"program"),
        "app.conf": sha256(b"settings"),
        "scripts/ArtifactInstall_Enter_00": sha256(b"#!/bin/sh\n"),
        "meta-data": sha256(b'{"a":1}'),
    }


def test_the_parameters_are_those_of_the_request(head: Head) -> None:
    record = BuildRecord(
        builder="https://ci.example.com/app",
        materials=(),
        compression=Compression.ZSTD,
        parameters={"image": {"filesystem": "ext4"}},
    )
    parameters = make_provenance(head, record)["buildDefinition"]["externalParameters"]
    assert parameters["artifactName"] == "app-7"
    assert parameters["deviceTypes"] == ["acorn", "beech"]
    assert parameters["payloadType"] == "app"
    assert parameters["provides"]["channel"] == "stable"
    assert parameters["depends"] == {"rootfs-image.version": "6"}
    assert parameters["compression"] == "zstd"
    assert parameters["image"] == {"filesystem": "ext4"}
    assert "artifactGroup" not in parameters


def test_nothing_is_said_that_was_not_given(head: Head) -> None:
    predicate = make_provenance(head, BuildRecord(builder="urn:example:ci", materials=()))
    assert predicate["runDetails"]["metadata"] == {}
    assert set(predicate["runDetails"]["builder"]) == {"id", "version"}


def test_times_and_the_invocation_are_kept(head: Head) -> None:
    record = BuildRecord(
        builder="urn:example:ci", materials=(), invocation="https://ci.example.com/1", started=0, finished=86_400
    )
    assert make_provenance(head, record)["runDetails"]["metadata"] == {
        "invocationId": "https://ci.example.com/1",
        "startedOn": "1970-01-01T00:00:00Z",
        "finishedOn": "1970-01-02T00:00:00Z",
    }


def test_a_source_is_a_material_by_its_commit(head: Head) -> None:
    commit = "c27d339ee6075c1f744c5d4b200f7901aad2c369"
    material = Material(name="source", uri="git+https://example.com/firmware.git", digest=commit, algorithm="gitCommit")
    record = BuildRecord(builder="urn:example:ci", materials=[material])
    assert make_provenance(head, record)["buildDefinition"]["resolvedDependencies"] == [
        {"name": "source", "uri": "git+https://example.com/firmware.git", "digest": {"gitCommit": commit}}
    ]


@pytest.mark.parametrize("builder", ["", "ci", "https://ci example.com", "https:", "1a:b"])
def test_a_builder_is_named_by_a_uri(head: Head, builder: str) -> None:
    with pytest.raises(RequestError, match="named by a URI"):
        make_provenance(head, BuildRecord(builder=builder, materials=()))


@pytest.mark.parametrize("moment", [10**12, -(10**12), 10**30])
def test_a_time_that_cannot_be_written_is_refused(head: Head, moment: int) -> None:
    with pytest.raises(RequestError, match="out of range"):
        make_provenance(head, BuildRecord(builder="urn:example:ci", materials=(), started=moment))


def test_the_schemas_of_in_toto_and_slsa_are_met(head: Head) -> None:
    json_format = pytest.importorskip("google.protobuf.json_format", reason="in-toto-attestation is not installed")
    statements = pytest.importorskip("in_toto_attestation.v1.statement_pb2", reason="in-toto-attestation is missing")
    predicates = pytest.importorskip("in_toto_attestation.predicates.provenance.v1.provenance_pb2")
    record = BuildRecord(builder="urn:example:ci", materials=materials_of(head), started=0, finished=1)
    statement = make_statement(head, predicate_type=PROVENANCE_TYPE, predicate=make_provenance(head, record))
    # Unknown fields and values of the wrong type are errors for this parser.
    parsed = json_format.Parse(statement, statements.Statement())
    predicate = json_format.ParseDict(json_format.MessageToDict(parsed.predicate), predicates.Provenance())
    assert predicate.run_details.builder.id == "urn:example:ci"
    assert predicate.run_details.metadata.finished_on.seconds == 1


def test_the_example_in_the_documentation_is_what_is_written() -> None:
    page = Path(__file__).resolve().parents[2] / "docs" / "reference" / "attestations.md"
    if not page.exists():
        pytest.skip("not a checkout: the documentation is not here")
    example = json.loads(page.read_text().partition("```json\n")[2].partition("```")[0])
    file = io.BytesIO()
    files = [InputBytes(name="app.bin", content=b"program\n")]
    write_to_file(file, module_request("app", files, name="app-7", device_types=["acorn"]))
    file.seek(0)
    head = ArtifactReader(file).read_head()
    source = Material(
        name="source",
        uri="git+https://git.example.com/app.git",
        digest="c27d339ee6075c1f744c5d4b200f7901aad2c369",
        algorithm="gitCommit",
    )
    record = BuildRecord(
        builder="https://ci.example.com/firmware",
        materials=[*materials_of(head), source],
        invocation="https://ci.example.com/firmware/runs/7",
        finished=1767225600,
    )
    made = json.loads(make_statement(head, predicate_type=PROVENANCE_TYPE, predicate=make_provenance(head, record)))
    for statement in (example, made):
        statement["predicate"]["runDetails"]["builder"]["version"] = {}
        # The manifest covers the compressed header, which another version of zstd may store in other bytes.
        statement["subject"][0]["digest"] = {}
    assert made == example


# --- packages


def test_installed_packages_are_listed_and_others_are_not() -> None:
    assert parse_dpkg_status(STATUS) == (PACKAGES[1], PACKAGES[0])


def test_line_ends_of_another_system_do_not_matter() -> None:
    assert parse_dpkg_status(STATUS.replace(b"\n", b"\r\n")) == parse_dpkg_status(STATUS)


def test_the_last_entry_needs_no_line_after_it() -> None:
    assert parse_dpkg_status(STATUS.rstrip()) == parse_dpkg_status(STATUS)


def test_an_empty_list_has_no_packages() -> None:
    assert parse_dpkg_status(b"") == ()


@pytest.mark.parametrize(
    "data",
    [
        b"no field\n",
        b"Status: install ok installed\nPackage: bash\nVersion: 1\n",
        b"Status: install ok installed\nPackage: ../x\nVersion: 1\nArchitecture: all\n",
        b"Status: install ok installed\nPackage: bash\nVersion: 1 2\nArchitecture: all\n",
    ],
)
def test_a_broken_package_list_is_refused_in_words(data: bytes) -> None:
    with pytest.raises(RequestError, match="cannot read the package list"):
        parse_dpkg_status(data)


@given(st.binary(max_size=300))
def test_no_bytes_break_the_parser_of_package_lists(data: bytes) -> None:
    with suppress(RequestError):
        parse_dpkg_status(b"Package: a\n" + data)


def test_a_package_url_keeps_the_epoch_and_encodes_the_rest() -> None:
    assert PACKAGES[2].url("debian") == "pkg:deb/debian/libc6@1:2.36~rc1-9?arch=arm64"
    assert PACKAGES[1].url("Ubuntu") == "pkg:deb/ubuntu/bash@5.2.15-2%2Bb2?arch=arm64"


@given(
    st.from_regex(r"[a-z0-9][a-z0-9+._-]{0,20}", fullmatch=True),
    st.from_regex(r"([0-9]:)?[A-Za-z0-9.+~^_-]{1,20}", fullmatch=True),
)
def test_a_package_url_is_the_one_of_the_package_url_library(name: str, version: str) -> None:
    library = pytest.importorskip("packageurl", reason="packageurl-python is not installed")
    expected = library.PackageURL("deb", "debian", name, version, {"arch": "armhf"}).to_string()
    assert Package(name=name, version=version, architecture="armhf").url("debian") == expected


# --- bills of materials


def test_the_same_packages_give_the_same_bill_in_any_order() -> None:
    for make in (make_spdx, make_cyclonedx):
        assert make(PACKAGES, name="image", created=0) == make(PACKAGES[::-1], name="image", created=0)


@pytest.mark.parametrize(("make", "identifier"), [(make_spdx, "documentNamespace"), (make_cyclonedx, "serialNumber")])
def test_another_content_gives_another_identifier(make: Any, identifier: str) -> None:
    documents = [
        make(PACKAGES, name="image", created=0),
        make(PACKAGES[:2], name="image", created=0),
        make(PACKAGES, name="other", created=0),
        make(PACKAGES, name="image", created=1),
        make(PACKAGES, name="image", created=0, vendor="ubuntu"),
    ]
    assert len({document[identifier] for document in documents}) == len(documents)


@pytest.mark.parametrize(
    ("make", "summary"),
    [
        (make_spdx, BillSummary(format="SPDX-2.3", name="image", packages=4)),
        (make_cyclonedx, BillSummary(format="CycloneDX-1.6", name="image", packages=3)),
    ],
)
def test_what_is_made_here_is_taken_here(make: Any, summary: BillSummary) -> None:
    assert as_bill(make(PACKAGES, name="image", created=0), name="made").summary == summary


def test_spdx_tools_finds_nothing_wrong(tmp_path: Path) -> None:
    parser = pytest.importorskip("spdx_tools.spdx.parser.parse_anything", reason="spdx-tools is not installed")
    validator = pytest.importorskip("spdx_tools.spdx.validation.document_validator")
    path = tmp_path / "image.spdx.json"
    path.write_text(json.dumps(make_spdx(PACKAGES, name="image", created=0)))
    assert validator.validate_full_spdx_document(parser.parse_file(str(path))) == []


def test_the_cyclonedx_schema_is_met() -> None:
    validation = pytest.importorskip("cyclonedx.validation.json", reason="cyclonedx-python-lib is not installed")
    schema = pytest.importorskip("cyclonedx.schema")
    document = make_cyclonedx(PACKAGES, name="image", created=0)
    assert validation.JsonStrictValidator(schema.SchemaVersion.V1_6).validate_str(json.dumps(document)) is None


@pytest.mark.parametrize(
    ("data", "predicate_type", "format_"),
    [
        (b'{"spdxVersion":"SPDX-2.2","name":"a"}', "https://spdx.dev/Document", "SPDX-2.2"),
        (
            b'{"@context":"https://spdx.org/rdf/3.0.1/spdx-context.jsonld","@graph":[]}',
            "https://spdx.dev/Document/v3",
            "SPDX-3.0.1",
        ),
        (b' {"bomFormat":"CycloneDX","specVersion":"1.5"}\n', "https://cyclonedx.org/bom", "CycloneDX-1.5"),
    ],
)
def test_a_bill_is_known_by_its_content(data: bytes, predicate_type: str, format_: str) -> None:
    bill = parse_bill(data, name="sbom.json")
    assert (bill.predicate_type, bill.summary.format) == (predicate_type, format_)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"SPDXVersion: SPDX-2.3\nDataLicense: CC0-1.0\n", "tag-value"),
        (b"# made by a tool\nSPDXVersion: SPDX-2.3\n", "tag-value"),
        (b'\xef\xbb\xbf<?xml version="1.0"?><bom/>', "it is XML"),
        (b"{}", "neither SPDX nor CycloneDX"),
        (b'{"bomFormat":"CycloneDX"}', "specVersion"),
        (b"spdxVersion: SPDX-2.3\n", "not valid JSON"),
        (b"", "not valid JSON"),
        (b'{"spdxVersion":"SPDX-2.3","spdxVersion":"SPDX-2.2"}', "twice"),
    ],
)
def test_what_cannot_be_attached_is_refused_in_words(data: bytes, why: str) -> None:
    with pytest.raises(RequestError, match=why) as caught:
        parse_bill(data, name="sbom.txt")
    assert caught.value.what.startswith("cannot attach sbom.txt: ")
    assert caught.value.what.count("sbom.txt") == 1


def test_a_document_without_its_shape_is_refused_in_words() -> None:
    with pytest.raises(RequestError, match='cannot attach image: "specVersion" must be text'):
        as_bill({"bomFormat": "CycloneDX"}, name="image")
