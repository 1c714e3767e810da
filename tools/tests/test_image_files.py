"""`bistable image files` writes what `image build` puts on the disk, for builders that are not ours."""

import json
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from disk_samples import DISK_TOOLS, GRUB_TOOLS, MBR, UBOOT, build, call, in_image, layout, leftovers, small_root, take

from bistable.artifact.errors import RequestError
from bistable.tools.boot import Loader
from bistable.tools.disk import BuiltDisk, FilesOptions, Layout, WrittenFiles, load_layout, write_files
from bistable.tools.disk.fat import take_fat
from bistable.tools.disk.files import KickstartTexts
from bistable.tools.disk.geometry import ENVIRONMENT, SLOTS
from bistable.tools.disk.system import Init

SYSTEMD_BOOT = pytest.mark.skipif(
    not Path("/usr/lib/systemd/boot/efi/systemd-bootx64.efi").exists(), reason="not installed: systemd-boot-efi"
)
NAMED = [
    pytest.param("x86-grub", marks=GRUB_TOOLS),
    pytest.param("x86-systemd-boot", marks=SYSTEMD_BOOT),
    "arm64-uboot",
    "raspberry-pi",
    "raspberry-pi-uboot",
]
SMALL = {"slots.size": "16 MiB", "data.size": "8 MiB", "boot-partition.size": "8 MiB"}
MIB = 1 << 20


def small(name: str) -> Layout:
    """Return a layout that is there from the start, with small partitions."""
    return load_layout(name, settings=SMALL)


def contents(folder: Path) -> dict[str, bytes | str]:
    """Return path -> content of all files, and target of all links, in a folder."""
    return {
        str(path.relative_to(folder)): str(path.readlink()) if path.is_symlink() else path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_symlink() or path.is_file()
    }


def state(folder: Path) -> dict[str, tuple[int, float]]:
    """Return path -> mode and time of everything in a folder."""
    found = {path: path.lstat() for path in [folder, *folder.rglob("*")]}
    return {str(path.relative_to(folder)): (stat.st_mode, stat.st_mtime) for path, stat in found.items()}


def document(folder: Path) -> Any:
    return json.loads((folder / "disk.json").read_text())


def written(wanted: Layout, folder: Path, **options: Any) -> WrittenFiles:
    return write_files(wanted, folder, FilesOptions(**options))


