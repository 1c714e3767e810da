"""Whether both series read the layer, alone and with what is recommended, and what they make of it."""

import re
from collections.abc import Iterator

import pytest
from ota_builds import LAYER, SERIES, Build, build_folder, sources

PRIME = 'BBMASK = "/recipes-(?!core/base-files/|ota/)"\n'
"""bitbake 2.18 throws the cache of its first run away: so the first run reads a few recipes only."""

SETTINGS = 'PACKAGE_CLASSES ?= "package_ipk"\nBISTABLE_EXAMPLE_KEYS = "1"\n'
MACHINES = {
    "qemux86-64": {
        "BISTABLE_BOOTLOADER": "grub",
        "BISTABLE_KERNEL": "/boot/bzImage",
        "BISTABLE_SLOT_SIZE_MB": "856",
    },
    "qemuarm64": {
        "BISTABLE_BOOTLOADER": "uboot",
        "BISTABLE_KERNEL": "/boot/Image",
        "BISTABLE_KERNEL_ARGS": "console=ttyAMA0,115200 rootwait panic=10",
        "BISTABLE_UBOOT_DISK": "virtio 0",
        "BISTABLE_DEVICE_TYPE": "qemuarm64",
    },
    "qemuarm": {
        "BISTABLE_BOOTLOADER": "uboot",
        "BISTABLE_KERNEL": "/boot/zImage",
        "BISTABLE_UBOOT_DISK": "virtio 0",
    },
}
SWITCH = LAYER / "classes-global/bistable.bbclass"
VARIABLES = re.findall(r"^(BISTABLE_\w+)\[doc\]", SWITCH.read_text(), re.MULTILINE)


@pytest.fixture(scope="module", params=SERIES)
def build(request: pytest.FixtureRequest) -> Iterator[Build]:
    more = sources(request.param, "meta-openembedded") / "meta-openembedded"
    with build_folder() as folder:
        layers = [more / "meta-oe", more / "meta-python", LAYER]
        yield Build(series=request.param, folder=folder / "build", layers=layers, settings=SETTINGS)


@pytest.mark.slow
@pytest.mark.parametrize("machine", MACHINES)
def test_values_follow_the_machine(build: Build, machine: str) -> None:
    assert MACHINES[machine].items() <= build.values(settings=PRIME, machine=machine).items()


IMAGES = (
    PRIME.replace("ota/", "ota/|core/images/") + 'INIT_MANAGER = "systemd"\nASSUME_PROVIDED += "^(?!core-image-).*$"\n'
)


@pytest.mark.slow
def test_every_variable_has_a_value_in_an_image(build: Build) -> None:
    values = build.values("core-image-minimal", settings=IMAGES)
    assert len(VARIABLES) > 40
    assert [name for name in VARIABLES if "${" not in values.get(name, "${")] == VARIABLES


@pytest.mark.slow
def test_an_image_of_the_core_layer_fills_its_slot_and_has_the_client(build: Build) -> None:
    values = build.values("core-image-minimal", settings=IMAGES)
    assert values["IMAGE_ROOTFS_SIZE"] == str(856 * 1024)
    assert values["IMAGE_ROOTFS_EXTRA_SPACE"] == "0"
    assert values["WKS_FULL_PATH"].endswith("/deploy/images/qemux86-64/bistable/disk.wks")
    assert "packagegroup-bistable" in values["PACKAGE_INSTALL"].split()
    assert "mender" in values["IMAGE_FSTYPES"].split()
    assert "grub-efi-bootx64.efi;EFI/BOOT/bootx64.efi" in values["IMAGE_BOOT_FILES"].split()


@pytest.mark.slow
def test_an_initial_ram_disk_is_left_as_it_is(build: Build) -> None:
    values = build.values("core-image-minimal-initramfs", settings=IMAGES)
    assert "packagegroup-bistable" not in values["PACKAGE_INSTALL"].split()
    assert "bistable" not in values["ROOTFS_POSTPROCESS_COMMAND"]


OWN_CONF = """
SUMMARY = "A configuration of one's own"
LICENSE = "CLOSED"
INHIBIT_DEFAULT_DEPS = "1"
ALLOW_EMPTY:${PN} = "1"
RPROVIDES:${PN} = "virtual-bistable-conf"
"""
OWN_LAYER = """
BBFILES += "${LAYERDIR}/*.bb"
BBFILE_COLLECTIONS += "acorn"
BBFILE_PATTERN_acorn = "^${LAYERDIR}/"
LAYERSERIES_COMPAT_acorn = "scarthgap wrynose"
"""
OURS = PRIME + 'ASSUME_PROVIDED += "^(?!(packagegroup-bistable|bistable|acorn|virtual-bistable)).*$"\n'


