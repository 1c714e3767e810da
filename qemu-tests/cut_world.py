"""Small disks with all that a checker looks at, made without a boot: table, slots, and a store."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import pytest

from bistable.client.store import Store
from bistable.qemu.checker import Content
from bistable.qemu.picture import fingerprint_of
from bistable.tools.boot.plan import BootPlan, EnvironmentPlace, Loader, SlotPlace
from bistable.tools.boot.ubootenv import build_copy

PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
NEEDS_TOOLS = pytest.mark.skipif(
    any(shutil.which(name, path=PATH) is None for name in ("sfdisk", "mke2fs", "debugfs")),
    reason="there is no sfdisk (package fdisk), or no mke2fs or debugfs (package e2fsprogs)",
)
MIB = 1 << 20
SIZE = 24 * MIB
LAYOUT = """\
label: gpt
label-id: 11111111-2222-3333-4444-555555555555
unit: sectors
1 : start=2048, size=2048, name="boot"
2 : start=4096, size=4096, name="boot-env"
3 : start=8192, size=4096, name="rootfs-a"
4 : start=12288, size=4096, name="rootfs-b"
5 : start=16384, size=16384, name="data"
"""


def run(*words: str | Path, text: str = "") -> None:
    command = [str(word) for word in words]
    variables = {**os.environ, "PATH": PATH}
    subprocess.run(command, input=text.encode(), check=True, capture_output=True, timeout=60, env=variables)


def make_table(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(SIZE)
    run("sfdisk", "--quiet", path, text=LAYOUT)


def make_data(fill: Callable[[Store], None] | None) -> bytes:
    """The data partition's file system, with a store that `fill` has filled; None: without a store."""
    with tempfile.TemporaryDirectory() as name:
        folder, image = Path(name, "root"), Path(name, "data.img")
        (folder / "bistable").mkdir(parents=True)
        if fill is not None:
            with Store.open(folder / "bistable") as store, store.transaction():
                fill(store)
        run("mke2fs", "-q", "-t", "ext4", "-b", "4096", "-d", folder, image, "8M")
        return image.read_bytes()


OLD, NEW, BROKEN = (bytes([n]) * MIB for n in (1, 2, 3))
PLACES = {"boot-env": 2 * MIB, "rootfs-a": 4 * MIB, "rootfs-b": 6 * MIB, "data": 8 * MIB}
PLAN = BootPlan(
    loader=Loader.UBOOT,
    slots=(
        SlotPlace(name="a", partition=3, root="PARTUUID=a"),
        SlotPlace(name="b", partition=4, root="PARTUUID=b"),
    ),
    boot_partition=1,
    environment=EnvironmentPlace(partition=2, offsets=(0, 65536), size=16384),
    kernel=PurePosixPath("/boot/vmlinuz"),
    architecture="arm64",
)


def environment(order: str, a: str, b: str, counter: int) -> bytes:
    """One copy of an environment; what is given of a slot is `good` or the tries that are left."""
    values = {"bistable_order": order, "bistable_seen": "1"}
    for slot, word in (("a", a), ("b", b)):
        values |= {
            f"bistable_{slot}_good": str(int(word == "good")),
            f"bistable_{slot}_tries": word.strip("god") or "0",
        }
    return build_copy(values, 16384, counter=counter)


def contents(folder: Path) -> list[Content]:
    found = []
    for name, image in (("release-1", OLD), ("release-2", NEW), ("release-3", BROKEN)):
        (folder / name).write_bytes(image)
        fingerprint, size = fingerprint_of(folder / name)
        found.append(Content(artifact=name, fingerprint=fingerprint, size=size, starts=name != "release-3"))
    return found
