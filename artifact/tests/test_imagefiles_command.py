"""The commands `ls`, `cat`, `cp`, `rm`, `mkdir`, `install`, as a person uses them."""

import io
import json
from pathlib import Path
from typing import Any, Final

import pytest
from click.testing import CliRunner, Result
from image_samples import EXT4_TOOLS

from bistable.artifact import (
    Options,
    Policy,
    read_artifact,
    read_signer,
    read_verifiers,
    rootfs_request,
    write_artifact,
)
from bistable.artifact.cli.app import bistable
from bistable.artifact.cli.imageplaces import Place, place
from bistable.artifact.image import ImageOptions, make_image

pytestmark = EXT4_TOOLS

KEYS: Final = Path(__file__).parent / "vectors" / "keys"
SIGN: Final = ("-k", str(KEYS / "ec256.key"))


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    top = tmp_path_factory.mktemp("image")
    (top / "root" / "etc").mkdir(parents=True)
    (top / "root" / "etc" / "motd").write_text("hello\n")
    (top / "root" / "etc" / "link").symlink_to("motd")
    (top / "root" / "etc" / "secret").write_text("secret\n")
    (top / "root" / "etc" / "secret").chmod(0o4700)
    make_image(top / "root", top / "rootfs.ext4", ImageOptions(epoch=1_600_000_000))
    return top / "rootfs.ext4"


