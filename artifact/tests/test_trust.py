"""Signatures, policy, the augmented part, and what becomes believed when. FORMAT.md §3.5, §4, §5.7, §11."""

import base64
import textwrap
from collections.abc import Callable
from typing import Any

import pytest
from answers import accepted, check_refusal, refused, tolerated, with_key
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from forge import Augment, Forge, compress, digest, header_info, module, private, signed, tar, type_info, version_2

from bistable.artifact import Intake, Policy, PolicyError, RejectedError, SignatureError, SignatureState

KEY_NAMES = ["ec256", "rsa2048", "rsa3072"]
ALLOWED = Policy(allow_augment=True)


# --- policy (§4.1)


@pytest.mark.parametrize("kind", ["", ".gz", ".xz", ".zst"])
@pytest.mark.parametrize("key", KEY_NAMES)
def test_a_signature_by_the_key_is_verified(key: str, kind: str) -> None:
    head = tolerated(Forge(key=key, kind=kind).build(), policy=with_key(key)).head
    assert head.signature is SignatureState.VERIFIED
    assert head.key is not None
    assert f"{key}.pub" in head.key


def test_a_signature_of_version_2_is_verified() -> None:
    assert accepted(version_2(key="rsa3072").build(), with_key("rsa3072")).head.signature is SignatureState.VERIFIED


def test_any_of_several_keys_is_enough_and_is_named() -> None:
    head = accepted(Forge(key="rsa3072").build(), with_key("ec256", "rsa2048", "rsa3072")).head
    assert "rsa3072.pub" in (head.key or "")


@pytest.mark.parametrize(("by", "given"), [("ec256", "rsa2048"), ("rsa2048", "ec256"), ("rsa2048", "rsa3072")])
def test_a_signature_by_another_key_is_refused(by: str, given: str) -> None:
    error = refused(Forge(key=by).build(), "signature.wrong", with_key(given))
    assert isinstance(error, SignatureError)
    assert error.exit_code == 4


def test_an_unsigned_artifact_is_refused_if_a_key_is_given() -> None:
    assert refused(Forge().build(), "signature.missing", with_key("ec256")).exit_code == 4


def test_without_a_key_a_signature_is_reported_as_not_checked() -> None:
    head = accepted(Forge(key="ec256").build()).head
    assert (head.signature, head.key) == (SignatureState.NOT_CHECKED, None)


def test_without_a_key_a_signed_artifact_can_be_refused() -> None:
    policy = Policy(allow_unchecked=False)
    refused(Forge(key="ec256").build(), "signature.no-key", policy)
    assert accepted(Forge().build(), policy).head.signature is SignatureState.UNSIGNED


# --- the text form (§4)


@pytest.mark.parametrize(
    "encode",
    [
        pytest.param(lambda raw: base64.b64encode(raw) + b"\n", id="line end"),
        pytest.param(lambda raw: base64.b64encode(raw) + b"\r\n", id="CR LF"),
        pytest.param(lambda raw: "\n".join(textwrap.wrap(base64.b64encode(raw).decode(), 64)).encode(), id="wrapped"),
    ],
)
def test_line_ends_in_a_signature_are_tolerated(encode: Callable[[bytes], bytes]) -> None:
    data = Forge(key="rsa2048", signature=encode).build()
    tolerated(data, "signature.wrapped", policy=with_key("rsa2048"))


@pytest.mark.parametrize("keys", [(), ("rsa2048",)])
@pytest.mark.parametrize(
    "encode",
    [
        pytest.param(lambda raw: b"", id="empty"),
        pytest.param(lambda raw: b"\n", id="line end alone"),
        pytest.param(lambda raw: raw, id="raw bytes"),
        pytest.param(lambda raw: b"!" + base64.b64encode(raw), id="another character"),
        pytest.param(lambda raw: base64.b64encode(raw) + b" ", id="blank"),
        pytest.param(lambda raw: base64.b64encode(raw)[:-1], id="cut"),
        pytest.param(lambda raw: base64.b64encode(raw).rstrip(b"="), id="no padding"),
        pytest.param(lambda raw: base64.b64encode(raw) + b"====", id="more padding"),
        pytest.param(lambda raw: base64.b64encode(raw) * 2, id="twice"),
        pytest.param(lambda raw: base64.urlsafe_b64encode(b"\xff" * 256), id="other alphabet"),
    ],
)
def test_a_signature_in_another_text_form_is_refused(encode: Callable[[bytes], bytes], keys: tuple[str, ...]) -> None:
    refused(Forge(key="rsa2048", signature=encode).build(), "signature.encoding", with_key(*keys))


