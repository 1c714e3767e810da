"""A partition table is read as sfdisk wrote it, and refused when anything of its two copies is wrong."""

from pathlib import Path

import pytest

import cut_world
from bistable.artifact.errors import RejectedError
from bistable.qemu.gpt import Partition, read_gpt

pytestmark = cut_world.NEEDS_TOOLS


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("gpt") / "disk.img"
    cut_world.make_table(path)
    return path.read_bytes()


def table(disk: bytes) -> tuple[Partition, ...]:
    return read_gpt(lambda start, length: disk[start : start + length], len(disk))


def test_the_partitions_are_those_that_sfdisk_made(disk: bytes) -> None:
    found = [(p.number, p.name, p.start // 512, p.size // 512) for p in table(disk)]
    assert found == [
        (1, "boot", 2048, 2048),
        (2, "boot-env", 4096, 4096),
        (3, "rootfs-a", 8192, 4096),
        (4, "rootfs-b", 12288, 4096),
        (5, "data", 16384, 16384),
    ]


@pytest.mark.parametrize(
    "at", [512, 512 + 8, 512 + 24, 512 + 40, 1024 + 32, -512, -512 + 16, -512 + 72, -33 * 512 + 32, -33 * 512 + 60]
)
def test_a_changed_byte_in_either_copy_is_noticed(disk: bytes, at: int) -> None:
    damaged = bytearray(disk)
    damaged[at] ^= 1
    with pytest.raises(RejectedError, match="cannot use the partition table"):
        table(bytes(damaged))


def test_two_sound_copies_that_differ_are_noticed(disk: bytes, tmp_path: Path) -> None:
    other = tmp_path / "other.img"
    cut_world.make_table(other)
    cut_world.run("sfdisk", "--quiet", "--part-label", other, "1", "other")
    with pytest.raises(RejectedError, match="do not say the same"):
        table(disk[: 40 * 512] + other.read_bytes()[40 * 512 :])