@pytest.fixture
def here(image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Go to an empty directory with a signed artifact, release.mender, in it."""
    monkeypatch.chdir(tmp_path)
    request = rootfs_request(image, name="release-1", device_types=["board"])
    write_artifact(Path("release.mender"), request, Options(signer=read_signer(KEYS / "ec256.key")))
    return tmp_path


def run(*arguments: str, stdin: bytes = b"") -> Result:
    return CliRunner().invoke(bistable, ["artifact", *arguments], input=stdin)


def good(*arguments: str, stdin: bytes = b"") -> str:
    result = run(*arguments, stdin=stdin)
    assert result.exit_code == 0, result.output
    return result.stdout


def document(*arguments: str) -> Any:
    return json.loads(good(*arguments, "--json"))


def verified(path: Path) -> None:
    with path.open("rb") as file:
        read_artifact(file, Policy(verifiers=read_verifiers(KEYS / "ec256.pub")))


# --- ls, cat


def test_ls_lists_names(here: Path) -> None:
    assert good("ls", "release.mender") == "etc/\nlost+found/\n"
    assert good("ls", "release.mender:/etc") == "link\nmotd\nsecret\n"


def test_ls_shows_modes_owners_sizes_and_times(here: Path) -> None:
    lines = good("ls", "-l", "release.mender:/etc").splitlines()
    assert lines[0] == "lrwxrwxrwx  0  0  4  2020-09-13 12:26  link -> motd"
    assert lines[2] == "-rws------  0  0  7  2020-09-13 12:26  secret"


def test_ls_shows_a_whole_tree_with_whole_paths(here: Path) -> None:
    assert good("ls", "-R", "release.mender:/etc").splitlines() == ["/etc/", "/etc/link", "/etc/motd", "/etc/secret"]


def test_ls_gives_a_document(here: Path) -> None:
    found = document("ls", "release.mender:/etc")
    assert found["schema"] == "bistable.artifact.ls/1"
    assert [entry["path"] for entry in found["entries"]] == ["/etc/link", "/etc/motd", "/etc/secret"]
    assert found["entries"][2]["mode"] == "4700"


def test_ls_reads_standard_input(here: Path) -> None:
    data = Path("release.mender").read_bytes()
    assert good("ls", "-", stdin=data) == "etc/\nlost+found/\n"
    assert good("ls", "--", "-:/etc/motd", stdin=data) == "motd\n"


def test_cat_writes_files(here: Path) -> None:
    assert good("cat", "release.mender:/etc/motd", "release.mender:/etc/secret") == "hello\nsecret\n"


@pytest.mark.parametrize("command", ["ls", "cat"])
def test_a_missing_path_is_a_wrong_request(here: Path, command: str) -> None:
    result = run(command, "release.mender:/nothing")
    assert result.exit_code == 2
    assert "cannot find /nothing in the image" in result.stderr
    assert result.stdout == ""


def test_cat_needs_a_path(here: Path) -> None:
    result = run("cat", "release.mender")
    assert result.exit_code == 2
    assert "write ARTIFACT:/PATH" in result.stderr


# --- cp


def test_cp_copies_in_and_signs_again(here: Path) -> None:
    Path("motd").write_text("new\n")
    said = good("cp", *SIGN, "motd", "release.mender:/etc/motd")
    assert "copied motd to /etc/motd" in said
    assert good("cat", "release.mender:/etc/motd") == "new\n"
    verified(Path("release.mender"))


def test_cp_gives_mode_and_owner(here: Path) -> None:
    Path("run.sh").write_text("")
    good("cp", *SIGN, "--mode", "4755", "--owner", "3:4", "run.sh", "release.mender:/etc/")
    entry = next(e for e in document("ls", "release.mender:/etc")["entries"] if e["path"] == "/etc/run.sh")
    assert (entry["mode"], entry["uid"], entry["gid"]) == ("4755", 3, 4)


def test_cp_takes_standard_input(here: Path) -> None:
    said = good("cp", *SIGN, "-", "release.mender:/etc/stdin", stdin=b"piped\n")
    assert "copied standard input to /etc/stdin" in said
    assert good("cat", "release.mender:/etc/stdin") == "piped\n"


def test_cp_copies_out(here: Path) -> None:
    good("cp", "release.mender:/etc/motd", "out")
    assert Path("out").read_text() == "hello\n"
    assert good("cp", "release.mender:/etc/motd", "-") == "hello\n"


def test_cp_copies_several_files_out_into_a_directory(here: Path) -> None:
    Path("out").mkdir()
    good("cp", "release.mender:/etc/motd", "release.mender:/etc/secret", "out")
    assert sorted(path.name for path in Path("out").iterdir()) == ["motd", "secret"]


def test_a_file_that_is_copied_out_keeps_its_mode_but_not_its_special_bits(here: Path) -> None:
    good("cp", "release.mender:/etc/secret", "secret")
    assert Path("secret").stat().st_mode & 0o7777 == 0o700


def test_cp_keeps_what_was_there_if_a_path_is_missing(here: Path) -> None:
    Path("out").write_text("old")
    assert run("cp", "release.mender:/nothing", "out").exit_code == 2
    assert Path("out").read_text() == "old"
    assert sorted(path.name for path in Path().iterdir()) == ["out", "release.mender"]


def test_cp_writes_another_artifact(here: Path) -> None:
    before = Path("release.mender").read_bytes()
    Path("motd").write_text("new\n")
    good("cp", *SIGN, "motd", "release.mender:/etc/motd", "-o", "new.mender", "--compression", "gzip")
    assert Path("release.mender").read_bytes() == before
    assert good("cat", "new.mender:/etc/motd") == "new\n"


def test_a_changed_artifact_can_go_to_standard_output(here: Path) -> None:
    result = run("rm", *SIGN, "release.mender:/etc/link", "-o", "-")
    assert result.exit_code == 0
    assert read_artifact(io.BytesIO(result.stdout_bytes)).head.header.info.artifact_name == "release-1"
    assert "removed /etc/link" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["a", "b"], "names no path in an artifact"),
        (["release.mender:/etc/motd", "release.mender:/etc/x"], "from artifact to artifact"),
        (["release.mender:/etc/motd", "release.mender:/etc/secret", "one"], "it is not a directory"),
        (["-", "motd", "release.mender:/etc/"], "standard input together with files"),
        (["--mode", "rw", "motd", "release.mender:/etc/"], "not a mode"),
        (["--owner", "root", "motd", "release.mender:/etc/"], "not of the form UID:GID"),
    ],
)
def test_what_cp_cannot_do_is_a_wrong_request(here: Path, arguments: list[str], why: str) -> None:
    result = run("cp", *arguments)
    assert result.exit_code == 2
    assert why in result.stderr


def test_a_signed_artifact_needs_a_key_or_a_word(here: Path) -> None:
    Path("motd").write_text("new\n")
    result = run("cp", "motd", "release.mender:/etc/motd")
    assert result.exit_code == 2
    assert "--drop-signature" in result.stderr
    assert "signature  none" in good("cp", "--drop-signature", "motd", "release.mender:/etc/motd")


# --- rm, mkdir


def test_rm_and_mkdir_change_the_image(here: Path) -> None:
    good("rm", *SIGN, "release.mender:/etc/motd", "release.mender:/etc/link")
    good("mkdir", *SIGN, "-p", "--mode", "0700", "release.mender:/data/app")
    assert good("ls", "-R", "release.mender").splitlines() == [
        "/",
        "/data/",
        "/data/app/",
        "/etc/",
        "/etc/secret",
        "/lost+found/",
    ]
    verified(Path("release.mender"))


def test_rm_needs_to_be_told_to_remove_what_is_in_a_directory(here: Path) -> None:
    assert run("rm", *SIGN, "release.mender:/etc").exit_code == 2
    assert "removed /etc and 3 beneath it" in good("rm", "-r", *SIGN, "release.mender:/etc")


def test_a_change_gives_a_document(here: Path) -> None:
    found = document("mkdir", *SIGN, "release.mender:/data")
    assert found["schema"] == "bistable.artifact.edit/1"
    assert found["did"] == ["made /data"]
    assert found["signature"]["state"] == "signed"


def test_one_command_changes_one_artifact(here: Path) -> None:
    Path("other.mender").write_bytes(Path("release.mender").read_bytes())
    result = run("rm", "release.mender:/etc/motd", "other.mender:/etc/motd")
    assert result.exit_code == 2
    assert "two artifacts" in result.stderr


# --- how places are named


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("release.mender", Place(name="release.mender", path=None)),
        ("release.mender:/etc", Place(name="release.mender", path="/etc")),
        ("release.mender:etc", Place(name="release.mender", path="etc")),
        ("release.mender:", Place(name="release.mender", path="/")),
        ("release.mender:/a:b", Place(name="release.mender", path="/a:b")),
        ("missing.mender:/etc", Place(name="missing.mender", path="/etc")),
        ("missing", Place(name="missing", path=None)),
        ("missing:b", Place(name="missing:b", path=None)),
        ("-", Place(name="-", path=None)),
        ("-:/etc", Place(name="-", path="/etc")),
        ("a:b", Place(name="a:b", path=None)),
        ("a:b.mender:/etc", Place(name="a:b.mender", path="/etc")),
        ("https://example.com/a.mender:/etc", Place(name="https://example.com/a.mender", path="/etc")),
        ("https://example.com/a.mender", Place(name="https://example.com/a.mender", path=None)),
    ],
)
def test_an_artifact_and_a_path_are_told_apart(here: Path, text: str, expected: Place) -> None:
    Path("a:b").write_text("")
    Path("a:b.mender").write_text("")
    assert place(text) == expected


@pytest.mark.parametrize(
    "option", [SIGN, ("--mode", "0600"), ("--owner", "1:1"), ("-o", "new.mender"), ("--compression", "xz")]
)
def test_copying_out_refuses_options_that_would_do_nothing(here: Path, option: tuple[str, ...]) -> None:
    result = run("cp", *option, "release.mender:/etc/motd", "copy")
    assert (result.exit_code, Path("copy").exists()) == (2, False)


# --- install


def test_install_copies_a_file_with_its_mode(here: Path) -> None:
    Path("tool").write_text("tool\n")
    good("install", "-m", "4750", *SIGN, "tool", "release.mender:/etc/tool")
    assert good("ls", "-l", "release.mender:/etc/tool").startswith("-rwsr-x---  0  0  5")
    verified(Path("release.mender"))


def test_install_makes_directories_and_those_above(here: Path) -> None:
    good("install", "-d", *SIGN, "release.mender:/srv/a", "release.mender:/etc")
    assert good("ls", "-l", "release.mender:/srv").startswith("drwxr-xr-x")


@pytest.mark.parametrize(
    "words",
    [("release.key", "release.mender:/etc/x"), ("-m", "0644", "release.mender:/etc/x"), ("-m", "0644", "a", "b")],
)
def test_install_wants_a_mode_a_file_and_a_place(here: Path, words: tuple[str, ...]) -> None:
    result = run("install", *SIGN, *words)
    assert result.exit_code == 2
    assert "cannot install" in result.stderr
