"""A look at a disk tells what would boot and why; what is damaged becomes a finding."""

import os
import subprocess
from pathlib import Path

import pytest
from disk_samples import DISK_TOOLS, GRUB, GRUB_TOOLS, MBR, UBOOT, build, call, layout, small_root
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from image_samples import needs

from bistable.artifact.errors import BistableError, MachineError, RequestError
from bistable.artifact.image import ImageKind
from bistable.artifact.model import Severity
from bistable.tools.boot import grubenv
from bistable.tools.disk import BuiltDisk, Report, inspect_disk

pytestmark = DISK_TOOLS


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return small_root(tmp_path / "root")


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    return tmp_path / "disk.img"


@pytest.fixture
def built(root: Path, disk: Path) -> BuiltDisk:
    return build(layout(), root, disk)


def write(disk: Path, position: int, data: bytes) -> None:
    with disk.open("r+b") as file:
        file.seek(position)
        file.write(data)


def findings(report: Report, severity: Severity | None = None) -> list[str]:
    return [found.what for found in report.findings if severity in {None, found.severity}]


LAYOUTS = [
    pytest.param(UBOOT, "gpt", id="uboot-gpt"),
    pytest.param(MBR, "mbr", id="uboot-mbr"),
    pytest.param(GRUB, "gpt", id="grub-gpt", marks=GRUB_TOOLS),
]


@pytest.mark.parametrize(("text", "table"), LAYOUTS)
def test_a_new_disk_boots_its_first_slot_and_nothing_is_wrong(text: str, table: str, root: Path, disk: Path) -> None:
    build(layout(text), root, disk)
    report = inspect_disk(disk)
    assert report.findings == ()
    assert (report.table, report.layout, report.device_type) == (table, "test", "test-board")
    assert [partition.name for partition in report.partitions] == ["boot", "boot-env", "rootfs-a", "rootfs-b", "data"]
    assert report.boots == "a"
    assert "slot a is good and booted without counting" in report.why
    first, second = report.slots
    assert (first.os_name, first.artifact_name, first.has_kernel) == ("Demo OS", "demo-1", True)
    assert first.kind is second.kind is ImageKind.EXT4
    assert first.used is not None
    assert 0 < first.used < first.size == 16 << 20


def test_a_compressed_disk_is_looked_into_too(root: Path, tmp_path: Path) -> None:
    build(layout(), root, tmp_path / "disk.img.zst")
    assert inspect_disk(tmp_path / "disk.img.zst").boots == "a"


@needs("sqfstar", "unsquashfs")
def test_squashfs_slots_are_looked_into_too(root: Path, disk: Path) -> None:
    build(layout(slots_filesystem="squashfs"), root, disk, epoch=1_600_000_000)
    report = inspect_disk(disk)
    assert report.findings == ()
    assert (report.slots[0].os_name, report.slots[0].has_kernel) == ("Demo OS", True)
    assert report.slots[0].used is not None


def test_nothing_is_written(disk: Path, built: BuiltDisk) -> None:
    before = disk.read_bytes()
    inspect_disk(disk)
    assert disk.read_bytes() == before


def test_an_empty_slot_is_no_fault_as_long_as_it_is_never_booted(root: Path, disk: Path) -> None:
    build(layout(slots_fill="first"), root, disk)
    report = inspect_disk(disk)
    assert report.is_sound
    assert report.slots[1].has_kernel is False


# --- environments


def set_environment(disk: Path, built: BuiltDisk, **values: str) -> None:
    """Write a newer environment, as fw_setenv does: into the other copy."""
    environment = built.geometry.partition("boot-env")
    config = disk.with_name("fw_env.config")
    assert built.plan.environment is not None
    config.write_text(
        "".join(f"{disk} {environment.start + offset:#x} 0x200\n" for offset in built.plan.environment.offsets)
    )
    script = disk.with_name("script")
    script.write_text("".join(f"{name}={value}\n" for name, value in values.items()))
    call("fw_setenv", "-c", config, "-s", script)


@needs("fw_setenv")
def test_a_trial_is_told_with_its_tries_and_what_comes_after_it(disk: Path, built: BuiltDisk) -> None:
    set_environment(disk, built, bistable_order="b a", bistable_b_tries="2", bistable_seen="1")
    report = inspect_disk(disk)
    assert report.findings == ()
    assert report.boots == "b"
    assert report.decision is not None
    assert report.decision.counted
    assert report.decision.fallbacks == ("a",)
    assert report.decision.copies[1].newest
    assert any("1 tries are left" in why for why in report.why)


