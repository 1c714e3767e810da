"""What is written to on a disk survives a power cut between two sectors of its superblock."""

from pathlib import Path

import pytest
from disk_samples import DISK_TOOLS, build, call, layout, small_root, take

pytestmark = DISK_TOOLS
START, END = 1024, 2048
"""Where the superblock is."""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("disk")
    built = build(layout(), small_root(folder / "root"), folder / "disk.img")
    return take(folder / "disk.img", built, "data", folder / "data.img")


@pytest.mark.parametrize("torn", range(START + 512, END, 512))
@pytest.mark.parametrize("first_half_is_newer", [True, False])
def test_a_data_partition_with_a_half_written_superblock_needs_no_repair(
    data: Path, tmp_path: Path, torn: int, first_half_is_newer: bool
) -> None:
    older, newer = data.read_bytes(), tmp_path / "newer.img"
    newer.write_bytes(older)
    # What the kernel changes there: times and counts in the first half, the checksum in the second.
    for field, value in (
        ("mnt_count", "7"),
        ("wtime", "20300101"),
        ("kbytes_written", "4711"),
        ("last_error_time", "1"),
    ):
        call("debugfs", "-w", "-R", f"set_super_value {field} {value}", newer)
    first, second = (newer.read_bytes(), older) if first_half_is_newer else (older, newer.read_bytes())
    assert first[START:torn] != second[START:torn]
    newer.write_bytes(first[:torn] + second[torn:])
    # As at a boot: what e2fsck would have to ask about, or cannot open at all, is an error.
    call("e2fsck", "-p", newer)
