"""`bistable board render`: what it writes, what it leaves alone, and what it says of a drift."""

import os
from pathlib import Path, PurePosixPath
from typing import Any

import board_samples as samples
import pytest
from commandline import Outcome, call_program
from schemas import validated
from test_board_render import texts

from bistable.artifact.errors import MachineError
from bistable.tools.board.load import load_board
from bistable.tools.board.render import ChangeKind, changes, render_board, write_changes
from bistable.tools.disk.tree import FolderTree

WKS = PurePosixPath("rendered/disk.wks")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give the folder of a board of which nothing is rendered yet."""
    made = tmp_path / "acorn-2"
    made.mkdir()
    (made / "board.toml").write_text(samples.DISK)
    (made / "own.txt").write_text("not ours\n")
    return made


def render(*words: str | Path, code: int = 0, **environment: str) -> Outcome:
    outcome = call_program("board", "render", *words, env=environment)
    assert outcome.code == code, outcome.err + outcome.out
    return outcome


def contents(top: Path) -> dict[str, bytes]:
    """Return path -> content of all files in a folder."""
    return {str(path.relative_to(top)): path.read_bytes() for path in sorted(top.rglob("*")) if path.is_file()}


def modes(top: Path) -> dict[str, int]:
    return {str(path.relative_to(top)): path.stat().st_mode & 0o777 for path in top.rglob("*")}


# --- what is written


def test_all_files_lie_in_the_folder_of_the_board_and_nothing_else_is_touched(folder: Path) -> None:
    said = render(folder).out
    found = contents(folder)
    assert found.pop("board.toml").decode() == samples.DISK
    assert found.pop("own.txt") == b"not ours\n"
    expected = texts(load_board(folder))
    assert {path: content.decode() for path, content in found.items()} == expected
    assert said.startswith(f"{folder}: {len(expected)} files, {len(expected)} changed\n")
    assert "  new      rendered/disk.wks\n" in said


def test_a_second_time_nothing_changes_and_nothing_is_written(folder: Path) -> None:
    render(folder)
    before = {path: path.stat().st_ino for path in folder.rglob("*")}
    assert "nothing has changed" in render(folder).out
    assert {path: path.stat().st_ino for path in folder.rglob("*")} == before


def test_what_is_not_rendered_any_more_is_removed(folder: Path) -> None:
    render(folder)
    (folder / "rendered/kas/kirkstone.yml").write_text("old\n")
    (folder / "rendered/old").mkdir()
    (folder / "rendered/old/file").write_text("old\n")
    said = render(folder).out
    assert "  removed  rendered/kas/kirkstone.yml\n" in said
    assert not (folder / "rendered/old").exists()
    assert render("--check", folder).out == f"{folder}: nothing has changed\n"


def test_another_folder_can_be_written_and_is_made(folder: Path, tmp_path: Path) -> None:
    render(folder, "-o", tmp_path / "elsewhere")
    assert {path.name for path in folder.iterdir()} == {"board.toml", "own.txt"}
    assert contents(tmp_path / "elsewhere").keys() == {str(path) for path in render_board(load_board(folder))}


def test_programs_can_be_run_and_all_else_only_be_read(folder: Path) -> None:
    (folder / "board.toml").write_text(samples.QEMU)
    mask = os.umask(0o077)
    try:
        render(folder)
    finally:
        os.umask(mask)
    found = modes(folder / "rendered")
    assert found.pop("qemu.sh") == 0o755
    for path, mode in found.items():
        assert mode == (0o755 if (folder / "rendered" / path).is_dir() else 0o644), path


def test_a_board_that_cannot_be_leaves_everything_as_it_is(folder: Path) -> None:
    render(folder)
    before = contents(folder / "rendered")
    (folder / "board.toml").write_text(samples.changed(samples.DISK, ('size = "2 GiB"', 'size = "4 GiB"')))
    assert "nothing of the" in render(folder, code=2).err
    assert contents(folder / "rendered") == before


@pytest.mark.parametrize("kind", ["file", "link"])
def test_what_is_no_folder_is_not_replaced(kind: str, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other/precious").write_text("keep")
    if kind == "link":
        (folder / "rendered").symlink_to(tmp_path / "other")
    else:
        (folder / "rendered").write_text("keep")
    assert "it is not a directory" in render(folder, code=2).err
    assert contents(tmp_path / "other") == {"precious": b"keep"}
    assert (folder / "rendered").is_symlink() or (folder / "rendered").read_text() == "keep"


def test_a_link_in_the_folder_is_replaced_and_not_followed(folder: Path, tmp_path: Path) -> None:
    render(folder)
    (tmp_path / "precious").write_text("keep")
    (folder / WKS).unlink()
    (folder / WKS).symlink_to(tmp_path / "precious")
    render(folder)
    assert (tmp_path / "precious").read_text() == "keep"
    assert not (folder / WKS).is_symlink()


def test_when_the_disk_is_full_the_files_from_before_are_still_there(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    render(folder)
    before = contents(folder)
    (folder / "board.toml").write_text(samples.changed(samples.DISK, ('size = "2 GiB"', 'size = "1 GiB"')))
    write = FolderTree.file

    def full(self: FolderTree, path: str, content: bytes, *, mode: int) -> None:
        if path.endswith(WKS.name):
            raise OSError(28, "No space left on device")
        write(self, path, content, mode=mode)

    monkeypatch.setattr(FolderTree, "file", full)
    board = load_board(folder)
    files = render_board(board)
    with pytest.raises(MachineError, match="No space left on device"):
        write_changes(folder, files, changes(folder, files))
    monkeypatch.undo()
    assert contents(folder / "rendered") == {
        path.removeprefix("rendered/"): content for path, content in before.items() if path.startswith("rendered/")
    }
    assert [path.name for path in folder.iterdir() if path.name.startswith(".")] == []


def test_the_folder_from_before_comes_back_if_the_new_one_cannot_take_its_place(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    render(folder)
    before = contents(folder / "rendered")
    (folder / WKS).write_text("changed by hand\n")
    replace = Path.replace

    def failing(self: Path, target: Path) -> Path:
        if self.name == "made":
            raise OSError(5, "Input/output error")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", failing)
    assert "Input/output error" in render(folder, code=7).err
    monkeypatch.undo()
    assert contents(folder / "rendered").keys() == before.keys()
    assert (folder / WKS).read_text() == "changed by hand\n"


# --- a drift


def test_check_shows_what_is_different_ends_with_1_and_writes_nothing(folder: Path) -> None:
    render(folder)
    (folder / "board.toml").write_text(samples.changed(samples.DISK, ('disk = "mmc 2"', 'disk = "mmc 1"')))
    (folder / "rendered/fstab").unlink()
    (folder / "rendered/more").write_text("one\n")
    before = contents(folder)
    said = render("--check", folder, code=1).out
    assert "--- a/rendered/layout.toml\n+++ b/rendered/layout.toml\n" in said
    assert '\n-disk = "mmc 2"\n+disk = "mmc 1"\n' in said
    assert "--- /dev/null\n+++ b/rendered/fstab\n" in said
    assert "--- a/rendered/more\n+++ /dev/null\n@@ -1 +0,0 @@\n-one\n" in said
    assert said.endswith("changed\n")
    assert contents(folder) == before


def test_check_is_content_with_what_render_has_written(folder: Path) -> None:
    render(folder)
    assert render("--check", folder).out == f"{folder}: nothing has changed\n"


def test_a_diff_is_coloured_for_people_who_want_that(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from bistable.tools.cli.board_render import _check_lines, _one

    lines = list(_check_lines(list(_one(f"{folder}/", None))))
    assert any(line.startswith("\x1b[32m+") for line in lines)
    monkeypatch.setenv("NO_COLOR", "1")
    assert not [line for line in _check_lines(list(_one(f"{folder}/", None))) if "\x1b" in line]


def test_what_a_file_holds_cannot_lead_the_terminal(folder: Path) -> None:
    render(folder)
    (folder / WKS).write_text("\x1b]0;title\x07\n")
    said = render("--check", folder, code=1).out
    assert "\x1b" not in said
    assert r"\x1b]0;title\x07" in said


def test_a_change_knows_its_kind(folder: Path) -> None:
    render(folder)
    files = render_board(load_board(folder))
    (folder / "rendered/more").write_text("one\n")
    (folder / WKS).write_text("other\n")
    (folder / "README.md").unlink()
    found = {str(change.path): change.kind for change in changes(folder, files)}
    assert found == {
        "README.md": ChangeKind.NEW,
        "rendered/disk.wks": ChangeKind.CHANGED,
        "rendered/more": ChangeKind.REMOVED,
    }


def test_programs_get_a_document(folder: Path) -> None:
    found: Any = validated(render("--json", "--check", folder, code=1).document)
    assert found["schema"] == "bistable.board.render/1"
    assert found["check"] is True
    (one,) = found["folders"]
    assert one["folder"] == str(folder)
    assert {change["kind"] for change in one["changes"]} == {"new"}
    assert one["changes"][0]["path"] == "README.md"
    assert one["changes"][0]["diff"][0] == "--- /dev/null"


# --- what is asked for


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ((), "none is named"),
        (("--all", "qemuarm"), "all boards"),
        (("--all", "-o", "here"), "one directory"),
        (("qemuaarm",), "there is none of that name"),
    ],
)
def test_what_cannot_be_asked_for_is_said(words: tuple[str, ...], why: str) -> None:
    assert why in render(*words, code=2).err


def test_all_boards_and_their_table_are_rendered(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bistable.tools.board.catalogue.catalogue_folder", lambda: tmp_path)
    said = render("--all").out
    assert (folder / WKS).exists()
    assert "[Acorn 2](acorn-2)" in (tmp_path / "README.md").read_text()
    assert f"{tmp_path}: 1 file, 1 changed\n" in said
    assert render("--all", "--check").out.count("nothing has changed") == 2
    (tmp_path / "README.md").write_text("other\n")
    assert "+++ b/README.md" in render("--all", "--check", code=1).out
