"""Attestations are believed for what their signer says about this very artifact, and for nothing else."""

import base64
import hashlib
import json
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from attest_lines import (
    BUILD,
    CYCLONEDX,
    GOOD,
    HEAD,
    KINDS,
    SPDX,
    VECTORS,
    attest,
    digest_of,
    envelope,
    head_of,
    line_of,
    refusal,
    signer,
    statement,
    verifier,
    verify,
)
from hypothesis import given
from hypothesis import strategies as st

from bistable.artifact.attest import (
    PROVENANCE_TYPE,
    BillSummary,
    PredicateKind,
    ProvenanceSummary,
    sign_statement,
    verify_bundle,
)
from bistable.artifact.attest import dsse as dsse_module
from bistable.artifact.attest.dsse import PAYLOAD_TYPE, parse_envelope, pre_authentication
from bistable.artifact.errors import (
    KeyUnusableError,
    RejectedError,
    RequestError,
    SignatureError,
)
from bistable.artifact.run import run

# --- envelopes


def test_what_is_signed_is_the_example_of_the_dsse_specification() -> None:
    signed = pre_authentication("http://example.com/HelloWorld", b"hello world")
    assert signed == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"


@pytest.mark.parametrize("kind", KINDS)
def test_an_attestation_is_verified_by_the_key_that_made_it(kind: str) -> None:
    (found,) = verify(attest(kind=kind), kind=kind)
    assert (found.kind, found.key) == (PredicateKind.PROVENANCE, verifier(kind).name)


@pytest.mark.parametrize("kind", KINDS)
def test_another_key_does_not_verify_it(kind: str) -> None:
    other = KINDS[1 - KINDS.index(kind)]
    with pytest.raises(SignatureError, match="by none of the keys given") as caught:
        verify(attest(kind=kind), kind=other)
    assert caught.value.rule == "attestation.signature"
    assert caught.value.hint == f"it says that it is by {json.loads(attest(kind=kind))['signatures'][0]['keyid'][:16]}"


def test_any_of_several_keys_is_enough() -> None:
    found = verify_bundle(
        [attest(kind="ec256"), attest(kind="rsa3072")], head=HEAD, verifiers=[verifier(kind) for kind in KINDS]
    )
    assert [attestation.key for attestation in found] == [verifier("ec256").name, verifier("rsa3072").name]


def test_one_good_signature_of_several_is_enough() -> None:
    assert verify(line_of(statement(), signers=["rsa2048", "rsa3072", "ec256"]))


@pytest.mark.parametrize("kind", KINDS)
def test_openssl_verifies_what_is_written(kind: str, tmp_path: Path) -> None:
    document = json.loads(attest(kind=kind))
    payload = base64.b64decode(document["payload"])
    message, signature = tmp_path / "message", tmp_path / "signature"
    message.write_bytes(b"DSSEv1 28 application/vnd.in-toto+json %d %b" % (len(payload), payload))
    signature.write_bytes(base64.b64decode(document["signatures"][0]["sig"]))
    public = VECTORS / "keys" / f"{kind}.pub"
    command: list[str | Path] = ["openssl", "dgst", "-sha256", "-verify", public, "-signature", signature, message]
    assert run(command, timeout=10).text == "Verified OK\n"


@pytest.mark.parametrize("kind", KINDS)
def test_securesystemslib_verifies_what_is_written(kind: str) -> None:
    dsse = pytest.importorskip("securesystemslib.dsse", reason="securesystemslib is not installed")
    signers = pytest.importorskip("securesystemslib.signer")
    document = json.loads(attest(kind=kind))
    key_type, scheme = ("rsa", "rsa-pkcs1v15-sha256") if kind.startswith("rsa") else ("ecdsa", "ecdsa-sha2-nistp256")
    public = (VECTORS / "keys" / f"{kind}.pub").read_text()
    key = signers.SSlibKey(document["signatures"][0]["keyid"], key_type, scheme, {"public": public})
    assert dsse.Envelope.from_dict(document).verify([key], 1)


