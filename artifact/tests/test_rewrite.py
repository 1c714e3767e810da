"""Changing artifacts without unpacking them. FORMAT.md §3.2, §4, §9, §12."""

import base64
import csv
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from answers import Recorder, accepted, refused, tolerated, with_key
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from faults import file_size_limit
from forge import (
    IMAGE,
    KEYS,
    Augment,
    Forge,
    digest,
    module,
    pax,
    private,
    signed,
    tar,
    tar_member,
    type_info,
    version_2,
)

from bistable.artifact import (
    Artifact,
    BistableError,
    Codec,
    Compression,
    HeadEdit,
    KeyUnusableError,
    MachineError,
    Options,
    Policy,
    RejectedError,
    RequestError,
    Script,
    SignatureError,
    SignatureState,
    attach_signature,
    manifest_to_sign,
    modify_artifact,
    read_artifact,
    read_signer,
    read_verifiers,
    recompress_artifact,
    repair_artifact,
    sign_artifact,
    strip_signature,
)
from bistable.artifact.keys import Signer
from bistable.artifact.rewrite import needs_repair

EC = read_signer(KEYS / "ec256.key")
RSA = read_signer(KEYS / "rsa3072.key")
CORPUS = Path(__file__).parent / "vectors" / "corpus"
CODECS = ["none", "gzip:1", "xz:0", "zstd:1"]
KINDS = [pytest.param(kind, id=kind or "none") for kind in ("", ".gz", ".xz", ".zst")]

Change: TypeAlias = Callable[[Path, Path], Any]
RENAMED = HeadEdit(name="release-2")

CHANGES: dict[str, Change] = {
    "sign": lambda path, target: sign_artifact(path, target, EC),
    "strip": strip_signature,
    "modify": lambda path, target: modify_artifact(path, target, RENAMED, signer=EC),
    "repair": lambda path, target: repair_artifact(path, target, signer=EC),
    "recompress": lambda path, target: recompress_artifact(path, target, Options(codec=Codec.parse("gzip"))),
}
EVERY_CHANGE = [pytest.param(change, id=name) for name, change in CHANGES.items()]


def valid_files() -> list[Any]:
    with (CORPUS / "MANIFEST.tsv").open() as file:
        names = [row["file"] for row in csv.DictReader(file, delimiter="\t")]
    names = [name for name in names if name.startswith("valid/") and "augment" not in name]
    return [pytest.param(CORPUS / name, id=Path(name).stem) for name in names]


def read(path: Path, *keys: str) -> Artifact:
    return accepted(path.read_bytes(), with_key(*keys) if keys else None)


def contents(path: Path) -> dict[str, bytes]:
    sink = Recorder()
    with path.open("rb") as file:
        read_artifact(file, Policy(), sink)
    return sink.files


def data_member(path: Path) -> bytes:
    """Return the data member with its header block, and without what fills its last block."""
    raw = path.read_bytes()
    start = raw.index(b"data/0000.tar")
    return raw[start : start + 512 + int(raw[start + 124 : start + 135], 8)]


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    return made(tmp_path, Forge(scripts=[("ArtifactInstall_Enter_00", b"#!/bin/sh\n")]))


def made(directory: Path, parts: Forge) -> Path:
    path = directory / "artifact.mender"
    path.write_bytes(parts.build())
    return path


# --- what holds for every change


