"""The rendered files that lie beside the boards are those that are rendered, and everything can be made of them."""

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest
import yaml
from disk_samples import DISK_TOOLS, build, small_root
from image_samples import SBIN, needs
from test_board_render import at_home

from bistable.tools.board.catalogue import board_keys, catalogue_folder, find_board
from bistable.tools.board.model import Board, Flow
from bistable.tools.board.render import changes, render_board, render_catalogue
from bistable.tools.board.render.layoutfile import rendered_layout
from bistable.tools.boot import grubenv, ubootenv
from bistable.tools.boot.efiprograms import DIRECTORIES, FORMATS, SYSTEMD_BOOT, SYSTEMD_BOOT_DIRECTORY
from bistable.tools.boot.plan import Loader
from bistable.tools.boot.render import names_for_grub
from bistable.tools.disk import load_layout, write_files
from bistable.tools.disk.geometry import ENVIRONMENT, boot_plan, place
from bistable.tools.disk.inspect import inspect_disk
from bistable.tools.disk.layout import Layout
from bistable.tools.disk.tree import FolderTree

BOARDS: Final = {key: find_board(key) for key in board_keys()}
WITH_DISKS: Final = [key for key, board in BOARDS.items() if board.layout is not None]
UBOOTS: Final = {Loader.UBOOT, Loader.UBOOT_ENVIRONMENT}
ON_A_SCREEN: Final = 120


def path_of(key: str, name: str) -> Path:
    return catalogue_folder() / key / "rendered" / name


def committed(key: str) -> Layout:
    return load_layout(path_of(key, "layout.toml"))


def with_files(wanted: Layout, folder: Path) -> Layout:
    """Return a layout with files of its own in place of those that come out of other builds."""
    stand_in = folder / "stand-in"
    stand_in.write_bytes(b"from another build")
    return replace(
        wanted,
        blobs=tuple(replace(blob, file=stand_in) for blob in wanted.blobs),
        boot_files=dict.fromkeys(wanted.boot_files, stand_in),
        extras=tuple(replace(extra, content=extra.content and stand_in) for extra in wanted.extras),
    )


# --- what is committed


@pytest.mark.parametrize("key", BOARDS)
def test_the_files_of_a_board_are_those_that_are_rendered(key: str) -> None:
    found = changes(BOARDS[key].folder, render_board(BOARDS[key]))
    lines = [line for change in found for line in change.diff()]
    assert not found, "\n".join(["run `bistable board render --all`, and look at what it changes:", *lines])


def test_the_table_of_all_boards_is_the_one_that_is_rendered() -> None:
    found = changes(catalogue_folder(), render_catalogue(list(BOARDS.values())))
    lines = [line for change in found for line in change.diff()]
    assert not found, "\n".join(["run `bistable board render --all`, and look at what it changes:", *lines])


def test_there_are_boards_for_the_ways_to_choose_a_slot_that_are_in_use() -> None:
    usual = {Flow.UBOOT, Flow.GRUB, Flow.SYSTEMD_BOOT, Flow.RASPBERRY_PI, Flow.UBOOT_UBI, Flow.CUSTOM}
    assert usual <= {board.boot.flow for board in BOARDS.values()}


@pytest.mark.parametrize("key", BOARDS)
def test_nothing_names_a_place_of_the_machine_that_rendered_it(key: str) -> None:
    for path, content in render_board(BOARDS[key]).items():
        for word in (str(catalogue_folder()), str(Path.home())):
            assert word not in content.decode(), path


@pytest.mark.parametrize("key", BOARDS)
def test_yaml_can_be_read(key: str) -> None:
    for path in path_of(key, "").rglob("*.y*ml"):
        assert isinstance(yaml.safe_load(path.read_text()), dict), path


@pytest.mark.parametrize("key", BOARDS)
def test_every_link_of_a_page_leads_somewhere(key: str) -> None:
    page = catalogue_folder() / key / "README.md"
    for link in re.findall(r"\]\(([^)]+)\)", page.read_text()):
        if not link.startswith("https://"):
            assert (page.parent / link.partition("#")[0]).exists(), link


@pytest.mark.parametrize("key", BOARDS)
def test_lines_of_a_page_fit_on_a_screen_unless_they_are_to_be_copied(key: str) -> None:
    for line in (catalogue_folder() / key / "README.md").read_text().splitlines():
        whole = line.startswith(("|", "    ")) or "](" in line or line.count("`") >= 2
        assert whole or len(line) <= ON_A_SCREEN, line


@needs("shellcheck")
def test_programs_are_good_shell() -> None:
    from disk_samples import call

    scripts = [path for path in catalogue_folder().glob("*/rendered/*") if path.is_file() and _is_script(path)]
    assert scripts
    call("shellcheck", *scripts)


def _is_script(path: Path) -> bool:
    with path.open("rb") as file:
        return file.readline().rstrip() == b"#!/bin/sh"


# --- what can be made of it


@pytest.mark.parametrize("key", WITH_DISKS)
def test_the_layout_is_that_of_the_board(key: str) -> None:
    found, board = committed(key), BOARDS[key]
    assert board.layout is not None
    expected = replace(board.layout, boot=rendered_layout(board).boot, name=found.name)
    assert at_home(found) == at_home(expected)
    assert place(found) == place(board.layout)


@pytest.mark.parametrize("key", WITH_DISKS)
def test_the_storage_that_the_board_is_sold_with_has_room(key: str) -> None:
    assert place(committed(key)).size <= BOARDS[key].storage.capacity


