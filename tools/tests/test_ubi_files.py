"""Boot script and settings for slots in UBI: what refers to the same thing in several files agrees."""

import configparser
import re
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest
from boot_programs import needs
from ubi_plans import PARTITIONS, flash, ubi_plan

from bistable.artifact.errors import RequestError
from bistable.artifact.limits import KIB, MIB
from bistable.client.config.kinds import BootBackend, BootScheme
from bistable.client.config.load import load, only
from bistable.tools.boot import ubootenv
from bistable.tools.boot.ubi import FlashPartition, UbiPlan
from bistable.tools.boot.ubifiles import ubi_files
from bistable.tools.boot.ubigeometry import place_volumes

IN_MTD = {"environment": ("env", "env-r"), "environment_size": 128 * KIB}
EVERYWHERE = [pytest.param({}, id="in UBI"), pytest.param(IN_MTD, id="in MTD")]


def volumes(plan: UbiPlan) -> dict[str, Mapping[str, str]]:
    parser = configparser.ConfigParser()
    parser.read_string(ubi_files(plan).ubinize)
    return {name: parser[name] for name in parser.sections()}


def options(plan: UbiPlan) -> dict[str, str]:
    """The fragment as Kconfig reads it."""
    found = {}
    for line in ubi_files(plan).uboot.splitlines():
        if matched := re.fullmatch(r"CONFIG_(\w+)=(.*)", line):
            found[matched[1]] = matched[2].strip('"')
        elif matched := re.fullmatch(r"# CONFIG_(\w+) is not set", line):
            found[matched[1]] = "n"
    return found


@pytest.mark.parametrize("changes", EVERYWHERE)
def test_script_image_client_and_kernel_name_the_same_volumes(changes: dict[str, object], tmp_path: Path) -> None:
    plan = ubi_plan(**changes)
    files = ubi_files(plan)
    (tmp_path / "40-boot.toml").write_text(files.client)
    loaded = load(only(tmp_path / "40-boot.toml"))
    assert loaded.warnings == ()
    numbers = {section["vol_name"]: section["vol_id"] for section in volumes(plan).values()}
    for slot, device in (("a", loaded.settings.slots.a), ("b", loaded.settings.slots.b)):
        assert device == Path(f"/dev/ubi0_{numbers[f'rootfs-{slot}']}")
        assert f"ubifsmount ubi0:rootfs-{slot};" in files.script
        words = re.findall(rf"bootargs '(root=ubi0:rootfs-{slot} .*)'", files.script)
        wanted = (
            f"root=ubi0:rootfs-{slot} rootfstype=ubifs ubi.mtd=ubi "
            "mtdparts=gpmi-nand:4096k(boot),512k(env),512k(env-r),-(ubi) "
            f"console=ttymxc0,115200 rootwait panic=10 bistable.slot={slot}"
        )
        assert set(words) == {wanted}
    assert files.fstab == "ubi0:data /data ubifs defaults,noatime 0 0\n"
    assert "data" in numbers


def test_the_client_finds_slots_and_boot_loader(tmp_path: Path) -> None:
    (tmp_path / "40-boot.toml").write_text(ubi_files(ubi_plan(tries=2)).client)
    boot = load(only(tmp_path / "40-boot.toml")).settings.boot
    assert (boot.backend, boot.scheme, boot.tries) == (BootBackend.UBOOT, BootScheme.SLOTS, 2)


def test_the_image_has_the_boot_script_and_slot_a_and_nothing_else_in_it() -> None:
    images = {name: section["image"] for name, section in volumes(ubi_plan()).items() if "image" in section}
    assert images == {"boot-script": "boot.scr", "rootfs-a": "rootfs.ubifs"}


def test_u_boot_reads_the_script_from_its_volume_and_checks_it() -> None:
    plan = ubi_plan(addresses={"scriptaddr": 0x80100000, "kernel_addr_r": 0x80800000})
    assert options(plan)["BOOTCOMMAND"] == "ubi part ubi && ubi read 0x80100000 boot-script && source 0x80100000; reset"
    assert volumes(plan)["boot-script"]["vol_type"] == "static"
    without = "ubi part ubi && ubi read ${scriptaddr} boot-script && source ${scriptaddr}; reset"
    assert options(ubi_plan())["BOOTCOMMAND"] == without