@pytest.mark.parametrize("change", EVERY_CHANGE)
@pytest.mark.parametrize("path", valid_files())
def test_every_change_of_a_real_artifact_gives_one_with_the_same_files(
    path: Path, change: Change, tmp_path: Path
) -> None:
    target = tmp_path / "new"
    before = path.read_bytes()
    change(path, target)
    assert contents(target) == contents(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("name", ["sign", "strip", "modify", "repair"])
@pytest.mark.parametrize("path", valid_files())
def test_the_data_member_of_a_real_artifact_is_moved_to_the_byte(path: Path, name: str, tmp_path: Path) -> None:
    CHANGES[name](path, tmp_path / "new")
    assert data_member(tmp_path / "new") == data_member(path)


@pytest.mark.parametrize("change", EVERY_CHANGE)
def test_a_change_in_place_gives_the_same_as_a_change_to_another_file(
    artifact: Path, change: Change, tmp_path: Path
) -> None:
    change(artifact, tmp_path / "new")
    change(artifact, artifact)
    assert artifact.read_bytes() == (tmp_path / "new").read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {"artifact.mender", "new"}


@pytest.mark.parametrize("change", EVERY_CHANGE)
def test_a_change_in_place_keeps_the_mode(artifact: Path, change: Change) -> None:
    artifact.chmod(0o604)
    change(artifact, artifact)
    assert artifact.stat().st_mode & 0o777 == 0o604


@pytest.mark.parametrize("change", EVERY_CHANGE)
def test_the_size_that_is_told_is_the_size_of_the_file(artifact: Path, change: Change) -> None:
    assert change(artifact, artifact).size == artifact.stat().st_size


@pytest.mark.parametrize("change", EVERY_CHANGE)
@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(lambda raw: raw[:2000], id="cut in the head"),
        pytest.param(lambda raw: raw[:-1600], id="cut in the payload"),
        pytest.param(lambda raw: raw.replace(b"board", b"bored"), id="damaged head"),
        pytest.param(lambda raw: b"not an artifact" * 100, id="not an artifact"),
        pytest.param(lambda raw: b"", id="empty"),
    ],
)
def test_a_faulty_artifact_is_refused_and_left_as_it_is(
    tmp_path: Path, change: Change, fault: Callable[[bytes], bytes]
) -> None:
    path = made(tmp_path, Forge(kind=""))
    path.write_bytes(fault(path.read_bytes()))
    before = path.read_bytes()
    with pytest.raises(RejectedError):
        change(path, path)
    with pytest.raises(RejectedError):
        change(path, tmp_path / "new")
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["artifact.mender"]


@pytest.mark.parametrize("change", EVERY_CHANGE)
def test_a_missing_artifact_is_an_error_of_the_machine(tmp_path: Path, change: Change) -> None:
    with pytest.raises(MachineError, match="cannot read"):
        change(tmp_path / "missing", tmp_path / "new")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("change", EVERY_CHANGE)
def test_an_augmented_artifact_is_refused(tmp_path: Path, change: Change) -> None:
    path = made(tmp_path, module(("a", b"1"), augment=Augment()))
    before = path.read_bytes()
    with pytest.raises(BistableError, match="augmented"):
        change(path, path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("name", ["sign", "strip", "modify", "repair"])
def test_a_payload_that_is_damaged_is_moved_unread(tmp_path: Path, name: str) -> None:
    path = made(tmp_path, Forge(data_archive=tar(("rootfs.ext4", b"damaged"))))
    CHANGES[name](path, path)
    refused(path.read_bytes(), "digest.mismatch")


def test_a_data_member_with_an_extension_header_is_moved_whole(tmp_path: Path) -> None:
    members: list[Any] = Forge().members()
    name, body = members[-1]
    extension = pax(("size", str(len(body))), ("mtime", "1.5"))
    members[-1] = extension + tar_member(name, body, size_field=b"0" * 11 + b"\x00")
    path = tmp_path / "artifact"
    path.write_bytes(tar(*[m if isinstance(m, bytes) else tar_member(*m) for m in members]))
    sign_artifact(path, path, EC)
    tolerated(path.read_bytes(), policy=with_key("ec256"))


def test_an_artifact_without_a_data_member_is_changed_too(tmp_path: Path) -> None:
    path = tmp_path / "artifact"
    path.write_bytes(tar(*module().members()[:-1]))
    modify_artifact(path, path, RENAMED)
    assert read(path).head.header.info.artifact_name == "release-2"


# --- signing


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("signer", "key"), [(EC, "ec256"), (RSA, "rsa3072")], ids=["P-256", "RSA"])
def test_a_signature_is_added(tmp_path: Path, signer: Signer, key: str, kind: str) -> None:
    path = made(tmp_path, Forge(kind=kind))
    head = read(path).head
    changed = sign_artifact(path, path, signer)
    assert changed.key == signer.public.name
    after = tolerated(path.read_bytes(), policy=with_key(key)).head
    assert (after.header, after.manifest) == (head.header, head.manifest)


