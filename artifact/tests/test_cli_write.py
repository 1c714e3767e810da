"""`bistable artifact write`: what the options mean, and that nothing is left behind when it fails."""

import io
from pathlib import Path

import pytest
from commandline import KEYS, call, made
from image_samples import EXT4_TOOLS

from bistable.artifact import Artifact, Compression, SignatureState, read_artifact, read_verifiers
from bistable.artifact.trust import Policy

IMAGE = b"an image of a root file system" * 1000
WHO = ("-n", "release-1", "-t", "board")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    (tmp_path / "rootfs.ext4").write_bytes(IMAGE)
    return tmp_path


def read(path: str | Path = "artifact.mender", *, key: str | None = None) -> Artifact:
    policy = Policy(verifiers=() if key is None else read_verifiers(KEYS / key))
    return read_artifact(io.BytesIO(Path(path).read_bytes()), policy)


# --- what is written


def test_a_root_filesystem_needs_a_file_a_name_and_a_device_type_only() -> None:
    made("write", "rootfs", "-f", "rootfs.ext4", *WHO)
    artifact = read()
    assert artifact.head.header.info.artifact_name == "release-1"
    assert artifact.head.header.info.device_types == ("board",)
    assert [file.name for file in artifact.files] == ["rootfs.ext4"]
    assert artifact.data_compression is Compression.ZSTD
    assert artifact.head.signature is SignatureState.UNSIGNED


@pytest.mark.parametrize("name", ["rootfs-image", "rootfs"])
def test_mender_artifacts_names_and_long_options_are_understood(name: str) -> None:
    made(
        *("write", name, "--file", "rootfs.ext4", "--artifact-name", "n", "--device-type", "a"),
        *("--compatible-types", "b", "--provides-group", "g", "--depends-groups", "h", "--artifact-name-depends", "m"),
        *("--provides", "k:v:w", "--depends", "x:y", "--clears-provides", "z.*", "--software-name", "app"),
        *("--software-version", "7", "--software-filesystem", "data", "--compression", "lzma", "--no-progress"),
        *("--output-path", "other.mender", "--version", "3"),
    )
    header = read("other.mender").head.header
    assert header.info.device_types == ("a", "b")
    assert header.info.artifact_group == "g"
    assert header.info.depends_groups == ("h",)
    assert header.info.depends_names == ("m",)
    assert header.type_info.provides["k"] == "v:w"
    assert header.type_info.provides["data.app.version"] == "7"
    assert header.type_info.depends == {"x": "y"}
    assert header.type_info.clears_provides == ("z.*", "data.app.*")
    assert read("other.mender").data_compression is Compression.XZ


@pytest.mark.parametrize(
    ("options", "keys"),
    [
        ((), {"rootfs-image.checksum", "rootfs-image.version"}),
        (("--no-checksum-provide",), {"rootfs-image.version"}),
        (("--legacy-rootfs-image-checksum",), {"rootfs_image_checksum", "rootfs-image.version"}),
        (("--no-default-software-version",), {"rootfs-image.checksum"}),
    ],
)
def test_what_is_provided_by_default_can_be_chosen(options: tuple[str, ...], keys: set[str]) -> None:
    made("write", "rootfs", "-f", "rootfs.ext4", *WHO, *options)
    assert set(read().head.header.type_info.provides) == keys


def test_default_clears_can_be_left_out() -> None:
    made("write", "rootfs", "-f", "rootfs.ext4", *WHO, "--no-default-clears-provides", "--clears-provides", "a")
    assert read().head.header.type_info.clears_provides == ("a",)


def test_a_module_image_carries_files_scripts_and_meta_data(here: Path) -> None:
    (here / "a.bin").write_bytes(b"a")
    (here / "b.bin").write_bytes(b"b")
    (here / "meta.json").write_bytes(b'{"big": 12345678901234567890}')
    (here / "scripts").mkdir()
    for name in ("ArtifactInstall_Enter_01", "ArtifactCommit_Leave_02_x"):
        (here / "scripts" / name).write_bytes(b"#!/bin/sh\n")
    made("write", "module", "-T", "app", "-f", "b.bin", "-f", "a.bin", "-m", "meta.json", "-s", "scripts", *WHO)
    artifact = read()
    assert [file.name for file in artifact.files] == ["b.bin", "a.bin"]
    assert artifact.head.header.meta_data == b'{"big": 12345678901234567890}'
    assert [s.name for s in artifact.head.header.scripts] == ["ArtifactCommit_Leave_02_x", "ArtifactInstall_Enter_01"]
    assert artifact.head.header.info.payload_type == "app"