def test_a_signature_over_16_kib_is_refused() -> None:
    refused(Forge(key="ec256", signature=lambda raw: b"A" * 16_388).build(), "limit.member", with_key("ec256"))


# --- the scheme (§4)


def ec_der(message: bytes) -> bytes:
    signature: bytes = private("ec256").sign(message, ec.ECDSA(hashes.SHA256()))
    return signature


def signed_in_der(der: bytes) -> bytes:
    return Forge(key="ec256", signature=lambda _: base64.b64encode(der)).build()


def test_der_is_accepted() -> None:
    parts = Forge(key="ec256")
    manifest = dict(parts.members())["manifest"]
    for _ in range(30):  # of various lengths
        tolerated(signed_in_der(ec_der(manifest)), policy=with_key("ec256"))


@pytest.mark.parametrize(
    ("key", "sign"),
    [
        pytest.param(
            "rsa2048",
            lambda m: private("rsa2048").sign(m, padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256()),
            id="RSA-PSS",
        ),
        pytest.param(
            "rsa2048", lambda m: private("rsa2048").sign(m, padding.PKCS1v15(), hashes.SHA512()), id="RSA with SHA-512"
        ),
        pytest.param("rsa2048", lambda m: signed(m, "rsa2048")[:-1], id="RSA, one byte short"),
        pytest.param("rsa2048", lambda m: b"\x00" + signed(m, "rsa2048"), id="RSA, one byte more"),
        pytest.param("rsa2048", lambda m: bytes(256), id="RSA, zeros"),
        pytest.param("ec256", lambda m: signed(m)[:32][::-1] + signed(m)[32:][::-1], id="EC, little-endian"),
        pytest.param("ec256", lambda m: bytes(64), id="EC, zeros"),
        pytest.param("ec256", lambda m: signed(m) + b"\x00", id="EC, one byte more"),
        pytest.param("ec256", lambda m: ec_der(m) + b"\x00", id="EC, DER with a byte behind"),
        pytest.param("ec256", lambda m: ec_der(m)[:-1], id="EC, DER cut"),
        pytest.param("ec256", lambda m: b"\x30\x81" + ec_der(m)[1:], id="EC, DER with a long length"),
        pytest.param("ec256", lambda m: private("ec384").sign(m, ec.ECDSA(hashes.SHA256())), id="another curve"),
        pytest.param("ec256", lambda m: private("ed25519").sign(m), id="Ed25519"),
        pytest.param("ec256", lambda m: signed(m + b"\n"), id="of another message"),
    ],
)
def test_another_scheme_or_form_is_refused(key: str, sign: Callable[[bytes], bytes]) -> None:
    manifest = dict(Forge(key=key).members())["manifest"]
    data = Forge(key=key, signature=lambda _: base64.b64encode(sign(manifest))).build()
    refused(data, "signature.wrong", with_key(key))


# --- what is signed is the manifest's raw bytes


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda raw: raw.replace(b"\n", b"\n\n"), id="blank lines"),
        pytest.param(lambda raw: raw.replace(b"\n", b" \n"), id="blanks"),
        pytest.param(lambda raw: raw + b"x", id="a line without end"),
        pytest.param(lambda raw: raw[:-1], id="no last line end"),
        pytest.param(lambda raw: b"".join(raw.splitlines(keepends=True)[::-1]), id="another order"),
        pytest.param(
            lambda raw: raw + raw.splitlines(keepends=True)[0].replace(b"rootfs", b"second"), id="another file"
        ),
    ],
)
def test_a_manifest_that_was_changed_after_signing_is_refused_for_its_signature(
    change: Callable[[bytes], bytes],
) -> None:
    original = dict(Forge(key="ec256").members())["manifest"]
    data = Forge(key="ec256", manifest=change, signature=lambda _: base64.b64encode(signed(original))).build()
    refused(data, "signature.wrong", with_key("ec256"))