def test_a_signature_is_replaced(tmp_path: Path) -> None:
    path = made(tmp_path, Forge(key="rsa2048"))
    sign_artifact(path, path, EC)
    read(path, "ec256")
    refused(path.read_bytes(), "signature.wrong", with_key("rsa2048"))


def test_stripping_a_signature_gives_back_what_was_signed(artifact: Path) -> None:
    strip_signature(artifact, artifact)
    before = artifact.read_bytes()
    sign_artifact(artifact, artifact, RSA)
    strip_signature(artifact, artifact)
    assert artifact.read_bytes() == before


def test_signing_again_with_the_same_key_changes_nothing(artifact: Path) -> None:
    sign_artifact(artifact, artifact, RSA)
    before = artifact.read_bytes()
    sign_artifact(artifact, artifact, RSA)
    assert artifact.read_bytes() == before


def test_version_2_is_signed_as_it_is(tmp_path: Path) -> None:
    path = made(tmp_path, version_2())
    sign_artifact(path, path, EC)
    assert read(path, "ec256").head.version == 2


# --- signing elsewhere


def der(message: bytes) -> bytes:
    signature: bytes = private("ec256").sign(message, ec.ECDSA(hashes.SHA256()))
    return signature


@pytest.mark.parametrize(
    ("key", "make"),
    [
        pytest.param("ec256", signed, id="r and s"),
        pytest.param("ec256", der, id="DER"),
        pytest.param("rsa3072", lambda message: signed(message, "rsa3072"), id="RSA"),
        pytest.param("ec256", lambda message: base64.b64encode(signed(message)) + b"\n", id="base64"),
    ],
)
def test_a_signature_made_elsewhere_is_attached(artifact: Path, key: str, make: Callable[[bytes], bytes]) -> None:
    message = manifest_to_sign(artifact)
    assert message == dict(Forge(scripts=[("ArtifactInstall_Enter_00", b"#!/bin/sh\n")]).members())["manifest"]
    (verifier,) = read_verifiers(KEYS / f"{key}.pub")
    changed = attach_signature(artifact, artifact, make(message), verifier)
    assert changed.key == verifier.name
    tolerated(artifact.read_bytes(), policy=with_key(key))


@pytest.mark.parametrize(
    "signature",
    [
        pytest.param(lambda m: signed(m + b"x"), id="over something else"),
        pytest.param(lambda m: bytes(64), id="zeros"),
        pytest.param(lambda m: b"", id="empty"),
        pytest.param(lambda m: b"hello", id="not a signature"),
        pytest.param(lambda m: signed(m, "rsa2048"), id="by a key of another kind"),
    ],
)
def test_a_signature_by_another_key_is_not_attached(artifact: Path, signature: Callable[[bytes], bytes]) -> None:
    before = artifact.read_bytes()
    (verifier,) = read_verifiers(KEYS / "ec256.pub")
    with pytest.raises(SignatureError):
        attach_signature(artifact, artifact, signature(manifest_to_sign(artifact)), verifier)
    assert artifact.read_bytes() == before


# --- a change never costs a signature quietly


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda path, **kw: modify_artifact(path, path, RENAMED, **kw), id="modify"),
        pytest.param(lambda path, **kw: repair_artifact(path, path, **kw), id="repair"),
    ],
)
def test_a_signed_artifact_is_changed_with_a_key_or_the_wish_to_drop_it_only(
    change: Callable[..., Any], tmp_path: Path
) -> None:
    path = made(tmp_path, Forge(key="rsa2048", type_info=type_info("")))
    before = path.read_bytes()
    with pytest.raises(RequestError, match="signed") as caught:
        change(path)
    assert "--drop-signature" in (caught.value.hint or "")
    assert path.read_bytes() == before
    change(path, drop_signature=True)
    assert read(path).head.signature is SignatureState.UNSIGNED
    path.write_bytes(before)
    change(path, signer=EC)
    read(path, "ec256")