def test_an_environment_in_ubi_is_the_same_for_u_boot_linux_and_script() -> None:
    plan = ubi_plan(environment_size=0x1F000)
    found, files = options(plan), ubi_files(plan)
    names = [found["ENV_UBI_VOLUME"], found["ENV_UBI_VOLUME_REDUND"]]
    assert (found["ENV_IS_IN_UBI"], found["ENV_IS_IN_NAND"], found["ENV_IS_NOWHERE"]) == ("y", "n", "n")
    assert (found["ENV_UBI_PART"], found["ENV_SIZE"]) == ("ubi", "0x1f000")
    assert files.fw_env.splitlines()[1:] == [f"/dev/ubi0:{name} 0x0 0x1f000 0x1f000" for name in names]
    for name in names:
        assert int(volumes(plan)[name]["vol_size"]) >= 0x1F000
        assert f"ubi read ${{kernel_addr_r}} {name} 1f000;" in files.script


def test_an_environment_in_partitions_is_the_same_for_u_boot_linux_and_script() -> None:
    plan = ubi_plan(**IN_MTD)
    found, files = options(plan), ubi_files(plan)
    assert (found["ENV_IS_IN_NAND"], found["ENV_IS_IN_UBI"], found["CMD_NAND"]) == ("y", "n", "y")
    assert (found["ENV_OFFSET"], found["ENV_OFFSET_REDUND"]) == ("0x400000", "0x480000")
    assert (found["ENV_SIZE"], found["ENV_RANGE"]) == ("0x20000", "0x80000")
    # Linux numbers the partitions as they lie, and may look for blocks that are not bad as far as U-Boot may.
    assert files.fw_env.splitlines()[1:] == ["/dev/mtd1 0x0 0x20000 0x20000 4", "/dev/mtd2 0x0 0x20000 0x20000 4"]
    assert "nand read ${kernel_addr_r} env 20000;" in files.script
    assert "uboot-env" not in volumes(plan)


@pytest.mark.parametrize("changes", EVERYWHERE)
def test_u_boot_has_two_copies_under_the_old_and_the_new_name_and_one_place_for_them(
    changes: dict[str, object],
) -> None:
    found = options(ubi_plan(**changes))
    assert (found["SYS_REDUNDAND_ENVIRONMENT"], found["ENV_REDUNDANT"]) == ("y", "y")
    assert len([name for name, value in found.items() if name.startswith("ENV_IS_IN_") and value == "y"]) == 1


def test_u_boot_has_the_command_that_the_script_boots_with() -> None:
    assert options(ubi_plan())["CMD_BOOTZ"] == "y"
    assert "\nbootz ${kernel_addr_r} - ${fdt_addr_r}\n" in ubi_files(ubi_plan()).script
    plan = ubi_plan(architecture="arm64", devicetree=None, initrd=PurePosixPath("/boot/initrd"))
    assert options(plan)["CMD_BOOTI"] == "y"
    assert "\nbooti ${kernel_addr_r} ${ramdisk_addr_r}:${filesize} ${fdtcontroladdr}\n" in ubi_files(plan).script


def test_a_watchdog_is_started_by_a_u_boot_that_can() -> None:
    plan = ubi_plan(watchdog="watchdog@20bc000")
    assert "setenv bistable_watchdog watchdog@20bc000;" in ubi_files(plan).script
    assert {options(plan)[name] for name in ("WDT", "WATCHDOG", "CMD_WDT")} == {"y"}
    assert "WDT" not in options(ubi_plan())


def test_a_volume_is_not_mounted_while_another_one_is() -> None:
    lines = ubi_files(ubi_plan()).script.splitlines()
    mounted = False
    for line in lines:
        if line.startswith("if ubifsmount"):
            assert not mounted
            mounted = True
        elif line == "ubifsumount":
            mounted = False


