"""What real bitbake makes of the layer: packages, artifacts and a disk, and a machine that boots it.

The root file system is made of Debian's packages, kernel and boot loader are Debian's; all else is done by the classes
and recipes of the series, with tools of this computer in place of native ones (meta-exectest).
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ota_builds import LAYER, SERIES, Build, build_folder, host_tools, sources

from bistable.qemu.device import QemuDevice
from bistable.qemu.kinds import HARDWARE, Kind, check_firmware
from bistable.qemu.machine import start
from bistable.qemu.rootfs import kernel, packages
from bistable.qemu.rootfs.build import base_system, copied
from bistable.tools.bench import patience
from bistable.tools.bench.device import bistablectl
from bistable.tools.bench.run import require
from bistable.tools.bench.serving import Server

MACHINES = {"qemux86-64": Kind.X86_64_GRUB, "qemuarm64": Kind.ARM64_UBOOT}
ARCHITECTURES = {"qemux86-64": "amd64", "qemuarm64": "arm64"}
MORE_PACKAGES = ("e2fsprogs", "fdisk", "util-linux", "util-linux-extra")
"""What bistable-data needs of a system."""

LARGER = 800 << 20
KEPT = "/var/lib/app/state"
"""In a directory of BISTABLE_PERSIST, on a root file system that is read-only."""

PANIC = "Kernel panic - not syncing"
SETTINGS = """
EXECTEST_ROOTFS = "{rootfs}"
EXECTEST_DEPLOYED = "{deployed}"
BISTABLE_EXAMPLE_KEYS = "1"
BISTABLE_STORAGE_SIZE_MB = "512"
BISTABLE_DATA_SIZE_MB = "64"
BISTABLE_BOOT_SIZE_MB = "40"
BISTABLE_ERASE_BLOCK_MB = "1"
BISTABLE_BLOBS = "first-stage.bin:32"
BISTABLE_BLOBS_END_MB = "3"
BISTABLE_BLOBS_RECIPES = "exectest-deploy"
"""
FIRST_STAGE = b"first stage of a boot loader\n" * 1000
"""What nothing here starts: the machines have theirs elsewhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """A build that was run, for a machine."""

    build: Build
    machine: str

    def deployed(self, image: str, kind: str) -> Path:
        return self.build.deployed / f"{image}-{self.machine}.rootfs.{kind}"

    def packages(self) -> dict[str, Path]:
        found = self.build.deployed.parents[1].glob("deb/*/*.deb")
        return {path.name.partition("_")[0]: path for path in found}


def grub(folder: Path, series: str) -> Path:
    """Make GRUB of this computer's modules: those that the recipe has with what the layer adds."""
    require("grub-mkimage")
    (recipe,) = (sources(series) / "openembedded-core/meta/recipes-bsp/grub").glob("grub-efi_*.bb")
    there = re.search(r'GRUB_BUILDIN \?= "([^"]*)"', recipe.read_text())
    added = re.search(
        r'GRUB_BUILDIN:append = "([^"]*)"', (LAYER / "recipes-bsp/grub/grub-efi_bistable.inc").read_text()
    )
    assert there is not None
    assert added is not None
    modules = sorted({*there[1].replace("\\", " ").split(), *added[1].split()})
    made = folder / "grub-efi-bootx64.efi"
    command = ["grub-mkimage", "-O", "x86_64-efi", "-p", "/EFI/BOOT", "-o", str(made), *modules]
    subprocess.run(command, check=True, capture_output=True)
    return made


def root_file_system(folder: Path, architecture: str) -> Path:
    root, made = folder / "root", folder / "rootfs.tar"
    copied(base_system(architecture), root)
    archive = packages.Archive(architecture)
    archive.unpack(archive.get(*MORE_PACKAGES), root)
    found = kernel.get_kernel(archive, architecture, folder / "kernel")
    modules = root / "usr/lib/bistable-modules"
    with (modules / "order").open("a") as order:
        for name in kernel.loading_order(found, ["overlay"]):
            (modules / f"{name}.ko").write_bytes(kernel.module_content(found, name))
            order.write(f"{name}\n")
    with tarfile.open(made, "w") as tar:
        tar.add(root, ".", filter=as_root)
    shutil.rmtree(root)
    shutil.rmtree(folder / "kernel")
    return made


