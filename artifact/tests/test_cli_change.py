"""`bistable artifact sign`, `modify`, `repack`: what they change, what they keep, and what they refuse."""

import io
import os
import stat
import subprocess
from pathlib import Path

import pytest
from commandline import CORPUS, KEYS, call, made

from bistable.artifact import Artifact, Compression, Policy, SignatureState, read_artifact, read_verifiers

VALID = CORPUS / "valid"
KEY, PUBLIC = KEYS / "ec256.key", KEYS / "ec256.pub"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work where there are an unsigned and a signed artifact."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rootfs.ext4").write_bytes(b"an image" * 5000)
    made("write", "rootfs", "-f", "rootfs.ext4", "-n", "release-1", "-t", "board", "-p", "a:b", "-o", "plain.mender")
    made("sign", "-k", KEY, "plain.mender", "-o", "signed.mender")
    return tmp_path


def read(path: str | Path, *, public: Path | None = None) -> Artifact:
    policy = Policy(verifiers=() if public is None else read_verifiers(public), allow_augment=True)
    return read_artifact(io.BytesIO(Path(path).read_bytes()), policy)


# --- sign


def test_signing_changes_nothing_but_the_signature() -> None:
    assert read("signed.mender", public=PUBLIC).head.manifest == read("plain.mender").head.manifest


def test_signing_in_place_replaces_the_artifact_and_keeps_its_permissions(here: Path) -> None:
    (here / "plain.mender").chmod(0o640)
    outcome = made("sign", "-k", KEY, "plain.mender")
    assert outcome.out.startswith("signed plain.mender, ")
    assert "  checked    head; the payload was moved as it is, not read" in outcome.out
    assert read("plain.mender", public=PUBLIC).head.signature is SignatureState.VERIFIED
    assert stat.S_IMODE((here / "plain.mender").stat().st_mode) == 0o640


def test_a_signature_is_replaced_only_by_force() -> None:
    outcome = call("sign", "-k", KEYS / "rsa3072.key", "signed.mender")
    assert outcome.code == 2
    assert "it is signed already" in outcome.err
    made("sign", "-f", "-k", KEYS / "rsa3072.key", "signed.mender")
    assert read("signed.mender", public=KEYS / "rsa3072.pub").head.signature is SignatureState.VERIFIED


def test_signing_through_a_link_signs_what_it_leads_to(here: Path) -> None:
    (here / "link.mender").symlink_to("plain.mender")
    made("sign", "-k", KEY, "link.mender")
    assert (here / "link.mender").is_symlink()
    assert read("plain.mender", public=PUBLIC).head.signature is SignatureState.VERIFIED


def test_signing_works_as_a_filter(here: Path) -> None:
    outcome = made("sign", "-k", KEY, "-", stdin=(here / "plain.mender").read_bytes())
    assert outcome.raw == (here / "signed.mender").read_bytes()
    assert outcome.err.startswith("signed standard output, ")


def test_a_signature_can_be_made_elsewhere_and_attached(here: Path) -> None:
    manifest = made("sign", "--print-manifest", "plain.mender").raw
    (here / "manifest").write_bytes(manifest)
    command = ["openssl", "dgst", "-sha256", "-sign", str(KEY), "-out", "manifest.sig", "manifest"]
    subprocess.run(command, check=True)
    made("sign", "--attach", "manifest.sig", "--public-key", PUBLIC, "plain.mender", "-o", "attached.mender")
    assert read("attached.mender", public=PUBLIC).head.key is not None


def test_a_signature_over_something_else_is_not_attached(here: Path) -> None:
    (here / "manifest").write_bytes(made("sign", "--print-manifest", "plain.mender").raw + b"x")
    subprocess.run(["openssl", "dgst", "-sha256", "-sign", str(KEY), "-out", "sig", "manifest"], check=True)
    before = (here / "plain.mender").read_bytes()
    outcome = call("sign", "--attach", "sig", "--public-key", PUBLIC, "plain.mender")
    assert outcome.code == 4
    assert (here / "plain.mender").read_bytes() == before


def test_the_manifest_can_be_written_to_a_file(here: Path) -> None:
    made("sign", "--print-manifest", "plain.mender", "-o", "manifest")
    assert (here / "manifest").read_bytes() == made("sign", "--print-manifest", "signed.mender").raw