def test_partitions_with_room_between_them_say_where_they_start() -> None:
    apart = (*PARTITIONS[:1], FlashPartition(name="ubi", offset=8 * MIB, size=256 * MIB))
    script = ubi_files(ubi_plan(flash=flash(partitions=apart))).script
    assert "mtdparts=gpmi-nand:4096k(boot),262144k@8192k(ubi) " in script


def test_the_same_plan_gives_the_same_files() -> None:
    assert ubi_files(ubi_plan()) == ubi_files(ubi_plan())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"filesystem": "squashfs"}, "U-Boot cannot read a kernel out of a slot with squashfs in UBI"),
        ({"environment_size": 2 * MIB}, "a copy of the environment cannot have 2097152 bytes"),
        ({"environment": ("env", "env")}, "need three partitions"),
        ({"environment": ("env", "ubi")}, "need three partitions"),
        ({"environment": ("env", "nothing")}, "the flash has no partition 'nothing'"),
        ({**IN_MTD, "environment_size": MIB}, "the partition env has 524288 bytes, a copy of the environment 1048576"),
        ({"flash": flash(page=3000)}, "pages of 3000 bytes"),
        ({"flash": flash(sub_page=3000)}, "with writes of 3000"),
        ({"flash": flash(erase_block=16 * KIB)}, "blocks of 16 KiB are too small for UBIFS"),
        ({"flash": flash(mtd_id="gpmi nand")}, "'gpmi nand' is no name"),
        ({"flash": flash(size=MIB)}, "does not fit into the flash of 1024 KiB"),
        ({"kernel": PurePosixPath("boot/zImage")}, "'boot/zImage' is not an absolute path"),
        ({"arguments": "root=/dev/sda1"}, "the kernel's arguments contain 'root=/dev/sda1'"),
        ({"arguments": "quiet' reset"}, "the kernel's argument"),
        ({"tries": 10}, "cannot be tried 10 times"),
        ({"watchdog": "a b"}, "the watchdog's name is 'a b'"),
    ],
)
def test_plans_that_cannot_be_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        ubi_files(ubi_plan(**changes))


@pytest.mark.parametrize(
    ("partition", "message"),
    [
        ({"offset": 4 * MIB - 1}, "does not start and end at a multiple of 131072"),
        ({"offset": 2 * MIB}, "starts at 2097152, before boot ends"),
        ({"size": 512 * KIB + 1}, "does not start and end at a multiple"),
        ({"size": 512 * MIB}, "does not fit into the flash"),
        ({"name": "env(1)"}, r"'env\(1\)' is no name"),
    ],
)
def test_partitions_that_cannot_be_are_refused(partition: dict[str, object], message: str) -> None:
    wrong = replace(PARTITIONS[1], **partition)  # type: ignore[arg-type]
    with pytest.raises(RequestError, match=message):
        ubi_files(ubi_plan(flash=flash(partitions=(PARTITIONS[0], wrong, PARTITIONS[3]))))


def test_the_tools_of_u_boot_read_the_same_environment_as_the_image_has(tmp_path: Path) -> None:
    """The sizes of fw_env.config are those of a copy: tried with files in place of volumes."""
    needs("fw_printenv")
    plan = ubi_plan(environment_size=0x1F000)
    config = ubi_files(plan).fw_env
    for counter, name in enumerate(("uboot-env", "uboot-env-r")):
        (tmp_path / name).write_bytes(ubootenv.build_copy({"bistable_order": "a"}, 0x1F000, counter=counter))
        config = config.replace(f"/dev/ubi0:{name} ", f"{tmp_path / name} ")
    (tmp_path / "fw_env.config").write_text(config)
    command = ["fw_printenv", "-c", str(tmp_path / "fw_env.config"), "bistable_order"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert done.stdout == "bistable_order=a\n"
    assert place_volumes(plan).volume("uboot-env").blocks == 1