# --- modify


def modified(path: Path, **edit: Any) -> Artifact:
    modify_artifact(path, path, HeadEdit(**edit))
    return tolerated(path.read_bytes())


def test_a_name_is_changed_and_nothing_else(artifact: Path) -> None:
    before = read(artifact).head.header
    after = modified(artifact, name="release-2").head.header
    assert after.info.artifact_name == "release-2"
    assert (after.type_info, after.scripts, after.meta_data) == (before.type_info, before.scripts, before.meta_data)
    assert after.info.device_types == before.info.device_types


def test_changing_nothing_changes_no_value(artifact: Path) -> None:
    before = read(artifact).head.header
    assert modified(artifact).head.header == before


def test_texts_of_header_info_are_changed_and_removed(artifact: Path) -> None:
    edit = {"group": "g", "device_types": ["x", "y"], "depends_names": ["n"], "depends_groups": ["h"]}
    info = modified(artifact, **edit).head.header.info
    assert (info.artifact_group, info.device_types) == ("g", ("x", "y"))
    assert (info.depends_names, info.depends_groups) == (("n",), ("h",))
    info = modified(artifact, group="", depends_names=[], depends_groups=[]).head.header.info
    assert (info.artifact_group, info.depends_names, info.depends_groups) == (None, (), ())


def test_provides_and_depends_are_added_replaced_and_removed(artifact: Path) -> None:
    info = modified(artifact, provides={"a": "1", "b": "2"}, depends={"c": "3"}).head.header.type_info
    assert info.provides == {"a": "1", "b": "2", "rootfs-image.version": "release-1"}
    assert info.depends == {"c": "3"}
    edit: dict[str, Any] = {"provides": {"a": "9"}, "remove_provides": ["b"], "remove_depends": ["c"]}
    info = modified(artifact, **edit).head.header.type_info
    assert info.provides == {"a": "9", "rootfs-image.version": "release-1"}
    assert info.depends == {}


def test_clears_are_replaced_added_and_removed(artifact: Path) -> None:
    assert modified(artifact, clears=["a.*", "b.*"]).head.header.type_info.clears_provides == ("a.*", "b.*")
    assert modified(artifact, add_clears=["b.*", "c"]).head.header.type_info.clears_provides == ("a.*", "b.*", "c")
    assert modified(artifact, remove_clears=["a.*", "b.*"]).head.header.type_info.clears_provides == ("c",)


def test_removing_the_last_pattern_does_not_make_devices_clear_everything(artifact: Path) -> None:
    modified(artifact, clears=["a.*"])
    assert modified(artifact, remove_clears=["a.*"]).head.header.type_info.clears_provides == ()


def test_scripts_are_added_replaced_and_removed(artifact: Path) -> None:
    enter, leave = "ArtifactInstall_Enter_00", "ArtifactCommit_Leave_01"
    scripts = modified(artifact, scripts=[Script(name=leave, content=b"1"), Script(name=enter, content=b"2")])
    assert [(s.name, s.content) for s in scripts.head.header.scripts] == [(leave, b"1"), (enter, b"2")]
    assert [s.name for s in modified(artifact, remove_scripts=[enter]).head.header.scripts] == [leave]


def test_meta_data_is_set_and_removed(tmp_path: Path) -> None:
    path = made(tmp_path, module(("a", b"1")))
    assert modified(path, meta_data=b'{"a": 1}').head.header.meta_data == b'{"a": 1}'
    assert modified(path, meta_data=b"").head.header.meta_data is None


def test_a_rootfs_image_keeps_its_empty_meta_data(artifact: Path) -> None:
    assert modified(artifact, meta_data=b"").head.header.meta_data == b""


