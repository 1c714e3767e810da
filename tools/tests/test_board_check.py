"""What does not fit together in a board is found, with its place and what would be right."""

import gzip
from pathlib import Path
from typing import Any

import pytest
from board_misfits import UNFIT
from board_samples import DISK, QEMU, SAMPLES, UBI, VENDOR, board, changed

from bistable.tools.board.catalogue import board_keys, find_board
from bistable.tools.board.check import Finding, Level, check_board
from bistable.tools.board.render import render_board


def found(text: str, *changes: tuple[str, str], **more: Any) -> tuple[Finding, ...]:
    return check_board(board(text, *changes), **more)


def only(findings: tuple[Finding, ...]) -> Finding:
    assert len(findings) == 1, [finding.what for finding in findings]
    return findings[0]


@pytest.mark.parametrize("sample", SAMPLES)
def test_a_board_that_fits_together_has_no_findings(sample: str) -> None:
    assert check_board(board(SAMPLES[sample])) == ()


@pytest.mark.parametrize("key", board_keys())
def test_no_board_of_the_catalogue_has_errors(key: str) -> None:
    assert [finding for finding in check_board(find_board(key)) if finding.level is Level.ERROR] == []


@pytest.mark.parametrize(
    ("text", "old", "new", "level", "where", "words"), [m[1:] for m in UNFIT], ids=[m[0] for m in UNFIT]
)
def test_what_does_not_fit_is_named_with_its_place_and_what_would_be_right(
    text: str, old: str, new: str, level: Level, where: str, words: str
) -> None:
    findings = found(text, (old, new))
    assert any(
        finding.level is level and finding.where == where and words in f"{finding.what} {finding.hint}"
        for finding in findings
    ), findings


@pytest.mark.parametrize(("text", "old", "new"), [m[1:4] for m in UNFIT], ids=[m[0] for m in UNFIT])
def test_every_finding_has_a_hint_and_a_line_if_it_is_written_down(text: str, old: str, new: str) -> None:
    document = changed(text, (old, new))
    for finding in found(text, (old, new)):
        assert finding.hint
        table = finding.where.partition("]")[0].lstrip("[")
        assert (finding.line is not None) == (f"[{table}]" in document)


def test_a_finding_names_the_line_of_its_key() -> None:
    line = DISK.splitlines().index('disk = "mmc 2"') + 1
    assert only(found(DISK, ('"mmc 2"', '"mmc 1"'))).line == line


def test_findings_are_in_the_order_of_the_lines() -> None:
    lines = [
        finding.line
        for finding in found(DISK, ('"mmc 2"', '"mmc 1"'), ("timeout = 60", "timeout = 5"), (" rootwait", ""))
    ]
    assert lines == sorted(lines, key=lambda line: line or 0)
    assert len(lines) == 3


def test_limits_that_mention_it_answer_a_warning() -> None:
    """What somebody has thought about needs nobody who looks."""
    said = ("It was not tried on a real board.", "The watchdog is not used.")
    assert found(VENDOR, (said[0], said[1]), ('[watchdog]\ndriver = "tegra186-wdt"\n', "")) == ()
    said = ("It was not tried on a real board.", "The device tree is that of the firmware.")
    assert found(DISK, said, ('devicetree = "/boot/acorn-2.dtb"\n', "")) == ()


def test_a_place_in_memory_that_the_script_sets_goes_before_that_of_uboot() -> None:
    moved = ('disk = "mmc 2"', 'disk = "mmc 2"\naddresses = { fdt_addr_r = "0x48000000" }')
    assert found(DISK, ('"0x43000000"', '"0x41000000"'), moved) == ()
    moved = ('disk = "mmc 2"', 'disk = "mmc 2"\naddresses = { fdt_addr_r = "0x41000000" }')
    assert only(found(DISK, moved)).where == "[boot] addresses"