def test_a_signature_can_be_taken_out(here: Path) -> None:
    made("sign", "--strip", "signed.mender")
    assert (here / "signed.mender").read_bytes() == (here / "plain.mender").read_bytes()


def test_a_payload_that_does_not_match_is_signed_only_unless_it_is_looked_at(here: Path) -> None:
    damaged = bytearray((VALID / "v01-39-rootfs-none.mender").read_bytes())
    damaged[-20000] ^= 1
    (here / "damaged.mender").write_bytes(damaged)
    outcome = call("sign", "-k", KEY, "--verify", "damaged.mender")
    assert outcome.code == 3
    assert (here / "damaged.mender").read_bytes() == damaged
    made("sign", "-k", KEY, "damaged.mender")
    assert call("verify", "-k", PUBLIC, "damaged.mender").code == 3


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "no key is named"),
        (("--strip", "-k", "x"), "cannot use --strip and --key together"),
        (("--print-manifest", "--strip"), "cannot use --print-manifest and --strip together"),
        (("--attach", "rootfs.ext4"), "without --public-key"),
        (("--vault-transit-key", "x"), "--sign-command"),
    ],
)
def test_signing_needs_one_clear_order(arguments: tuple[str, ...], words: str) -> None:
    outcome = call("sign", "plain.mender", *arguments)
    assert outcome.code == 2
    assert words in outcome.err


# --- modify


def test_modify_changes_what_is_named_and_nothing_else() -> None:
    before = read("plain.mender").head.header
    made("modify", "-n", "release-2", "plain.mender", "-o", "new.mender")
    after = read("new.mender").head.header
    assert after.info.artifact_name == "release-2"
    assert after.type_info == before.type_info
    assert after.info.device_types == before.info.device_types


def test_modify_replaces_lists_and_adds_to_maps(here: Path) -> None:
    (here / "meta.json").write_bytes(b'{"x":1}')
    (here / "ArtifactInstall_Enter_00").write_bytes(b"#!/bin/sh\n")
    made(
        *(
            "modify",
            "plain.mender",
            "--device-type",
            "x",
            "--compatible-types",
            "y",
            "-g",
            "group",
            "-N",
            "old",
            "-G",
            "g",
        ),
        *("-p", "c:d", "-p", "a:z", "-d", "e:f", "--clears-provides", "c", "-m", "meta.json"),
        *("-s", "ArtifactInstall_Enter_00", "--delete-clears-provides", "artifact_group"),
    )
    header = read("plain.mender").head.header
    assert header.info.device_types == ("x", "y")
    assert header.info.artifact_group == "group"
    assert header.info.depends_names == ("old",)
    assert header.info.depends_groups == ("g",)
    assert header.type_info.provides["a"] == "z"
    assert header.type_info.provides["c"] == "d"
    assert header.type_info.depends == {"e": "f"}
    assert header.type_info.clears_provides == ("rootfs_image_checksum", "rootfs-image.*", "c")
    assert header.meta_data == b'{"x":1}'
    assert [script.name for script in header.scripts] == ["ArtifactInstall_Enter_00"]


def test_modify_takes_things_out() -> None:
    made("modify", "plain.mender", "-d", "e:f", "-g", "group")
    made("modify", "plain.mender", "--remove-provides", "a", "--remove-depends", "e", "-g", "")
    header = read("plain.mender").head.header
    assert "a" not in header.type_info.provides
    assert header.type_info.depends == {}
    assert header.info.artifact_group is None


def test_a_change_does_not_lose_the_signature_by_accident(here: Path) -> None:
    before = (here / "signed.mender").read_bytes()
    outcome = call("modify", "-n", "x", "signed.mender")
    assert outcome.code == 2
    assert "-k KEY" in outcome.err
    assert (here / "signed.mender").read_bytes() == before
    assert "signature  none" in made("modify", "-n", "x", "--drop-signature", "signed.mender").out


def test_a_change_can_be_signed_at_once() -> None:
    outcome = made("modify", "-n", "x", "-k", KEYS / "rsa2048.key", "signed.mender")
    assert "signature  by RSA-2048" in outcome.out
    assert read("signed.mender", public=KEYS / "rsa2048.pub").head.header.info.artifact_name == "x"


def test_a_change_says_that_attestations_are_void(here: Path) -> None:
    (here / "plain.mender.intoto.jsonl").write_text("{}\n")
    assert "are about another artifact now" in made("modify", "-n", "x", "plain.mender").err


