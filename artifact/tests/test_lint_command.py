"""The commands `lint`, `diff` and `build`, as a person or a pipeline uses them."""

import json
from pathlib import Path
from typing import Any, Final

import pytest
from click.testing import CliRunner, Result
from forge import KEYS, Forge, header_info, module
from image_samples import EXT4_TOOLS

from bistable.artifact import Compression, SignatureState, read_artifact
from bistable.artifact.cli.app import bistable
from bistable.artifact.lint import PROFILES

BUILD: Final = """
[artifact]
name = "app-${VERSION}"
type = "single-file"
device-types = ["board"]
output = "app.mender"
[payload]
files = ["app.bin"]
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Go to a directory with an artifact compressed with gzip, gzip.mender, and one with zstd, zstd.mender, in it."""
    monkeypatch.chdir(tmp_path)
    for name in ("gzip", "zstd"):
        forge = Forge(kind={"gzip": ".gz", "zstd": ".zst"}[name], key="ec256")
        Path(f"{name}.mender").write_bytes(forge.build())
    Path("app.bin").write_bytes(b"app")
    Path("build.toml").write_text(BUILD)
    return tmp_path


def run(*arguments: str, **settings: Any) -> Result:
    return CliRunner().invoke(bistable, ["artifact", *arguments], **settings)


# --- lint


def test_lint_says_no_with_exit_code_1(here: Path) -> None:
    result = run("lint", "--target", "mender-client-3", "zstd.mender")
    assert result.exit_code == 1
    assert result.stdout.startswith("zstd.mender: refused by Mender client 3.4: 1 error")


def test_lint_says_yes_with_exit_code_0_and_warns(here: Path) -> None:
    result = run("lint", "--target", "mender-client-3", "gzip.mender")
    assert result.exit_code == 0
    assert result.stdout.startswith(
        "gzip.mender: taken by Mender client 3.4: 1 warning\nwarning: the artifact does not"
    )


def test_lint_counts_warnings_if_it_is_to_be_strict(here: Path) -> None:
    assert run("lint", "--strict", "gzip.mender").exit_code == 1
    assert run("lint", "--strict", "--ignore", "lint.checksum-missing", "gzip.mender").exit_code == 0


def test_lint_checks_for_several_targets_in_one_go(here: Path) -> None:
    result = run("lint", "--json", *[word for name in PROFILES for word in ("--target", name)], "zstd.mender")
    document = json.loads(result.stdout)
    assert result.exit_code == 1
    assert document["schema"] == "bistable.artifact.lint/1"
    assert {target["target"]: target["taken"] for target in document["targets"]} == {
        name: Compression.ZSTD in profile.compressions for name, profile in PROFILES.items()
    }


def test_lint_asks_whether_it_is_for_a_device_type(here: Path) -> None:
    assert run("lint", "-t", "board", "gzip.mender").exit_code == 0
    assert "the artifact is for board, not for other" in run("lint", "-t", "other", "gzip.mender").stdout


def test_lint_reads_standard_input(here: Path) -> None:
    result = run("lint", "-", input=Path("gzip.mender").read_bytes())
    assert result.exit_code == 0


def test_lint_rejects_what_is_damaged(here: Path) -> None:
    Path("cut.mender").write_bytes(Path("gzip.mender").read_bytes()[:3000])
    assert run("lint", "cut.mender").exit_code == 3


def test_lint_lists_its_targets() -> None:
    result = run("lint", "--list-targets")
    assert result.exit_code == 0
    assert [line.split()[0] for line in result.stdout.splitlines()] == list(PROFILES)


def test_an_unknown_target_is_a_wrong_request(here: Path) -> None:
    assert run("lint", "--target", "mender", "gzip.mender").exit_code == 2


# --- diff


def test_diff_says_that_two_are_the_same(here: Path) -> None:
    result = run("diff", "gzip.mender", "gzip.mender")
    assert result.exit_code == 0
    assert "the same, byte by byte" in result.stdout


def test_diff_shows_what_differs_with_exit_code_1(here: Path) -> None:
    forge = Forge(kind=".gz", key="ec256", info=header_info(artifact_provides={"artifact_name": "release-2"}))
    Path("new.mender").write_bytes(forge.build())
    result = run("diff", "gzip.mender", "new.mender")
    assert result.exit_code == 1
    assert result.stdout == "--- gzip.mender\n+++ new.mender\nartifact\n  - name: release-1\n  + name: release-2\n"


def test_diff_gives_a_document(here: Path) -> None:
    Path("a.mender").write_bytes(module(("a", b"1"), ("b", b"2")).build())
    Path("b.mender").write_bytes(module(("a", b"1"), ("b", b"3")).build())
    document = json.loads(run("diff", "--json", "a.mender", "b.mender").stdout)
    assert document["schema"] == "bistable.artifact.diff/1"
    assert (document["same"], document["identical"], document["files"]) == (False, False, None)
    assert [file["name"] for file in document["payload"]] == ["b"]