def test_uboot_keeps_no_environment_of_its_own_where_it_has_that_of_the_slots() -> None:
    findings = found(DISK, ('"4032 KiB"', '"8 MiB"'), ('loader = "uboot"', 'loader = "uboot-environment"'))
    assert "[uboot] environment-offset" not in [finding.where for finding in findings]


def test_the_same_disk_may_be_sata_or_scsi_in_uboot() -> None:
    changes = (('kind = "emmc"', 'kind = "sata"'), ('"/dev/mmcblk2"', '"/dev/sda"'))
    for interface in ("sata", "scsi"):
        assert found(DISK, *changes, ('"mmc 2"', f'"{interface} 0"')) == ()


def test_what_udev_calls_the_storage_is_left_alone() -> None:
    assert found(VENDOR, ('"/dev/nvme0n1"', '"/dev/disk/by-path/platform-14160000.pcie-pci-0004:01:00.0-nvme-1"')) == ()


# --- with a configuration of U-Boot


def rendered_config(text: str) -> str:
    return next(content for path, content in render_board(board(text)).items() if path.name == "uboot.config").decode()


def complete(text: str) -> str:
    return f"#\n# Automatically generated file; DO NOT EDIT.\n#\n{text}"


@pytest.mark.parametrize(
    "text",
    [DISK, UBI, changed(DISK, ('loader = "uboot"', 'loader = "uboot-environment"'))],
    ids=["uboot", "uboot-ubi", "uboot-environment"],
)
def test_the_configuration_that_is_rendered_is_the_one_that_fits(text: str) -> None:
    assert found(text, uboot_config=complete(rendered_config(text))) == ()


@pytest.mark.parametrize("name", ["CMD_BOOTI", "CMD_IMPORTENV", "CMD_EXT4", "MMC_WRITE", "HUSH_PARSER"])
def test_an_option_that_uboot_lacks_is_an_error(name: str) -> None:
    there = complete(rendered_config(DISK)).replace(f"CONFIG_{name}=y\n", "")
    finding = only(found(DISK, uboot_config=there))
    assert (finding.level, finding.where) == (Level.ERROR, "[uboot] defconfig")
    assert f"CONFIG_{name} is off and has to be y" in finding.what
    assert "rendered/uboot.config" in finding.hint


def test_an_option_that_uboot_must_not_have_is_an_error_under_its_own_name() -> None:
    there = complete(rendered_config(DISK)).replace("# CONFIG_ENV_REDUNDANT is not set", "CONFIG_ENV_REDUNDANT=y")
    assert "CONFIG_ENV_REDUNDANT is y and has to be off" in only(found(DISK, uboot_config=there)).what


def test_an_option_may_have_its_old_or_its_new_name() -> None:
    text = changed(DISK, ('loader = "uboot"', 'loader = "uboot-environment"'))
    for name in ("SYS_REDUNDAND_ENVIRONMENT", "ENV_REDUNDANT"):
        assert found(text, uboot_config=complete(rendered_config(text)).replace(f"CONFIG_{name}=y\n", "")) == ()


def test_an_environment_at_another_place_is_said_with_both_places() -> None:
    text = changed(DISK, ('loader = "uboot"', 'loader = "uboot-environment"'))
    right = next(line for line in rendered_config(text).splitlines() if line.startswith("CONFIG_ENV_OFFSET="))
    there = complete(rendered_config(text)).replace(right, "CONFIG_ENV_OFFSET=0x3f0000")
    what = only(found(text, uboot_config=there)).what
    assert "CONFIG_ENV_OFFSET, where the first copy of the environment is, is 0x3f0000" in what
    assert right.partition("=")[2] in what


def test_numbers_are_the_same_in_any_notation() -> None:
    text = changed(DISK, ('loader = "uboot"', 'loader = "uboot-environment"'))
    there = complete(rendered_config(text)).replace("CONFIG_ENV_SIZE=0x4000", "CONFIG_ENV_SIZE=16384")
    assert found(text, uboot_config=there) == ()


