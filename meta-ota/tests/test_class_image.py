"""What an image becomes: artifacts, a root file system for a slot, and what is on the data partition from the start."""

import json
import re
import subprocess
from hashlib import sha256
from pathlib import Path

import pytest
from image_samples import needs
from layer_artifacts import OWN_KEYS, PAYLOAD, QUICK, artifact_of, filled
from layer_build import IMAGE, Bench, Build, Recipe, RefusedError, bench
from layer_files import KEYS

from bistable.artifact import Compression, SignatureState

__all__ = ["bench"]

SFDISK = needs("sfdisk")
FAKEROOT = needs("fakeroot")
EXT4 = needs("mke2fs", "dumpe2fs")
# What e2fsprogs of OpenEmbedded turns on by itself, as other distributions may not.
MKE2FS = """\
[defaults]
    base_features = sparse_super,large_file,filetype,resize_inode,dir_index,ext_attr
[fs_types]
    ext4 = {
        features = has_journal,extent,metadata_csum,metadata_csum_seed,orphan_file
    }
"""


# --- the artifact


def test_the_artifact_carries_the_file_system_and_says_what_the_variables_say(bench: Bench) -> None:
    settings = """
BISTABLE_ARTIFACT_NAME = "release-7"
BISTABLE_COMPATIBLE_TYPES = "acorn-1 acorn-2"
BISTABLE_PROVIDES = "app.version:7 colour:green"
BISTABLE_DEPENDS = "app.version:6"
BISTABLE_DEPENDS_NAMES = "release-5 release-6"
BISTABLE_GROUP = "stable"
BISTABLE_DEPENDS_GROUPS = "stable beta"
BISTABLE_ARTIFACT_ARGS = "--software-name app"
"""
    image = filled(bench.build(OWN_KEYS + settings).image())
    image.run("do_image_mender")
    artifact = artifact_of(image)
    info, types = artifact.head.header.info, artifact.head.header.type_info
    assert (info.artifact_name, info.device_types) == ("release-7", ("acorn-1", "acorn-2"))
    assert (info.depends_names, info.artifact_group) == (("release-5", "release-6"), "stable")
    assert info.depends_groups == ("stable", "beta")
    assert {"app.version": "7", "colour": "green", "rootfs-image.app.version": "release-7"}.items() <= (
        types.provides.items()
    )
    assert types.depends["app.version"] in {"6", ("6",)}
    assert [(file.name, file.size) for file in artifact.files] == [(image.value("BISTABLE_PAYLOAD"), len(PAYLOAD))]
    assert artifact.data_compression is Compression.ZSTD


def test_state_scripts_go_into_the_artifact(bench: Bench) -> None:
    script = bench.top / "ArtifactInstall_Enter_00"
    script.write_text("#!/bin/sh\n")
    image = filled(bench.build(OWN_KEYS + QUICK + f'BISTABLE_STATE_SCRIPTS = "{script}"\n').image())
    image.run("do_image_mender")
    assert [each.name for each in artifact_of(image).head.header.scripts] == [script.name]


def test_the_same_image_makes_the_same_artifact(bench: Bench) -> None:
    results = []
    for _ in range(2):
        # An RSA signature of the same bytes is the same; one with a curve never is.
        keys = f'BISTABLE_SIGNING_KEY = "{KEYS}/rsa2048.key"\nBISTABLE_VERIFY_KEYS = "{KEYS}/rsa2048.pub"\n'
        image = filled(bench.build(keys).image())
        image.run("do_image_mender")
        results.append((image.path("IMGDEPLOYDIR") / f"{image.value('IMAGE_NAME')}.mender").read_bytes())
    assert results[0] == results[1]


def test_the_artifact_waits_for_the_file_system_of_the_slots(bench: Bench) -> None:
    for kind in ("ext4", "squashfs"):
        image = bench.build(OWN_KEYS + f'BISTABLE_ROOTFS_FSTYPE = "{kind}"\n').image()
        assert image.words("IMAGE_TYPEDEP:mender") == [kind]
        assert kind in image.words("IMAGE_TYPEDEP:wic")
        assert image.value("BISTABLE_PAYLOAD").endswith(f".{kind}")


