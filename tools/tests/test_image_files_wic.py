"""wic makes the disk of a layout from `disk.wks`.

OE_SOURCES is a folder with a folder for each release of OpenEmbedded: SERIES/openembedded-core and SERIES/bitbake. Of
those, releases are tried that have wic in openembedded-core (up to 5.3) and whose wic runs with the sfdisk of this
machine.
"""

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from disk_samples import MBR, UBOOT, call, layout, small_root
from image_samples import SBIN, needs

from bistable.tools.disk import FilesOptions, Layout, load_layout, write_files
from bistable.tools.disk.fat import take_fat
from bistable.tools.disk.files import KickstartTexts

SOURCES = Path(os.environ.get("OE_SOURCES", "/nonexistent"))


def usable(wic: Path) -> bool:
    """Return whether sfdisk has an option that newer ones need."""
    text = (wic.parent / "lib/wic/plugins/imager/direct.py").read_text()
    return "--sector-size" not in text or "--sector-size" in call("sfdisk", "--help")


SERIES = sorted(path.parents[2].name for path in SOURCES.glob("*/openembedded-core/scripts/wic") if usable(path))
SMALL = {"slots.size": "16 MiB", "data.size": "16 MiB", "boot-partition.size": "8 MiB"}

pytestmark = [
    pytest.mark.skipif(
        not SERIES, reason="OE_SOURCES names no folder with SERIES/openembedded-core/scripts/wic that runs here"
    ),
    needs("sfdisk", "sgdisk", "parted", "mkdosfs", "mcopy", "mkfs.ext4", "debugfs", "dumpe2fs", "e2fsck"),
]


class Wic:
    """Runs wic of one release in a folder that `image files` has written."""

    def __init__(self, series: str, folder: Path) -> None:
        self._top = SOURCES / series
        self._folder = folder

    def create(self) -> Path:
        """Return the disk image."""
        done = self.run()
        assert done.returncode == 0, done.stdout + done.stderr
        (found,) = (self._folder.parent / "out").glob("*.direct")
        return found

    def run(self) -> subprocess.CompletedProcess[str]:
        """Let it make the disk."""
        work = self._folder.parent
        (work / "vars").mkdir()
        (work / "vars/demo.env").write_text("".join(f'{name}="{value}"\n' for name, value in self._variables()))
        wic = self._top / "openembedded-core/scripts/wic"
        words = ["create", "disk.wks", "--vars", str(work / "vars"), "-e", "demo", "-o", str(work / "out")]
        return subprocess.run(
            ["/usr/bin/python3", str(wic), *words],
            cwd=self._folder,
            env={
                "BUILDDIR": str(work),
                "HOME": str(work),
                "LANG": "C.UTF-8",
                "PATH": f"{self._top / 'bitbake/bin'}:{SBIN}",
                "PYTHONPATH": str(self._top / "openembedded-core/meta/lib"),
                "PYTHONDONTWRITEBYTECODE": "1",
            },
            capture_output=True,
            text=True,
            check=False,
        )

    def _variables(self) -> Iterator[tuple[str, str]]:
        yield from {"IMAGE_BASENAME": "demo", "IMAGE_LINK_NAME": "demo", "RECIPE_SYSROOT_NATIVE": "/"}.items()
        for name in ("DEPLOY_DIR_IMAGE", "IMGDEPLOYDIR", "STAGING_DATADIR", "STAGING_DIR_HOST", "STAGING_LIBDIR"):
            yield name, str(self._folder)
        yield "IMAGE_ROOTFS", str(self._folder / "root")
        for boot in ("boot", "boot-a", "boot-b"):
            files = [path for path in (self._folder / boot).rglob("*") if path.is_file()]
            names = [f"{path.relative_to(self._folder)};{path.relative_to(self._folder / boot)}" for path in files]
            yield f"IMAGE_BOOT_FILES_label-{boot.upper()}", " ".join(names)