@pytest.mark.slow
def test_a_configuration_of_ones_own_takes_the_place_of_ours(build: Build) -> None:
    with build_folder() as folder:
        own = folder / "meta-acorn"
        (own / "conf").mkdir(parents=True)
        (own / "conf/layer.conf").write_text(OWN_LAYER)
        (own / "acorn-conf.bb").write_text(OWN_CONF)
        mine = Build(series=build.series, folder=folder / "build", layers=[LAYER, own], settings=SETTINGS)
        chosen = OURS + 'PREFERRED_RPROVIDER_virtual-bistable-conf = "acorn-conf"\n'
        for settings, used, unused in ((OURS, "bistable-conf", "acorn-conf"), (chosen, "acorn-conf", "bistable-conf")):
            mine.run("bitbake", "-g", "packagegroup-bistable", settings=settings)
            needed = (mine.folder / "pn-buildlist").read_text().split()
            assert used in needed
            assert unused not in needed
        both = mine.run("bitbake", "-g", "packagegroup-bistable", "bistable-conf", settings=chosen, status=None)
        assert both.status != 0
        assert "an image has one configuration" in both.output


@pytest.mark.slow
def test_all_that_an_image_needs_has_providers(build: Build) -> None:
    build.run("bitbake", "-p", settings=PRIME)
    done = build.run("bitbake", "-g", "core-image-minimal", "bistable-native", "nativesdk-bistable")
    assert "ERROR" not in done.output
    needed = (build.folder / "pn-buildlist").read_text().split()
    assert {"bistable", "bistable-conf", "bistable-data", "bistable-slots", "bistable-native", "grub-efi"} <= set(
        needed
    )
    assert ("python3-zstandard" in needed) == (build.series == "scarthgap")


FIRST_STAGES = (
    'EXTRA_IMAGEDEPENDS:append = " virtual/bootloader"\nPREFERRED_PROVIDER_virtual/bootloader = "u-boot"\n'
    'UBOOT_MACHINE = "qemu_arm64_defconfig"\nBISTABLE_BLOBS = "u-boot.bin:32"\nBISTABLE_BLOBS_END_MB = "4"\n'
)


@pytest.mark.slow
def test_u_boot_waits_for_the_slots_and_the_disk_for_u_boot(build: Build) -> None:
    build.run("bitbake", "-p", settings=PRIME, machine="qemuarm64")
    done = build.run("bitbake", "-g", "core-image-minimal", settings=FIRST_STAGES, machine="qemuarm64")
    assert "ERROR" not in done.output
    order = (build.folder / "task-depends.dot").read_text()
    assert '"u-boot.do_configure" -> "bistable-slots.do_deploy"' in order
    assert '"core-image-minimal.do_image_wic" -> "u-boot.do_deploy"' in order


PI = IMAGES + 'BISTABLE_BOOTLOADER = "raspberry-pi"\n'
LABELLED = r'^IMAGE_BOOT_FILES_label-(BOOT\S*)="(.*)"$'


@pytest.mark.slow
@pytest.mark.parametrize("series", SERIES)
def test_the_slots_of_a_raspberry_pi_have_what_its_layer_puts_onto_the_boot_partition(series: str) -> None:
    board = sources(series, "meta-raspberrypi") / "meta-raspberrypi"
    with build_folder() as folder:
        build = Build(
            series=series,
            folder=folder / "build",
            layers=[board, LAYER],
            machine="raspberrypi4-64",
            settings=SETTINGS,
        )
        said = build.run("bitbake", "-e", "core-image-minimal", settings=PI).output
    found = {label: files.split() for label, files in re.findall(LABELLED, said, re.MULTILINE)}
    assert found.keys() == {"BOOT", "BOOT-A", "BOOT-B"}
    for slot in ("a", "b"):
        files = found[f"BOOT-{slot.upper()}"]
        assert {"bootfiles/*", "bcm2711-rpi-4-b.dtb", "Image;kernel8.img"} <= set(files)
        assert "disable-bt.dtbo;overlays/disable-bt.dtbo" in files
        assert files[-1] == f"bistable/boot-{slot}/cmdline.txt;cmdline.txt"
    values = dict(re.findall(r'^(BISTABLE_\w+)="(.*)"$', said, re.MULTILINE))
    assert values["BISTABLE_KERNEL"] == "/boot/firmware/kernel8.img"
    assert values["BISTABLE_PARTITION_TABLE"] == "mbr"


@pytest.mark.slow
def test_without_meta_python_there_is_no_service_and_no_missing_provider(build: Build) -> None:
    with build_folder() as folder:
        alone = Build(series=build.series, folder=folder / "build", layers=[LAYER], settings=SETTINGS)
        alone.run("bitbake", "-p", settings=PRIME)
        done = alone.run("bitbake", "-g", "packagegroup-bistable", "bistable-native")
        assert "ERROR" not in done.output
        assert alone.values(settings=PRIME)["BISTABLE_START"] == "by-hand"


@pytest.mark.slow
def test_the_series_in_development_reads_the_layer() -> None:
    sources("master")
    with build_folder() as folder:
        build = Build(series="master", folder=folder / "build", layers=[LAYER], settings=SETTINGS)
        assert " 0 errors" in build.run("bitbake", "-p", settings=IMAGES).output
        assert build.values("core-image-minimal", settings=IMAGES)["IMAGE_ROOTFS_SIZE"] == str(856 * 1024)