def test_the_signature_is_checked_before_the_manifest_is_looked_at() -> None:
    wrong = Forge(key="rsa2048", manifest=lambda raw: b"\xff not a manifest").build()
    refused(wrong, "signature.wrong", with_key("rsa3072"))


def test_the_signature_is_missed_before_the_manifest_is_looked_at() -> None:
    refused(Forge(manifest=lambda raw: b"\xff not a manifest").build(), "signature.missing", with_key("rsa3072"))


def test_a_signature_over_a_payload_that_was_exchanged_is_refused() -> None:
    data = Forge(key="ec256", data_archive=tar(("rootfs.ext4", b"other"))).build()
    refused(data, "digest.mismatch", with_key("ec256"))


# --- the object without I/O


@pytest.mark.parametrize("left_out", ["version", "manifest", "header.tar.gz"])
def test_a_member_that_was_left_out_is_missed(left_out: str) -> None:
    intake = Intake(Policy())
    with pytest.raises(RejectedError) as caught:  # noqa: PT012 - which of the calls notices does not matter
        for name, body in Forge().members()[:-1]:
            if name != left_out:
                intake.accept(name, body)
        intake.head()
    check_refusal(caught.value, ("structure.order", "structure.missing"))


def test_a_member_cannot_be_given_twice() -> None:
    intake = Intake(Policy())
    version = Forge().members()[0]
    intake.accept(*version)
    with pytest.raises(RejectedError, match="stands where manifest is due"):
        intake.accept(*version)


def test_a_head_needs_a_header() -> None:
    with pytest.raises(RejectedError, match="version is missing"):
        Intake(Policy()).head()


# --- augment (§3.5, §5.7)


def augmented(key: str | None = "ec256", parts: dict[str, Any] | None = None, **changes: Any) -> bytes:
    return module(("a", b"1"), key=key, augment=Augment(**changes), **(parts or {})).build()


def test_an_augmented_artifact_is_refused_unless_allowed() -> None:
    error = refused(augmented(), "augment.refused", with_key("ec256"))
    assert isinstance(error, PolicyError)
    assert error.exit_code == 8


@pytest.mark.parametrize("kind", ["", ".gz", ".xz", ".zst"])
def test_an_augmented_artifact_is_read_and_reported_if_allowed(kind: str) -> None:
    data = augmented(parts={"kind": kind})
    artifact = tolerated(data, "augment.present", policy=with_key("ec256", allow_augment=True))
    assert artifact.head.augment is not None
    assert artifact.head.augment.payload_type == "delta"
    assert [file.name for file in artifact.files] == ["a", "more.bin"]
    # The part that nobody signed does not leak into the part that somebody did.
    assert list(artifact.head.manifest.payload_digests()) == ["a"]
    assert artifact.head.header.info.payload_type == "mod"


