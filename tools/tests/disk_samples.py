"""Layouts, root file systems and judges for the tests of disk images."""

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

from image_samples import SBIN, needs

from bistable.tools.disk import BuildOptions, BuiltDisk, Layout, Outputs, build_disk, parse_layout

EPOCH = 1_600_000_000

DISK_TOOLS = needs("sfdisk", "mkfs.fat", "mcopy", "mke2fs", "debugfs", "e2fsck", "dumpe2fs")
GRUB_TOOLS = needs("grub-mkimage")

UBOOT = """\
[device]
type = "test-board"

[boot]
loader = "uboot"
architecture = "arm64"
initrd = "/boot/initrd.img"

[boot-partition]
size = "4 MiB"

[slots]
size = "16 MiB"

[data]
size = "8 MiB"
"""
GRUB = UBOOT.replace('"uboot"', '"grub"').replace("arm64", "amd64")
MBR = UBOOT + '[disk]\ntable = "mbr"\n'


def layout(text: str = UBOOT, **settings: str) -> Layout:
    """Return a layout; `slots_size="1 MiB"` sets a key."""
    return parse_layout(
        text.encode(),
        Path(),
        name="test",
        settings={key.replace("_", ".", 1): value for key, value in settings.items()},
    )


def small_root(top: Path) -> Path:
    """Make a root file system with what a boot loader starts."""
    for name, content in {
        "boot/vmlinuz-1.0": "kernel",
        "boot/initrd.img": "initrd",
        "etc/os-release": 'ID=demo\nPRETTY_NAME="Demo OS"\n',
        "etc/mender/artifact_info": "artifact_name=demo-1\n",
        "etc/fstab": "proc /proc proc defaults 0 0\n",
        "usr/lib/tool": "tool",
    }.items():
        path = top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    (top / "lib").symlink_to("usr/lib")
    (top / "boot/vmlinuz").symlink_to("vmlinuz-1.0")
    for path in [top, *top.rglob("*")]:
        os.utime(path, (EPOCH, EPOCH), follow_symlinks=False)
    return top


def build(
    wanted: Layout, rootfs: Path, disk: Path, *, slot_image: Path | None = None, block_map: bool = False, **more: Any
) -> BuiltDisk:
    """Build a disk."""
    return build_disk(
        wanted, rootfs, Outputs(disk=disk, block_map=block_map, slot_image=slot_image), BuildOptions(**more)
    )


def call(*command: str | Path, status: int = 0) -> str:
    """Run a program of the machine, which must end with `status`, and return all that it wrote."""
    done = subprocess.run(
        [str(word) for word in command],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "PATH": SBIN, "LC_ALL": "C.UTF-8", "MTOOLS_SKIP_CHECK": "1", "TZ": "UTC"},
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


def table_of(disk: Path) -> dict[int, dict[str, Any]]:
    """Return what sfdisk reads: number -> partition, with sizes in sectors."""
    table = json.loads(call("sfdisk", "--json", disk))["partitiontable"]
    return {int(str(item["node"]).removeprefix(str(disk))): item for item in table["partitions"]}


def take(disk: Path, built: BuiltDisk, name: str, target: Path) -> Path:
    """Copy a partition to a file of its own."""
    partition = built.geometry.partition(name)
    with disk.open("rb") as file:
        file.seek(partition.start)
        target.write_bytes(file.read(partition.size))
    return target


def in_image(image: Path, path: str) -> str:
    """Return a file of an ext4 image, as debugfs reads it; a link that is the last part of the path is followed."""

    def ask(command: str) -> str:
        environment = {**os.environ, "PATH": SBIN}
        done = subprocess.run(["debugfs", "-R", command, image], check=True, capture_output=True, env=environment)
        return done.stdout.decode()

    link = re.search(r'link dest: "(.*)"', ask(f"stat {path}"))
    return ask(f"cat {path}") if link is None else in_image(image, f"{path.rpartition('/')[0]}/{link[1]}")


def leftovers(directory: Path) -> list[str]:
    """Return hidden files and folders, which nothing may leave behind."""
    return [path.name for path in directory.iterdir() if path.name.startswith(".")]
