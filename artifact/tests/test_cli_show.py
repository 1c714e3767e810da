"""`bistable artifact show` and `verify`: what they say, what they refuse, and with which exit code."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from commandline import CORPUS, KEYS, call, made
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from forge import module

VALID = CORPUS / "valid"
SIGNED = VALID / "v05-39-signed-rsa3072.mender"
UNSIGNED = VALID / "v22-39-bootstrap.mender"
AUGMENTED = VALID / "v18-39-module-augment.mender"
MALFORMED = CORPUS / "malformed"


# --- show


def test_show_says_all_that_an_artifact_says_of_itself() -> None:
    lines = made("show", VALID / "v16-44-module-many-zstd-signed.mender").out.splitlines()
    assert "Artifact   m-1" in lines
    assert "Made for   dev1" in lines
    assert "Signature  not checked: signed, but no key was given (-k)" in lines
    assert "Payload    multi, zstd, 3 files" in lines
    assert "           e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855     0  empty.bin" in lines
    assert "Provides   rootfs-image.multi.version = m-1" in lines
    assert "Clears     rootfs-image.multi.*" in lines
    assert '             "uni": "héllo 😀"' in lines


def test_show_verifies_the_signature_if_a_key_is_given() -> None:
    assert "Signature  verified with RSA-3072 " in made("show", "-k", KEYS / "rsa3072.pub", SIGNED).out
    assert call("show", "-k", KEYS / "ec256.pub", SIGNED).code == 4


def test_show_of_the_head_reads_no_payload(tmp_path: Path) -> None:
    cut = tmp_path / "cut.mender"
    cut.write_bytes(SIGNED.read_bytes()[: 9 * 1024])
    assert call("show", cut).code == 3
    outcome = made("show", "--head", cut)
    assert "1 file (not read, not checked)" in outcome.out
    assert made("show", "--head", "--json", cut).document["payload"]["checked"] is False


def test_show_reads_standard_input() -> None:
    outcome = made("read", "-", stdin=UNSIGNED.read_bytes())
    assert made("show", UNSIGNED).out == outcome.out
    assert made("read", "--json", "-", stdin=UNSIGNED.read_bytes()).document["source"] == "standard input"


def test_what_was_tolerated_is_told_with_its_rule() -> None:
    lines = made("show", VALID / "v06-39-signcmd-rsa2048.mender").out.splitlines()
    assert lines[-4].startswith("warning: the payload type in type-info is empty")
    assert lines[-3:-1] == ["  where: type-info", "  rule:  type-info.empty-type"]
    assert lines[-1].startswith("  hint:  ")


def test_an_augmented_artifact_is_shown_only_if_allowed() -> None:
    assert call("show", AUGMENTED).code == 8
    assert "Augmented, not covered by any signature:" in made("show", "--allow-augment", AUGMENTED).out


def test_what_an_artifact_says_cannot_send_commands_to_the_terminal(tmp_path: Path) -> None:
    path = tmp_path / "evil.mender"
    said = {"type": "mod", "artifact_provides": {"key": "\x1b[2J\u202egnp\u009b31m"}}
    path.write_bytes(module(type_info=said).build())
    out = made("show", path).out
    assert "\\x1b[2J\\u202egnp\\x9b31m" in out
    assert not set(out) & {"\x1b", "\u202e", "\u009b"}


# --- verify


def test_verify_says_what_was_checked_and_by_which_key() -> None:
    lines = made("verify", "-k", KEYS / "rsa3072.pub", SIGNED).out.splitlines()
    assert lines[0] == f"{SIGNED}: good"
    assert lines[2].startswith("  signature  verified with RSA-3072 ")
    assert lines[3] == "  head       format version 3; version and header match the manifest"
    assert lines[4] == "  payload    1 file, 59.9 kB (59936 bytes); all digests match"


def test_verify_takes_any_of_several_keys() -> None:
    made("validate", "-k", KEYS / "ec256.pub", "-k", KEYS / "rsa3072.pub", SIGNED)


def test_verify_takes_the_keys_in_a_directory(tmp_path: Path) -> None:
    for name in ("ec256.pub", "rsa3072.pub"):
        (tmp_path / name).write_bytes((KEYS / name).read_bytes())
    made("verify", "-k", tmp_path, SIGNED)


def test_an_unsigned_artifact_is_whole_and_not_good() -> None:
    assert made("verify", UNSIGNED).out.startswith(f"{UNSIGNED}: whole, but not signed\n")


def test_verify_reads_standard_input_to_its_end() -> None:
    made("verify", "-k", KEYS / "rsa3072.pub", "-", stdin=SIGNED.read_bytes())
    assert call("verify", "-", stdin=UNSIGNED.read_bytes() + b"x" * 512).code == 3


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ((SIGNED,), 4, "no key was given"),
        (("-k", KEYS / "ec256.pub", SIGNED), 4, "by none of the keys given"),
        (("-k", KEYS / "ec256.pub", UNSIGNED), 4, "it is not signed"),
        (("-k", "nowhere.pem", UNSIGNED), 6, "cannot read nowhere.pem"),
        (("-k", KEYS / "ec256.key", UNSIGNED), 6, "it is a private key"),
        (("-k", SIGNED, SIGNED), 6, "it is not PEM"),
        (("nowhere.mender",), 7, "cannot read nowhere.mender: no such file"),
        ((AUGMENTED,), 8, "augmented"),
        ((KEYS,), 7, "it is a directory"),
        ((KEYS / "ec256.pub",), 3, "cannot read artifact"),
        (("--chain", "x", SIGNED), 2, "without --ca"),
        (("--ca", "nowhere.pem", SIGNED), 6, ".chain.pem"),
        (("--ca", "x", "--at", "yesterday", SIGNED), 2, "is not a time"),
        (("--attestations", UNSIGNED), 2, "without a key"),
    ],
)
def test_what_cannot_be_verified_is_refused_with_a_code_that_says_why(
    arguments: tuple[str | Path, ...], code: int, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = call("verify", *arguments)
    assert outcome.code == code
    assert words in outcome.err
    assert outcome.err.startswith("error: cannot ")
    assert outcome.out == ""


def test_a_refusal_says_where_and_which_rule() -> None:
    lines = call("verify", MALFORMED / "m032-uppercase-hex.mender").err.splitlines()
    assert lines[0].startswith("error: cannot read manifest: line 1 is not")
    assert lines[1] == "  where: manifest, line 1, byte 0"
    assert lines[2] == "  rule:  manifest.line"


@pytest.mark.parametrize("path", sorted(CORPUS.rglob("*.mender")), ids=lambda path: path.stem)
def test_whatever_the_artifact_is_the_answer_is_a_result_or_a_message_and_a_code(path: Path) -> None:
    outcome = call("show", "--allow-augment", path)
    assert outcome.code in {0, 3, 4, 5, 8}
    assert bool(outcome.err) == bool(outcome.code)
    assert bool(outcome.out) != bool(outcome.code)


def test_a_payload_that_was_tampered_with_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bad.mender"
    path.write_bytes((MALFORMED / "m022-data-sum-wrong.mender").read_bytes())
    outcome = call("verify", path)
    assert outcome.code == 3
    assert "rule:  digest.mismatch" in outcome.err


def certificates(directory: Path) -> None:
    """Make a root, and a chain for the key ec256.key that is valid in the year 2025."""
    root_key = ec.generate_private_key(ec.SECP256R1())
    root = certificate("root", "root", root_key.public_key(), root_key, ca=True)
    signer = load_pem_private_key((KEYS / "ec256.key").read_bytes(), None)
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    leaf = certificate("release", "root", signer.public_key(), root_key, ca=False)
    (directory / "root.pem").write_bytes(root.public_bytes(Encoding.PEM))
    (directory / "chain.pem").write_bytes(leaf.public_bytes(Encoding.PEM))


def certificate(
    subject: str, issuer: str, key: ec.EllipticCurvePublicKey, issuer_key: ec.EllipticCurvePrivateKey, *, ca: bool
) -> x509.Certificate:
    def named(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])

    return (
        x509.CertificateBuilder(subject_name=named(subject), issuer_name=named(issuer), public_key=key)
        .serial_number(1)
        .not_valid_before(datetime(2025, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2025, 12, 31, tzinfo=UTC))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .sign(issuer_key, hashes.SHA256())
    )


def test_a_key_is_trusted_through_a_chain_at_the_time_that_is_named(tmp_path: Path) -> None:
    certificates(tmp_path)
    artifact = tmp_path / "release.mender"
    made("write", "bootstrap", "-n", "a", "-t", "t", "-k", KEYS / "ec256.key", "-o", artifact)
    trust = ("--ca", tmp_path / "root.pem", "--chain", tmp_path / "chain.pem")
    outcome = made("verify", *trust, "--at", "2025-06-01", artifact)
    assert "('CN=release', issued by 'CN=root')" in outcome.out
    late = call("verify", *trust, "--at", "2026-06-01T12:00:00+02:00", artifact)
    assert late.code == 6
    assert "expired on 2025-12-31" in late.err


def test_the_chain_is_looked_for_beside_the_artifact(tmp_path: Path) -> None:
    certificates(tmp_path)
    artifact = tmp_path / "release.mender"
    made("write", "bootstrap", "-n", "a", "-t", "t", "-k", KEYS / "ec256.key", "-o", artifact)
    (tmp_path / "chain.pem").rename(tmp_path / "release.mender.chain.pem")
    made("verify", "--ca", tmp_path / "root.pem", "--at", "2025-06-01", artifact)


# --- from a server


class Quiet(SimpleHTTPRequestHandler):
    """A server of files that does not log to standard error."""

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """Serve a directory with an artifact on this machine."""
    (tmp_path / "release.mender").write_bytes(SIGNED.read_bytes())
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_an_artifact_on_a_server_is_verified_while_it_comes_in(address: str) -> None:
    outcome = made("verify", "-k", KEYS / "rsa3072.pub", f"{address}/release.mender")
    assert outcome.out.startswith(f"{address}/release.mender: good\n")


def test_what_a_server_does_not_have_is_said(address: str) -> None:
    outcome = call("show", f"{address}/other.mender")
    assert outcome.code == 7
    assert f"{address}/other.mender" in outcome.err