def extras(folder: Path) -> Layout:
    """Return a layout with all that a disk may have besides."""
    folder.mkdir()
    (folder / "first.bin").write_bytes(b"first stage" * 100)
    (folder / "second.bin").write_bytes(b"second stage" * 1000)
    (folder / "raw.bin").write_bytes(b"calibration")
    (folder / "tree/sub").mkdir(parents=True)
    (folder / "tree/sub/file").write_text("in a file system")
    text = f"""{UBOOT}
[disk]
size = "96 MiB"
[blobs]
at = {{ "{folder}/second.bin" = "64 KiB", "{folder}/first.bin" = "32 KiB" }}
end = "3 MiB"
[extra.raw]
size = "1 MiB"
content = "{folder}/raw.bin"
place = "front"
[extra.tree]
size = "8 MiB"
filesystem = "ext4"
content = "{folder}/tree"
[extra.fat]
size = "4 MiB"
filesystem = "fat"
content = "{folder}/tree"
[extra.nothing]
size = "2 MiB"
[extra.empty]
size = "8 MiB"
filesystem = "ext4"
"""
    return layout(text, data_size="rest", slots_fill="first")


def standard(name: str, _: Path) -> Layout:
    return load_layout(name, settings=SMALL)


LAYOUTS: dict[str, Callable[[Path], Layout]] = {
    **{name: partial(standard, name) for name in (
        "x86-grub", "x86-systemd-boot", "arm64-uboot", "raspberry-pi", "raspberry-pi-uboot"
    )},
    "mbr of four": lambda _: layout(
        MBR, boot_loader="efi", boot_architecture="amd64", disk_size="64 MiB", data_size="16 MiB"
    ),
    "mbr of six and more room": lambda _: layout(MBR + '[extra.x]\nsize = "2 MiB"\n', disk_size="64 MiB"),
    "extras": extras,
}  # fmt: skip


@pytest.fixture(params=SERIES, scope="module")
def series(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=LAYOUTS)
def made(request: pytest.FixtureRequest, series: str, tmp_path: Path) -> tuple[Path, Path]:
    """Return the folder of the files, and the disk that wic made of them."""
    wanted = LAYOUTS[request.param](tmp_path / "host")
    small_root(tmp_path / "source")
    call("mke2fs", "-q", "-t", "ext4", "-d", tmp_path / "source", tmp_path / "slot.ext4", "8M")
    texts = KickstartTexts(slot_file=str(tmp_path / "slot.ext4"))
    done = write_files(wanted, tmp_path / "files", FilesOptions(texts=texts))
    assert done.remarks == ()
    return tmp_path / "files", Wic(series, tmp_path / "files").create()


@pytest.mark.parametrize(
    ("sizes", "why"),
    [
        ({"spl.bin": 32 << 10, "u-boot.bin": 960 << 10}, None),
        ({"spl.bin": (32 << 10) + 1, "u-boot.bin": 1}, "Could not place"),
        ({"spl.bin": 1, "u-boot.bin": (960 << 10) + 1}, "Could not place"),
        ({"spl.bin": 1}, "u-boot.bin"),
    ],
)
def test_wic_refuses_files_that_are_not_there_or_too_large_for_their_places(
    series: str, sizes: dict[str, int], why: str | None, tmp_path: Path
) -> None:
    at = '{ "spl.bin" = "32 KiB", "u-boot.bin" = "64 KiB" }'
    texts = KickstartTexts(slot_file="boot-env.img", blob_dir="${DEPLOY_DIR_IMAGE}")
    wanted = layout(UBOOT, blobs_at=at, blobs_end="1 MiB")
    assert write_files(wanted, tmp_path / "files", FilesOptions(texts=texts)).remarks == ()
    for name, size in sizes.items():
        (tmp_path / "files" / name).write_bytes(bytes(size))
    done = Wic(series, tmp_path / "files").run()
    assert (done.returncode == 0) is (why is None)
    assert (why or "") in done.stdout + done.stderr


def document(folder: Path) -> Any:
    return json.loads((folder / "disk.json").read_text())


def cut(disk: Path, part: dict[str, Any], target: Path) -> Path:
    """Copy a partition to a file of its own."""
    with disk.open("rb") as file:
        file.seek(part["start"])
        target.write_bytes(file.read(part["size"]))
    return target


