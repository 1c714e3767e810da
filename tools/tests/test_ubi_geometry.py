"""How volumes lie on raw NAND: nothing that UBI itself needs is given away, and the tools of mtd-utils say the same."""

import re
import subprocess
from pathlib import Path

import pytest
from boot_programs import needs
from hypothesis import assume, given
from hypothesis import strategies as st
from ubi_plans import flash, ubi_plan

from bistable.artifact.errors import RequestError
from bistable.artifact.limits import KIB, MIB
from bistable.tools.boot.ubi import Flash, FlashPartition, UbiPlan
from bistable.tools.boot.ubichecks import check_flash
from bistable.tools.boot.ubifiles import ubi_files
from bistable.tools.boot.ubigeometry import (
    DATA,
    ENVIRONMENTS,
    SMALLEST_UBIFS,
    UbiGeometry,
    leb_size,
    partition_size,
    place_volumes,
    reserved_blocks,
    slot_volume,
    vid_offset,
)


@st.composite
def flashes(draw: st.DrawFn) -> Flash:
    """NAND of any usual size, with one partition somewhere in it."""
    page = 512 << draw(st.integers(0, 4))
    block = page * draw(st.sampled_from([32, 64, 128, 256]))
    blocks = draw(st.integers(256, 4096))
    start = draw(st.integers(0, blocks // 2))
    size = draw(st.none() | st.integers(blocks // 4, blocks - start))
    partition = FlashPartition(name="ubi", offset=start * block, size=None if size is None else size * block)
    return flash(
        size=blocks * block,
        erase_block=block,
        page=page,
        sub_page=page >> draw(st.integers(0, 2)),
        partitions=(partition,),
    )


@st.composite
def plans(draw: st.DrawFn) -> UbiPlan:
    chip = draw(flashes())
    most = partition_size(chip, chip.partitions[0]) // 2
    return ubi_plan(
        flash=chip,
        slot_size=draw(st.integers(most // 8, most)),
        data_size=draw(st.none() | st.integers(most // 8, most)),
        environment_size=draw(st.integers(64, MIB)),
    )


def placed(plan: UbiPlan) -> UbiGeometry:
    try:
        check_flash(plan.flash)
        return place_volumes(plan)
    except RequestError:
        assume(False)
        raise


@given(plans())
def test_what_is_laid_out_leaves_the_blocks_that_ubi_and_bad_blocks_need(plan: UbiPlan) -> None:
    geometry = placed(plan)
    used = sum(volume.blocks for volume in geometry.volumes)
    blocks = partition_size(plan.flash, plan.flash.partitions[0]) // plan.flash.erase_block
    bad = plan.flash.size / plan.flash.erase_block * 20 / 1024
    assert used + 4 + bad <= blocks


@given(plans())
def test_every_volume_holds_what_was_asked_for_and_less_than_one_block_more(plan: UbiPlan) -> None:
    geometry = placed(plan)
    wanted = {slot_volume(slot): plan.slot_size for slot in ("a", "b")}
    wanted |= dict.fromkeys(ENVIRONMENTS, plan.environment_size)
    if plan.data_size is not None:
        wanted[DATA] = plan.data_size
    for name, size in wanted.items():
        assert size <= geometry.volume(name).blocks * geometry.leb < size + geometry.leb
    for name in (slot_volume("a"), DATA):
        assert geometry.volume(name).blocks >= SMALLEST_UBIFS


@given(plans())
def test_only_data_that_takes_the_rest_grows(plan: UbiPlan) -> None:
    geometry = placed(plan)
    assert [volume.name for volume in geometry.volumes if volume.grows] == ([DATA] if plan.data_size is None else [])


@given(flashes())
def test_both_headers_and_the_data_of_a_block_start_where_flash_can_be_written(chip: Flash) -> None:
    assert vid_offset(chip) % chip.sub_page == 0
    assert (chip.erase_block - leb_size(chip)) % chip.page == 0
    assert leb_size(chip) <= chip.erase_block - vid_offset(chip) - 64


@given(st.integers(1, 100_000))
def test_as_many_blocks_are_kept_for_bad_ones_as_the_kernel_keeps(blocks: int) -> None:
    # drivers/mtd/ubi/build.c, get_bad_peb_limit
    limit = blocks * 20 // 1024
    if limit * 1024 // 20 < blocks:
        limit += 1
    assert reserved_blocks(flash(size=blocks * 128 * KIB)) == limit + 4


@pytest.mark.parametrize(
    ("page", "sub_page", "block"),
    [(2048, 2048, 128 * KIB), (2048, 512, 128 * KIB), (4096, 4096, 256 * KIB), (512, 256, 16 * KIB)],
)
def test_ubinize_computes_the_same_and_takes_the_volumes(page: int, sub_page: int, block: int, tmp_path: Path) -> None:
    needs("ubinize")
    whole = FlashPartition(name="ubi", offset=0, size=None)
    chip = flash(page=page, sub_page=sub_page, erase_block=block, partitions=(whole,))
    plan = ubi_plan(flash=chip)
    files = ubi_files(plan)
    for name in ("boot.scr", "rootfs.ubifs"):
        (tmp_path / name).write_bytes(b"content")
    (tmp_path / "ubinize.cfg").write_text(files.ubinize)
    said = subprocess.run(
        ["ubinize", "-v", "-o", "image", *files.ubinize_arguments, "ubinize.cfg"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    geometry = place_volumes(plan)
    assert numbers(said, r"LEB size: +(\d+)") == [geometry.leb]
    assert numbers(said, r"VID offset: +(\d+)") == [geometry.vid_offset]
    assert numbers(said, r"adding volume (\d+)") == [volume.number for volume in geometry.volumes]
    assert numbers(said, r"volume size: (\d+)") == [volume.blocks * geometry.leb for volume in geometry.volumes]


def numbers(text: str, pattern: str) -> list[int]:
    return [int(found) for found in re.findall(pattern, text)]


def test_mkfs_ubifs_takes_the_arguments_and_makes_an_image_for_the_slot(tmp_path: Path) -> None:
    needs("mkfs.ubifs")
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "file").write_bytes(b"content")
    files = ubi_files(ubi_plan())
    command = ["mkfs.ubifs", "-v", *files.mkfs_arguments, "-r", "root", "-o", "rootfs.ubifs"]
    said = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    geometry = place_volumes(ubi_plan())
    assert numbers(said, r"leb_size: +(\d+)") == [geometry.leb]
    assert numbers(said, r"max_leb_cnt: +(\d+)") == [geometry.volume("rootfs-a").blocks]


def test_volumes_have_the_same_numbers_wherever_the_environment_is() -> None:
    inside = place_volumes(ubi_plan())
    outside = place_volumes(ubi_plan(environment=("env", "env-r")))
    assert {volume.name: volume.number for volume in inside.volumes} == {
        "uboot-env": 0, "uboot-env-r": 1, "boot-script": 2, "rootfs-a": 3, "rootfs-b": 4, "data": 5,
    }  # fmt: skip
    assert outside.volumes == inside.volumes[2:]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"slot_size": 300 * MIB}, "its partition has 4056 blocks, the volumes need 4976, and 84 are kept"),
        ({"slot_size": MIB}, "the volume rootfs-a has 9 blocks of 126976 bytes, and UBIFS needs 17"),
        ({"data_size": MIB}, "the volume data has 9 blocks"),
        ({"partition": "nand"}, "the flash has no partition 'nand'"),
    ],
)
def test_volumes_that_cannot_be_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        place_volumes(ubi_plan(**changes))


def test_the_hint_says_by_how_much_slots_are_too_large() -> None:
    with pytest.raises(RequestError) as raised:
        place_volumes(ubi_plan(slot_size=300 * MIB, data_size=None))
    assert raised.value.hint is not None
    shorter = int(re.findall(r"\d+", raised.value.hint)[0]) * KIB
    place_volumes(ubi_plan(slot_size=300 * MIB - shorter // 2 - leb_size(flash())))
