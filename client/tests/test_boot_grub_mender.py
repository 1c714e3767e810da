"""The two folders of Mender's integration for GRUB: cut at every file operation, its boot script always has a state."""

import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path

import pytest
from client_boot import MENDER_FACTORY, PAIR, A, B
from client_boot_grub import GrubFolders, grub_block, grub_variables

from bistable.client.boot import BootSettings, detect_backend, detect_scheme, make_bootloader
from bistable.client.boot.grub.twodirs import DirectoryFiles, TwoDirectories, find_directory
from bistable.client.boot.ports import Probing
from bistable.client.errors import BootError

SECTOR = 512
FACTORY = MENDER_FACTORY | {"mender_check_saveenv_canary": "0", "mender_systemd_machine_id": "0123"}
NEW = {"mender_boot_part": "10", "upgrade_available": "1", "bootcount": "0"}
needs_editenv = pytest.mark.skipif(
    shutil.which("grub-editenv") is None,
    reason="the program grub-editenv is not installed (Debian package grub-common)",
)


class PowerCutError(Exception):
    """The power failed."""


class CutFiles:
    """Files of which write number `cut` is broken off, with `left` of the file's old and new content in place."""

    def __init__(self, directory: Path, cut: int | None, left: Callable[[bytes, bytes], bytes]) -> None:
        self._files, self._directory = DirectoryFiles(directory), directory
        self._cut, self._left = cut, left
        self.count = 0

    def read(self, name: str) -> bytes:
        return self._files.read(name)

    def write(self, name: str, data: bytes) -> None:
        if self._cut == self.count:
            old = self.read(name)
            (self._directory / name).write_bytes(self._left(old, data))
            raise PowerCutError
        self.count += 1
        self._files.write(name, data)


LEFT: Mapping[str, Callable[[bytes, bytes], bytes]] = {
    "nothing of it": lambda old, _new: old,
    "all of it": lambda _old, new: new,
    "its first sector": lambda old, new: new[:SECTOR] + old[SECTOR:],
    "its second sector": lambda old, new: old[:SECTOR] + new[SECTOR:],
    "an empty file": lambda _old, _new: b"",
    "noise": lambda _old, new: os.urandom(len(new)),
}


def broken(folders: GrubFolders, how: str) -> None:
    """Leave the folders as something left them earlier."""
    if how == "copy 2 under lock":
        folders.put(2, "lock", {"editing": "1"})
        folders.put(2, "env", {"mender_boot_part": "99"})
    elif how == "copy 1 under lock":
        folders.put(1, "lock", {"editing": "1"})
        folders.path(1, "env").write_bytes(b"noise")
    elif how == "copy 1 gone":
        shutil.rmtree(folders.path(1, "env").parent)
        folders.path(1, "env").parent.mkdir()
    elif how == "copies differ":
        folders.put(2, "env", {**FACTORY, "mender_boot_part": "10"})
    else:
        assert how == "whole"


BROKEN = ("whole", "copy 2 under lock", "copy 1 under lock", "copy 1 gone", "copies differ")


@pytest.mark.parametrize("left", sorted(LEFT))
@pytest.mark.parametrize("cut", range(12))
@pytest.mark.parametrize("how", BROKEN)
def test_a_power_cut_at_any_write_leaves_the_old_state_or_the_new_one(
    how: str, cut: int, left: str, tmp_path: Path
) -> None:
    folders = GrubFolders(tmp_path, FACTORY)
    broken(folders, how)
    files = CutFiles(folders.folder, cut, LEFT[left])
    environment = TwoDirectories(files, locked=nullcontext)
    old = dict(environment.read())
    try:
        environment.write(NEW)
    except PowerCutError:
        pass
    else:
        assert files.count <= cut
    ours = dict(TwoDirectories(DirectoryFiles(folders.folder), locked=nullcontext).read())
    assert ours in (old, {**old, **NEW})
    # What we read is what the boot script goes by.
    assert folders.load() == ours
    TwoDirectories(DirectoryFiles(folders.folder), locked=nullcontext).write(NEW)
    assert folders.load() == {**old, **NEW}


def test_both_copies_lost_is_an_error_that_says_what_is_wrong(tmp_path: Path) -> None:
    folders = GrubFolders(tmp_path, FACTORY)
    for copy in (1, 2):
        folders.path(copy, "env").write_bytes(b"")
    loader = make_bootloader(BootSettings(backend="grub", scheme="mender", grub_directory=folders.folder), PAIR)
    with pytest.raises(BootError, match=r"neither copy is valid \(mender_grubenv1/env: it has no header"):
        loader.primary()


