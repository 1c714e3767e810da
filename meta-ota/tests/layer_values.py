"""Values of variables as the functions of the layer ask for them, without bitbake."""

from collections.abc import Callable

USUAL = {
    "TARGET_ARCH": "x86_64",
    "DISTRO_FEATURES": "systemd bistable",
    "BBFILE_COLLECTIONS": "core meta-python meta-ota",
    "KERNEL_IMAGETYPE": "bzImage",
    "BISTABLE_DEVICE_TYPE": "acorn-2",
    "BISTABLE_COMPATIBLE_TYPES": "acorn-2",
    "BISTABLE_ARTIFACT_NAME": "release-7",
    "BISTABLE_BOOTLOADER": "grub",
    "BISTABLE_TRIES": "3",
    "BISTABLE_KERNEL": "/boot/bzImage",
    "BISTABLE_KERNEL_ARGS": "console=ttyS0,115200 rootwait panic=10",
    "BISTABLE_UBOOT_DISK": "mmc 0",
    "BISTABLE_STORAGE_SIZE_MB": "2048",
    "BISTABLE_BOOT_SIZE_MB": "64",
    "BISTABLE_DATA_SIZE_MB": "256",
    "BISTABLE_SLOT_SIZE_MB": "512",
    "BISTABLE_ERASE_BLOCK_MB": "4",
    "BISTABLE_BLOBS_END_MB": "0",
    "BISTABLE_PARTITION_TABLE": "gpt",
    "BISTABLE_DISK_SEED": "acorn-2",
    "BISTABLE_SIGNING_KEY": "/keys/private.pem",
    "BISTABLE_VERIFY_KEYS": "/keys/public.pem",
    "BISTABLE_EXAMPLE_KEYS": "0",
    "BISTABLE_RELEASE": "0",
    "BISTABLE_ROOTFS_FSTYPE": "ext4",
    "BISTABLE_COMPRESSION": "zstd",
    "BISTABLE_SBOM": "auto",
    "BISTABLE_START": "service",
    "BISTABLE_FEATURES": "grow-data machine-id",
}
"""What the variables are on a PC, when nothing is set but keys."""


def values(**changes: str) -> Callable[[str], str | None]:
    """Return what answers for variables: the usual ones, with changes; `TRIES` is BISTABLE_TRIES."""
    own = {name if name in USUAL or not _ours(name) else f"BISTABLE_{name}": value for name, value in changes.items()}
    return (USUAL | own).get


def _ours(name: str) -> bool:
    """Say whether it is one of the layer's, for what is written without its beginning."""
    return name not in {
        "MACHINE_FEATURES",
        "MACHINEOVERRIDES",
        "UBOOT_MACHINE",
        "UBOOT_CONFIG",
        "SERIAL_CONSOLES",
        "KERNEL_DEVICETREE",
        "KERNEL_DTBVENDORED",
        "RPI_USE_U_BOOT",
        "SDIMG_KERNELIMAGE",
        "DEPLOY_DIR_IMAGE",
        "BOOTFILES_DIR_NAME",
    }
