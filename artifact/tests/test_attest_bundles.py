"""Files of attestations: what is read of them, what is added to them, and how they are called."""

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from attest_lines import CYCLONEDX, GOOD, HEAD, SPDX, VECTORS, attest, signer, verify

from bistable.artifact import Policy
from bistable.artifact.attest import (
    PredicateKind,
    append_to_bundle,
    beside,
    bundle_path,
    chain_path,
    load_bundle,
    make_statement,
    read_bundle,
    require_attestations,
    sign_statement,
    verify_bundle,
    write_bundle,
)
from bistable.artifact.attest import bundle as bundle_module
from bistable.artifact.errors import (
    LimitError,
    PolicyError,
    RejectedError,
    RequestError,
    SignatureError,
)
from bistable.artifact.model import SignatureState
from bistable.artifact.reader import ArtifactReader

# --- bundles


def test_every_line_of_a_bundle_must_be_good() -> None:
    with pytest.raises(SignatureError, match="attestation 2"):
        verify(GOOD, attest(kind="rsa3072"))


def test_a_bundle_cannot_be_checked_without_a_key() -> None:
    with pytest.raises(RequestError, match="without a key"):
        verify_bundle([GOOD], head=HEAD, verifiers=[])


def test_a_bundle_comes_back_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "a.mender.intoto.jsonl"
    lines = (attest(), attest("https://spdx.dev/Document", SPDX))
    write_bundle(path, lines)
    assert load_bundle(str(path)) == lines
    assert path.read_bytes() == b"".join(line + b"\n" for line in lines)


def test_a_bundle_grows_and_keeps_what_it_has(tmp_path: Path) -> None:
    path = tmp_path / "bundle"
    append_to_bundle(path, [GOOD])
    append_to_bundle(path, [GOOD, attest("https://spdx.dev/Document", SPDX)])
    assert load_bundle(str(path)) == (GOOD, attest("https://spdx.dev/Document", SPDX))


def test_what_is_no_bundle_is_not_added_to(tmp_path: Path) -> None:
    path = tmp_path / "bundle"
    path.write_bytes(b'{"name": "somebody else"}\n')
    with pytest.raises(RejectedError):
        append_to_bundle(path, [GOOD])
    assert path.read_bytes() == b'{"name": "somebody else"}\n'


def test_a_last_line_without_its_end_is_read() -> None:
    assert read_bundle(io.BytesIO(GOOD + b"\n" + GOOD)) == (GOOD, GOOD)


@pytest.mark.parametrize("data", [b"\n", GOOD + b"\n\n", b" \n" + GOOD])
def test_an_empty_line_is_refused(data: bytes) -> None:
    with pytest.raises(RejectedError, match="its line is empty") as caught:
        read_bundle(io.BytesIO(data))
    assert caught.value.rule == "attestation.envelope"


def test_an_endless_bundle_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    class Endless:
        given = 0

        def read(self, size: int, /) -> bytes:
            self.given += size
            return bytes(size)

    endless = Endless()
    monkeypatch.setattr(bundle_module, "BUNDLE_SIZE", 2_000_000)
    with pytest.raises(LimitError) as caught:
        read_bundle(endless)
    assert caught.value.rule == "attestation.size"
    assert endless.given < 3_000_000


def test_a_line_that_is_too_long_is_not_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle_module, "LINE_SIZE", 100)
    with pytest.raises(LimitError, match="attestation 1") as caught:
        verify(b"x" * 101)
    assert caught.value.rule == "attestation.size"


def test_too_many_lines_are_refused() -> None:
    with pytest.raises(LimitError, match="more than 1000 lines"):
        verify(*[GOOD] * 1001)


def test_a_missing_bundle_is_a_matter_of_policy(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match=r"cannot show what is attested: .*/none: no such file") as caught:
        load_bundle(str(tmp_path / "none"))
    assert caught.value.rule == "attestation.missing"


def test_what_is_demanded_must_be_there() -> None:
    found = verify(GOOD)
    require_attestations(found, kinds={PredicateKind.PROVENANCE}, builder="https://ci.example.com/firmware")
    with pytest.raises(PolicyError, match="no attestation of the kind spdx") as caught:
        require_attestations(found, kinds={PredicateKind.PROVENANCE, PredicateKind.SPDX})
    assert caught.value.rule == "attestation.missing"


def test_an_empty_bundle_proves_nothing() -> None:
    with pytest.raises(PolicyError, match="no attestation is there"):
        require_attestations(verify())


def test_a_build_by_somebody_else_is_refused() -> None:
    with pytest.raises(PolicyError, match=r"built by 'https://ci\.example\.com/firmware', not by ") as caught:
        require_attestations(verify(GOOD), builder="https://ci.example.com/other")
    assert caught.value.rule == "attestation.builder"


def test_a_builder_is_demanded_of_a_provenance_that_is_there() -> None:
    with pytest.raises(PolicyError, match="nobody known"):
        require_attestations(verify(attest("https://spdx.dev/Document", SPDX)), builder="https://ci.example.com/")


# --- real artifacts


@pytest.mark.parametrize("name", ["v05-39-signed-rsa3072", "v16-44-module-many-zstd-signed", "v25-39-v2-signed-lzma"])
def test_a_real_artifact_is_attested_and_checked(name: str) -> None:
    with (VECTORS / "corpus" / "valid" / f"{name}.mender").open("rb") as file:
        head = ArtifactReader(file).read_head()
    made = make_statement(head, predicate_type="https://cyclonedx.org/bom", predicate=CYCLONEDX)
    (found,) = verify(sign_statement(made, signer("ec256")), head=head)
    assert {subject.name for subject in found.subjects[1:]} == set(head.payload_digests())


def test_an_augmented_file_is_not_attested() -> None:
    with (VECTORS / "corpus" / "valid" / "v18-39-module-augment.mender").open("rb") as file:
        head = ArtifactReader(file, Policy(allow_augment=True)).read_head()
    document = json.loads(make_statement(head, predicate_type="https://example.com/t", predicate={}))
    added = set(head.payload_digests()) - set(head.manifest.payload_digests())
    assert added
    assert added.isdisjoint(subject["name"] for subject in document["subject"])


def test_a_new_signature_leaves_the_attestation_valid() -> None:
    assert verify(GOOD, head=replace(HEAD, signature=SignatureState.UNSIGNED, key=None))


# --- names


def test_the_files_stand_beside_the_artifact() -> None:
    assert bundle_path(Path("out/a.mender")) == Path("out/a.mender.intoto.jsonl")
    assert chain_path(Path("out/a.mender")) == Path("out/a.mender.chain.pem")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("out/a.mender", "out/a.mender.x"),
        ("https://me:pw@host/a.mender?token=1", "https://me:pw@host/a.mender.x?token=1"),
    ],
)
def test_an_address_keeps_its_login_and_query(name: str, expected: str) -> None:
    assert beside(name, ".x") == expected


def test_nothing_stands_beside_standard_input() -> None:
    with pytest.raises(RequestError, match="beside standard input"):
        beside("-", ".x")