@pytest.mark.parametrize("kind", KINDS)
def test_what_securesystemslib_writes_is_verified(kind: str) -> None:
    dsse = pytest.importorskip("securesystemslib.dsse", reason="securesystemslib is not installed")
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    signers = pytest.importorskip("securesystemslib.signer")
    private = load_pem_private_key((VECTORS / "keys" / f"{kind}.key").read_bytes(), None)
    key = signers.SSlibKey.from_crypto(private.public_key())
    key.scheme = "rsa-pkcs1v15-sha256" if kind.startswith("rsa") else key.scheme
    made = dsse.Envelope(json.dumps(statement()).encode(), PAYLOAD_TYPE, {})
    made.sign(signers.CryptoSigner(private, key))
    assert verify(json.dumps(made.to_dict()).encode(), kind=kind)


def test_the_key_identifier_is_the_digest_of_the_public_key() -> None:
    public = VECTORS / "keys" / "ec256.pub"
    der = run(["openssl", "pkey", "-pubin", "-in", public, "-outform", "DER"], timeout=10).stdout
    assert json.loads(attest())["signatures"][0]["keyid"] == hashlib.sha256(der).hexdigest()


def test_an_envelope_is_one_line() -> None:
    assert b"\n" not in attest("https://spdx.dev/Document", SPDX | {"comment": "two\nlines"})


def test_the_same_statement_gives_the_same_line() -> None:
    assert attest(kind="rsa3072") == attest(kind="rsa3072")


def test_a_changed_statement_is_refused_before_it_is_read() -> None:
    line = envelope(attest(), payload=base64.b64encode(b"not even JSON").decode())
    assert isinstance(refusal(line), SignatureError)


def test_a_manifest_signature_is_not_one_of_a_statement() -> None:
    manifest = b"%b  version\n" % (b"0" * 64)
    line = envelope(
        attest(),
        payload=base64.b64encode(manifest).decode(),
        signatures=[{"sig": base64.b64encode(signer("ec256").sign(manifest)).decode()}],
    )
    assert isinstance(refusal(line), SignatureError)


def test_both_alphabets_of_base64_are_read() -> None:
    line = line_of(statement(predicate={"text": "ÿ?>~" * 30}))
    assert b"+" in line or b"/" in json.loads(line)["payload"].encode()
    document = json.loads(line)
    for value in (document, document["signatures"][0]):
        for key in {"payload", "sig"} & set(value):
            value[key] = value[key].translate(str.maketrans("+/", "-_"))
    assert verify(json.dumps(document).encode())


def test_unknown_fields_of_an_envelope_are_ignored() -> None:
    assert verify(envelope(attest(), more={"a": 1}))


SIGNATURE = json.loads(GOOD)["signatures"][0]


@pytest.mark.parametrize(
    "changes",
    [
        {"payloadType": ...},
        {"payloadType": "text/plain"},
        {"payload": ...},
        {"payload": ""},
        {"payload": 7},
        {"payload": "!!!!"},
        {"payload": "e30"},
        {"payload": "e31="},
        {"payload": " e30="},
        {"payload": "ee-+"},
        {"payload": "é"},
        {"signatures": ...},
        {"signatures": []},
        {"signatures": {}},
        {"signatures": [SIGNATURE["sig"]]},
        {"signatures": [{"keyid": "a"}]},
        {"signatures": [SIGNATURE | {"keyid": 1}]},
        {"signatures": [{"sig": "A" * 40_000}]},
        {"signatures": [SIGNATURE] * 17},
    ],
    ids=count(),  # a signature differs from run to run with some libraries, and so would the name of its test
)
def test_a_malformed_envelope_is_refused(changes: dict[str, Any]) -> None:
    assert refusal(envelope(GOOD, **changes)).rule == "attestation.envelope"


def test_a_sigstore_bundle_is_named_as_such() -> None:
    line = json.dumps({"mediaType": "x", "dsseEnvelope": json.loads(GOOD)}).encode()
    assert "Sigstore bundle" in refusal(line).what


@given(st.binary(max_size=200))
def test_no_bytes_break_the_parser_of_envelopes(data: bytes) -> None:
    with pytest.raises(RejectedError):
        parse_envelope(data, member="attestation 1")


@given(st.integers(0, len(GOOD) - 1), st.integers(1, 255))
def test_no_changed_byte_changes_what_is_believed(position: int, change: int) -> None:
    # The key identifier is nobody's business but the hint's; all else is covered.
    changed = bytearray(GOOD)
    changed[position] ^= change
    try:
        found = verify(bytes(changed))
    except RejectedError:
        return
    assert found == verify(GOOD)