def test_an_option_that_there_is_not_stops_the_build(bench: Bench) -> None:
    image = filled(bench.build(OWN_KEYS + QUICK + 'BISTABLE_ARTIFACT_ARGS = "--colour green"\n').image())
    with pytest.raises(RefusedError, match="cannot write the artifact: what bistable says is above") as refused:
        image.run("do_image_mender")
    assert "--colour" in str(refused.value)


def test_a_device_that_is_new_can_be_told_what_it_has(bench: Bench) -> None:
    settings = 'IMAGE_FSTYPES += "bootstrap-artifact"\nBISTABLE_PROVIDES = "app.version:7"\n'
    image = filled(bench.build(OWN_KEYS + settings).image())
    image.run("do_image_bootstrap_artifact")
    artifact = artifact_of(image, "bootstrap-artifact")
    assert artifact.head.signature is SignatureState.VERIFIED
    assert artifact.files == ()
    assert artifact.head.header.info.artifact_name == image.value("BISTABLE_ARTIFACT_NAME")
    assert artifact.head.header.type_info.provides == {
        "app.version": "7",
        "rootfs-image.checksum": sha256(PAYLOAD).hexdigest(),
        "rootfs-image.version": image.value("BISTABLE_ARTIFACT_NAME"),
    }
    written = Path(image.value("BISTABLE_DATA_TREE"), "bistable/bootstrap.mender").read_bytes()
    assert written == Path(image.value("IMGDEPLOYDIR"), f"{image.value('IMAGE_NAME')}.bootstrap-artifact").read_bytes()


def test_a_name_that_artifacts_have_no_room_for_is_refused(bench: Bench) -> None:
    build = bench.build(OWN_KEYS + f'IMAGE_LINK_NAME:forcevariable = "{"x" * 86}"\n')
    message = build.skipped(IMAGE)
    assert "its name has 91 characters" in message
    assert "Set IMAGE_LINK_NAME to something shorter" in message
    shorter = bench.build(OWN_KEYS + f'IMAGE_LINK_NAME:forcevariable = "{"x" * 85}"\n').image()
    assert len(shorter.value("BISTABLE_PAYLOAD")) == 90


# --- the file system of a slot


def test_the_file_system_fills_the_slot(bench: Bench) -> None:
    image = bench.build('BISTABLE_SLOT_SIZE_MB = "100"\nIMAGE_ROOTFS_ALIGNMENT = "4096"\n').image()
    assert image.value("IMAGE_ROOTFS_SIZE") == image.value("IMAGE_ROOTFS_MAXSIZE") == str(100 * 1024)
    assert (image.value("IMAGE_OVERHEAD_FACTOR"), image.value("IMAGE_ROOTFS_EXTRA_SPACE")) == ("1", "0")
    assert image.value("IMAGE_ROOTFS_ALIGNMENT") == "1"


@EXT4
def test_the_same_tree_gives_the_same_file_system(bench: Bench) -> None:
    version = subprocess.run(["mke2fs", "-V"], capture_output=True, text=True, check=False).stderr
    if tuple(map(int, re.findall(r"mke2fs (\d+)\.(\d+)", version)[0])) < (1, 47):
        pytest.skip("mke2fs is older than that of scarthgap, and does not know the options")
    (bench.top / "mke2fs.conf").write_text(MKE2FS)
    settings = f'BISTABLE_SLOT_SIZE_MB = "16"\nSTUB_MKE2FS_CONFIG = "{bench.top}/mke2fs.conf"\n'
    found = []
    for _ in range(2):
        image = bench.build(settings).image()
        image.run("do_image_ext4")
        path = image.path("IMGDEPLOYDIR") / image.value("BISTABLE_PAYLOAD")
        told = subprocess.run(["dumpe2fs", "-h", path], capture_output=True, text=True, check=True).stdout
        fields = dict(line.split(":", 1) for line in told.splitlines() if ":" in line)
        assert fields["Filesystem UUID"].strip() == fields["Directory Hash Seed"].strip()
        found.append(fields["Filesystem UUID"])
        assert path.stat().st_size == 16 << 20
        assert {"metadata_csum_seed", "orphan_file"} & set(fields["Filesystem features"].split()) == set()
    assert found[0] == found[1]