@needs("fw_setenv")
def test_a_slot_without_a_kernel_is_passed_over_and_found(root: Path, disk: Path) -> None:
    built = build(layout(slots_fill="first"), root, disk)
    set_environment(disk, built, bistable_order="b a", bistable_b_tries="2", bistable_seen="1")
    report = inspect_disk(disk)
    assert report.boots == "a"
    assert "slot b cannot be loaded: there is no kernel in it" in report.why
    assert findings(report, Severity.ERROR) == ["slot b may be booted, and has no kernel that can be loaded"]


def test_one_damaged_copy_is_a_warning_and_both_are_a_fault(disk: Path, built: BuiltDisk) -> None:
    start = built.geometry.partition("boot-env").start
    assert built.plan.environment is not None
    first, second = built.plan.environment.offsets
    write(disk, start + first + 8, b"\xff")
    report = inspect_disk(disk)
    assert report.is_sound
    assert len(findings(report, Severity.WARNING)) == 1
    assert report.boots == "a"
    write(disk, start + second + 8, b"\xff")
    report = inspect_disk(disk)
    assert not report.is_sound
    assert any("no copy of the environment is valid" in what for what in findings(report, Severity.ERROR))


@GRUB_TOOLS
def test_blocks_of_grub_are_decoded(root: Path, disk: Path) -> None:
    built = build(layout(GRUB), root, disk)
    start = built.geometry.partition("boot-env").start
    assert built.plan.environment is not None
    block = grubenv.build_block(
        {
            "bistable_seq": "2",
            "bistable_order": "b a",
            "bistable_a_good": "1",
            "bistable_a_tries": "0",
            "bistable_b_good": "0",
            "bistable_b_tries": "3",
            "bistable_seen": "1",
            "bistable_end": "1",
        }
    )
    write(disk, start + built.plan.environment.offsets[1], block)
    assert inspect_disk(disk).boots == "b"


PI = UBOOT.replace('"uboot"', '"raspberry-pi"')


def test_on_a_raspberry_pi_autoboot_says_which_slot(root: Path, disk: Path, tmp_path: Path) -> None:
    built = build(layout(PI), root, disk)
    assert inspect_disk(disk).findings == ()
    assert inspect_disk(disk).boots == "a"
    number, start = built.geometry.partition("boot-b").number, built.geometry.partition("boot").start
    (tmp_path / "autoboot.txt").write_text(f"[all]\nboot_partition={number}\n")
    call("mcopy", "-o", "-i", f"{disk}@@{start}", tmp_path / "autoboot.txt", "::autoboot.txt")
    report = inspect_disk(disk)
    assert report.boots == "b"
    assert report.why == (f"autoboot.txt names partition {number}, the boot partition of slot b",)


@pytest.mark.parametrize(
    ("content", "what"),
    [(None, "it is not there"), ("", "names no boot_partition"), ("[all]\nboot_partition=9\n", "of no slot")],
)
def test_an_autoboot_that_names_no_slot_is_a_finding(
    content: str | None, what: str, root: Path, disk: Path, tmp_path: Path
) -> None:
    built = build(layout(PI), root, disk)
    place = f"{disk}@@{built.geometry.partition('boot').start}"
    call("mdel", "-i", place, "::autoboot.txt")
    if content is not None:
        (tmp_path / "autoboot.txt").write_text(content)
        call("mcopy", "-i", place, tmp_path / "autoboot.txt", "::autoboot.txt")
    report = inspect_disk(disk)
    assert report.boots is None
    assert any(what in found for found in findings(report, Severity.ERROR))


def test_with_systemd_boot_the_entries_say_which_slot(root: Path, disk: Path, tmp_path: Path) -> None:
    try:
        built = build(layout(UBOOT.replace("arm64", "amd64").replace('"uboot"', '"systemd-boot"')), root, disk)
    except MachineError as e:
        pytest.skip(e.what)
    assert inspect_disk(disk).findings == ()
    assert inspect_disk(disk).why == ("bistable-a.conf is the first entry; it is not counted",)
    (tmp_path / "entry").write_text("title b\nversion 2\n")
    place = f"{disk}@@{built.geometry.partition('boot').start}"
    call("mcopy", "-i", place, tmp_path / "entry", "::loader/entries/bistable-b+3.conf")
    report = inspect_disk(disk)
    assert report.boots == "b"
    assert report.why[0] == "bistable-b+3.conf is the first entry; it has 3 tries left"


# --- damage


def test_a_primary_table_that_is_lost_is_a_warning(disk: Path, built: BuiltDisk) -> None:
    write(disk, 512, bytes(512))
    report = inspect_disk(disk)
    assert report.boots == "a"
    assert len(findings(report, Severity.WARNING)) == 1


