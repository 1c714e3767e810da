"""`attest`, `write --provenance` and `verify --attestations`, as a user calls them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click.testing
import pytest
from image_samples import EXT4_TOOLS

from bistable.artifact.cli.app import bistable

KEYS = Path(__file__).parent / "vectors" / "keys"
PRIVATE, PUBLIC = str(KEYS / "ec256.key"), str(KEYS / "ec256.pub")
STRANGER, STRANGER_PUBLIC = str(KEYS / "rsa2048.pkcs1.key"), str(KEYS / "rsa2048.pub")
BUILDER = "https://ci.example.com/firmware"
COMMIT = "c27d339ee6075c1f744c5d4b200f7901aad2c369"
BUNDLE = "app-1.mender.intoto.jsonl"
CYCLONEDX = {"bomFormat": "CycloneDX", "specVersion": "1.6", "components": [{"type": "library", "name": "zlib"}]}


def run(*arguments: str) -> click.testing.Result:
    return click.testing.CliRunner().invoke(bistable, ["artifact", *arguments])


def succeed(*arguments: str) -> str:
    done = run(*arguments)
    assert done.exit_code == 0, done.stderr
    return done.stdout


def write(*more: str, name: str = "app-1", key: str | None = PRIVATE) -> str:
    signing = () if key is None else ("-k", key)
    Path("app.bin").write_bytes(b"program")
    return succeed(
        *("write", "module", "-T", "app", "-f", "app.bin", "-n", name, "-t", "acorn", "-o", f"{name}.mender"),
        *signing,
        *more,
    )


def attest(*arguments: str, key: str = PRIVATE) -> click.testing.Result:
    return run("attest", "-k", key, *arguments, "app-1.mender")


def attested(*more: str, key: str = PUBLIC) -> list[Mapping[str, Any]]:
    found: list[Mapping[str, Any]] = json.loads(
        succeed("verify", "-k", key, "--attestations", "--json", *more, "app-1.mender")
    )["attestations"]
    return found


def kinds(*more: str, key: str = PUBLIC) -> list[str]:
    return [item["kind"] for item in attested(*more, key=key)]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    Path("bom.json").write_text(json.dumps(CYCLONEDX))
    return tmp_path


@pytest.fixture
def artifact() -> None:
    write()


# --- making


def test_writing_can_attest_the_provenance_at_once() -> None:
    write("--provenance", BUILDER)
    assert [item["summary"]["builder"] for item in attested()] == [BUILDER]


def test_building_from_a_file_can_attest_the_provenance_at_once() -> None:
    Path("app.bin").write_bytes(b"program")
    Path("app.toml").write_text(
        '[artifact]\nname = "app-1"\ntype = "app"\ndevice-types = ["acorn"]\noutput = "app-1.mender"\n'
        f'[payload]\nfiles = ["app.bin"]\n[sign]\nkey = "{PRIVATE}"\n'
    )
    succeed("build", "app.toml", "--provenance", BUILDER)
    assert kinds() == ["provenance"]


def test_the_bundle_of_an_older_artifact_of_that_name_is_replaced() -> None:
    for content in ("1", "2"):
        write("--provenance", BUILDER, "-p", f"build:{content}")
    assert kinds() == ["provenance"]


def test_sources_and_the_run_stand_in_the_provenance(artifact: None) -> None:
    source = ("--source", "git+https://git.example.com/app.git", f"gitCommit:{COMMIT}")
    assert attest("--provenance", BUILDER, "--invocation", "run-7", *source).exit_code == 0
    summary = attested()[0]["summary"]
    assert (summary["invocation"], summary["dependencies"]) == ("run-7", 2)


def test_the_time_of_a_build_is_told_only_if_the_caller_tells_it(
    artifact: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    attest("--provenance", BUILDER)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1767225600")
    attest("--provenance", BUILDER)
    assert [item["summary"]["finished"] for item in attested()] == [None, "2026-01-01T00:00:00Z"]


def test_the_same_input_gives_the_same_bundle() -> None:
    bundles = []
    for _ in range(2):
        write("--provenance", BUILDER, "--sbom", "bom.json", key=STRANGER)
        bundles.append(Path(BUNDLE).read_bytes())
    assert bundles[0] == bundles[1]


def test_attestations_are_added_to_those_that_are_there(artifact: None) -> None:
    attest("--provenance", BUILDER)
    attest("--sbom", "bom.json")
    assert kinds() == ["provenance", "cyclonedx"]


def test_replace_starts_anew(artifact: None) -> None:
    attest("--provenance", BUILDER)
    attest("--replace", "--sbom", "bom.json")
    assert kinds() == ["cyclonedx"]


def test_the_result_as_json_says_what_is_attested_and_where(artifact: None) -> None:
    done = json.loads(attest("--json", "--provenance", BUILDER, "--sbom", "bom.json").stdout)
    assert done["schema"] == "bistable.artifact.attest/1"
    assert (done["output"], done["attested"]) == (BUNDLE, ["provenance", "CycloneDX-1.6"])


@EXT4_TOOLS
@pytest.mark.parametrize("form", ["spdx", "cyclonedx"])
@pytest.mark.parametrize("manager", ["dpkg", "opkg"])
def test_the_packages_in_the_image_are_listed(form: str, manager: str) -> None:
    make_rootfs(f"var/lib/{manager}/status")
    assert attest("--make-sbom", form).exit_code == 0
    statement = payload()
    assert "pkg:deb/poky/zlib@1.3-1?arch=arm64" in json.dumps(statement["predicate"])
    assert statement["subject"][0]["name"] == "app-1/manifest"


@EXT4_TOOLS
def test_the_distribution_can_be_named() -> None:
    make_rootfs("var/lib/dpkg/status")
    attest("--make-sbom", "spdx", "--distribution", "acme")
    assert "pkg:deb/acme/zlib@1.3-1" in json.dumps(payload())


@EXT4_TOOLS
def test_an_image_without_a_list_of_packages_is_told_apart_from_one_without_packages() -> None:
    make_rootfs("etc/hostname")
    done = attest("--make-sbom", "spdx")
    assert (done.exit_code, Path(BUNDLE).exists()) == (2, False)
    assert "no database of dpkg or opkg" in done.stderr


def test_packages_can_come_from_a_file(artifact: None) -> None:
    Path("status").write_text(STATUS)
    attest("--make-sbom", "cyclonedx", "--packages", "status")
    assert attested()[0]["summary"]["packages"] == 1


STATUS = "Package: zlib\nStatus: install ok installed\nArchitecture: arm64\nVersion: 1.3-1\n\n"


def make_rootfs(path: str) -> None:
    """Write app-1.mender with a root file system in which `path` is a list of packages."""
    for name, text in ((path, STATUS), ("etc/os-release", 'NAME="Poky"\nID=poky\n')):
        file = Path("rootfs", name)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    succeed("write", "rootfs", "-f", "rootfs", "-n", "app-1", "-t", "acorn", "-k", PRIVATE, "-o", "app-1.mender")


def payload() -> Any:
    import base64

    return json.loads(base64.b64decode(json.loads(Path(BUNDLE).read_text())["payload"]))


# --- what is not attested


def test_what_a_stranger_signed_is_not_attested() -> None:
    write(key=STRANGER)
    done = attest("--provenance", BUILDER)
    assert (done.exit_code, Path(BUNDLE).exists()) == (4, False)
    assert "--artifact-key" in done.stderr


def test_the_key_of_an_artifact_that_somebody_else_signed_can_be_given() -> None:
    write(key=STRANGER)
    assert attest("--artifact-key", STRANGER_PUBLIC, "--provenance", BUILDER).exit_code == 0
    assert kinds("--attestation-key", PUBLIC, key=STRANGER_PUBLIC) == ["provenance"]


def test_an_artifact_is_attested_before_it_is_signed_and_the_attestation_stays_good() -> None:
    write(key=None)
    assert attest("--provenance", BUILDER).exit_code == 0
    succeed("sign", "-k", PRIVATE, "app-1.mender")
    assert kinds() == ["provenance"]


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        ((), 2, "nothing to attest"),
        (("--provenance", "my pipeline"), 2, "not a URI"),
        (("--provenance", BUILDER, "--source", "git+https://git.example.com/app.git", "main"), 2, "not a digest"),
        (("--invocation", "run-7", "--sbom", "bom.json"), 2, "--provenance"),
        (("--packages", "status", "--sbom", "bom.json"), 2, "--make-sbom"),
        (("--sbom", "app.bin"), 2, "not valid JSON"),
        (("--sbom", "missing.json"), 2, "missing.json"),
        (("--provenance", BUILDER, "-o", "-"), 2, "standard output"),
        (("--provenance", BUILDER, "--artifact-key", "missing.pub"), 6, "missing.pub"),
    ],
)
def test_what_cannot_be_attested_is_said_and_nothing_is_written(
    artifact: None, arguments: tuple[str, ...], code: int, word: str
) -> None:
    done = attest(*arguments)
    assert (done.exit_code, Path(BUNDLE).exists()) == (code, False)
    assert word in done.stderr


def test_attesting_needs_a_key(artifact: None) -> None:
    assert run("attest", "--provenance", BUILDER, "app-1.mender").exit_code == 2


@pytest.mark.parametrize(
    "arguments", [("--provenance", BUILDER), ("--provenance", BUILDER, "-k", PRIVATE, "-o", "-"), ("--sbom", "x")]
)
def test_writing_attests_nothing_without_a_key_or_a_file_to_stand_beside(arguments: tuple[str, ...]) -> None:
    Path("app.bin").write_bytes(b"program")
    done = run("write", "module", "-T", "app", "-f", "app.bin", "-n", "x", "-t", "acorn", *arguments)
    assert (done.exit_code, sorted(path.name for path in Path().iterdir())) == (2, ["app.bin", "bom.json"])


# --- checking


def test_attestations_that_are_demanded_must_be_there(artifact: None) -> None:
    assert run("verify", "-k", PUBLIC, "--attestations", "app-1.mender").exit_code == 8


@pytest.mark.parametrize(("kind", "code"), [("provenance", 0), ("cyclonedx", 0), ("spdx", 8)])
def test_a_kind_can_be_demanded(artifact: None, kind: str, code: int) -> None:
    attest("--provenance", BUILDER, "--sbom", "bom.json")
    assert run("verify", "-k", PUBLIC, "--require", kind, "app-1.mender").exit_code == code


@pytest.mark.parametrize(("builder", "code"), [(BUILDER, 0), (BUILDER + "/", 8)])
def test_a_builder_can_be_demanded(artifact: None, builder: str, code: int) -> None:
    attest("--provenance", BUILDER)
    assert run("verify", "-k", PUBLIC, "--builder", builder, "app-1.mender").exit_code == code


def test_a_builder_is_not_taken_from_a_bill_of_materials(artifact: None) -> None:
    attest("--sbom", "bom.json")
    assert run("verify", "-k", PUBLIC, "--builder", BUILDER, "app-1.mender").exit_code == 8


def test_attestations_by_another_key_are_refused(artifact: None) -> None:
    attest("--artifact-key", PUBLIC, "--provenance", BUILDER, key=STRANGER)
    assert run("verify", "-k", PUBLIC, "--attestations", "app-1.mender").exit_code == 4


def test_attestations_of_another_artifact_are_refused() -> None:
    write("--provenance", BUILDER)
    write(name="app-2")
    done = run("verify", "-k", PUBLIC, "--attestation-file", BUNDLE, "app-2.mender")
    assert (done.exit_code, "another artifact" in done.stderr) == (3, True)


def test_a_change_makes_attestations_void_and_says_so() -> None:
    write("--provenance", BUILDER)
    changed = run("modify", "-n", "app-2", "-k", PRIVATE, "app-1.mender")
    assert BUNDLE in changed.stderr
    assert run("verify", "-k", PUBLIC, "--attestations", "app-1.mender").exit_code == 3


@pytest.mark.parametrize("change", [("repack", "--compression", "xz"), ("sign", "-f", "-k", PRIVATE)])
def test_attestations_outlive_compression_and_signature(change: tuple[str, ...]) -> None:
    write("--provenance", BUILDER)
    succeed(*change, "app-1.mender")
    assert kinds() == ["provenance"]


def test_attestations_are_not_checked_without_a_key() -> None:
    write(key=None)
    assert run("verify", "--attestations", "app-1.mender").exit_code == 2


def test_what_is_attested_cannot_write_to_a_terminal(artifact: None) -> None:
    hostile = {**CYCLONEDX, "metadata": {"component": {"type": "library", "name": "\x1b[2Jgood"}}}
    Path("bom.json").write_text(json.dumps(hostile))
    attest("--sbom", "bom.json")
    said = succeed("verify", "-k", PUBLIC, "--attestations", "app-1.mender")
    assert "\x1b[2J" not in said
    assert "x1b[2Jgood" in said


def test_without_being_asked_for_attestations_are_not_looked_at(artifact: None) -> None:
    Path(BUNDLE).write_text("nonsense\n")
    assert json.loads(succeed("verify", "-k", PUBLIC, "--json", "app-1.mender"))["attestations"] is None