def rooted(build: Build, fstab: str) -> Recipe:
    """Return the image with a root file system that has this table, after what is done to it."""
    build.slots()
    image = build.image()
    etc = image.path("IMAGE_ROOTFS") / "etc"
    etc.mkdir(parents=True)
    (etc / "fstab").write_text(fstab)
    image.run("bistable_rootfs")
    return image


def table(image: Recipe) -> list[list[str]]:
    """Return the words of each line of fstab."""
    return [line.split() for line in (image.path("IMAGE_ROOTFS") / "etc/fstab").read_text().splitlines()]


FSTAB = "/dev/root / auto defaults 1 1\nproc /proc proc defaults 0 0\n"


def test_the_table_of_mounts_gets_those_of_the_layout(bench: Bench) -> None:
    image = rooted(bench.build('BISTABLE_BOOTLOADER = "systemd-boot"\n'), FSTAB)
    assert [words[1] for words in table(image)[:2]] == ["/", "/proc"]
    assert {words[1] for words in table(image)[2:]} >= {"/data"}
    for words in table(image)[2:]:
        assert words[0].startswith("PARTUUID=")
        assert (image.path("IMAGE_ROOTFS") / words[1].lstrip("/")).is_dir()


def test_what_was_said_of_the_same_place_goes(bench: Bench) -> None:
    image = rooted(bench.build(), FSTAB + "/dev/sda3 /data ext4 ro 0 0\n/dev/sda4 /database ext4 ro 0 0\n")
    data = [words for words in table(image) if words[1] == "/data"]
    assert len(data) == 1
    assert data[0][0].startswith("PARTUUID=")
    assert ["/dev/sda4", "/database", "ext4", "ro", "0", "0"] in table(image)


def test_doing_it_twice_changes_nothing(bench: Bench) -> None:
    image = rooted(bench.build(), FSTAB)
    before = table(image)
    image.run("bistable_rootfs")
    assert table(image) == before


def test_the_root_file_system_knows_its_artifact_and_a_table_is_made_where_none_is(bench: Bench) -> None:
    build = bench.build('BISTABLE_ARTIFACT_NAME = "release-7"\n')
    build.slots()
    image = build.image()
    image.run("bistable_rootfs")
    root = image.path("IMAGE_ROOTFS")
    assert (root / "etc/mender/artifact_info").read_text() == "artifact_name=release-7\n"
    assert [words[1] for words in table(image)] == ["/data"]
    assert (root / "data").is_dir()


# --- the data partition


def taken(image: Recipe) -> Path:
    """Take what recipes put into /data, and return the tree of the data partition."""
    image.run("bistable_take_data", as_root=True)
    return image.path("BISTABLE_DATA_TREE")


@FAKEROOT
def test_what_recipes_put_into_data_is_on_the_data_partition_and_not_in_slots(bench: Bench) -> None:
    image = rooted(bench.build(), FSTAB)
    data = image.path("IMAGE_ROOTFS") / "data"
    (data / "app" / ".hidden").mkdir(parents=True)
    (data / "app" / "file").write_text("kept")
    (data / ".top").write_text("kept, too")
    tree = taken(image)
    assert list(data.iterdir()) == []
    assert (tree / "app" / "file").read_text() == "kept"
    assert (tree / "app" / ".hidden").is_dir()
    assert (tree / ".top").read_text() == "kept, too"


@FAKEROOT
def test_the_device_knows_its_type_from_the_start(bench: Bench) -> None:
    tree = taken(rooted(bench.build('BISTABLE_DEVICE_TYPE = "acorn-2"\n'), FSTAB))
    assert "device_type=acorn-2" in (tree / "bistable" / "device_type").read_text()
    assert (tree / "bistable").stat().st_mode & 0o777 == 0o700


# --- the disk


def test_wic_takes_the_kickstart_of_the_slots_before_that_of_the_machine(bench: Bench) -> None:
    image = bench.build('WKS_FULL_PATH = "/machine.wks"\nWKS_FILE_CHECKSUM = "x"\n').image()
    assert image.path("WKS_FULL_PATH") == image.path("DEPLOY_DIR_IMAGE") / "bistable" / "disk.wks"
    assert image.value("WKS_FILE_CHECKSUM") == ""
    assert "BISTABLE_DATA_TREE" in image.words("WICVARS")