def test_a_key_identifier_cannot_write_to_the_terminal() -> None:
    line = envelope(GOOD, signatures=[SIGNATURE | {"keyid": "\x1b[2J"}])
    with pytest.raises(SignatureError) as caught:
        verify(line, kind="rsa3072")
    assert "\x1b" not in f"{caught.value.what} {caught.value.hint}"


def test_a_signer_that_makes_wrong_signatures_is_found_out() -> None:
    class Broken:
        public = verifier("ec256")
        signature_size = 64

        def sign(self, message: bytes) -> bytes:
            return signer("ec256").sign(message + b"more")

    with pytest.raises(KeyUnusableError, match="does not verify"):
        sign_statement(b"{}", Broken())


def test_a_statement_that_no_reader_would_take_is_not_signed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dsse_module, "LINE_SIZE", 1000)
    with pytest.raises(RequestError, match="cannot attest: the statement takes"):
        attest("https://spdx.dev/Document", SPDX | {"comment": "x" * 1000})


# --- statements


def test_a_statement_names_the_manifest_and_every_payload_file() -> None:
    (found,) = verify(attest())
    assert [(subject.name, subject.digest) for subject in found.subjects] == [
        ("release-1/manifest", digest_of("release-1")),
        ("rootfs.ext4", digest_of("release-1/rootfs.ext4")),
        ("boot.img", digest_of("release-1/boot.img")),
    ]


def test_an_attestation_of_another_artifact_is_refused() -> None:
    error = refusal(attest(), head=head_of("release-2"))
    assert error.rule == "attestation.subject"
    assert "another artifact" in error.what


def test_an_attestation_of_the_files_only_is_refused() -> None:
    assert refusal(line_of(statement(subject=statement()["subject"][1:]))).rule == "attestation.subject"


def test_a_payload_file_with_another_digest_is_refused() -> None:
    subjects = statement()["subject"]
    subjects[2]["digest"]["sha256"] = "0" * 64
    error = refusal(line_of(statement(subject=subjects)))
    assert error.rule == "attestation.subject"
    assert "boot.img" in error.what


def test_a_payload_file_without_sha256_cannot_be_compared() -> None:
    subjects = statement()["subject"]
    subjects[1]["digest"] = {"sha512": "0" * 128}
    assert refusal(line_of(statement(subject=subjects))).rule == "attestation.subject"


def test_a_statement_may_be_about_other_things_as_well() -> None:
    more = [{"name": "sdk.sh", "digest": {"sha512": "0" * 128}}, {"digest": {"sha256": "0" * 64}}]
    assert verify(line_of(statement(subject=statement()["subject"] + more)))


def test_the_manifest_is_found_under_any_name() -> None:
    assert verify(line_of(statement(subject=[{"digest": {"sha256": HEAD.manifest_digest}}])))


def test_the_earlier_statement_type_is_read() -> None:
    assert verify(line_of(statement(_type="https://in-toto.io/Statement/v0.1")))


def test_a_missing_predicate_is_an_empty_one() -> None:
    (found,) = verify(line_of(statement(predicate=...)))
    assert found.predicate == {}


@pytest.mark.parametrize(
    "changes",
    [
        {"_type": ...},
        {"_type": "https://in-toto.io/Statement/v2"},
        {"subject": ...},
        {"subject": []},
        {"subject": ["release-1"]},
        {"subject": [{"name": "a"}]},
        {"subject": [{"name": "a", "digest": {}}]},
        {"subject": [{"name": 1, "digest": {"sha256": "0" * 64}}]},
        {"subject": [{"name": "a", "digest": {"sha256": "A" * 64}}]},
        {"subject": [{"name": "a", "digest": {"sha256": None, "sha512": 1}}, {"digest": {"sha256": 1}}]},
        {"predicateType": ...},
        {"predicateType": ""},
        {"predicate": []},
    ],
    ids=str,
)
def test_a_malformed_statement_is_refused(changes: dict[str, Any]) -> None:
    assert refusal(line_of(statement(**changes))).rule == "attestation.statement"


