"""Scripts of an artifact are kept, all or none."""

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from client_scripts import Scripts

from bistable.artifact.model import Script
from bistable.client.errors import ScriptError
from bistable.client.scripts import shelf

SYNCS = 7
"""Calls of fsync that storing three scripts needs: old ones gone, four files, their names, their directory."""


@pytest.fixture
def scripts(tmp_path: Path) -> Scripts:
    return Scripts(tmp_path)


def kept(scripts: Scripts) -> set[str]:
    return {path.name for path in scripts.artifact.iterdir()}


def test_new_scripts_take_the_place_of_old_ones(scripts: Scripts) -> None:
    scripts.runner.store([scripts.carried("ArtifactInstall_Enter_00")])
    scripts.runner.store([scripts.carried("ArtifactCommit_Enter_00")])
    assert kept(scripts) == {"ArtifactCommit_Enter_00", "version"}


def test_no_scripts_leave_none_of_the_artifact_before(scripts: Scripts) -> None:
    scripts.runner.store([scripts.carried("ArtifactInstall_Enter_00")])
    scripts.runner.store([])
    assert kept(scripts) == {"version"}


def test_kept_scripts_can_be_run(scripts: Scripts) -> None:
    scripts.runner.store([scripts.carried("ArtifactInstall_Enter_00")])
    scripts.runner.run("ArtifactInstall", "Enter", ignore_errors=False)
    assert scripts.ran == ["ArtifactInstall_Enter_00"]


def test_only_we_may_write_to_kept_scripts_whatever_the_umask(scripts: Scripts) -> None:
    before = os.umask(0)
    try:
        scripts.runner.store([scripts.carried("ArtifactInstall_Enter_00")])
    finally:
        os.umask(before)
    paths = [scripts.artifact, *scripts.artifact.iterdir()]
    assert {stat.S_IMODE(path.stat().st_mode) for path in paths} == {0o755}


@pytest.mark.parametrize(
    "name", ["../ArtifactInstall_Enter_00", "/tmp/ArtifactInstall_Enter_00", "version", "Sync_Enter_00"]
)
def test_a_name_that_is_none_is_refused_before_anything_is_removed(scripts: Scripts, name: str) -> None:
    scripts.runner.store([scripts.carried("ArtifactInstall_Enter_00")])
    with pytest.raises(ScriptError, match="not the name of a state script"):
        scripts.runner.store([Script(name=name, content=b"")])
    assert "ArtifactInstall_Enter_00" in kept(scripts)


def test_the_same_name_twice_is_refused(scripts: Scripts) -> None:
    twice = scripts.carried("ArtifactInstall_Enter_00")
    with pytest.raises(ScriptError, match="twice"):
        scripts.runner.store([twice, twice])


def test_what_an_interrupted_store_left_is_no_obstacle(scripts: Scripts) -> None:
    for ending in (shelf.UNFINISHED, shelf.REMOVED):
        left = scripts.artifact.with_name(scripts.artifact.name + ending)
        left.mkdir()
        (left / "ArtifactInstall_Enter_00").touch()
    scripts.runner.store([scripts.carried("ArtifactCommit_Enter_00")])
    assert {path.name for path in scripts.artifact.parent.iterdir()} == {scripts.artifact.name}
    assert kept(scripts) == {"ArtifactCommit_Enter_00", "version"}


def failing_after(syncs: int) -> Callable[[int], None]:
    """Return an fsync that lets the power go after so many calls."""
    left = iter(range(syncs))

    def fsync(_: int) -> None:
        if next(left, None) is None:
            raise OSError(errno.EIO, "power is gone")

    return fsync


@pytest.mark.parametrize("syncs", range(SYNCS))
def test_a_cut_at_any_moment_leaves_all_scripts_or_none(
    scripts: Scripts, monkeypatch: pytest.MonkeyPatch, syncs: int
) -> None:
    scripts.runner.store([scripts.carried(f"ArtifactInstall_Enter_0{n}") for n in range(3)])
    new = [scripts.carried(f"ArtifactCommit_Enter_0{n}") for n in range(3)]
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", failing_after(syncs))
        with pytest.raises(ScriptError, match="power is gone"):
            scripts.runner.store(new)
    assert (len(kept(scripts)) if scripts.artifact.exists() else 0) in {0, 4}
    scripts.runner.store([])
    assert kept(scripts) == {"version"}


def test_every_moment_was_tried(scripts: Scripts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", failing_after(SYNCS))
    scripts.runner.store([scripts.carried(f"ArtifactCommit_Enter_0{n}") for n in range(3)])
    assert len(kept(scripts)) == 4


def test_cleared_scripts_are_not_run(scripts: Scripts) -> None:
    scripts.runner.store([scripts.carried("ArtifactInstall_Enter_00")])
    scripts.runner.clear()
    scripts.runner.clear()
    scripts.runner.run("ArtifactInstall", "Enter", ignore_errors=False)
    assert scripts.ran == []


def test_a_link_is_removed_and_not_what_it_leads_to(scripts: Scripts, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").touch()
    scripts.runner.clear()
    scripts.artifact.symlink_to(precious)
    scripts.runner.store([])
    assert (precious / "file").exists()
    assert not scripts.artifact.is_symlink()


@pytest.mark.parametrize("directory", ["/", "scripts", "/data/../etc"])
def test_a_place_that_may_be_for_something_else_is_not_emptied(directory: str) -> None:
    with pytest.raises(ScriptError, match="removed before each update"):
        shelf.store(Path(directory), [])


def test_a_full_place_is_an_error_of_ours(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ScriptError, match="cannot keep the scripts"):
        shelf.store(tmp_path / "file" / "scripts", [])