@pytest.mark.parametrize(
    "edit",
    [
        {"remove_provides": ["missing"]},
        {"remove_depends": ["missing"]},
        {"remove_clears": ["missing"]},
        {"remove_scripts": ["ArtifactInstall_Leave_00"]},
        {"name": ""},
        {"name": "two words"},
        {"device_types": []},
        {"meta_data": b"[]"},
        {"provides": {"artifact_name": "x"}},
        {"depends": {"": "x"}},
        {"scripts": [Script(name="foo", content=b"")]},
    ],
)
def test_an_impossible_change_is_refused_and_nothing_is_changed(artifact: Path, edit: dict[str, Any]) -> None:
    before = artifact.read_bytes()
    with pytest.raises(RequestError, match="cannot "):
        modify_artifact(artifact, artifact, HeadEdit(**edit))
    assert artifact.read_bytes() == before


def test_a_changed_header_keeps_its_compression(tmp_path: Path) -> None:
    path = made(tmp_path, Forge(kind=".xz", data_kind=".gz"))
    modify_artifact(path, path, RENAMED)
    artifact = read(path)
    assert (artifact.head.header_compression, artifact.data_compression) == (Compression.XZ, Compression.GZIP)


# --- repair, and version 2 to 3


@pytest.mark.parametrize("empty", ["", None])
def test_the_empty_type_is_repaired(tmp_path: Path, empty: str | None) -> None:
    path = made(tmp_path, Forge(type_info=type_info(empty)))
    assert needs_repair(read(path).head)
    repair_artifact(path, path)
    head = tolerated(path.read_bytes()).head
    assert head.header.type_info.payload_type == "rootfs-image"
    assert not needs_repair(head)


def test_version_2_becomes_version_3_with_the_usual_provides(tmp_path: Path) -> None:
    path = made(tmp_path, version_2())
    assert needs_repair(read(path).head)
    repair_artifact(path, path)
    head = tolerated(path.read_bytes()).head
    assert head.version == 3
    assert head.header.type_info.provides == {
        "rootfs-image.checksum": digest(IMAGE),
        "rootfs-image.version": "release-1",
    }
    assert head.header.type_info.clears_provides == ("artifact_group", "rootfs_image_checksum", "rootfs-image.*")


# --- recompressing


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_payload_is_recompressed_and_its_signature_stays_valid(tmp_path: Path, kind: str, codec: str) -> None:
    path = made(tmp_path, Forge(kind=kind, key="ec256"))
    before = read(path, "ec256").head
    changed = recompress_artifact(path, path, Options(codec=Codec.parse(codec)))
    assert changed.signature_kept
    after = tolerated(path.read_bytes(), policy=with_key("ec256"))
    assert after.head == before
    assert after.data_compression is Codec.parse(codec).kind


@pytest.mark.parametrize("codec", CODECS)
def test_an_unsigned_artifact_gets_its_header_recompressed_too(tmp_path: Path, codec: str) -> None:
    path = made(tmp_path, Forge())
    recompress_artifact(path, path, Options(codec=Codec.parse(codec)))
    artifact = tolerated(path.read_bytes())
    assert artifact.head.header_compression is artifact.data_compression is Codec.parse(codec).kind


def test_a_recompressed_artifact_can_be_signed_at_once(tmp_path: Path) -> None:
    path = made(tmp_path, Forge(key="rsa2048"))
    recompress_artifact(path, path, Options(codec=Codec.parse("none"), signer=EC))
    assert read(path, "ec256").head.header_compression is Compression.NONE


def test_files_in_another_order_and_sparse_ones_are_recompressed(tmp_path: Path) -> None:
    text = b"2\n1000\n3\n2000\n0\n".ljust(512, b"\x00") + b"abc"
    records = [("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0"), ("GNU.sparse.realsize", "2000")]
    files = [("file", bytes(1000) + b"abc" + bytes(997)), ("b", b"2")]
    archive = tar(("b", b"2"), pax(*records), ("file", text))
    path = made(tmp_path, module(*files, data_archive=archive, key="ec256"))
    recompress_artifact(path, path, Options(codec=Codec.parse("zstd")))
    tolerated(path.read_bytes(), policy=with_key("ec256"))
    assert contents(path) == dict(files)


