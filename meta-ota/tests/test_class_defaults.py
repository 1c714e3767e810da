"""What a build has when nothing but the switch is set, and what it says about a mistake."""

import re

import pytest
from layer_build import Bench, Build, Recipe, bench
from layer_files import EXAMPLE_KEYS, SERIES

__all__ = ["bench"]

KEYS = 'BISTABLE_EXAMPLE_KEYS = "1"\n'
UBOOT = "recipes-bsp/u-boot/u-boot_%.bbappend"


def shown(recipe: Recipe, *names: str) -> dict[str, str]:
    """Return variables with their values, by their names without BISTABLE_."""
    return {name: recipe.value(f"BISTABLE_{name}") for name in names}


# --- the switch


@pytest.mark.parametrize("series", SERIES)
def test_a_build_without_the_switch_has_nothing_of_the_layer_but_where_it_is(bench: Bench, series: str) -> None:
    build = bench.build(switch="", series=series)
    assert "bistable" not in build.configuration.words("DISTRO_FEATURES")
    assert build.image().words("IMAGE_FSTYPES") == ["ext4"]
    ours = [name for name in build.configuration.data if name.startswith("BISTABLE_")]
    assert ours == []
    assert build.log.text == ""


@pytest.mark.parametrize("series", SERIES)
def test_the_switch_is_one_line(bench: Bench, series: str) -> None:
    build = bench.build(series=series)
    assert "bistable" in build.configuration.words("DISTRO_FEATURES")
    assert "packagegroup-bistable" in build.image().words("IMAGE_INSTALL")
    assert {"mender", "wic"} <= set(build.image().words("IMAGE_FSTYPES"))
    assert build.log.text == ""


def test_the_fragment_is_the_same_switch(bench: Bench) -> None:
    build = bench.build(switch='OE_FRAGMENTS += "meta-ota/bistable"')
    assert "bistable" in build.configuration.words("DISTRO_FEATURES")
    assert build.configuration.value("BISTABLE_BOOTLOADER") == "grub"


def test_recipes_of_the_layer_are_left_out_without_the_switch(bench: Bench) -> None:
    build = bench.build(switch="")
    for name in ("slots", "conf", "data"):
        message = build.skipped(f"recipes-ota/bistable-{name}/bistable-{name}_1.0.bb")
        assert "feature 'bistable' (not in DISTRO_FEATURES)" in message


def test_an_image_that_is_not_for_a_slot_is_left_alone(bench: Bench) -> None:
    image = bench.build(KEYS + 'IMAGE_FSTYPES:pn-stub-image = "tar"\n').image()
    assert image.words("IMAGE_FSTYPES") == ["tar"]
    assert image.value("IMAGE_ROOTFS_SIZE") == ""
    assert "bistable" not in image.value("ROOTFS_POSTPROCESS_COMMAND")


def test_only_scarthgap_gets_the_recipe_that_it_lacks(bench: Bench) -> None:
    pattern = "dynamic-layers/scarthgap"
    assert pattern in bench.build(series="scarthgap").configuration.value("BBFILES")
    assert pattern not in bench.build(series="wrynose").configuration.value("BBFILES")


# --- machines


def test_a_pc_has_grub_and_its_first_serial_port(bench: Bench) -> None:
    configuration = bench.build(machine="qemux86-64").configuration
    assert shown(configuration, "DEVICE_TYPE", "BOOTLOADER", "KERNEL", "KERNEL_ARGS", "DEVICETREE") == {
        "DEVICE_TYPE": "qemux86-64",
        "BOOTLOADER": "grub",
        "KERNEL": "/boot/bzImage",
        "KERNEL_ARGS": "console=ttyS0,115200 rootwait panic=10",
        "DEVICETREE": "",
    }