def test_what_a_defconfig_leaves_out_is_one_warning() -> None:
    finding = only(found(DISK, uboot_config="CONFIG_ARM=y\nCONFIG_CMD_EXT4=y\n"))
    assert finding.level is Level.WARNING
    assert "CONFIG_CMD_BOOTI=y" in finding.what
    assert "CONFIG_CMD_EXT4" not in finding.what
    assert ".config of a build" in finding.hint


def test_what_a_defconfig_switches_off_is_an_error() -> None:
    findings = found(DISK, uboot_config="CONFIG_ARM=y\n# CONFIG_CMD_EXT4 is not set\n")
    assert [finding.level for finding in findings] == [Level.ERROR, Level.WARNING]
    assert "CONFIG_CMD_EXT4 is off" in findings[0].what


def test_a_file_that_is_no_configuration_is_an_error() -> None:
    assert "has no option of U-Boot" in only(found(DISK, uboot_config="#!/bin/sh\n")).what


def test_a_board_without_uboot_needs_nothing_of_it() -> None:
    assert found(QEMU, uboot_config="CONFIG_ARM=y\n") == ()


OWN = "CONFIG_ENV_IS_IN_MMC=y\nCONFIG_ENV_OFFSET=0x3f0000\nCONFIG_ENV_SIZE=0x10000\n"


def of_environment(text: str, configuration: str) -> list[Finding]:
    """Return what is found of U-Boot's own environment."""
    findings = found(text, uboot_config=complete(rendered_config(text)) + configuration)
    return [finding for finding in findings if finding.where.startswith("[uboot] environment")]


def test_an_environment_of_uboots_own_where_the_board_says_is_right() -> None:
    assert of_environment(DISK, OWN) == []


@pytest.mark.parametrize(("old", "new"), [("0x3f0000", "0x400000"), ("0x3f0000", "4096"), ("0x10000", "0x20000")])
def test_an_environment_of_uboots_own_elsewhere_is_an_error_with_both_places(old: str, new: str) -> None:
    (finding,) = of_environment(DISK, OWN.replace(old, new))
    assert (finding.level, finding.where) == (Level.ERROR, "[uboot] environment-offset")
    assert "the board says 0x3f0000 to 0x400000" in finding.what


def test_an_environment_of_uboots_own_on_something_else_is_an_error() -> None:
    (finding,) = of_environment(DISK, OWN.replace("MMC", "SPI_FLASH"))
    assert "keeps an environment of its own in: spi-flash; the board says mmc" in finding.what
    assert finding.hint == 'write environment = "spi-flash"'


@pytest.mark.parametrize("name", ["SYS_MMC_ENV_PART", "ENV_MMC_EMMC_HW_PARTITION"])
def test_a_hardware_partition_of_the_emmc_is_not_where_the_slots_are(name: str) -> None:
    (finding,) = of_environment(DISK, f"{OWN}CONFIG_{name}=1\n")
    assert "in: mmc-boot0" in finding.what


def test_an_environment_that_the_board_does_not_mention_is_an_error() -> None:
    text = changed(DISK, ('environment = "mmc"\nenvironment-offset = "4032 KiB"\nenvironment-size = "64 KiB"\n', ""))
    (finding,) = of_environment(text, OWN)
    assert "the board does not say where" in finding.what


def test_with_the_environment_of_the_slots_there_is_none_of_its_own() -> None:
    text = changed(DISK, ('loader = "uboot"', 'loader = "uboot-environment"'))
    assert of_environment(text, "CONFIG_ENV_IS_IN_MMC=y\n") == []


@pytest.mark.parametrize(("key", "name"), [("qemuarm64", "qemu_arm64"), ("qemuarm", "qemu_arm")])
def test_the_uboot_of_debian_that_qemu_boots_has_what_the_script_needs(key: str, name: str) -> None:
    path = Path(f"/usr/share/doc/u-boot-qemu/configs/config.{name}.gz")
    if not path.exists():
        pytest.skip("u-boot-qemu is not installed")
    assert check_board(find_board(key), uboot_config=gzip.decompress(path.read_bytes()).decode()) == ()