def as_root(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member


@pytest.fixture(scope="module", params=[(series, machine) for series in SERIES for machine in MACHINES], ids="-".join)
def built(request: pytest.FixtureRequest) -> Iterator[Built]:
    series, machine = request.param
    sources(series)
    with build_folder() as folder:
        rootfs = root_file_system(folder, ARCHITECTURES[machine])
        (folder / "first-stage.bin").write_bytes(FIRST_STAGE)
        deployed = [folder / "first-stage.bin", *([grub(folder, series)] if machine == "qemux86-64" else [])]
        build = Build(
            series=series,
            folder=folder / "build",
            layers=[LAYER, LAYER / "tests/meta-exectest"],
            machine=machine,
            distro="exectest",
            settings=SETTINGS.format(rootfs=rootfs, deployed=" ".join(map(str, deployed))),
            tools=host_tools(folder, series),
        )
        build.run("bitbake", "exectest-image", "exectest-next", "exectest-broken", "exectest-module")
        yield Built(build=build, machine=machine)


@pytest.mark.slow
def test_the_artifact_is_signed_and_holds_the_root_file_system(built: Built) -> None:
    artifact = verified(built.deployed("exectest-image", "mender"))
    image = built.deployed("exectest-image", "ext4")
    assert (artifact["artifact_name"], artifact["device_types"]) == ("release-1", [built.machine])
    assert artifact["payload"]["provides"]["rootfs-image.checksum"] == digest(image)
    assert image.stat().st_size == partition(built, "rootfs-a")["size"]


@pytest.mark.slow
def test_both_slots_of_the_disk_are_the_payload_to_the_byte(built: Built) -> None:
    wanted = digest(built.deployed("exectest-image", "ext4"))
    for name in ("rootfs-a", "rootfs-b"):
        assert digest(built.deployed("exectest-image", "wic"), partition(built, name)) == wanted


@pytest.mark.slow
def test_the_disk_is_as_the_layout_says_and_boots_its_first_slot(built: Built) -> None:
    disk = built.deployed("exectest-image", "wic")
    table = json.loads(run("sfdisk", "--json", str(disk)))["partitiontable"]
    found = [
        (part["name"], part["start"] * 512, part["size"] * 512, part["uuid"].lower()) for part in table["partitions"]
    ]
    assert found == [
        (part["name"], part["start"], part["size"], part["uuid"]) for part in description(built)["partitions"]
    ]
    assert found[0][1] == 3 << 20
    with disk.open("rb") as file:
        file.seek(32 << 10)
        assert file.read(len(FIRST_STAGE)) == FIRST_STAGE
    report = bistable("image", "inspect", str(disk))
    assert (report["boots"], report["findings"]) == ("a", [])


@pytest.mark.slow
def test_what_a_recipe_puts_into_data_is_on_the_data_partition_and_not_in_the_slots(
    built: Built, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    part = partition(built, "data")
    with built.deployed("exectest-image", "wic").open("rb") as disk, data.open("wb") as file:
        disk.seek(part["start"])
        file.write(disk.read(part["size"]))
    assert run("debugfs", "-R", "cat /app/state", str(data)) == "calibrated\n"
    assert re.search(r"User: +1000 +Group: +1000", run("debugfs", "-R", "stat /app/state", str(data)))
    assert built.machine in run("debugfs", "-R", "cat /bistable/device_type", str(data))
    assert "metadata_csum" not in run("dumpe2fs", "-h", str(data))
    slot = str(built.deployed("exectest-image", "ext4"))
    assert "app" not in run("debugfs", "-R", "ls -p /data", slot)


@pytest.mark.slow
def test_packages_hold_what_their_names_say(built: Built) -> None:
    found = {name: content(path) for name, path in built.packages().items()}
    python = "./usr/lib/python3/dist-packages/bistable"
    assert f"{python}/artifact/reader.py" in found["bistable-artifact"]
    assert f"{python}/artifact/cli/__init__.py" in found["bistable-cli"]
    assert {"./usr/bin/bistablectl", f"{python}/client/__init__.py"} & found["bistable-client"]
    assert "./usr/share/bistable/modules/v3/single-file" in found["bistable-client"]
    assert "./etc/bistable/keys/public.pem" in found["bistable-conf"]
    assert "./var/lib/app/" in found["bistable-data"]
    assert "./etc/bistable/conf.d/40-boot.toml" in found["bistable-slots"]
    assert ("./etc/fw_env.config" in found["bistable-slots"]) == (built.machine == "qemuarm64")
    everything = [path for paths in found.values() for path in paths if not path.endswith("/")]
    assert len(everything) == len(set(everything))
    assert not [path for path in everything if path.endswith("private.pem") or "__pycache__" in path]


@pytest.mark.slow
def test_the_private_key_is_nowhere_in_the_build(built: Built) -> None:
    secret = (LAYER / "files/example-keys/private.pem").read_text().splitlines()[1].encode()
    (work,) = (path for path in (built.build.folder / "tmp", built.build.folder / "tmp-glibc") if path.is_dir())
    for path in work.rglob("*"):
        if path.is_file() and not path.is_symlink() and path.stat().st_size < 1 << 20:
            assert secret not in path.read_bytes(), path


@pytest.mark.slow
def test_artifacts_for_modules_and_for_new_devices_are_deployed(built: Built) -> None:
    artifact = verified(built.build.deployed / "exectest-module-1.0.mender")
    assert artifact["artifact_name"] == "exectest-module-1.0"
    assert [file["name"] for file in artifact["payload"]["files"]] == ["exectest-module.bb"]
    bootstrap = verified(built.deployed("exectest-image", "bootstrap-artifact"))
    assert (bootstrap["artifact_name"], bootstrap["payload"]["type"]) == ("release-1", None)


@pytest.mark.slow
@pytest.mark.boots
def test_the_disk_boots_grows_installs_what_was_built_with_it_and_rolls_a_broken_one_back(
    built: Built, tmp_path: Path
) -> None:
    kind = MACHINES[built.machine]
    require(HARDWARE[kind].program)
    check_firmware(kind)
    disk = tmp_path / "disk.img"
    run("cp", "--sparse=always", str(built.deployed("exectest-image", "wic")), str(disk))
    os.truncate(disk, LARGER)
    with Server() as server, start(kind, disk, folder=tmp_path) as machine:
        device = QemuDevice(machine)
        assert device.boot() == "a"
        before = free(device)
        assert start_data(device) == ""
        assert free(device) > 3 * before
        device.run(f"echo kept > {KEPT}")
        assert device.run("cat /data/app/state").output == "calibrated"
        device.run("bistablectl recover", seconds=patience.INSTALL)
        checksum = digest(built.deployed("exectest-image", "ext4"))
        assert checksum in device.run("bistablectl provides", seconds=patience.INSTALL).output
        assert "no faults found" in device.run("bistablectl doctor", seconds=patience.INSTALL).output
        install(device, server, built.deployed("exectest-next", "mender"))
        assert device.reboot() == "b"
        assert start_data(device) == ""
        assert device.run(f"cat {KEPT}").output == "kept"
        assert bistablectl(device, "commit", seconds=patience.INSTALL)["result"] == "success"
        install(device, server, built.deployed("exectest-broken", "mender"))
        with machine.console.tolerating(PANIC):
            assert device.reboot() == "b"
        ended = bistablectl(device, "recover", seconds=patience.INSTALL, allowed=tuple(range(10)))
        assert (ended["artifact"], ended["result"]) == ("release-3", "failure")
        assert bistablectl(device, "status", seconds=patience.INSTALL)["artifact"] == "release-2"
        device.shut_down()


REFUSED = {
    "no key": ('BISTABLE_SIGNING_KEY = ""', "BISTABLE_SIGNING_KEY is not set"),
    "example key in a release": ('BISTABLE_RELEASE = "1"', "is the example key of meta-ota"),
    "too small": ('BISTABLE_STORAGE_SIZE_MB = "200"', "larger than the max size|exceeds|nothing is left for the slots"),
    "unknown loader": ('BISTABLE_BOOTLOADER = "lilo"', "BISTABLE_BOOTLOADER is 'lilo': it has to be one of"),
    "no service": ('BISTABLE_START = "service"', "without the layer meta-python"),
    "first stage not there": (
        'BISTABLE_BLOBS = "other.bin:32"',
        "BISTABLE_BLOBS has other.bin, and there is no such file in DEPLOY_DIR_IMAGE",
    ),
    "first stage too large": (
        'BISTABLE_BLOBS = "first-stage.bin:3060"',
        "BISTABLE_BLOBS has first-stage.bin at 3060 KiB: it has 29 KiB, and the first partition begins 12 KiB behind",
    ),
    "long name": (f'IMAGE_LINK_NAME = "{"x" * 99}"', "in an artifact there is room for 90"),
}


# Last: bitbake takes away what was deployed with other settings.
@pytest.mark.slow
@pytest.mark.parametrize(("settings", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_is_an_error_that_says_what_to_set(built: Built, settings: str, words: str) -> None:
    done = built.build.run("bitbake", "exectest-refused", settings=settings + "\n", status=None)
    assert done.status != 0
    assert re.search(words, done.output), done.output[-3000:]


def install(device: QemuDevice, server: Server, artifact: Path) -> None:
    bistablectl(device, "install", server.add(artifact, artifact.name), seconds=patience.INSTALL)


def start_data(device: QemuDevice) -> str:
    """Do what the system would do at its start for the data partition, and return what goes wrong."""
    return device.run("/etc/init.d/bistable-data start", seconds=patience.INSTALL).output


def free(device: QemuDevice) -> int:
    return int(device.run("df -k /data | tail -n 1 | awk '{print $(NF-2)}'").output)


def bistable(*words: str) -> dict[str, Any]:
    program = [sys.executable, "-c", "from bistable.artifact.cli import main; main()"]
    found: dict[str, Any] = json.loads(run(*program, *words, "--json"))
    return found


def verified(artifact: Path) -> dict[str, Any]:
    return bistable("artifact", "verify", "--key", str(LAYER / "files/example-keys/public.pem"), str(artifact))


def run(*words: str) -> str:
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


def content(package: Path) -> set[str]:
    listed = subprocess.run(["dpkg-deb", "--fsys-tarfile", str(package)], check=True, capture_output=True).stdout
    done = subprocess.run(["tar", "-tf", "-"], input=listed, check=True, capture_output=True)
    return set(done.stdout.decode().split())


def description(built: Built) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((built.build.deployed / "bistable/disk.json").read_text())
    return found


def partition(built: Built, name: str) -> dict[str, Any]:
    found: dict[str, Any]
    (found,) = [part for part in description(built)["partitions"] if part["name"] == name]
    return found


def digest(path: Path, part: dict[str, Any] | None = None) -> str:
    with path.open("rb") as file:
        if part is None:
            return hashlib.file_digest(file, "sha256").hexdigest()
        file.seek(part["start"])
        return hashlib.sha256(file.read(part["size"])).hexdigest()