@pytest.mark.parametrize("key", [key for key in WITH_DISKS if BOARDS[key].boot.flow.loader in UBOOTS])
def test_tools_in_linux_look_for_the_environment_where_the_boot_script_does(key: str) -> None:
    plan = boot_plan(committed(key), place(committed(key))).environment
    assert plan is not None
    assert [(int(offset, 16), int(size, 16)) for _, offset, size in _environment_lines(key)] == [
        (offset, plan.size) for offset in plan.offsets
    ]


def _environment_lines(key: str) -> list[list[str]]:
    lines = path_of(key, "fw_env.config").read_text().splitlines()
    return [line.split() for line in lines if not line.startswith("#")]


@pytest.mark.parametrize("key", [key for key, board in BOARDS.items() if board.ubi is not None])
def test_tools_in_linux_find_both_copies_in_the_flash(key: str) -> None:
    board = BOARDS[key]
    assert board.ubi is not None
    found = _environment_lines(key)
    assert len(found) == 2
    for device, offset, size, *_ in found:
        assert int(offset, 16) == 0
        assert int(size, 16) == board.ubi.environment_size
        if board.ubi.environment is None:
            assert device.startswith("/dev/ubi0:uboot-env")
    if board.ubi.environment is not None:
        numbers = {mtd.name: number for number, mtd in enumerate(board.ubi.flash.partitions)}
        assert [line[0] for line in found] == [f"/dev/mtd{numbers[name]}" for name in board.ubi.environment]


@pytest.mark.parametrize("key", WITH_DISKS)
def test_the_environment_of_a_new_disk_reads_back(key: str, tmp_path: Path) -> None:
    wanted = with_files(committed(key), tmp_path)
    written = write_files(wanted, tmp_path / "files")
    environment = written.plan.environment
    if environment is None:
        assert not (tmp_path / "files/boot-env.img").exists()
        return
    image = (tmp_path / "files/boot-env.img").read_bytes()
    assert len(image) == written.geometry.partition(ENVIRONMENT).size
    if written.plan.loader is Loader.UBOOT_ENVIRONMENT:
        # A U-Boot that finds a valid copy would forget what it was built with.
        assert not any(image)
        return
    for offset in environment.offsets:
        content = image[offset : offset + environment.size]
        variables = (
            grubenv.read_block(content, names_for_grub())
            if written.plan.loader is Loader.GRUB
            else ubootenv.read_redundant(content).variables()
        )
        assert variables["bistable_order"] == "a"
        assert variables["bistable_a_good"] == "1"


def _shortest() -> list[str]:
    """Return one board of each flow that has a disk, the one with the smallest."""
    sizes = {key: place(board.layout).size for key, board in BOARDS.items() if board.layout is not None}
    flows = {BOARDS[key].boot.flow: key for key in sorted(WITH_DISKS, key=sizes.__getitem__, reverse=True)}
    return sorted(flows.values())


def _has_program(board: Board) -> bool:
    architecture = board.boot.architecture
    if board.boot.flow in {Flow.GRUB, Flow.EFI}:
        return any((folder / FORMATS[architecture][0] / "moddep.lst").exists() for folder in DIRECTORIES)
    if board.boot.flow is Flow.SYSTEMD_BOOT:
        return (SYSTEMD_BOOT_DIRECTORY / SYSTEMD_BOOT[architecture]).exists()
    return True


@DISK_TOOLS
@pytest.mark.parametrize("key", _shortest())
def test_a_disk_that_is_built_by_the_layout_is_a_good_one(key: str, tmp_path: Path) -> None:
    board = BOARDS[key]
    if not _has_program(board):
        pytest.skip(f"not installed: the {board.boot.flow} of {board.boot.architecture}")
    small_root(tmp_path / "root")
    tree = FolderTree(tmp_path / "root")
    for path in (board.boot.kernel, board.boot.initrd, board.boot.devicetree):
        if path is not None:
            tree.file(str(path), b"from another build")
    built = build(with_files(committed(key), tmp_path), tmp_path / "root", tmp_path / "disk.img")
    report = inspect_disk(tmp_path / "disk.img")
    assert report.findings == ()
    assert report.is_sound
    assert report.plan is not None
    assert report.plan.loader == board.boot.flow.loader
    assert report.device_type == board.device_type
    assert [(part.start, part.size) for part in report.partitions] == [
        (part.start, part.size) for part in built.geometry.partitions
    ]


@needs("mkfs.ubifs", "ubinize", "mkimage")
@pytest.mark.parametrize("key", [key for key, board in BOARDS.items() if board.ubi is not None])
def test_the_commands_on_the_page_make_the_image_of_the_flash(key: str, tmp_path: Path) -> None:
    (tmp_path / "board-integrations").symlink_to(catalogue_folder())
    small_root(tmp_path / "rootfs")
    page = (catalogue_folder() / key / "README.md").read_text()
    commands = page.partition("## Build it")[2].partition("\n## ")[0]
    script = "\n".join(
        [
            "set -eu",
            *(line[4:] for line in commands.splitlines() if line.startswith("    ") and "kas build" not in line),
        ]
    )
    environment = {"PATH": f"{Path(sys.executable).parent}:{SBIN}", "HOME": str(tmp_path)}
    subprocess.run(["sh", "-c", script], cwd=tmp_path, env=environment, check=True, capture_output=True)
    assert {"flash.ubi", "release-2.mender"} <= {path.name for path in tmp_path.iterdir()}