def test_the_suffix_of_attestations_is_that_of_the_library() -> None:
    from bistable.artifact.attest import BUNDLE_SUFFIX
    from bistable.artifact.cli import changing

    assert changing.BUNDLE_SUFFIX == BUNDLE_SUFFIX


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "no change is named"),
        (("--remove-provides", "nothing"), "cannot remove the provides key 'nothing'"),
        (("-n", "a b"), "white space"),
        (("-t", "token"), "cannot use --tenant-token"),
        (("-c", "cert"), "cannot use --server-cert"),
        (("-n", "x", "-k", "nowhere.pem"), "cannot read nowhere.pem"),
    ],
)
def test_what_cannot_be_changed_is_refused_and_leaves_the_artifact(
    arguments: tuple[str, ...], words: str, here: Path
) -> None:
    before = (here / "plain.mender").read_bytes()
    names = sorted(here.iterdir())
    outcome = call("modify", "plain.mender", *arguments)
    assert outcome.code in {2, 6}
    assert words in outcome.err
    assert (here / "plain.mender").read_bytes() == before
    assert sorted(here.iterdir()) == names


# --- repack


def test_repacking_keeps_the_signature_valid() -> None:
    outcome = made("repack", "--compression", "gzip:9", "signed.mender")
    assert "signature  kept, still valid" in outcome.out
    assert "warning: the header stays in zstd" in outcome.err
    artifact = read("signed.mender", public=PUBLIC)
    assert artifact.data_compression is Compression.GZIP
    assert artifact.head.header_compression is Compression.ZSTD


def test_repacking_with_a_key_compresses_the_header_too() -> None:
    outcome = made("repack", "--compression", "gzip", "-k", KEY, "signed.mender")
    assert outcome.err == ""
    assert read("signed.mender", public=PUBLIC).head.header_compression is Compression.GZIP


def test_repair_writes_the_type_that_was_left_empty() -> None:
    made("repack", "--repair", "--drop-signature", VALID / "v06-39-signcmd-rsa2048.mender", "-o", "mended.mender")
    artifact = read("mended.mender")
    assert artifact.head.header.type_info.payload_type == "rootfs-image"
    assert artifact.findings == ()


def test_repair_makes_version_3_of_version_2() -> None:
    outcome = made("repack", "--repair", VALID / "v26-44-v2-rootfs.mender", "-o", "new.mender")
    assert outcome.out.startswith("repaired new.mender, ")
    assert read("new.mender").head.version == 3


def test_repair_of_what_is_whole_copies_it(here: Path) -> None:
    outcome = made("repack", "--repair", "signed.mender", "-o", "copy.mender")
    assert outcome.out.startswith("found nothing to repair in copy.mender, ")
    assert (here / "copy.mender").read_bytes() == (here / "signed.mender").read_bytes()
    made("repack", "--repair", "signed.mender")


@pytest.mark.parametrize(
    "arguments", [(), ("--compression", "gzip", "--repair"), ("--compression", "gzip", "--drop-signature")]
)
def test_repacking_needs_one_clear_order(arguments: tuple[str, ...]) -> None:
    assert call("repack", "plain.mender", *arguments).code == 2


# --- where output goes


@pytest.mark.parametrize(
    "command", [("sign", "-k", str(KEY)), ("modify", "-n", "x"), ("repack", "--compression", "xz")]
)
def test_a_pipe_is_written_to_and_not_replaced(command: tuple[str, ...], here: Path) -> None:
    os.mkfifo(here / "pipe")
    reader = subprocess.Popen(["cat", str(here / "pipe")], stdout=subprocess.PIPE)
    made(*command, "plain.mender", "-o", "pipe")
    content, _ = reader.communicate(timeout=30)
    assert stat.S_ISFIFO((here / "pipe").stat().st_mode)
    made("verify", *(("-k", PUBLIC) if command[0] == "sign" else ()), "-", stdin=content)


def test_an_address_is_not_changed() -> None:
    outcome = call("modify", "-n", "x", "https://example.com/a.mender")
    assert outcome.code == 2
    assert "it is an address" in outcome.err


def test_an_augmented_artifact_is_not_changed() -> None:
    outcome = call("modify", "-n", "x", VALID / "v18-39-module-augment.mender", "-o", "new.mender")
    assert outcome.code == 2
    assert not Path("new.mender").exists()