def test_a_machine_with_u_boot_has_its_script(bench: Bench) -> None:
    configuration = bench.build(machine="qemuarm64").configuration
    assert shown(configuration, "BOOTLOADER", "KERNEL", "KERNEL_ARGS", "UBOOT_DISK") == {
        "BOOTLOADER": "uboot",
        "KERNEL": "/boot/Image",
        "KERNEL_ARGS": "console=ttyAMA0,115200 rootwait panic=10",
        "UBOOT_DISK": "virtio 0",
    }


def test_a_board_has_its_card_and_its_first_device_tree(bench: Bench) -> None:
    configuration = bench.build(machine="acorn").configuration
    assert shown(configuration, "BOOTLOADER", "UBOOT_DISK", "DEVICETREE") == {
        "BOOTLOADER": "uboot",
        "UBOOT_DISK": "mmc 0",
        "DEVICETREE": "/boot/acorn-2.dtb",
    }


def test_a_raspberry_pi_may_have_its_firmware_choose_the_slot(bench: Bench) -> None:
    settings = 'BISTABLE_BOOTLOADER = "raspberry-pi"\n'
    configuration = bench.build(settings, machine="raspberrypi").configuration
    assert shown(configuration, "KERNEL", "DEVICETREE", "BOOT_SIZE_MB", "PARTITION_TABLE") == {
        "KERNEL": "/boot/firmware/kernel8.img",
        "DEVICETREE": "",
        "BOOT_SIZE_MB": "256",
        "PARTITION_TABLE": "mbr",
    }


def test_a_machine_may_say_otherwise(bench: Bench) -> None:
    settings = (
        'BISTABLE_STORAGE_SIZE_MB:acorn = "4096"\nBISTABLE_TRIES = "5"\nBISTABLE_BOOTLOADER = "uboot-environment"\n'
    )
    configuration = bench.build(settings, machine="acorn").configuration
    assert shown(configuration, "STORAGE_SIZE_MB", "TRIES", "BOOTLOADER", "SLOT_SIZE_MB") == {
        "STORAGE_SIZE_MB": "4096",
        "TRIES": "5",
        "BOOTLOADER": "uboot-environment",
        "SLOT_SIZE_MB": "1880",
    }


def test_slots_grow_with_the_storage(bench: Bench) -> None:
    small = bench.build().configuration.value("BISTABLE_SLOT_SIZE_MB")
    large = bench.build('BISTABLE_STORAGE_SIZE_MB = "7456"\n').configuration.value("BISTABLE_SLOT_SIZE_MB")
    assert (small, large) == ("856", "3560")


def test_the_service_is_built_where_its_layer_is(bench: Bench) -> None:
    assert bench.build().configuration.value("BISTABLE_START") == "by-hand"
    with_layer = bench.build('BBFILE_COLLECTIONS += "meta-python"\n')
    assert with_layer.configuration.value("BISTABLE_START") == "service"
    recipe = with_layer.recipe("recipes-ota/bistable/bistable_0.1.0.bb")
    assert recipe.words("PACKAGECONFIG") == ["daemon"]
    assert "bistable-daemon" in recipe.words("RDEPENDS:bistable")


def test_the_identity_of_the_machine_is_kept_where_systemd_makes_one(bench: Bench) -> None:
    assert bench.build().configuration.words("BISTABLE_FEATURES") == ["grow-data", "machine-id"]
    assert bench.build('DISTRO_FEATURES = "sysvinit"\n').configuration.words("BISTABLE_FEATURES") == ["grow-data"]


@pytest.mark.parametrize(("python", "zstd"), [("3.12", "python3-zstandard"), ("3.14", "python3-compression")])
def test_zstd_comes_from_where_the_python_of_the_release_has_it(bench: Bench, python: str, zstd: str) -> None:
    build = bench.build(f'PYTHON_BASEVERSION = "{python}"\n')
    target = build.recipe("recipes-ota/bistable/bistable_0.1.0.bb")
    native = build.recipe("recipes-ota/bistable/bistable_0.1.0.bb", variant="native")
    assert (target.value("BISTABLE_ZSTD"), "python3-zstandard" in target.words("RDEPENDS:bistable-artifact")) == (
        zstd,
        python == "3.12",
    )
    assert ("python3-zstandard-native" in native.words("DEPENDS")) == (python == "3.12")