@pytest.mark.parametrize(
    ("payload", "rule"),
    [
        (b"[]", "json.kind"),
        (b'{"_type":1,"_type":2}', "json.duplicate-key"),
        (b'{"a":' * 200 + b"1" + b"}" * 200, "json.depth"),
        (b"\xff", "json.encoding"),
    ],
)
def test_a_signed_statement_is_read_as_strictly_as_an_artifact(payload: bytes, rule: str) -> None:
    assert refusal(line_of(payload)).rule == rule


# --- predicates


def test_a_provenance_is_summed_up() -> None:
    (found,) = verify(attest())
    assert isinstance(found.summary, ProvenanceSummary)
    assert found.summary.builder == "https://ci.example.com/firmware"
    assert found.summary.started == "1970-01-01T00:00:00Z"
    assert found.summary.finished is None


@pytest.mark.parametrize(
    ("predicate_type", "predicate", "summary"),
    [
        ("https://spdx.dev/Document", SPDX, BillSummary(format="SPDX-2.3", name="image", packages=1)),
        ("https://spdx.dev/Document/v2.3", SPDX, BillSummary(format="SPDX-2.3", name="image", packages=1)),
        (
            "https://spdx.dev/Document/v3",
            {
                "@context": "https://spdx.org/rdf/3.0.1/spdx-context.jsonld",
                "@graph": [{"type": "SpdxDocument", "name": "image"}, {"type": "software_Package"}, {"type": "Person"}],
            },
            BillSummary(format="SPDX-3.0.1", name="image", packages=1),
        ),
        ("https://cyclonedx.org/bom", CYCLONEDX, BillSummary(format="CycloneDX-1.6", name=None, packages=2)),
        ("https://cyclonedx.org/bom/v1.6", CYCLONEDX, BillSummary(format="CycloneDX-1.6", name=None, packages=2)),
    ],
)
def test_a_bill_of_materials_is_summed_up(predicate_type: str, predicate: Any, summary: BillSummary) -> None:
    (found,) = verify(attest(predicate_type, predicate))
    assert found.summary == summary


def test_an_unknown_type_is_reported_and_not_refused() -> None:
    (found,) = verify(attest("https://example.com/tests/v1", {"passed": 7}))
    assert (found.kind, found.summary) == (PredicateKind.OTHER, None)
    assert found.predicate == {"passed": 7}


@pytest.mark.parametrize("predicate_type", ["https://slsa.dev/provenance/v0.2", "https://spdx.dev/Documents", "spdx"])
def test_a_similar_type_is_not_taken_for_a_known_one(predicate_type: str) -> None:
    (found,) = verify(attest(predicate_type, {"a": 1}))
    assert found.kind is PredicateKind.OTHER


@pytest.mark.parametrize(
    ("predicate_type", "predicate"),
    [
        (PROVENANCE_TYPE, {}),
        ("https://cyclonedx.org/bom", CYCLONEDX | {"bomFormat": "Cyclone"}),
        (PROVENANCE_TYPE, BUILD | {"runDetails": {"builder": {"id": ""}}}),
        (PROVENANCE_TYPE, BUILD | {"runDetails": {"builder": []}}),
        (PROVENANCE_TYPE, BUILD | {"runDetails": {"builder": {"id": "a:b"}, "metadata": {"startedOn": 1}}}),
        (PROVENANCE_TYPE, BUILD | {"buildDefinition": {"buildType": "a:b"}}),
        (PROVENANCE_TYPE, BUILD | {"buildDefinition": BUILD["buildDefinition"] | {"resolvedDependencies": {}}}),
        ("https://spdx.dev/Document", CYCLONEDX),
        ("https://spdx.dev/Document", {"Data": "SPDXVersion: SPDX-2.2"}),
        ("https://spdx.dev/Document", SPDX | {"spdxVersion": "SPDX-3.0"}),
        ("https://spdx.dev/Document", SPDX | {"packages": ["bash"]}),
        ("https://spdx.dev/Document/v3", {"@context": "https://example.com/", "@graph": []}),
        ("https://spdx.dev/Document/v3", {"@context": 3}),
        ("https://cyclonedx.org/bom", SPDX),
        ("https://cyclonedx.org/bom", CYCLONEDX | {"specVersion": 1.6}),
        ("https://cyclonedx.org/bom", CYCLONEDX | {"metadata": []}),
    ],
)
def test_a_known_type_must_have_its_shape(predicate_type: str, predicate: Any) -> None:
    assert refusal(attest(predicate_type, predicate)).rule == "attestation.predicate"
