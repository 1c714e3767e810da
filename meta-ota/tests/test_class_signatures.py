"""What a variable changes is made anew when it changes: bitbake's own knowledge of what a task depends on."""

from layer_artifacts import OWN_KEYS
from layer_build import IMAGE, SLOTS, Bench, Recipe, bench, signatures

__all__ = ["bench"]

# Builds in different directories are compared; none of these runs anything.
FIXED = 'TMPDIR = "/nowhere/tmp"\nCOMMON_LICENSE_DIR = "/nowhere/licenses"\nBBFILE_COLLECTIONS += "meta-python"\n'

LAID_OUT = {
    "BISTABLE_DEVICE_TYPE": "acorn-2",
    "BISTABLE_BOOTLOADER": "systemd-boot",
    "BISTABLE_TRIES": "4",
    "BISTABLE_KERNEL": "/boot/other",
    "BISTABLE_INITRD": "/boot/initrd",
    "BISTABLE_DEVICETREE": "/boot/acorn.dtb",
    "BISTABLE_KERNEL_ARGS": "quiet",
    "BISTABLE_UBOOT_DISK": "mmc 1",
    "BISTABLE_STORAGE_SIZE_MB": "4096",
    "BISTABLE_BOOT_SIZE_MB": "128",
    "BISTABLE_DATA_SIZE_MB": "512",
    "BISTABLE_SLOT_SIZE_MB": "512",
    "BISTABLE_ERASE_BLOCK_MB": "8",
    "BISTABLE_UBOOT_WATCHDOG": "watchdog@0",
    "BISTABLE_UBOOT_ADDRESSES": "kernel_addr_r=0x40400000",
    "BISTABLE_BLOBS_END_MB": "16",
    "BISTABLE_PARTITION_TABLE": "mbr",
    "BISTABLE_EXTRA_PARTITIONS": "logs:64:ext4",
    "BISTABLE_DISK_SEED": "seed",
    "BISTABLE_LAYOUT": "/layouts/acorn.toml",
    "BISTABLE_ROOTFS_FSTYPE": "squashfs",
    # What defaults follow from.
    "SERIAL_CONSOLES": "9600;ttyS1",
    "KERNEL_DEVICETREE": "acorn.dtb",
    "MACHINEOVERRIDES:forcevariable": "qemux86-64",
}
SIGNED = {
    "BISTABLE_SIGNING_KEY": "/keys/other.pem",
    "BISTABLE_VERIFY_KEYS": "/keys/other.pub",
    "BISTABLE_SIGN_COMMAND": "/bin/sign",
    "BISTABLE_RELEASE": "1",
    "BISTABLE_COMPRESSION": "gzip",
    "BISTABLE_COMPATIBLE_TYPES": "acorn-2",
    "BISTABLE_ARTIFACT_ARGS": "--no-default-software-version",
}
PACKED = SIGNED | {
    "BISTABLE_ARTIFACT_NAME": "release-7",
    "BISTABLE_PROVIDES": "app:7",
    "BISTABLE_DEPENDS": "app:6",
    "BISTABLE_GROUP": "stable",
    "BISTABLE_DEPENDS_NAMES": "release-6",
    "BISTABLE_DEPENDS_GROUPS": "beta",
    "BISTABLE_STATE_SCRIPTS": "/scripts",
}


def changing(
    bench: Bench, path: str, task: str, changes: dict[str, str], text: str = "", settings: str = ""
) -> set[str]:
    """Return the variables whose change makes the task run anew."""

    def signature(change: str) -> str:
        build = bench.build(FIXED + OWN_KEYS + settings + change)
        recipe: Recipe = build.written(text) if text else build.recipe(path)
        return signatures(recipe, [task])[task]

    before = signature("")
    assert signature("") == before, "the two would differ without a change"
    return {name for name, value in changes.items() if signature(f'{name} = "{value}"\n') != before}


def test_a_change_of_the_layout_lays_the_disk_out_anew(bench: Bench) -> None:
    assert changing(bench, SLOTS, "do_configure", LAID_OUT) == set(LAID_OUT)


def test_what_starts_the_system_is_part_of_it(bench: Bench) -> None:
    assert changing(bench, SLOTS, "do_compile", {"DISTRO_FEATURES": "sysvinit"}) == {"DISTRO_FEATURES"}


def test_the_client_is_told_of_other_keys_and_servers(bench: Bench) -> None:
    changes = {
        "BISTABLE_VERIFY_KEYS": "/keys/other.pub",
        "BISTABLE_SIGNING_KEY": "none",
        "BISTABLE_SERVER_URLS": "https://a.example.com",
    }
    path = "recipes-ota/bistable-conf/bistable-conf_1.0.bb"
    assert changing(bench, path, "do_compile", changes) == set(changes)
    changes = {
        "BISTABLE_VERIFY_KEYS": "/keys/other.pub",
        "BISTABLE_CONFIG_FILES": "/conf/a.toml",
        "BISTABLE_START": "timer",
    }
    assert changing(bench, path, "do_install", changes) == set(changes)


def test_what_is_done_at_boot_is_written_anew(bench: Bench) -> None:
    changes = {"BISTABLE_FEATURES": "machine-id", "BISTABLE_PERSIST": "/home"}
    assert changing(bench, "recipes-ota/bistable-data/bistable-data_1.0.bb", "do_install", changes) == set(changes)


def test_an_artifact_is_written_anew(bench: Bench) -> None:
    assert changing(bench, IMAGE, "do_image_mender", PACKED) == set(PACKED)


def test_a_root_file_system_knows_the_name_of_its_artifact(bench: Bench) -> None:
    changes = {"BISTABLE_ARTIFACT_NAME": "release-7"}
    assert changing(bench, IMAGE, "do_rootfs", changes) == set(changes)


def test_a_file_system_is_made_anew_for_other_slots(bench: Bench) -> None:
    changes = {name: LAID_OUT[name] for name in ("BISTABLE_SLOT_SIZE_MB", "BISTABLE_STORAGE_SIZE_MB")}
    assert changing(bench, IMAGE, "do_image_ext4", changes) == set(changes)


def test_a_disk_is_made_anew_for_another_boot_loader_and_what_it_reads(bench: Bench) -> None:
    changes = {"BISTABLE_BOOTLOADER": "efi"}
    assert changing(bench, IMAGE, "do_image_wic", changes) == set(changes)
    boot = 'BISTABLE_BOOTLOADER = "efi"\nBISTABLE_INITRD = "/boot/initrd"\n'
    changes = {"KERNEL_IMAGETYPE:forcevariable": "other", "BISTABLE_INITRD": "", "BISTABLE_INITRD_DEPLOYED": "x.cpio"}
    assert changing(bench, IMAGE, "do_rootfs_wicenv", changes, settings=boot) == set(changes)


def test_a_module_artifact_is_written_anew(bench: Bench) -> None:
    text = 'inherit bistable_artifact\nBISTABLE_MODULE = "single-file"\n'
    assert changing(bench, "", "do_artifact", SIGNED, text) == set(SIGNED)


def test_what_opens_a_key_makes_no_other_artifact(bench: Bench) -> None:
    # In a real build the passphrase comes from the environment.
    changes = {"BISTABLE_KEY_PASSPHRASE": "x", "BISTABLE_PKCS11_PIN": "1"}
    text = 'inherit bistable_artifact\nBISTABLE_MODULE = "single-file"\n'
    assert changing(bench, "", "do_artifact", changes, text) == set()
