"""The doctor looks at real machines over their serial lines: at sound ones, and at ones that are set up wrong."""

from pathlib import Path

import pytest

from bistable.qemu.kinds import HARDWARE, Kind
from bistable.qemu.rig import layout_text
from bistable.tools.board.load import parse_board
from bistable.tools.board.model import Board
from bistable.tools.bringup.doctor import examine
from boot_bench import Bench, bench

pytestmark = [pytest.mark.boots, pytest.mark.slow]

ABOUT = """
[board]
name = "A machine in QEMU"
soc = "QEMU"
page = "https://www.qemu.org"
status = "contributed"

[storage]
kind = "virtio"
device = "/dev/vda"
capacity = "1 GiB"

[console]
device = "{console}"
"""
UBOOT = """
[uboot]
defconfig = "qemu_arm64_defconfig"
source = "https://source.denx.de/u-boot/u-boot.git"
version = "v2023.01"
"""


def board_of(kind: Kind, folder: Path) -> Board:
    """Return the board that a machine of the harness is."""
    text = layout_text(kind) + ABOUT.format(console=HARDWARE[kind].console)
    return parse_board((text + (UBOOT if "uboot" in kind else "")).encode(), folder / kind.replace("_", "-"))


def change(it: Bench, path: str, *edits: str) -> None:
    """Put a changed copy over a file of the device's root file system, which nobody can write to."""
    it.device.run(f"cp {path} /run/changed && sed -i {' '.join(f'-e {edit!r}' for edit in edits)} /run/changed")
    it.device.run(f"mount --bind /run/changed {path}")


@pytest.mark.parametrize("kind", [Kind.ARM64_UBOOT, Kind.X86_64_SYSTEMD_BOOT], ids=str)
def test_nothing_is_found_on_a_machine_that_is_set_up_right(kind: Kind, tmp_path: Path) -> None:
    with bench(kind, tmp_path) as it:
        it.device.boot()
        found = examine(board_of(kind, tmp_path), it.device)
        assert found.findings == ()
        assert found.kernel == it.device.run("uname -r").output


def test_what_is_set_up_wrong_on_a_machine_is_found_with_what_to_change(tmp_path: Path) -> None:
    kind = Kind.ARM64_UBOOT
    with bench(kind, tmp_path) as it:
        board = board_of(kind, tmp_path)
        it.device.boot()

        def found() -> list[str]:
            return [f"{one.area}: {one.what}" for one in examine(board, it.device).findings]

        it.device.run("fw_setenv bistable_seen 0")
        (seen, *rest) = found()
        assert "never saved anything where /etc/fw_env.config says" in seen
        assert all("client" in one for one in rest)
        it.device.run("fw_setenv bistable_seen 1")
        assert found() == []

        change(it, "/etc/fw_env.config", "s/0x100000/0x80000/")
        assert any("names another place" in one for one in found())
        it.device.run("umount /etc/fw_env.config")

        change(it, "/etc/bistable/conf.d/40-boot.toml", "s/tries = 3/tries = 4/")
        assert [one for one in found() if one.startswith("settings: ")] == [
            "settings: [boot] tries is not what the board needs"
        ]
        it.device.run("umount /etc/bistable/conf.d/40-boot.toml")

        it.device.run("umount /data")
        assert "mounts: nothing is mounted at /data" in found()


def test_a_machine_without_our_client_is_looked_at_all_the_same(tmp_path: Path) -> None:
    kind = Kind.ARM64_UBOOT
    with bench(kind, tmp_path) as it:
        it.device.boot()
        it.device.run("mount -t tmpfs none $(dirname $(command -v bistablectl))/../lib/python3 && ls /usr/lib/python3")
        (finding,) = examine(board_of(kind, tmp_path), it.device).findings
        assert "does not run" in finding.what
