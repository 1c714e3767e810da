"""Files in front of the first partition: where they may lie, and which of them fit."""

import pytest
from layer_values import values
from metaota import blobs, checks

TWO = {"BLOBS": "u-boot.itb:8192 idbloader.img:32", "BLOBS_END_MB": "16"}
KIB = 1 << 10
NOTHING: dict[str, int] = {}


def said(**changes: str) -> str:
    """Return the one message about these values, among all that the layer checks."""
    (message,) = checks.mistakes(values(**{**TWO, **changes}))
    return message


def test_they_are_taken_in_their_order_on_the_disk() -> None:
    assert blobs.places(values(**TWO)) == [("idbloader.img", 32), ("u-boot.itb", 8192)]
    assert checks.mistakes(values(**TWO)) == []


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        (
            {"BLOBS": "spl.bin:16"},
            "BISTABLE_BLOBS has spl.bin:16, and the partition table takes the disk up to 17 KiB.",
        ),
        ({"BLOBS": "spl.bin:0", "PARTITION_TABLE": "mbr"}, "the partition table takes the disk up to 1 KiB."),
        ({"BLOBS": "spl.bin:16384"}, "and partitions begin at 16384 KiB, by BISTABLE_BLOBS_END_MB."),
        ({"BLOBS": "spl.bin:32 u-boot.bin:32"}, "BISTABLE_BLOBS has u-boot.bin:32, and spl.bin is there, too."),
        ({"BLOBS": "spl.bin:32 spl.bin:64"}, "BISTABLE_BLOBS has spl.bin:64, and it is named twice."),
    ],
)
def test_what_cannot_be_is_told_before_anything_is_built(changes: dict[str, str], why: str) -> None:
    assert said(**changes).endswith(why)


@pytest.mark.parametrize(("first", "table"), [("17", "gpt"), ("1", "mbr")])
def test_the_first_place_behind_the_partition_table_may_be_used(first: str, table: str) -> None:
    assert checks.mistakes(values(BLOBS=f"spl.bin:{first}", BLOBS_END_MB="1", PARTITION_TABLE=table)) == []


def test_it_has_to_be_said_where_partitions_begin() -> None:
    message = said(BLOBS_END_MB="0")
    assert message.startswith("BISTABLE_BLOBS_END_MB is not set, and BISTABLE_BLOBS has files.")
    assert message.endswith('like BISTABLE_BLOBS_END_MB = "16".')
    assert said(BLOBS="late.bin:20480", BLOBS_END_MB="0").endswith('"40".')


def test_what_a_layout_of_your_own_writes_is_its_business() -> None:
    own = values(LAYOUT="/layouts/acorn.toml", BLOBS="spl.bin:1")
    assert checks.mistakes(own) == []
    assert blobs.misfits(own, NOTHING.get) == []


def test_files_that_end_where_the_next_one_begins_fit() -> None:
    there = {"idbloader.img": 8160 * KIB, "u-boot.itb": 8192 * KIB}
    assert blobs.misfits(values(**TWO), there.get) == []


def test_files_that_reach_further_are_told_with_the_room_they_have() -> None:
    there = {"idbloader.img": 8160 * KIB + 1, "u-boot.itb": 8192 * KIB + 1}
    first, second = blobs.misfits(values(**TWO), there.get)
    assert first.endswith("img at 32 KiB: it has 8161 KiB, and u-boot.itb begins 8160 KiB behind that place.")
    assert second.endswith("at 8192 KiB: it has 8193 KiB, and the first partition begins 8192 KiB behind that place.")


def test_a_file_that_is_not_there_is_told_with_who_should_deploy_it() -> None:
    (message,) = blobs.misfits(values(BLOBS="a.bin:32", BLOBS_END_MB="1", BLOBS_RECIPES="imx-boot"), NOTHING.get)
    assert message.startswith("BISTABLE_BLOBS has a.bin, and there is no such file in DEPLOY_DIR_IMAGE.")
    assert "and is 'imx-boot'" in message