def test_wic_makes_the_disk_that_the_layout_describes(made: tuple[Path, Path], tmp_path: Path) -> None:
    folder, disk = made
    said = document(folder)
    parts = {part["name"]: part for part in said["partitions"]}
    check_table(said, disk)
    check_boot_partitions(folder, disk, parts, tmp_path)
    slot = (tmp_path / "slot.ext4").read_bytes()
    for entry in said["slots"]:
        found = cut(disk, parts[entry["partition"]], tmp_path / entry["name"]).read_bytes()
        assert found == (slot if entry["filled"] else b"").ljust(len(found), b"\0")
    if "boot-env" in parts:
        assert cut(disk, parts["boot-env"], tmp_path / "env").read_bytes() == (folder / "boot-env.img").read_bytes()
    for name, part in parts.items():
        if part["filesystem"] == "ext4" and not name.startswith("rootfs"):
            check_ext4(cut(disk, part, tmp_path / f"{name}.ext4"), part)
    data = tmp_path / "data.ext4"
    said_type = (folder / "data/bistable/device_type").read_text()
    assert said_type in call("debugfs", "-R", "cat /bistable/device_type", data)
    assert "Mode:  0700" in call("debugfs", "-R", "stat /bistable", data)
    check_extras(disk, parts, tmp_path)


def check_table(said: dict[str, Any], disk: Path) -> None:
    """Check that everything is exactly where it should be, once an MBR has got its identifier."""
    if said["table"] == "mbr":
        call("sfdisk", "--disk-id", disk, f"0x{said['id']}")
    table = json.loads(call("sfdisk", "--json", disk))["partitiontable"]
    found = {int(str(item["node"]).removeprefix(str(disk))): item for item in table["partitions"]}
    if said["extended"] is not None:
        assert found.pop(4)["type"] == "f"
    expected = {}
    for part in said["partitions"]:
        place = {"start": part["start"] // 512, "size": part["size"] // 512, "type": part["type"]}
        names = {"uuid": part["uuid"].upper(), "name": part["name"]} if said["table"] == "gpt" else {}
        mark = {"attrs": "LegacyBIOSBootable"} if said["table"] == "gpt" else {"bootable": True}
        expected[part["number"]] = {**place, **names, **(mark if part["bootable"] else {})}
    assert {number: {k: v for k, v in item.items() if k != "node"} for number, item in found.items()} == expected
    assert disk.stat().st_size == said["size"]
    if said["table"] == "mbr":
        assert table["id"] == f"0x{said['id']}"


def check_boot_partitions(folder: Path, disk: Path, parts: dict[str, Any], tmp_path: Path) -> None:
    for name in ("boot", "boot-a", "boot-b"):
        if name not in parts:
            continue
        with disk.open("rb") as file:
            found = take_fat(file, parts[name]["start"], tmp_path / f"on-{name}")
        wanted = {path for path in (folder / name).rglob("*") if path.is_file()}
        assert {str(path): place.read_bytes() for path, place in found.items()} == {
            str(path.relative_to(folder / name)): path.read_bytes() for path in wanted
        }
        said = call("minfo", "-i", f"{disk}@@{parts[name]['start']}", "::")
        assert f"serial number: {parts[name]['filesystem_id'].upper()}" in said
        assert f'disk label="{parts[name]["label"]:11}"' in said


def check_ext4(image: Path, part: dict[str, Any]) -> None:
    call("e2fsck", "-fn", image)
    said = call("dumpe2fs", "-h", image)
    assert f"Filesystem volume name:   {part['label']}\n" in said
    assert part["filesystem_id"] in said
    features = next(line for line in said.splitlines() if line.startswith("Filesystem features"))
    assert "has_journal" in features
    assert "metadata_csum" not in features
    assert "64bit" not in features


def check_extras(disk: Path, parts: dict[str, Any], tmp_path: Path) -> None:
    if "tree" not in parts:
        return
    host = tmp_path / "host"
    for name, offset in (("first.bin", 32 << 10), ("second.bin", 64 << 10)):
        content = (host / name).read_bytes()
        with disk.open("rb") as file:
            file.seek(offset)
            assert file.read(len(content)) == content
    assert cut(disk, parts["raw"], tmp_path / "raw").read_bytes().rstrip(b"\0") == b"calibration"
    assert "in a file system" in call("debugfs", "-R", "cat /sub/file", tmp_path / "tree.ext4")
    with disk.open("rb") as file:
        found = take_fat(file, parts["fat"]["start"], tmp_path / "on-fat")
    assert {str(path): place.read_text() for path, place in found.items()} == {"sub/file": "in a file system"}
    assert not any(cut(disk, parts["nothing"], tmp_path / "nothing").read_bytes())