def test_a_module_image_may_be_without_files() -> None:
    made("write", "module-image", "-T", "app", *WHO)
    assert read().files == ()


def test_a_bootstrap_artifact_has_an_empty_payload() -> None:
    made("write", "bootstrap-artifact", *WHO, "-p", "rootfs-image.version:release-1")
    artifact = read()
    assert artifact.head.header.info.payload_type is None
    assert artifact.head.header.type_info.provides == {"rootfs-image.version": "release-1"}


def test_what_is_signed_can_be_verified() -> None:
    outcome = made("write", "rootfs", "-f", "rootfs.ext4", *WHO, "-k", KEYS / "ec256.key")
    assert read(key="ec256.pub").head.signature is SignatureState.VERIFIED
    assert f"signature  by P-256 7827ffff38cea058 ({KEYS / 'ec256.key'})" in outcome.out


def test_the_same_input_gives_the_same_bytes_from_a_file_and_from_a_pipe() -> None:
    made("write", "rootfs", "-f", "rootfs.ext4", *WHO, "-o", "file.mender")
    made("write", "rootfs", "-f", "-", "--file-name", "rootfs.ext4", *WHO, "-o", "pipe.mender", stdin=IMAGE)
    assert Path("file.mender").read_bytes() == Path("pipe.mender").read_bytes()


def test_an_artifact_can_go_to_standard_output_and_what_is_said_of_it_does_not() -> None:
    outcome = made("write", "rootfs", "-f", "rootfs.ext4", *WHO, "-o", "-")
    made("write", "rootfs", "-f", "rootfs.ext4", *WHO)
    assert outcome.raw == Path("artifact.mender").read_bytes()
    assert outcome.err.startswith("wrote standard output, ")


def test_times_are_those_of_source_date_epoch() -> None:
    made("write", "rootfs", "-f", "rootfs.ext4", *WHO, env={"SOURCE_DATE_EPOCH": "1700000000"})
    assert Path("artifact.mender").read_bytes()[136:147] == b"%011o" % 1700000000


@EXT4_TOOLS
def test_a_directory_becomes_an_image(here: Path) -> None:
    (here / "root" / "etc").mkdir(parents=True)
    (here / "root" / "etc" / "motd").write_text("hello\n")
    made("write", "rootfs", "-f", "root", "--image-size", "8MiB", *WHO)
    assert [(file.name, file.size) for file in read().files] == [("rootfs.ext4", 8 << 20)]
    assert made("cat", "artifact.mender:/etc/motd").raw == b"hello\n"


def test_a_compression_before_the_command_is_the_default_as_in_mender_artifact() -> None:
    made("--compression", "gzip", "write", "rootfs", "-f", "rootfs.ext4", *WHO)
    assert read().data_compression is Compression.GZIP
    made("--compression", "gzip", "write", "rootfs", "-f", "rootfs.ext4", *WHO, "--compression", "none")
    assert read().data_compression is Compression.NONE


def test_a_large_artifact_is_warned_of() -> None:
    outcome = made("write", "rootfs", "-f", "rootfs.ext4", *WHO, "--compression", "none", "--warn-artifact-size", "1kB")
    assert "warning: the artifact has 3" in outcome.err
    assert "more than 1.0 kB (1000 bytes)" in outcome.err