@pytest.mark.parametrize("nothing", [None, {"artifact_name": "release-1"}])
def test_an_augmented_header_may_repeat_what_is_signed(nothing: Any) -> None:
    info = {"payloads": [{"type": "delta"}], "artifact_provides": nothing, "artifact_depends": None}
    tolerated(augmented(info=info), "augment.present", policy=ALLOWED)


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        pytest.param(
            {"info": {"payloads": [{"type": "delta"}], "artifact_provides": {"artifact_name": "evil"}}},
            "augment.header-info",
            id="another name",
        ),
        pytest.param(
            {"info": {"payloads": [{"type": "delta"}], "artifact_depends": {"device_type": ["other"]}}},
            "augment.header-info",
            id="another device",
        ),
        pytest.param({"info": {"payloads": [{"type": "delta"}], "x": 1}}, "augment.header-info", id="another key"),
        pytest.param({"info": {"payloads": []}}, "header-info.payloads", id="no payload"),
        pytest.param({"info": {"payloads": [{"type": None}]}}, "header.type", id="empty payload"),
        pytest.param({"type_info": type_info("other")}, "header.type", id="types that differ"),
        pytest.param({"extra": [("scripts/ArtifactInstall_Enter_00", b"")]}, "header.order", id="script behind"),
        pytest.param({"extra": [("headers/0000/meta-data", b"[]")]}, "json.kind", id="broken meta-data"),
        pytest.param({"lines": lambda ls: ls[1:]}, "payload.unlisted", id="file not listed"),
        pytest.param({"lines": lambda ls: ls[:-1]}, "manifest.missing", id="header not listed"),
        pytest.param({"lines": lambda ls: [*ls[:-1], ("0" * 64, ls[-1][1])]}, "digest.mismatch", id="wrong digest"),
        pytest.param(
            {"lines": lambda ls: [*ls, (ls[0][0], "data/0000/a")]}, "augment.manifest", id="signed file again"
        ),
        pytest.param({"lines": lambda ls: [*ls, ("0" * 64, "version")]}, "augment.manifest", id="version"),
        pytest.param({"lines": lambda ls: [*ls, ("0" * 64, "header.tar.gz")]}, "augment.manifest", id="signed header"),
        pytest.param({"lines": lambda ls: [*ls, ("0" * 64, "header.tar.xz")]}, "augment.manifest", id="another header"),
        pytest.param(
            {"lines": lambda ls: [*ls, ("0" * 64, "header-augment.tar.xz")]}, "augment.manifest", id="header twice"
        ),
        pytest.param({"lines": lambda ls: [*ls, ("0" * 64, "data/0001/a")]}, "augment.manifest", id="another payload"),
        pytest.param(
            {"lines": lambda ls: [*ls, ("0" * 64, "data/0000/x")]}, "payload.missing", id="file that is missing"
        ),
        pytest.param({"files": [("../a", b"")]}, "payload.file-name", id="name that leads out"),
    ],
)
def test_a_faulty_augmented_part_is_refused(changes: dict[str, Any], rule: str) -> None:
    refused(augmented(**changes), rule, ALLOWED)


def test_an_augmented_header_of_another_compression_is_refused() -> None:
    refused(augmented(kind=".xz"), "augment.compression", ALLOWED)


def test_scripts_must_not_come_unsigned() -> None:
    members = [
        ("header-info", b'{"payloads":[{"type":"delta"}]}'),
        ("scripts/ArtifactInstall_Enter_00", b"evil"),
        ("headers/0000/type-info", b'{"type":"delta"}'),
    ]
    body = compress(".gz", tar(*members))
    parts = module(("a", b"1"), key="ec256", augment=Augment(files=())).members()
    names = [name for name, _ in parts]
    parts[names.index("header-augment.tar.gz")] = ("header-augment.tar.gz", body)
    line = f"{digest(body)}  header-augment.tar.gz\n".encode()
    parts[names.index("manifest-augment")] = ("manifest-augment", line)
    refused(tar(*parts), "augment.scripts", ALLOWED)


def test_a_rootfs_image_has_one_file_altogether() -> None:
    rootfs = Augment(info={"payloads": [{"type": "rootfs-image"}]}, type_info=type_info())
    refused(Forge(augment=rootfs).build(), "payload.count", ALLOWED)
    parts = {"info": header_info(), "type_info": type_info()}
    accepted(module(augment=rootfs, **parts).build(), ALLOWED)


@pytest.mark.parametrize("missing", ["manifest-augment", "header-augment.tar.gz"])
def test_half_an_augmented_part_is_refused(missing: str) -> None:
    members = [member for member in module(augment=Augment()).members() if member[0] != missing]
    refused(tar(*members), ("structure.order", "structure.missing"), ALLOWED)


def test_version_2_cannot_be_augmented() -> None:
    refused(version_2(augment=Augment()).build(), "structure.order", ALLOWED)


def test_large_manifests_are_compared_in_linear_time() -> None:
    # Line by line against line by line this takes minutes.
    many = [(f"f{n}", b"") for n in range(4_000)]
    more = [(f"g{n}", b"") for n in range(4_000)]
    artifact = accepted(module(*many, augment=Augment(files=more)).build(), ALLOWED)
    assert len(artifact.files) == 8_000
