"""What tests start from that build disks: a root file system, a place for the disk and a layout of each kind."""

from pathlib import Path

import pytest
from disk_samples import GRUB, GRUB_TOOLS, MBR, UBOOT, small_root

MIB = 1 << 20
LAYOUTS = [
    pytest.param(UBOOT, id="uboot-gpt"),
    pytest.param(MBR, id="uboot-mbr"),
    pytest.param(GRUB, id="grub-gpt", marks=GRUB_TOOLS),
]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return small_root(tmp_path / "root")


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out" / "disk.img"