# --- what is refused, and what is left


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("rootfs", "-f", "rootfs.ext4", *WHO, "-k", "nowhere.pem"), 6, "cannot read nowhere.pem: no such file"),
        (("rootfs", "-f", "rootfs.ext4", *WHO, "-k", str(KEYS / "ec256.pub")), 6, "it holds no private key"),
        (("rootfs", "-f", "rootfs.ext4", *WHO, "-k", str(KEYS / "ec384.key")), 6, "EC-secp384r1"),
        (("rootfs", "-f", "nowhere.ext4", *WHO), 7, "cannot read nowhere.ext4"),
        (("rootfs", "-f", "rootfs.ext4", *WHO, "-v", "2"), 2, "only 3 is written"),
        (("rootfs", "-f", "rootfs.ext4", *WHO, "--compression", "zip"), 2, "unknown"),
        (("rootfs", "-f", "rootfs.ext4", *WHO, "--max-artifact-size", "1kB", "--compression", "none"), 8, "1000 bytes"),
        (("rootfs", "-f", "rootfs.ext4", "-n", "a b", "-t", "t"), 2, "white space"),
        (("rootfs", "-f", "ssh://user@device", *WHO), 2, "a running device is not copied from here"),
        (("rootfs", "-f", "rootfs.ext4", "--file-name", "x", *WHO), 2, "--file-name without -f -"),
        (("rootfs", "-f", "rootfs.ext4", *WHO, "--filesystem", "squashfs", "--image-size", "1MB"), 2, "squashfs"),
        (("rootfs", "-f", "rootfs.ext4", *WHO, "-d", "novalue"), 2, "not of the form KEY:VALUE"),
        (("rootfs", "-f", "rootfs.ext4", *WHO, "--gcp-kms-key", "x"), 2, "there is no such option here"),
        (("module", "-T", "app", "-f", "-", *WHO), 2, "without a name"),
        (("module", "-T", "app", "-f", "-", "-f", "-", *WHO), 2, "standard input twice"),
        (("module", "-T", "a/b", *WHO), 2, "payload type"),
        (("module", "-T", "app", "-s", "rootfs.ext4", *WHO), 2, "not a name the device knows"),
        (("module", "-T", "app", "-m", "rootfs.ext4", *WHO), 2, "meta-data"),
        (("module", "-T", "app", "--augment-type", "x", *WHO), 2, "augmented artifacts are not written"),
        (("bootstrap", "-n", "x"), 2, "missing option"),
    ],
)
def test_what_cannot_be_written_is_refused_and_leaves_nothing(
    arguments: tuple[str, ...], code: int, words: str, here: Path
) -> None:
    outcome = call("write", *arguments)
    assert outcome.code == code
    assert words in outcome.err
    assert outcome.err.startswith("error: cannot ")
    assert outcome.out == ""
    assert [path.name for path in here.iterdir()] == ["rootfs.ext4"]


def test_a_failed_write_leaves_the_old_artifact(here: Path) -> None:
    (here / "artifact.mender").write_bytes(b"old")
    assert call("write", "rootfs", "-f", "nowhere.ext4", *WHO).code == 7
    assert (here / "artifact.mender").read_bytes() == b"old"


def test_two_keys_at_once_are_refused() -> None:
    outcome = call("write", "bootstrap", *WHO, "-k", KEYS / "ec256.key", "--key-pkcs11", "pkcs11:token=x")
    assert outcome.code == 2
    assert "cannot sign with --key and --key-pkcs11 at once" in outcome.err


@pytest.mark.parametrize(
    "options",
    [("--sign-command", "sign"), ("--public-key", "x"), ("--pkcs11-module", "x"), ("--key-passphrase-file", "x")],
)
def test_a_signing_option_without_its_partner_is_refused(options: tuple[str, str]) -> None:
    outcome = call("write", "bootstrap", *WHO, *options)
    assert outcome.code == 2
    assert f"cannot use {options[0]} without --" in outcome.err


def test_an_artifact_and_json_cannot_both_go_to_standard_output() -> None:
    outcome = call("write", "bootstrap", *WHO, "-o", "-", "--json")
    assert outcome.code == 2
    assert outcome.document["error"]["kind"] == "request"


def test_an_external_program_signs(here: Path) -> None:
    script = here / "sign.sh"
    script.write_text(f"#!/bin/sh\nexec openssl dgst -sha256 -sign '{KEYS / 'ec256.key'}'\n")
    script.chmod(0o755)
    command = ("--sign-command", str(script), "--public-key", KEYS / "ec256.pub")
    made("write", "rootfs", "-f", "rootfs.ext4", *WHO, *command)
    assert read(key="ec256.pub").head.signature is SignatureState.VERIFIED


def test_a_program_that_signs_with_another_key_writes_nothing(here: Path) -> None:
    script = here / "sign.sh"
    script.write_text(f"#!/bin/sh\nexec openssl dgst -sha256 -sign '{KEYS / 'rsa2048.key'}'\n")
    script.chmod(0o755)
    outcome = call("write", "bootstrap", *WHO, "--sign-command", script, "--public-key", KEYS / "rsa3072.pub")
    assert outcome.code == 6
    assert not (here / "artifact.mender").exists()


# --- sizes as people write them


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("100", 100),
        ("100B", 100),
        ("5MB", 5_000_000),
        ("5 mib", 5 << 20),
        ("1.5k", 1500),
        ("2GiB", 2 << 30),
        ("1T", 10**12),
    ],
)
def test_sizes_have_units(text: str, size: int) -> None:
    from bistable.artifact.cli.options import size as read_size

    assert read_size(text) == size


@pytest.mark.parametrize("text", ["", "MB", "-5", "5 parsecs", "1e9", "0x10"])
def test_what_is_no_size_is_wrong_usage(text: str) -> None:
    outcome = call("write", "bootstrap", *WHO, "--max-artifact-size", text)
    assert outcome.code == 2
    assert "is not a size" in outcome.err