def test_a_disk_without_any_table_is_a_finding(disk: Path, built: BuiltDisk) -> None:
    write(disk, 0, bytes(34 * 512))
    write(disk, built.geometry.size - 33 * 512, bytes(33 * 512))
    report = inspect_disk(disk)
    assert findings(report) == ["cannot find a partition table in disk.img"]
    assert not report.is_sound


@pytest.mark.parametrize(("text", "what"), [(UBOOT, "a GPT that does not fit"), (MBR, "behind the end of the disk")])
def test_a_disk_that_is_cut_off_is_a_finding(text: str, what: str, root: Path, disk: Path) -> None:
    built = build(layout(text), root, disk)
    os.truncate(disk, built.geometry.partition("rootfs-b").start + 4096)
    assert any(what in found for found in findings(inspect_disk(disk), Severity.ERROR))


def test_a_description_that_is_lost_is_made_up_for_by_names(disk: Path, built: BuiltDisk) -> None:
    call("mdel", "-i", f"{disk}@@{built.geometry.partition('boot').start}", "::bistable/layout.json")
    report = inspect_disk(disk)
    assert report.is_sound
    assert findings(report) == [
        "the disk has no description: what it is meant to be is guessed from the names of its partitions"
    ]
    assert report.boots == "a"


def test_a_description_that_cannot_be_understood_is_a_finding(disk: Path, built: BuiltDisk, tmp_path: Path) -> None:
    place = f"{disk}@@{built.geometry.partition('boot').start}"
    for content in (b"{", b"[]", b'{"version": 2}', b'{"version": 1, "boot": {"environment": null}}', b"\xff\xfe"):
        (tmp_path / "layout.json").write_bytes(content)
        call("mcopy", "-o", "-i", place, tmp_path / "layout.json", "::bistable/layout.json")
        report = inspect_disk(disk)
        assert any("cannot be understood" in what for what in findings(report, Severity.ERROR))
        assert report.boots == "a"


def test_the_image_of_something_else_is_told_from_one_with_two_slots(tmp_path: Path) -> None:
    image = tmp_path / "other.img"
    with image.open("wb") as file:
        file.truncate(8 << 20)
    (tmp_path / "script").write_text("label: gpt\nsize=1MiB\n")
    with (tmp_path / "script").open() as script:
        subprocess.run(["/sbin/sfdisk", "-q", image], stdin=script, check=True)
    assert any("no disk with two slots" in what for what in findings(inspect_disk(image), Severity.ERROR))


def test_a_damaged_slot_is_a_finding_and_the_other_one_is_read(disk: Path, built: BuiltDisk) -> None:
    write(disk, built.geometry.partition("rootfs-b").start + 1024 + 4, b"\xff" * 40)
    report = inspect_disk(disk)
    assert any(what.startswith("slot b: cannot read") for what in findings(report, Severity.ERROR))
    assert report.slots[0].os_name == "Demo OS"


def test_a_journal_that_was_not_written_back_is_played_back_in_a_copy(disk: Path, built: BuiltDisk) -> None:
    # The mark "needs recovery" in the superblock, with the checksum of the superblock mended by debugfs.
    start = built.geometry.partition("rootfs-a").start
    call("debugfs", "-w", "-R", "feature needs_recovery", f"{disk}?offset={start}")
    before = disk.read_bytes()
    report = inspect_disk(disk)
    assert report.slots[0].os_name == "Demo OS"
    assert "slot a was in use when the power went: its journal is written back when it is mounted" in findings(report)
    assert disk.read_bytes() == before


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    top = tmp_path_factory.mktemp("sample")
    small_root(top / "root")
    build(layout(data_size="8 MiB"), top / "root", top / "disk.img")
    return (top / "disk.img").read_bytes()


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.data())
def test_whatever_is_overwritten_gives_a_report(sample: bytes, tmp_path: Path, data: st.DataObject) -> None:
    disk = tmp_path / "broken.img"
    content = bytearray(sample)
    for _ in range(data.draw(st.integers(1, 6))):
        # Where structures are: tables, FAT, environment, superblocks and the first groups of the slots.
        region = data.draw(st.sampled_from([0, 1 << 20, 5 << 20, 6 << 20, 7 << 20, 23 << 20, len(content) - 20_000]))
        position = min(region + data.draw(st.integers(0, 20_000)), len(content) - 64)
        content[position : position + 64] = data.draw(st.binary(min_size=64, max_size=64))
    disk.write_bytes(content)
    try:
        inspect_disk(disk)
    except BistableError as e:
        pytest.fail(f"{e.what} {e.hint}")


@pytest.mark.parametrize("name", ["absent", "."])
def test_what_cannot_be_read_is_an_error(name: str, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="cannot read"):
        inspect_disk(tmp_path / name)
