"""Whether both series read the layer: alone, with what is recommended, and with nothing switched on."""

from collections.abc import Iterator
from fnmatch import fnmatch

import pytest
from ota_builds import LAYER, SERIES, Build, build_folder, sources

PRIME = 'BBMASK = "/recipes-(?!core/base-files/|ota/)"\n'
"""bitbake 2.18 throws the cache of its first run away: so the first run reads a few recipes only."""

SETTINGS = 'PACKAGE_CLASSES ?= "package_ipk"\nBISTABLE_EXAMPLE_KEYS = "1"\n'
VALUES = [
    ("qemux86-64", "BISTABLE_BOOTLOADER", "grub"),
    ("qemux86-64", "BISTABLE_KERNEL", "/boot/bzImage"),
    ("qemux86-64", "BISTABLE_SLOT_SIZE_MB", "856"),
    ("qemuarm64", "BISTABLE_BOOTLOADER", "uboot"),
    ("qemuarm64", "BISTABLE_KERNEL", "/boot/Image"),
    ("qemuarm64", "BISTABLE_KERNEL_ARGS", "console=ttyAMA0,115200 rootwait panic=10"),
    ("qemuarm64", "BISTABLE_UBOOT_DISK", "virtio 0"),
    ("qemuarm64", "BISTABLE_DEVICE_TYPE", "qemuarm64"),
]


@pytest.fixture(scope="module", params=SERIES)
def build(request: pytest.FixtureRequest) -> Iterator[Build]:
    more = sources(request.param, "meta-openembedded") / "meta-openembedded"
    with build_folder() as folder:
        layers = [more / "meta-oe", more / "meta-python", LAYER]
        yield Build(series=request.param, folder=folder / "build", layers=layers, settings=SETTINGS)


@pytest.mark.slow
def test_values_follow_the_machine(build: Build) -> None:
    for machine, variable, wanted in VALUES:
        assert build.value(variable, settings=PRIME, machine=machine) == wanted, variable


IMAGES = (
    PRIME.replace("ota/", "ota/|core/images/") + 'INIT_MANAGER = "systemd"\nASSUME_PROVIDED += "^(?!core-image-).*$"\n'
)


@pytest.mark.slow
def test_an_image_of_the_core_layer_fills_its_slot_and_has_the_client(build: Build) -> None:
    for variable, wanted in (
        ("IMAGE_ROOTFS_SIZE", str(856 * 1024)),
        ("IMAGE_ROOTFS_EXTRA_SPACE", "0"),
        ("WKS_FULL_PATH", f"{build.folder}/tmp*/deploy/images/qemux86-64/bistable/disk.wks"),
    ):
        assert fnmatch(build.value(variable, "core-image-minimal", settings=IMAGES), wanted), variable
    for variable, word in (
        ("PACKAGE_INSTALL", "packagegroup-bistable"),
        ("IMAGE_FSTYPES", "mender"),
        ("IMAGE_BOOT_FILES", "grub-efi-bootx64.efi;EFI/BOOT/bootx64.efi"),
    ):
        assert word in build.value(variable, "core-image-minimal", settings=IMAGES).split()
    # An initial RAM disk is left as it is.
    found = build.value("PACKAGE_INSTALL", "core-image-minimal-initramfs", settings=IMAGES).split()
    assert "packagegroup-bistable" not in found


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


@pytest.mark.slow
def test_without_meta_python_there_is_no_service_and_no_missing_provider(build: Build) -> None:
    with build_folder() as folder:
        alone = Build(series=build.series, folder=folder / "build", layers=[LAYER], settings=SETTINGS)
        alone.run("bitbake", "-p", settings=PRIME)
        done = alone.run("bitbake", "-g", "packagegroup-bistable", "bistable-native")
        assert "ERROR" not in done.output
        assert alone.value("BISTABLE_START", settings=PRIME) == "by-hand"


@pytest.mark.slow
def test_the_series_in_development_reads_the_layer() -> None:
    sources("master")
    with build_folder() as folder:
        build = Build(series="master", folder=folder / "build", layers=[LAYER], settings=SETTINGS)
        assert " 0 errors" in build.run("bitbake", "-p", settings=IMAGES).output
        assert build.value("IMAGE_ROOTFS_SIZE", "core-image-minimal", settings=IMAGES) == str(856 * 1024)