def test_a_change_keeps_other_variables_and_the_files_where_they_are(tmp_path: Path) -> None:
    folders = GrubFolders(tmp_path, FACTORY)
    inodes = {path: path.stat().st_ino for path in folders.folder.rglob("*") if path.is_file()}
    settings = BootSettings(backend="grub", scheme="mender", grub_directory=folders.folder)
    make_bootloader(settings, PAIR, booted=lambda: A).activate(B)
    for copy in (1, 2):
        found = folders.get(copy, "env") or {}
        assert found["mender_systemd_machine_id"] == "0123"
        assert found["mender_boot_part"] == "10"
        assert folders.get(copy, "lock") == {"editing": "0"}
    assert {path: path.stat().st_ino for path in folders.folder.rglob("*") if path.is_file()} == inodes


def test_the_sums_fit_afterwards_even_if_they_did_not_before(tmp_path: Path) -> None:
    folders = GrubFolders(tmp_path, FACTORY)
    folders.path(1, "lock.sha256sum").write_text("0" * 64 + "  lock\n")
    folders.path(2, "lock.sha256sum").unlink()
    TwoDirectories(DirectoryFiles(folders.folder), locked=nullcontext).write(NEW)
    for copy in (1, 2):
        digest = hashlib.sha256(folders.path(copy, "lock").read_bytes()).hexdigest()
        assert folders.path(copy, "lock.sha256sum").read_text() == f"{digest}  lock\n"


def test_probing_sets_only_what_no_script_knows(tmp_path: Path) -> None:
    folders = GrubFolders(tmp_path, FACTORY)
    loader = make_bootloader(BootSettings(backend="grub", scheme="mender", grub_directory=folders.folder), PAIR)
    assert isinstance(loader, Probing)
    loader.probe()
    loader.probe()
    assert folders.load() == {**FACTORY, "bistable_probe": "2"}


def test_faults_are_named(tmp_path: Path) -> None:
    folders = GrubFolders(tmp_path, FACTORY)
    environment = TwoDirectories(DirectoryFiles(folders.folder), locked=nullcontext)
    assert environment.faults() == ()
    broken(folders, "copy 1 under lock")
    assert environment.faults() == (
        "mender_grubenv1 is not whole: its lock is held or damaged",
        "mender_grubenv1/env is damaged: it has no header",
    )


def test_more_than_a_block_holds_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    folders = GrubFolders(tmp_path, FACTORY)
    before = folders.memory()
    with pytest.raises(BootError, match="its variables need"):
        TwoDirectories(DirectoryFiles(folders.folder), locked=nullcontext).write({"long": "x" * 1024})
    assert folders.memory() == before


@needs_editenv
def test_grubs_tools_read_what_we_write_and_the_other_way_round(tmp_path: Path) -> None:
    folders = GrubFolders(tmp_path, FACTORY)
    environment = TwoDirectories(DirectoryFiles(folders.folder), locked=nullcontext)
    odd = {"odd": "back\\slash"}
    environment.write(odd)
    env = folders.path(1, "env")
    listed = subprocess.run(["grub-editenv", env, "list"], check=True, capture_output=True, text=True, timeout=60)
    assert "odd=back\\slash\n" in listed.stdout
    subprocess.run(["grub-editenv", env, "set", "odd=another\\one", "bootcount=1"], check=True, timeout=60)
    assert environment.read()["odd"] == "another\\one"
    assert environment.read()["bootcount"] == "1"


# --- where it is


def test_the_directory_is_that_of_the_settings_or_the_integrations_or_a_known_one(tmp_path: Path) -> None:
    config, known = tmp_path / "config", (tmp_path / "none", tmp_path / "known")
    (tmp_path / "known" / "mender_grubenv1").mkdir(parents=True)
    assert find_directory(tmp_path / "set", config=config, known=known) == tmp_path / "set"
    assert find_directory(None, config=config, known=known) == tmp_path / "known"
    config.write_text("# here\nENV_DIR = /elsewhere\n")
    assert find_directory(None, config=config, known=known) == Path("/elsewhere")
    assert find_directory(None, config=tmp_path / "no", known=known[:1]) is None


def test_it_is_found_out_where_the_integrations_programs_are_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = GrubFolders(tmp_path, FACTORY)
    monkeypatch.setenv("PATH", str(tmp_path))
    settings = BootSettings(backend="auto", grub_directory=folders.folder)
    assert detect_backend(settings) == "grub"
    assert detect_scheme(BootSettings(backend="grub", grub_directory=folders.folder)) == "mender"
    program = tmp_path / "grub-mender-grubenv-print"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    assert detect_backend(settings) == "uboot"


def test_a_folder_that_is_not_there_is_an_error_with_a_hint(tmp_path: Path) -> None:
    loader = make_bootloader(BootSettings(backend="grub", scheme="mender", grub_directory=tmp_path / "no"), PAIR)
    with pytest.raises(BootError, match="neither copy is valid"):
        loader.primary()


def test_the_model_of_the_folders_is_that_of_grubs_blocks() -> None:
    assert grub_variables(grub_block({"editing": "0"})) == {"editing": "0"}
