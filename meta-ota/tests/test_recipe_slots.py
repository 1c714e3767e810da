"""The recipe that makes everything which follows from where the slots are; its command really runs."""

import json
import tomllib
from pathlib import Path

import pytest
from layer_build import SLOTS, Bench, Build, Recipe, RefusedError, bench
from metaota import firmware, machine

from bistable.tools.boot import Loader

__all__ = ["bench"]

MIB = 1 << 20
LOADERS = [
    ("qemux86-64", "grub"),
    ("qemux86-64", "systemd-boot"),
    ("qemux86-64", "efi"),
    ("qemuarm64", "uboot"),
    ("acorn", "uboot-environment"),
    ("raspberrypi", "raspberry-pi"),
]
CONFIG = "dtoverlay=vc4-kms-v3d\n"


def files(folder: Path) -> list[str]:
    """Return the files in a folder."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def firmware_config(build: Build) -> None:
    """Deploy what the recipe rpi-config does."""
    folder = build.configuration.path("DEPLOY_DIR_IMAGE") / "bootfiles"
    folder.mkdir(parents=True)
    (folder / "config.txt").write_text(CONFIG)


def test_each_slot_of_a_raspberry_pi_is_configured_as_the_bsp_says_and_starts_its_own_kernel(bench: Bench) -> None:
    build = bench.build('BISTABLE_BOOTLOADER = "raspberry-pi"\n', machine="raspberrypi")
    firmware_config(build)
    recipe = build.slots()
    assert "rpi-config:do_deploy" in recipe.flag("do_compile", "depends")
    deployed = recipe.path("DEPLOYDIR") / "bistable"
    for slot in ("a", "b"):
        assert (
            deployed / f"boot-{slot}/config.txt"
        ).read_text() == f"{CONFIG}\n[all]\nkernel=kernel8.img\narm_64bit=1\n"
        words = (deployed / f"boot-{slot}/cmdline.txt").read_text().split()
        assert [word for word in words if not word.startswith("root=")] == [
            "console=ttyS0,115200",
            "rootwait",
            "panic=10",
            f"bistable.slot={slot}",
        ]
    settings = tomllib.loads((recipe.path("D") / "etc/bistable/conf.d/40-boot.toml").read_text())
    assert settings["boot"]["backend"] == "raspberry-pi"


@pytest.mark.parametrize(("name", "loader"), LOADERS)
def test_what_was_made_fits_the_variables_and_is_named_for_the_boot_partition(
    bench: Bench, name: str, loader: str
) -> None:
    build = bench.build(f'BISTABLE_BOOTLOADER = "{loader}"\n', machine=name)
    firmware_config(build)
    recipe = build.slots()
    deployed = recipe.path("DEPLOYDIR") / "bistable"
    disk = json.loads((deployed / "disk.json").read_text())
    sizes = {part["name"]: part["size"] for part in disk["partitions"]}
    assert disk["loader"] == loader
    assert sizes["rootfs-a"] == sizes["rootfs-b"] == int(recipe.value("BISTABLE_SLOT_SIZE_MB")) * MIB
    assert sizes["data"] >= int(recipe.value("BISTABLE_DATA_SIZE_MB")) * MIB
    # IMAGE_BOOT_FILES has to name all of them: wic puts nothing else on the boot partition.
    labelled = firmware.boot_files(recipe.data.getVar).get("BOOT", "").split()
    ours = [word for word in [*machine.boot_files(recipe.data.getVar), *labelled] if word.startswith("bistable/")]
    assert sorted(word.partition(";")[0] for word in ours) == [
        f"bistable/boot/{file}" for file in files(deployed / "boot")
    ]
    assert all(word.partition(";")[0] == f"bistable/boot/{word.partition(';')[2]}" for word in ours)


def test_every_boot_loader_of_the_layer_is_one_that_disks_can_have() -> None:
    assert set(machine.LOADERS) <= {loader.value for loader in Loader}


def test_the_kickstart_names_what_wic_finds_in_a_build(bench: Bench) -> None:
    recipe = bench.build().slots()
    text = (recipe.path("DEPLOYDIR") / "bistable" / "disk.wks").read_text()
    assert text.count("file=${IMGDEPLOYDIR}/${IMAGE_LINK_NAME}.ext4") == 2
    assert "file=${DEPLOY_DIR_IMAGE}/bistable/boot-env.img" in text
    assert "--rootfs-dir=${BISTABLE_DATA_TREE}" in text


FIRST_STAGES = 'BISTABLE_BLOBS = "u-boot.bin:8192 spl.bin:32"\nBISTABLE_BLOBS_END_MB = "16"\n'


def test_first_stages_are_named_where_they_will_be_and_need_not_be_there(bench: Bench) -> None:
    deployed = bench.build(FIRST_STAGES, machine="acorn").slots().path("DEPLOYDIR") / "bistable"
    lines = [line.split() for line in (deployed / "disk.wks").read_text().splitlines() if "{DEPLOY_DIR_IMAGE}/" in line]
    assert [(line[3], line[6].partition("=")[2]) for line in lines[:2]] == [
        ("64s", '"file=${DEPLOY_DIR_IMAGE}/spl.bin"'),
        ("16384s", '"file=${DEPLOY_DIR_IMAGE}/u-boot.bin"'),
    ]
    assert json.loads((deployed / "disk.json").read_text())["partitions"][0]["start"] == 16 * MIB


def test_what_u_boot_is_configured_by_does_not_wait_for_u_boot(bench: Bench) -> None:
    recipe = bench.build(FIRST_STAGES, machine="acorn").recipe(SLOTS)
    words = recipe.words("DEPENDS") + recipe.words("RDEPENDS:bistable-slots")
    for task in ("do_configure", "do_compile", "do_check", "do_install", "do_deploy"):
        words += recipe.flag(task, "depends")
    assert [word for word in words if "boot" in word.replace("libubootenv", "")] == []


def test_u_boot_is_told_of_the_watchdog_and_of_places_in_memory(bench: Bench) -> None:
    settings = 'BISTABLE_UBOOT_WATCHDOG = "watchdog@30280000"\nBISTABLE_UBOOT_ADDRESSES = "kernel_addr_r=0x40400000"\n'
    deployed = bench.build(settings, machine="acorn").slots().path("DEPLOYDIR") / "bistable"
    script = (deployed / "boot/boot.cmd").read_text()
    assert "setenv bistable_watchdog watchdog@30280000" in script
    assert "setenv kernel_addr_r 0x40400000" in script
    assert "CONFIG_CMD_WDT=y" in (deployed / "uboot.config").read_text().splitlines()


def test_the_client_is_told_where_the_slots_are(bench: Bench) -> None:
    recipe = bench.build().slots()
    root = recipe.path("D")
    settings = tomllib.loads((root / "etc/bistable/conf.d/40-boot.toml").read_text())
    assert settings["boot"]["backend"] == "grub"
    assert (root / "var/lib/bistable").readlink() == Path("/data/bistable")


def test_only_systemd_gets_what_only_systemd_understands(bench: Bench) -> None:
    with_it = bench.build().slots()
    without = bench.build('DISTRO_FEATURES = "sysvinit"\n').slots()
    assert "x-systemd." in (with_it.path("DEPLOYDIR") / "bistable" / "fstab").read_text()
    assert "x-systemd." not in (without.path("DEPLOYDIR") / "bistable" / "fstab").read_text()


def test_nothing_of_another_boot_loader_stays(bench: Bench) -> None:
    build = bench.build()
    recipe = build.slots()
    assert (recipe.path("DEPLOYDIR") / "bistable" / "boot-env.img").exists()
    other = build.recipe(SLOTS)
    other.set(BISTABLE_BOOTLOADER="efi")
    other.run_all("do_configure", "do_compile", "do_deploy")
    assert not (recipe.path("DEPLOYDIR") / "bistable" / "boot-env.img").exists()


def test_u_boot_gets_the_options_that_its_script_needs(bench: Bench) -> None:
    recipe = bench.build(machine="acorn").slots()
    assert "CONFIG_CMD_SETEXPR=y" in (recipe.path("DEPLOYDIR") / "bistable" / "uboot.config").read_text()
    assert recipe.words("RDEPENDS:bistable-slots") == ["libubootenv-bin"]


# --- a layout of your own


def own_layout(bench: Bench, text: str, settings: str = "") -> Recipe:
    """Return the recipe in a build with a layout that somebody wrote."""
    path = bench.top / "acorn.toml"
    path.write_text(text)
    return bench.build(f'BISTABLE_LAYOUT = "{path}"\n{settings}').recipe(SLOTS)


OWN = """\
[device]
type = "acorn-2"
[boot]
loader = "grub"
[boot-partition]
size = "32 MiB"
[slots]
size = "128 MiB"
[data]
size = "64 MiB"
"""


def test_a_layout_of_your_own_takes_the_place_of_the_one_that_is_made(bench: Bench) -> None:
    recipe = own_layout(bench, OWN, 'BISTABLE_SLOT_SIZE_MB = "128"\n')
    recipe.run_all("do_configure", "do_compile", "do_check", "do_deploy")
    disk = json.loads((recipe.path("DEPLOYDIR") / "bistable" / "disk.json").read_text())
    assert disk["device_type"] == "acorn-2"


def test_its_slots_have_to_be_those_that_root_file_systems_are_made_for(bench: Bench) -> None:
    recipe = own_layout(bench, OWN)
    with pytest.raises(RefusedError) as refused:
        recipe.run_all("do_configure", "do_compile", "do_check")
    assert "BISTABLE_SLOT_SIZE_MB is 856, and the slots of BISTABLE_LAYOUT have 128 MiB" in str(refused.value)
    assert 'Set BISTABLE_SLOT_SIZE_MB = "128"' in str(refused.value)


def test_a_layout_that_cannot_be_says_why(bench: Bench) -> None:
    recipe = own_layout(bench, OWN.replace("[slots]\n", "[slots]\ncolour = 1\n"))
    with pytest.raises(RefusedError) as refused:
        recipe.run_all("do_configure", "do_compile", "do_check")
    assert "[slots] colour: there is no such key" in str(refused.value)
    assert "cannot lay out the disk: what bistable says is above" in str(refused.value)


def test_a_layout_that_is_not_there_stops_the_build(bench: Bench) -> None:
    recipe = bench.build('BISTABLE_LAYOUT = "/nowhere/acorn.toml"\n').recipe(SLOTS)
    with pytest.raises(RefusedError, match=r"BISTABLE_LAYOUT is '/nowhere/acorn\.toml', and there is no such file"):
        recipe.run("do_configure")
