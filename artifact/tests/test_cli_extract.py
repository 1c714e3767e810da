"""`bistable artifact extract`: files appear when all of the artifact is good, and not otherwise."""

import shlex
import stat
from pathlib import Path

import pytest
from commandline import CORPUS, KEYS, call, made

MANY = CORPUS / "valid" / "v16-44-module-many-zstd-signed.mender"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def files(directory: Path) -> list[str]:
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*") if not path.is_dir())


def write_app(here: Path) -> None:
    (here / "app.bin").write_bytes(b"program")
    (here / "image.bin").write_bytes(b"x" + bytes(1 << 20) + b"y")
    (here / "ArtifactInstall_Enter_00").write_bytes(b"#!/bin/sh\n")
    (here / "meta.json").write_bytes(b'{"a": 1}')
    made(
        *(
            "write",
            "module",
            "-T",
            "app",
            "-f",
            "app.bin",
            "-f",
            "image.bin",
            "-m",
            "meta.json",
            "-n",
            "it's",
            "-t",
            "b",
        ),
        *(
            "-s",
            "ArtifactInstall_Enter_00",
            "-p",
            "k:v",
            "-d",
            "x:y",
            "-g",
            "g",
            "-G",
            "h",
            "-N",
            "m",
            "-o",
            "a.mender",
        ),
    )


def test_everything_comes_out_as_it_went_in(here: Path) -> None:
    write_app(here)
    made("extract", "-o", "out", "a.mender")
    out = here / "out"
    assert files(out) == ["0000.meta-data", "files/app.bin", "files/image.bin", "scripts/ArtifactInstall_Enter_00"]
    assert (out / "files" / "app.bin").read_bytes() == b"program"
    assert (out / "files" / "image.bin").read_bytes() == (here / "image.bin").read_bytes()
    assert (out / "0000.meta-data").read_bytes() == b'{"a": 1}'
    assert stat.S_IMODE((out / "scripts" / "ArtifactInstall_Enter_00").stat().st_mode) == 0o755


def test_zeros_become_holes(here: Path) -> None:
    write_app(here)
    made("extract", "--files", "out", "a.mender")
    assert (here / "out" / "image.bin").stat().st_blocks * 512 < 1 << 20


def test_only_what_is_named_comes_out(here: Path) -> None:
    made("dump", "--meta-data", "m", MANY)
    assert files(here) == ["m/0000.meta-data"]


def test_what_is_there_is_not_overwritten_unless_by_force(here: Path) -> None:
    write_app(here)
    (here / "out" / "files").mkdir(parents=True)
    (here / "out" / "files" / "image.bin").write_bytes(b"mine")
    outcome = call("extract", "-o", "out", "a.mender")
    assert outcome.code == 2
    assert "it is there already" in outcome.err
    assert files(here / "out") == ["files/image.bin"]
    made("extract", "-f", "-o", "out", "a.mender")
    assert (here / "out" / "files" / "image.bin").stat().st_size == (1 << 20) + 2


@pytest.mark.parametrize("name", ["m022-data-sum-wrong", "m023-data-bitflip-none", "m007-trunc-after-header"])
def test_nothing_appears_unless_all_of_the_artifact_is_good(name: str, here: Path) -> None:
    outcome = call("extract", "-o", "out", CORPUS / "malformed" / f"{name}.mender")
    assert outcome.code == 3
    assert list(here.iterdir()) == []


def test_nothing_appears_if_something_stands_after_the_payload(here: Path) -> None:
    (here / "a.mender").write_bytes(MANY.read_bytes() + b"x" * 512)
    assert call("extract", "-o", "out", "a.mender").code == 3
    assert [path.name for path in here.iterdir()] == ["a.mender"]


def test_directories_that_were_there_stay_when_it_fails(here: Path) -> None:
    (here / "out").mkdir()
    call("extract", "-o", "out", CORPUS / "malformed" / "m022-data-sum-wrong.mender")
    assert list((here / "out").iterdir()) == []


def test_a_signature_is_checked_if_a_key_is_given() -> None:
    assert call("extract", "-k", KEYS / "ec256.pub", "-o", "out", MANY).code == 4
    signed = CORPUS / "valid" / "v05-39-signed-rsa3072.mender"
    assert "verified with RSA-3072" in made("extract", "-k", KEYS / "rsa3072.pub", "-o", "out", signed).out


def test_files_of_the_same_name_are_not_mixed_up(here: Path) -> None:
    (here / "ArtifactInstall_Enter_00").write_bytes(b"x")
    name = "ArtifactInstall_Enter_00"
    made("write", "module", "-T", "x", "-f", name, "-s", name, "-n", "n", "-t", "t", "-o", "a.mender")
    outcome = call("extract", "--files", "out", "--scripts", "out", "a.mender")
    assert outcome.code == 2
    assert "two files have this name" in outcome.err


@pytest.mark.parametrize(
    "arguments",
    [(), ("-o", "x", "--files", "y"), ("-o", "x", "--print-cmdline", "--json")],
)
def test_extracting_needs_one_clear_order(arguments: tuple[str, ...]) -> None:
    assert call("extract", MANY, *arguments).code == 2


# --- the command line that makes such an artifact again


@pytest.mark.parametrize("form", ["--print-cmdline", "--print0-cmdline"])
def test_the_command_line_that_is_shown_writes_the_same_artifact(form: str, here: Path) -> None:
    write_app(here)
    shown = made("dump", "--files", "f", "--scripts", "s", "--meta-data", "m", form, "a.mender").raw.decode()
    words = shlex.split(shown) if form == "--print-cmdline" else shown.split("\0")[:-1]
    made(*words, "--output-path", "again.mender")
    assert (here / "again.mender").read_bytes() == (here / "a.mender").read_bytes()


@pytest.mark.parametrize("kind", ["rootfs", "bootstrap"])
def test_other_payloads_are_written_by_their_own_command(kind: str, here: Path) -> None:
    (here / "app.bin").write_bytes(b"image")
    payload = ("-f", "app.bin") if kind == "rootfs" else ()
    made("write", kind, *payload, "-n", "n", "-t", "t", "-o", "a.mender")
    shown = made("extract", "--files", "f", "--print-cmdline", "a.mender").out
    made(*shlex.split(shown), "--output-path", "again.mender")
    assert made("diff", "a.mender", "again.mender").code == 0
    assert shown.startswith("write " + {"rootfs": "rootfs-image", "bootstrap": "bootstrap-artifact"}[kind])