SYSTEMD_BOOT = """
BISTABLE_BOOTLOADER = "systemd-boot"
BISTABLE_INITRD = "/boot/initrd"
BISTABLE_INITRD_DEPLOYED = "x.cpio"
"""


@pytest.mark.parametrize(
    ("settings", "name", "recipe", "files"),
    [
        ("", "qemux86-64", "grub-efi", {"grub-efi-bootx64.efi;EFI/BOOT/bootx64.efi"}),
        (
            SYSTEMD_BOOT,
            "qemux86-64",
            "systemd-boot",
            {
                "systemd-bootx64.efi;EFI/BOOT/bootx64.efi",
                "bzImage;EFI/bistable/a/linux.efi",
                "x.cpio;EFI/bistable/a/initrd.img",
            },
        ),
        ("", "qemuarm64", "virtual/bootloader", {"bistable/boot/boot.scr;boot.scr"}),
    ],
)
def test_the_boot_partition_gets_what_boots_first(
    bench: Bench, settings: str, name: str, recipe: str, files: set[str]
) -> None:
    image = bench.build(settings + 'IMAGE_BOOT_FILES = "board.dtb"\n', machine=name).image()
    assert files | {"board.dtb"} <= set(image.words("IMAGE_BOOT_FILES"))
    assert f"{recipe}:do_deploy" in image.flag("do_image_wic", "depends")
    assert "bistable-slots:do_deploy" in image.flag("do_image_wic", "depends")


PI = 'BISTABLE_BOOTLOADER = "raspberry-pi"\n'
DEPLOYED = {
    "bootfiles/start4.elf": "firmware",
    "bootfiles/config.txt": "of the BSP",
    "bcm2711-rpi-4-b.dtb": "tree",
    "disable-bt.dtbo": "overlay",
    "Image-6.12": "kernel",
    "bistable/boot-a/config.txt": "of the slot",
    "bistable/boot-a/cmdline.txt": "root=x bistable.slot=a",
}


def pi(bench: Bench) -> Recipe:
    """Return an image for a Raspberry Pi, with all that was deployed for it."""
    image = bench.build(PI, machine="raspberrypi").image()
    for name, content in DEPLOYED.items():
        path = image.path("DEPLOY_DIR_IMAGE") / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    (image.path("DEPLOY_DIR_IMAGE") / "Image").symlink_to("Image-6.12")
    return image


def test_a_slot_of_a_raspberry_pi_carries_what_its_boot_partition_holds(bench: Bench) -> None:
    image = pi(bench)
    image.run("bistable_firmware")
    folder = image.path("IMAGE_ROOTFS") / "boot/firmware"
    assert {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()} == {
        "start4.elf": "firmware",
        "config.txt": "of the slot",
        "cmdline.txt": "root=x bistable.slot=a",
        "bcm2711-rpi-4-b.dtb": "tree",
        "overlays/disable-bt.dtbo": "overlay",
        "kernel8.img": "kernel",
    }
    assert not [path for path in folder.rglob("*") if path.is_symlink()]
    assert image.words("ROOTFS_POSTPROCESS_COMMAND")[-1] == "bistable_firmware"
    assert {"rpi-bootfiles:do_deploy", "virtual/kernel:do_deploy"} <= set(image.flag("do_rootfs", "depends"))


def test_a_file_of_the_firmware_that_is_not_there_stops_the_root_file_system(bench: Bench) -> None:
    image = pi(bench)
    (image.path("DEPLOY_DIR_IMAGE") / "disable-bt.dtbo").unlink()
    with pytest.raises(RefusedError, match=r"IMAGE_BOOT_FILES has disable-bt\.dtbo, and there is no such file"):
        image.run("bistable_firmware")