# --- mistakes, told when the configuration is read


def test_a_mistake_stops_the_build_with_a_form_that_is_right(bench: Bench) -> None:
    message = bench.refusal('BISTABLE_TRIES = "many"\n')
    assert "BISTABLE_TRIES is 'many': it has to be a number from 1 to 9. Set it like BISTABLE_TRIES = \"3\"." in message
    assert "README.md" in message


def test_all_mistakes_are_told_at_once(bench: Bench) -> None:
    message = bench.refusal('BISTABLE_TRIES = "0"\nBISTABLE_PERSIST = "home"\nBISTABLE_BOOTLOADER = "lilo"\n')
    assert set(re.findall(r"BISTABLE_\w+(?= is ')", message)) == {
        "BISTABLE_TRIES",
        "BISTABLE_PERSIST",
        "BISTABLE_BOOTLOADER",
    }


def test_a_processor_without_boot_scripts_stops_the_build(bench: Bench) -> None:
    message = bench.refusal('BISTABLE_BOOTLOADER = "uboot"\n', machine="powerpc")
    assert "TARGET_ARCH is 'powerpc64': there are boot scripts for x86_64, aarch64, arm, riscv64 only." in message


def test_a_machine_whose_boot_loader_is_not_known_has_to_say_it(bench: Bench) -> None:
    message = bench.refusal('UBOOT_MACHINE = ""\n', machine="qemuarm64")
    assert "BISTABLE_BOOTLOADER is not set: it has to be one of grub," in message


def test_partitions_that_do_not_fit_stop_the_build(bench: Bench) -> None:
    assert "nothing is left for the slots" in bench.refusal('BISTABLE_STORAGE_SIZE_MB = "256"\n')
    assert 'Set BISTABLE_SLOT_SIZE_MB = "856"' in bench.refusal('BISTABLE_SLOT_SIZE_MB = "1024"\n')


def test_systemd_boot_without_systemd_stops_the_build(bench: Bench) -> None:
    message = bench.refusal('BISTABLE_BOOTLOADER = "systemd-boot"\nDISTRO_FEATURES = "sysvinit"\n')
    assert 'Set INIT_MANAGER = "systemd"' in message


# --- two providers


def test_there_is_one_provider_of_the_settings_and_the_program_asks_for_any(bench: Bench) -> None:
    build = bench.build(KEYS)
    assert "virtual-bistable-conf" in conf(build).words("RPROVIDES:bistable-conf")
    program = build.recipe("recipes-ota/bistable/bistable_0.1.0.bb")
    assert "virtual-bistable-conf" in program.words("RDEPENDS:bistable-client")


def test_of_two_configurations_the_one_that_was_not_chosen_says_so(bench: Bench) -> None:
    build = bench.build(KEYS + 'PREFERRED_RPROVIDER_virtual-bistable-conf = "acorn-conf"\n')
    message = build.skipped("recipes-ota/bistable-conf/bistable-conf_1.0.bb")
    assert message.startswith("PREFERRED_RPROVIDER_virtual-bistable-conf is 'acorn-conf', and an image has one")


def conf(build: Build) -> Recipe:
    """Read the recipe of the client's settings."""
    return build.recipe("recipes-ota/bistable-conf/bistable-conf_1.0.bb")


# --- private keys are named, not known


def test_the_keys_of_the_layer_are_used_for_trials_only(bench: Bench) -> None:
    configuration = bench.build(KEYS).configuration
    assert shown(configuration, "SIGNING_KEY", "VERIFY_KEYS") == {
        "SIGNING_KEY": str(EXAMPLE_KEYS / "private.pem"),
        "VERIFY_KEYS": str(EXAMPLE_KEYS / "public.pem"),
    }
    assert shown(bench.build().configuration, "SIGNING_KEY", "VERIFY_KEYS") == {"SIGNING_KEY": "", "VERIFY_KEYS": ""}