def test_three_hundred_files_are_recompressed(tmp_path: Path) -> None:
    files = [(f"f{n}", b"x" * n) for n in range(300)]
    path = made(tmp_path, module(*files))
    recompress_artifact(path, path, Options(codec=Codec.parse("zstd")))
    assert contents(path) == dict(files)


@pytest.mark.parametrize(
    "parts",
    [
        pytest.param(Forge(data_archive=tar(("rootfs.ext4", b"damaged"))), id="wrong digest"),
        pytest.param(Forge(data_archive=tar()), id="missing file"),
        pytest.param(Forge(data=b"\x1f\x8b"), id="damaged stream"),
    ],
)
def test_a_damaged_payload_is_not_recompressed(tmp_path: Path, parts: Forge) -> None:
    path = made(tmp_path, parts)
    before = path.read_bytes()
    with pytest.raises(RejectedError):
        recompress_artifact(path, path, Options())
    assert path.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


# --- failures


def test_an_interruption_while_recompressing_leaves_the_old_file(artifact: Path) -> None:
    before = artifact.read_bytes()

    def stop(_count: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        recompress_artifact(artifact, artifact, Options(on_progress=stop))
    assert artifact.read_bytes() == before
    assert len(list(artifact.parent.iterdir())) == 1


def test_a_signer_that_fails_leaves_the_old_file(artifact: Path) -> None:
    class Gone:
        public = EC.public
        signature_size = 64

        def sign(self, message: bytes) -> bytes:
            raise KeyUnusableError("cannot sign: the token was removed")

    before = artifact.read_bytes()
    changes: list[Callable[[], object]] = [
        lambda: sign_artifact(artifact, artifact, Gone()),
        lambda: modify_artifact(artifact, artifact, RENAMED, signer=Gone()),
        lambda: recompress_artifact(artifact, artifact, Options(signer=Gone())),
    ]
    for change in changes:
        with pytest.raises(KeyUnusableError, match="token was removed"):
            change()
    assert artifact.read_bytes() == before
    assert len(list(artifact.parent.iterdir())) == 1


@pytest.mark.parametrize("change", EVERY_CHANGE)
@pytest.mark.parametrize("limit", [100, 3000, 500_000])
def test_a_disk_that_is_full_leaves_the_old_file(tmp_path: Path, change: Change, limit: int) -> None:
    path = made(tmp_path, Forge(kind="", files=[("rootfs.ext4", os.urandom(1 << 20))]))
    before = path.read_bytes()
    with file_size_limit(limit), pytest.raises(MachineError, match=r"cannot write .*artifact.mender: File too large"):
        change(path, path)
    assert path.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


def test_a_target_that_cannot_be_made_is_named(artifact: Path) -> None:
    for change in CHANGES.values():
        with pytest.raises(MachineError, match=r"cannot write .*missing/new"):
            change(artifact, artifact.parent / "missing" / "new")


@pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="this kernel does not count what a process reads")
def test_a_payload_of_many_mebibytes_is_moved_by_the_kernel(tmp_path: Path) -> None:
    path = made(tmp_path, Forge(kind="", files=[("rootfs.ext4", os.urandom(20 << 20))]))
    counter = Path("/proc/self/io")
    before = int(counter.read_text().split("rchar: ")[1].split()[0])
    modify_artifact(path, tmp_path / "new", RENAMED)
    after = int(counter.read_text().split("rchar: ")[1].split()[0])
    assert data_member(tmp_path / "new") == data_member(path)
    # copy_file_range(2) counts as reading; what matters is that it happens once.
    assert after - before < 21 << 20
    accepted(io.BytesIO((tmp_path / "new").read_bytes()))