def test_wic_is_told_what_is_on_each_boot_partition_of_a_raspberry_pi(bench: Bench) -> None:
    image = pi(bench)
    names = [f"IMAGE_BOOT_FILES_label-{label}" for label in ("BOOT", "BOOT-A", "BOOT-B")]
    assert set(names) <= set(image.words("WICVARS"))
    choice, first, second = (image.words(name) for name in names)
    assert choice[0] == "bistable/boot/autoboot.txt;autoboot.txt"
    assert {"bootfiles/*", "Image;kernel8.img"} <= set(first) & set(second)
    assert first[-2:] == ["bistable/boot-a/config.txt;config.txt", "bistable/boot-a/cmdline.txt;cmdline.txt"]
    assert second[-2:] == ["bistable/boot-b/config.txt;config.txt", "bistable/boot-b/cmdline.txt;cmdline.txt"]
    assert "rpi-bootfiles:do_deploy" in image.flag("do_image_wic", "depends")


def test_other_machines_have_nothing_of_it(bench: Bench) -> None:
    image = bench.build(machine="qemuarm64").image()
    assert not [word for word in image.words("WICVARS") if "label" in word]
    assert "bistable_firmware" not in image.value("ROOTFS_POSTPROCESS_COMMAND")
    assert "rpi-bootfiles:do_deploy" not in image.flag("do_rootfs", "depends")


FIRST_STAGE = 'BISTABLE_BLOBS = "spl.bin:32"\nBISTABLE_BLOBS_END_MB = "1"\n'


def test_the_disk_waits_for_the_first_stages_of_boot_loaders(bench: Bench) -> None:
    def waits(settings: str) -> set[str]:
        return set(bench.build(settings, machine="qemux86-64").image().flag("do_image_wic", "depends"))

    assert waits(FIRST_STAGE) - waits("") == {"virtual/bootloader:do_deploy"}
    named = FIRST_STAGE + 'BISTABLE_BLOBS_RECIPES = "imx-boot acorn-atf"\n'
    assert waits(named) - waits("") == {"imx-boot:do_deploy", "acorn-atf:do_deploy"}


@pytest.mark.parametrize(
    ("size", "why"),
    [(None, "there is no such file in DEPLOY_DIR_IMAGE"), (993 << 10, "the first partition begins 992")],
)
def test_a_first_stage_that_is_not_there_or_too_large_stops_the_disk(bench: Bench, size: int | None, why: str) -> None:
    build = bench.build(FIRST_STAGE)
    build.slots()
    image = build.image()
    if size is not None:
        (image.path("DEPLOY_DIR_IMAGE") / "spl.bin").write_bytes(bytes(size))
    with pytest.raises(RefusedError, match=why):
        image.run("do_image_wic")


def test_a_first_stage_that_fits_is_left_to_wic(bench: Bench) -> None:
    build = bench.build(FIRST_STAGE)
    build.slots()
    image = build.image()
    (image.path("DEPLOY_DIR_IMAGE") / "spl.bin").write_bytes(bytes(992 << 10))
    image.run("do_image_wic")


def disk_id(bench: Bench, table: str) -> tuple[str, str]:
    """Return what the layout calls its disk, and what a disk that wic made is called afterwards."""
    build = bench.build(f'BISTABLE_PARTITION_TABLE = "{table}"\n')
    build.slots()
    image = build.image()
    disk = image.path("IMGDEPLOYDIR") / f"{image.value('IMAGE_NAME')}.wic"
    with disk.open("wb") as file:
        file.truncate(4 << 20)
    label = "dos" if table == "mbr" else table
    subprocess.run(
        ["sfdisk", "--quiet", disk], input=f"label: {label}\nlabel-id: {OTHER[label]}\n", text=True, check=True
    )
    image.run("do_image_wic")
    told = json.loads((image.path("DEPLOY_DIR_IMAGE") / "bistable" / "disk.json").read_text())["id"]
    done = subprocess.run(["sfdisk", "--disk-id", disk], capture_output=True, text=True, check=True)
    return told, done.stdout.strip().lower().removeprefix("0x")


OTHER = {"dos": "0x12345678", "gpt": "12345678-1234-1234-1234-123456789abc"}


@SFDISK
def test_slots_of_a_master_boot_record_are_found_by_the_identifier_of_the_disk(bench: Bench) -> None:
    told, found = disk_id(bench, "mbr")
    assert found == told


@SFDISK
def test_other_disks_keep_the_identifier_that_wic_made_up(bench: Bench) -> None:
    _, found = disk_id(bench, "gpt")
    assert found == OTHER["gpt"]