def test_diff_cannot_read_standard_input_twice(here: Path) -> None:
    assert run("diff", "-", "-").exit_code == 2


@EXT4_TOOLS
def test_diff_names_files_in_images(here: Path) -> None:
    for name, content in (("old", "1"), ("new", "22")):
        root = here / name
        (root / "etc").mkdir(parents=True)
        (root / "etc" / "version").write_text(content)
        (root / "only" / name).mkdir(parents=True)
        result = run("write", "rootfs", "-f", name, "-n", name, "-t", "board", "-o", f"{name}.mender")
        assert result.exit_code == 0, result.output
    shown = run("diff", "old.mender", "new.mender").stdout
    assert "  ~ /etc/version: content 1 -> 2 bytes\n" in shown
    assert "  + /only/new/\n  - /only/old/\n" in shown
    assert "version: content" not in run("diff", "--no-files", "old.mender", "new.mender").stdout


# --- build


def test_build_writes_what_the_file_says(here: Path) -> None:
    result = run("build", "build.toml", env={"VERSION": "2"})
    assert result.exit_code == 0, result.output
    with Path("app.mender").open("rb") as file:
        artifact = read_artifact(file)
    assert artifact.head.header.info.artifact_name == "app-2"
    assert [file.name for file in artifact.files] == ["app.bin"]


def test_paths_in_a_build_file_start_where_it_is(here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert run("build", "../build.toml", env={"VERSION": "2"}).exit_code == 0
    assert (tmp_path / "app.mender").exists()


def test_options_go_before_the_build_file(here: Path) -> None:
    arguments = ["-o", "other.mender", "--set", "artifact.name=set", "--set", "artifact.compression=gzip"]
    result = run("build", "build.toml", *arguments, env={"VERSION": "2"})
    assert result.exit_code == 0, result.output
    assert not Path("app.mender").exists()
    with Path("other.mender").open("rb") as file:
        artifact = read_artifact(file)
    assert artifact.head.header.info.artifact_name == "set"
    assert artifact.data_compression is Compression.GZIP


@pytest.mark.parametrize("arguments", [[], ["-k", str(KEYS / "rsa3072.key")]])
def test_a_key_in_options_goes_before_the_one_in_the_file(here: Path, arguments: list[str]) -> None:
    Path("build.toml").write_text(f'{BUILD}[sign]\nkey = "{KEYS}/ec256.key"\n')
    result = run("build", "build.toml", "--json", *arguments, env={"VERSION": "2"})
    kind = "RSA-3072" if arguments else "P-256"
    assert json.loads(result.stdout)["signed_by"].startswith(kind)
    with Path("app.mender").open("rb") as file:
        assert read_artifact(file).head.signature is SignatureState.NOT_CHECKED


def test_build_reads_standard_input_and_writes_standard_output(here: Path) -> None:
    result = run("build", "-", "-o", "-", input=BUILD, env={"VERSION": "2"})
    assert result.exit_code == 0
    assert result.stdout_bytes.startswith(b"version\0")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (BUILD.replace("name =", "nmae ="), "cannot use build.toml: line 3, [artifact] nmae: there is no such key"),
        (BUILD.replace('output = "app.mender"', ""), "no output is named"),
        (BUILD.replace("app.bin", "missing.bin"), "cannot read"),
    ],
)
def test_a_mistake_in_a_build_file_leaves_nothing_behind(here: Path, text: str, why: str) -> None:
    Path("build.toml").write_text(text)
    before = sorted(path.name for path in here.iterdir())
    result = run("build", "build.toml", env={"VERSION": "2"})
    assert result.exit_code in {2, 7}
    assert why in result.stderr
    assert sorted(path.name for path in here.iterdir()) == before


def test_settings_for_an_image_that_is_there_already_are_an_error(here: Path) -> None:
    text = BUILD.replace("single-file", "rootfs-image").replace('files = ["app.bin"]', 'file = "app.bin"')
    Path("build.toml").write_text(f'{text}[image]\nlabel = "x"\n')
    result = run("build", "build.toml", env={"VERSION": "2"})
    assert result.exit_code == 2
    assert "is an image already" in result.stderr


@EXT4_TOOLS
def test_build_makes_an_image_of_a_directory(here: Path) -> None:
    (here / "root" / "etc").mkdir(parents=True)
    text = BUILD.replace("single-file", "rootfs-image").replace('files = ["app.bin"]', 'file = "root"')
    Path("build.toml").write_text(f'{text}[image]\nsize = "8MiB"\n')
    result = run("build", "build.toml", env={"VERSION": "2"})
    assert result.exit_code == 0, result.output
    with Path("app.mender").open("rb") as file:
        assert [(file.name, file.size) for file in read_artifact(file).files] == [("rootfs.ext4", 8 << 20)]