@pytest.fixture
def without_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no boot loader be installed, and no program be found."""
    monkeypatch.setattr("bistable.tools.boot.efiprograms.DIRECTORIES", ())
    monkeypatch.setattr("bistable.tools.boot.efiprograms.SYSTEMD_BOOT_DIRECTORY", Path("/nonexistent"))
    monkeypatch.setenv("PATH", "")


# --- the same as on the disk of `image build`


@pytest.fixture
def build_and_write(tmp_path: Path) -> Callable[[Layout], tuple[BuiltDisk, Path, Path]]:
    def make(wanted: Layout) -> tuple[BuiltDisk, Path, Path]:
        built = build(wanted, small_root(tmp_path / "source"), tmp_path / "disk.img")
        written(wanted, tmp_path / "files", init=Init.OTHER)
        return built, tmp_path / "disk.img", tmp_path / "files"

    return make


Make = Callable[[Layout], tuple[BuiltDisk, Path, Path]]


@DISK_TOOLS
@pytest.mark.parametrize("name", NAMED)
def test_boot_partitions_hold_the_same_and_what_is_said_to_be_needed(
    name: str, build_and_write: Make, tmp_path: Path
) -> None:
    built, disk, files = build_and_write(small(name))
    needed: dict[str, set[str]] = {}
    for item in document(files)["needed"]:
        needed.setdefault(item["partition"], set()).add(item["path"])
    boots = [part for part in built.geometry.partitions if part.name.startswith("boot") and part.name != ENVIRONMENT]
    assert boots
    for part in boots:
        with disk.open("rb") as file:
            found = take_fat(file, part.start, tmp_path / part.name)
        on_disk = {str(path): place.read_bytes() for path, place in found.items()}
        expected = contents(files / part.name)
        assert {path: data for path, data in on_disk.items() if path in expected} == expected
        assert on_disk.keys() - expected.keys() == needed.get(part.name, set())


@DISK_TOOLS
@pytest.mark.parametrize("name", NAMED)
def test_the_environment_has_the_same_bytes(name: str, build_and_write: Make, tmp_path: Path) -> None:
    built, disk, files = build_and_write(small(name))
    if built.plan.environment is None:
        assert not (files / "boot-env.img").exists()
    else:
        assert (files / "boot-env.img").read_bytes() == take(disk, built, ENVIRONMENT, tmp_path / "env").read_bytes()


@DISK_TOOLS
@pytest.mark.parametrize("name", NAMED)
def test_slots_and_data_hold_the_same_files(name: str, build_and_write: Make, tmp_path: Path) -> None:
    built, disk, files = build_and_write(small(name))
    for slot in SLOTS:
        image = take(disk, built, slot, tmp_path / slot)
        for path, content in contents(files / "root").items():
            if isinstance(content, bytes):
                assert in_image(image, f"/{path}").encode() == content
            else:
                assert f'"{content}"' in call("debugfs", "-R", f"stat /{path}", image)
        for place in (files / "root").rglob("*"):
            if place.is_dir():
                assert "Type: directory" in call("debugfs", "-R", f"stat /{place.relative_to(files / 'root')}", image)
        table = in_image(image, "/etc/fstab").splitlines()
        assert table[1:] == (files / "fstab").read_text().splitlines()
    data = take(disk, built, "data", tmp_path / "data")
    for path, content in contents(files / "data").items():
        assert in_image(data, f"/{path}").encode() == content


@DISK_TOOLS
@pytest.mark.parametrize("name", NAMED)
def test_the_partitions_are_those_of_the_disk(name: str, build_and_write: Make) -> None:
    built, disk, files = build_and_write(small(name))
    table = json.loads(call("sfdisk", "--json", disk))["partitiontable"]
    on_disk = {
        int(str(item["node"]).removeprefix(str(disk))): item for item in table["partitions"] if item["type"] != "f"
    }
    said = document(files)
    assert said["size"] == disk.stat().st_size
    assert table["id"].lower().removeprefix("0x") == said["id"]
    for part in said["partitions"]:
        found = on_disk.pop(part["number"])
        assert (found["start"] * 512, found["size"] * 512) == (part["start"], part["size"])
        assert found["type"] == part["type"]
        assert found.get("bootable", "LegacyBIOSBootable" in found.get("attrs", "")) == part["bootable"]
        if said["table"] == "gpt":
            assert (found["name"], found["uuid"].lower()) == (part["name"], part["uuid"])
    assert on_disk == {}
    assert built.geometry.size == said["size"]


def test_files_of_the_layout_are_among_them(tmp_path: Path) -> None:
    (tmp_path / "pi/overlays").mkdir(parents=True)
    (tmp_path / "pi/config.txt").write_text("gpu_mem=16\n")
    (tmp_path / "pi/overlays/x.dtbo").write_text("overlay")
    (tmp_path / "own").mkdir()
    (tmp_path / "own/note").write_text("kept")
    settings = {**SMALL, "boot-partition.files": f'{{ "fw" = "{tmp_path}/pi" }}'}
    written(load_layout("arm64-uboot", settings={**settings, "data.files": str(tmp_path / "own")}), tmp_path / "u")
    assert (tmp_path / "u/boot/fw/overlays/x.dtbo").read_text() == "overlay"
    assert (tmp_path / "u/data/note").read_text() == "kept"
    settings["boot-partition.files"] = f'{{ "config.txt" = "{tmp_path}/pi/config.txt" }}'
    written(load_layout("raspberry-pi", settings=settings), tmp_path / "p")
    for slot in ("boot-a", "boot-b"):
        assert (tmp_path / "p" / slot / "config.txt").read_text().startswith("gpu_mem=16\n\n[all]\nkernel=vmlinuz\n")
    assert not (tmp_path / "p/boot/config.txt").exists()


# --- what it does without


@pytest.mark.usefixtures("without_programs")
@pytest.mark.parametrize("loader", list(Loader))
def test_no_boot_loader_and_no_other_program_is_needed(loader: Loader, tmp_path: Path) -> None:
    done = written(layout(UBOOT, boot_loader=loader.value), tmp_path / "files")
    assert (tmp_path / "files/boot/bistable/layout.json").exists()
    assert done.document["loader"] == loader.value


def test_an_architecture_without_uefi_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="armhf"):
        written(layout(UBOOT, boot_loader="grub", boot_architecture="armhf"), tmp_path / "files")
    assert list(tmp_path.iterdir()) == []


def test_grub_finds_its_script_where_the_other_builder_puts_it(tmp_path: Path) -> None:
    written(small("x86-grub"), tmp_path / "usual")
    written(small("x86-grub"), tmp_path / "other", grub_prefix=PurePosixPath("/EFI/BOOT"))
    script = (tmp_path / "usual/boot/grub/grub.cfg").read_bytes()
    assert (tmp_path / "other/boot/EFI/BOOT/grub.cfg").read_bytes() == script
    assert not (tmp_path / "other/boot/grub").exists()
    wanted = document(tmp_path / "other")["needed"][0]
    assert (wanted["path"], wanted["prefix"]) == ("EFI/BOOT/BOOTX64.EFI", "/EFI/BOOT")
    assert {"loadenv", "iso9660", "ext2"} <= set(wanted["modules"])


@pytest.mark.parametrize("prefix", ["grub", "/", "/a b", "/../x", "/$x"])
def test_a_place_that_grub_cannot_look_in_is_refused(prefix: str, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="absolute path"):
        written(small("x86-grub"), tmp_path / "files", grub_prefix=PurePosixPath(prefix))


def test_fstab_has_options_of_systemd_only_for_systemd(tmp_path: Path) -> None:
    written(small("x86-grub"), tmp_path / "systemd")
    written(small("x86-grub"), tmp_path / "other", init=Init.OTHER)
    line = (tmp_path / "systemd/fstab").read_text()
    assert ",x-systemd.device-timeout=10min " in line
    assert (tmp_path / "other/fstab").read_text() == line.replace(",x-systemd.device-timeout=10min", "")


# --- the folder


def test_the_same_layout_gives_the_same_bytes_modes_and_times(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    written(layout(), tmp_path / "one", epoch=1000)
    before = os.umask(0o077)
    request.addfinalizer(lambda: os.umask(before))
    written(layout(), tmp_path / "two", epoch=1000)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    assert state(tmp_path / "one") == state(tmp_path / "two")
    assert {time for _, time in state(tmp_path / "one").values()} == {1000}


def test_without_an_epoch_the_time_is_0(tmp_path: Path) -> None:
    written(layout(), tmp_path / "files")
    assert {time for _, time in state(tmp_path / "files").values()} == {0}


def test_the_environment_takes_no_room_for_its_zeros(tmp_path: Path) -> None:
    written(layout(UBOOT, **{"disk_erase-block": "4 MiB"}), tmp_path / "files")
    found = (tmp_path / "files/boot-env.img").stat()
    assert found.st_size == 8 * MIB
    assert found.st_blocks * 512 < MIB


def test_an_empty_directory_is_filled(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    written(layout(), tmp_path / "files")
    assert (tmp_path / "files/disk.json").exists()
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("kind", ["full", "file", "link", "nowhere"])
def test_what_is_there_already_stays_as_it_is(kind: str, tmp_path: Path) -> None:
    target = tmp_path / "files"
    if kind == "full":
        target.mkdir()
        (target / "mine").write_text("mine")
    elif kind == "file":
        target.write_text("mine")
    elif kind == "link":
        (tmp_path / "elsewhere").mkdir()
        target.symlink_to("elsewhere")
    else:
        target = tmp_path / "no/files"
    before = state(tmp_path)
    with pytest.raises(RequestError, match="cannot write the files into"):
        written(layout(), target)
    assert state(tmp_path) == before


def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="no directory"):
        written(layout(UBOOT, data_files=str(tmp_path / "absent")), tmp_path / "files")
    assert list(tmp_path.iterdir()) == []


def test_every_file_is_listed_with_what_it_is_for(tmp_path: Path) -> None:
    done = written(small("raspberry-pi-uboot"), tmp_path / "files")
    listed: Mapping[str, str] = {str(file.path): file.purpose for file in done.files}
    assert set(listed) == set(contents(tmp_path / "files"))
    assert listed["boot/boot.scr"] == "for the partition boot"
    assert listed["root/etc/fw_env.config"] == "for the root file system of both slots"


# --- U-Boot


def config(folder: Path) -> dict[str, str | None]:
    """Return the settings of a fragment; None is one that must not be set."""
    found: dict[str, str | None] = {}
    for line in (folder / "uboot.config").read_text().splitlines():
        if line.startswith("CONFIG_"):
            name, _, value = line.partition("=")
            found[name.removeprefix("CONFIG_")] = value
        elif line.endswith(" is not set"):
            found[line.split()[1].removeprefix("CONFIG_")] = None
    return found


COMMANDS = {
    "setexpr": "CMD_SETEXPR", "itest": "CMD_ITEST", "env import": "CMD_IMPORTENV", "env export": "CMD_EXPORTENV",
    "cp.b": "CMD_MEMORY", "mw.b": "CMD_MEMORY", "cmp.b": "CMD_MEMORY", "part start": "CMD_PART", "echo": "CMD_ECHO",
    "run": "CMD_RUN", "load mmc": "CMD_FS_GENERIC", "booti": "CMD_BOOTI", "bootz": "CMD_BOOTZ",
    "saveenv": "CMD_SAVEENV", "mmc read": "CMD_MMC", "mmc write": "MMC_WRITE",
    "if": "HUSH_PARSER", "test": "HUSH_PARSER",
}  # fmt: skip


@pytest.mark.parametrize("loader", ["uboot", "uboot-environment"])
@pytest.mark.parametrize("architecture", ["arm64", "armhf", "riscv64"])
def test_u_boot_gets_every_command_that_its_script_uses(loader: str, architecture: str, tmp_path: Path) -> None:
    wanted = layout(UBOOT, boot_loader=loader, boot_architecture=architecture, boot_disk="mmc 0")
    written(wanted, tmp_path / "files")
    found = config(tmp_path / "files")
    script = f" {(tmp_path / 'files/boot/boot.cmd').read_text()}".replace("\n", " ")
    used = {option for command, option in COMMANDS.items() if f" {command} " in script}
    assert len(used) >= 7
    assert dict.fromkeys(used, "y").items() <= found.items()
    always = {"CMD_SOURCE", "LEGACY_IMAGE_FORMAT", "EFI_PARTITION", "CMD_FAT", "CMD_EXT4", "CMD_MMC", "MMC_WRITE"}
    kept = {"CMD_SAVEENV"} if loader == "uboot-environment" else set()
    assert {name for name, value in found.items() if value == "y" and not name.startswith(("ENV_", "SYS_"))} == (
        used | always | kept
    )


def test_u_boot_must_not_be_redundant_by_itself_where_the_script_is(tmp_path: Path) -> None:
    written(layout(), tmp_path / "files")
    found = config(tmp_path / "files")
    assert (found["SYS_REDUNDAND_ENVIRONMENT"], found["ENV_REDUNDANT"]) == (None, None)


def test_an_environment_of_u_boot_is_where_the_client_looks_for_it(tmp_path: Path) -> None:
    wanted = layout(UBOOT, boot_loader="uboot-environment", boot_disk="mmc 2")
    done = written(wanted, tmp_path / "files")
    found = config(tmp_path / "files")
    start = done.geometry.partition(ENVIRONMENT).start
    lines = (tmp_path / "files/root/etc/fw_env.config").read_text().splitlines()[1:]
    places = [[int(word, 16) for word in line.split()[1:]] for line in lines]
    assert [int(found[name] or "", 16) - start for name in ("ENV_OFFSET", "ENV_OFFSET_REDUND")] == [
        offset for offset, _ in places
    ]
    assert {int(found["ENV_SIZE"] or "", 16)} == {size for _, size in places}
    both_names = ("SYS_REDUNDAND_ENVIRONMENT", "ENV_REDUNDANT", "SYS_MMC_ENV_DEV", "ENV_MMC_DEVICE_INDEX")
    assert [found[name] for name in both_names] == ["y", "y", "2", "2"]
    assert (found["ENV_IS_IN_MMC"], found["ENV_IS_NOWHERE"], found["ENV_IS_IN_FAT"]) == ("y", None, None)


def test_an_environment_of_u_boot_is_empty_so_that_it_starts_with_its_own_variables(tmp_path: Path) -> None:
    done = written(layout(UBOOT, boot_loader="uboot-environment"), tmp_path / "files")
    content = (tmp_path / "files/boot-env.img").read_bytes()
    assert content == bytes(done.geometry.partition(ENVIRONMENT).size)


def test_u_boot_gets_the_command_for_a_watchdog_that_the_layout_names(tmp_path: Path) -> None:
    written(layout(UBOOT, boot_watchdog="watchdog@0"), tmp_path / "with")
    written(layout(UBOOT), tmp_path / "without")
    assert config(tmp_path / "with").items() - config(tmp_path / "without").items() == {
        (name, "y") for name in ("WDT", "WATCHDOG", "CMD_WDT")
    }
    assert "bistable_watchdog watchdog@0;" in (tmp_path / "with/boot/boot.cmd").read_text()


def test_what_u_boot_cannot_be_told_is_said(tmp_path: Path) -> None:
    written(layout(UBOOT, boot_loader="uboot-environment", boot_disk="virtio 0"), tmp_path / "virtio")
    text = (tmp_path / "virtio/uboot.config").read_text()
    assert "# Missing here: where U-Boot keeps its environment." in text
    assert "ENV_OFFSET" not in text
    written(layout(UBOOT, boot_disk="pvblock 0"), tmp_path / "pvblock")
    assert "`pvblock read` and `pvblock write`" in (tmp_path / "pvblock/uboot.config").read_text()


@pytest.mark.parametrize("name", ["x86-grub", "raspberry-pi"])
def test_other_loaders_have_nothing_for_u_boot(name: str, tmp_path: Path) -> None:
    written(small(name), tmp_path / "files")
    assert not (tmp_path / "files/uboot.config").exists()


# --- the kickstart


def test_texts_for_wic_are_written_as_they_are(tmp_path: Path) -> None:
    texts = KickstartTexts(slot_file="${IMGDEPLOYDIR}/x.ext4", environment_file="e.img", data_dir="/d")
    written(layout(), tmp_path / "files", texts=texts)
    text = (tmp_path / "files/disk.wks").read_text()
    assert text.count('--sourceparams="file=${IMGDEPLOYDIR}/x.ext4"') == 2
    assert text.count('--sourceparams="file=e.img"') == 1
    assert text.count("--source rootfs --rootfs-dir=/d --no-fstab-update") == 1


def test_partitions_without_content_are_empty(tmp_path: Path) -> None:
    texts = KickstartTexts(environment_file="none", data_dir="none")
    written(layout(UBOOT, slots_fill="first"), tmp_path / "files", texts=texts)
    text = (tmp_path / "files/disk.wks").read_text()
    assert "rawcopy" in text
    assert "rootfs-dir" not in text
    empty = [line for line in text.splitlines() if "--source empty" in line and "--no-table" not in line]
    assert [line.split("--part-name ")[1].split()[0] for line in empty] == ["boot-env", "rootfs-b"]


@pytest.mark.parametrize("text", ["a b", "a,b", 'a"', "$(x)", "$x", "a;b", ""])
def test_a_text_that_wic_does_not_hand_on_is_refused(text: str, tmp_path: Path) -> None:
    for name in ("slot_file", "environment_file", "data_dir", "blob_dir"):
        with pytest.raises(RequestError, match="kickstart"):
            written(layout(), tmp_path / "files", texts=KickstartTexts(**{name: text}))
    assert list(tmp_path.iterdir()) == []


EXTRA = '[extra."{}"]\nsize = "4 MiB"\n'


@pytest.mark.parametrize(
    ("text", "settings", "why"),
    [
        (UBOOT, {"blobs_at": '{ "a" = "32 KiB", "b" = "33280" }', "blobs_end": "1 MiB"}, "share a block of 1 KiB"),
        (UBOOT + EXTRA.format("my logs"), {}, "'my logs'"),
        (MBR + '[extra.x]\nsize = "4100 KiB"\n' + EXTRA.format("y"), {}, "multiples of the erase block"),
        (UBOOT, {"disk_size": str(64 * MIB + 512), "data_size": "rest"}, "34 sectors"),
    ],
)
def test_a_disk_that_wic_cannot_make_has_no_kickstart(
    text: str, settings: dict[str, str], why: str, tmp_path: Path
) -> None:
    done = written(layout(text, **settings), tmp_path / "files")
    assert why in done.remarks[0]
    assert not (tmp_path / "files/disk.wks").exists()
    assert (tmp_path / "files/disk.json").exists()


def test_files_of_the_layout_that_wic_cannot_name_leave_the_kickstart_out(tmp_path: Path) -> None:
    (tmp_path / "my blob").write_bytes(b"x")
    done = written(layout(UBOOT, blobs_at=f'{{ "{tmp_path}/my blob" = "32 KiB" }}'), tmp_path / "files")
    assert "my blob" in done.remarks[0]


def test_files_in_front_of_the_partitions_need_not_be_there_if_it_is_said_where_partitions_begin(
    tmp_path: Path,
) -> None:
    at = '{ "absent/u-boot.bin" = "64 KiB", "absent/spl.bin" = "32 KiB" }'
    done = written(layout(UBOOT, blobs_at=at, blobs_end="8 MiB"), tmp_path / "files")
    assert done.remarks == ()
    lines = [line for line in (tmp_path / "files/disk.wks").read_text().splitlines() if "absent" in line]
    assert [line.split()[3] for line in lines] == ["64s", "128s"]
    assert document(tmp_path / "files")["partitions"][0]["start"] == 8 * MIB


BLOBS = {"blobs_at": '{ "spl/u-boot.bin" = "64 KiB", "/lib/spl.bin" = "32 KiB" }', "blobs_end": "8 MiB"}


def test_wic_takes_those_with_relative_paths_from_the_folder_that_it_is_told(tmp_path: Path) -> None:
    written(layout(UBOOT, **BLOBS), tmp_path / "files", texts=KickstartTexts(blob_dir="${DEPLOY_DIR_IMAGE}"))
    text = (tmp_path / "files/disk.wks").read_text()
    assert re.findall(r'file=(\S*bin)"', text) == ["/lib/spl.bin", "${DEPLOY_DIR_IMAGE}/u-boot.bin"]
    assert document(tmp_path / "files")["raw"] == [
        {"file": "spl/u-boot.bin", "offset": 64 << 10},
        {"file": "/lib/spl.bin", "offset": 32 << 10},
    ]


def test_without_a_folder_they_are_those_of_this_machine(tmp_path: Path) -> None:
    written(layout(UBOOT, **BLOBS), tmp_path / "files")
    places = [f"{Path.cwd()}/spl/u-boot.bin", "/lib/spl.bin"]
    assert re.findall(r'file=(\S*bin)"', (tmp_path / "files/disk.wks").read_text()) == places[::-1]
    assert [raw["file"] for raw in document(tmp_path / "files")["raw"]] == places


@pytest.mark.parametrize(
    ("at", "clash"),
    [('{ "spl/x.bin" = "64 KiB", "x.bin" = "32 KiB" }', True), ('{ "./x.bin" = "64 KiB", "x.bin" = "32 KiB" }', False)],
)
def test_two_files_with_one_name_leave_the_kickstart_out(at: str, clash: bool, tmp_path: Path) -> None:
    wanted = layout(UBOOT, blobs_at=at, blobs_end="1 MiB")
    done = written(wanted, tmp_path / "files", texts=KickstartTexts(blob_dir="d"))
    assert (tmp_path / "files/disk.wks").exists() is not clash
    assert done.remarks == (("no disk.wks: spl/x.bin and x.bin would both be d/x.bin",) if clash else ())


def test_without_that_they_have_to_be_there(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="cannot read absent"):
        written(layout(UBOOT, blobs_at='{ "absent.bin" = "32 KiB" }'), tmp_path / "files")


def test_a_disk_identifier_that_wic_cannot_set_is_said_in_the_kickstart(tmp_path: Path) -> None:
    done = written(layout(MBR), tmp_path / "files")
    assert f"sfdisk --disk-id IMAGE 0x{done.geometry.uuid}" in (tmp_path / "files/disk.wks").read_text()


def test_the_files_do_not_say_where_they_were_written(tmp_path: Path) -> None:
    written(layout(), tmp_path / "files")
    everything = b"".join(data for data in contents(tmp_path / "files").values() if isinstance(data, bytes))
    assert str(tmp_path).encode() not in everything
