"""`bistable board list`, `show` and `check`: what they say, to people and to programs."""

from pathlib import Path
from typing import Any

import pytest
from board_samples import DISK, UBI, VENDOR, changed
from commandline import Outcome, call_program
from schemas import validated

from bistable.tools.board.catalogue import board_keys


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write("acorn-2", DISK)
    return tmp_path


def write(name: str, text: str) -> None:
    Path(name).mkdir(exist_ok=True)
    Path(name, "board.toml").write_text(text)


def run(*arguments: str | Path, code: int = 0) -> Outcome:
    outcome = call_program("board", *arguments, env={"NO_COLOR": "1"})
    assert outcome.code == code, outcome.err
    return outcome


def document(outcome: Outcome) -> Any:
    """Return what was written as JSON, once its schema has agreed."""
    return validated(outcome.document)


# --- list


def test_the_list_has_every_board_in_columns() -> None:
    heading, *lines = run("list").out.splitlines()
    assert heading.split("  ")[0] == "board"
    assert [line.split()[0] for line in lines] == list(board_keys())
    column = heading.index("status")
    assert {line[column:] for line in lines} <= {"booted", "checked", "contributed"}


def test_the_list_is_told_to_programs() -> None:
    found = document(run("list", "--json"))["boards"]
    assert [board["board"] for board in found] == list(board_keys())
    assert next(board["architecture"] for board in found if board["board"] == "qemuarm") == "armhf"


def test_the_list_can_be_narrowed_down() -> None:
    found = document(run("list", "--json", "--flow", "uboot", "--flow", "grub", "--architecture", "arm64"))["boards"]
    assert {board["boot_flow"] for board in found} == {"uboot", "grub"}
    assert {board["architecture"] for board in found} == {"arm64"}
    assert run("list", "--status", "contributed", "--flow", "efi").out == "no boards\n"


def test_an_unknown_boot_flow_is_a_wrong_usage() -> None:
    assert "'u-boot' is not one of" in run("list", "--flow", "u-boot", code=2).err


# --- show


@pytest.mark.parametrize("key", board_keys())
def test_every_board_can_be_shown(key: str) -> None:
    outcome = run("show", key, "--json")
    assert outcome.err == ""
    assert document(outcome)["board"] == key


def test_a_board_is_shown_with_the_places_of_everything() -> None:
    said = run("show", "./acorn-2").out
    assert said.startswith("acorn-2: Acorn 2\n")
    lines = [" ".join(line.split()) for line in said.splitlines()]
    for line in (
        "places 32 KiB file imx-boot",
        "4032 KiB 64 KiB environment of U-Boot mmc",
        "8 MiB 64 MiB partition 1 boot",
        "80 MiB 2 GiB partition 3 rootfs-a",
        "limits It was not tried on a real board.",
        "sources u-boot: https://docs.u-boot.org/en/latest/",
        "OpenEmbedded MACHINE acorn-2, scarthgap, wrynose",
        "rendered/layout.toml",
    ):
        assert line in lines, said


def test_volumes_of_ubi_are_shown_with_the_flash_that_they_lie_in() -> None:
    write("acorn-1", UBI)
    parts = document(run("show", "./acorn-1", "--json"))["parts"]
    assert [(part["kind"], part["name"]) for part in parts] == [
        *(("flash partition", name) for name in ("boot", "env", "env-r", "ubi")),
        *(("volume", name) for name in ("boot-script", "rootfs-a", "rootfs-b", "data")),
    ]
    assert parts[-1]["size"] is None


def test_a_board_of_the_vendors_has_no_places() -> None:
    write("acorn-3", VENDOR)
    assert document(run("show", "./acorn-3", "--json"))["parts"] == []


def test_a_board_that_cannot_be_laid_out_is_shown_as_far_as_it_can_be() -> None:
    write("acorn-4", changed(DISK, ('"2 GiB"', '"8 GiB"')))
    outcome = run("show", "./acorn-4", "--json")
    found = document(outcome)
    assert found["parts"] == found["rendered"] == []
    assert "cannot lay out acorn-4" in found["obstacles"][0]
    assert "warning: cannot lay out acorn-4" in outcome.err


# --- check


def test_a_board_that_fits_is_said_in_one_line() -> None:
    assert run("check", "./acorn-2").out == "acorn-2: fits\n"


def test_warnings_are_told_and_no_failure() -> None:
    write("acorn-2", changed(DISK, ('"mmc 2"', '"mmc 1"')))
    line = DISK.splitlines().index('disk = "mmc 2"') + 1
    said = run("check", "acorn-2/board.toml").out.splitlines()
    assert said[0] == "acorn-2: fits: 1 warning"
    assert said[1].startswith("warning: U-Boot calls it mmc 1")
    assert said[2] == f"  where: [boot] disk, line {line}"
    assert said[3].startswith("  hint:  ")


def test_errors_are_told_and_end_with_1() -> None:
    write("acorn-2", changed(DISK, (" rootwait", "")))
    assert run("check", "./acorn-2", code=1).out.startswith("acorn-2: does not fit: 1 error\n")


def test_a_file_that_is_no_board_ends_with_2() -> None:
    write("acorn-2", changed(DISK, ('"emmc"', '"mmc"')))
    assert "[storage] kind: 'mmc' is not known" in run("check", "./acorn-2", code=2).err


def test_findings_are_told_to_programs() -> None:
    write("acorn-2", changed(DISK, (" rootwait", ""), ('"mmc 2"', '"mmc 1"')))
    (found,) = document(run("check", "./acorn-2", "--json", code=1))["boards"]
    assert (found["board"], found["fits"], found["errors"], found["warnings"]) == ("acorn-2", False, 1, 1)
    assert [(finding["level"], finding["where"]) for finding in found["findings"]] == [
        ("error", "[boot] arguments"),
        ("warning", "[boot] disk"),
    ]


def test_without_a_name_all_boards_that_come_with_it_are_checked() -> None:
    assert [found["board"] for found in document(run("check", "--json"))["boards"]] == list(board_keys())


def test_several_boards_are_checked_in_their_order() -> None:
    write("acorn-3", VENDOR)
    assert run("check", "./acorn-3", "qemuarm64", "./acorn-2").out.split()[::2] == [
        "acorn-3:",
        "qemuarm64:",
        "acorn-2:",
    ]


def test_a_root_file_system_is_looked_into() -> None:
    Path("root/boot").mkdir(parents=True)
    Path("root/boot/Image").write_bytes(bytes(100))
    said = run("check", "./acorn-2", "--root", "root", code=1).out
    assert "/boot/acorn-2.dtb is not in the root file system" in said
    assert "/boot/Image" not in said


def test_a_configuration_of_uboot_is_compared() -> None:
    Path("defconfig").write_text("# CONFIG_CMD_EXT4 is not set\n")
    assert "CONFIG_CMD_EXT4 is off" in run("check", "./acorn-2", "--uboot-config", "defconfig", code=1).out


@pytest.mark.parametrize("option", ["--root", "--uboot-config"])
def test_what_belongs_to_one_board_is_not_compared_with_several(option: str) -> None:
    Path("file").write_text("x")
    assert "name one board" in run("check", "./acorn-2", "qemuarm", option, "file", code=2).err


@pytest.mark.parametrize("option", ["--root", "--uboot-config"])
def test_a_file_that_is_not_there_is_a_wrong_request(option: str) -> None:
    assert "cannot read" in run("check", "./acorn-2", option, "none", code=2).err
