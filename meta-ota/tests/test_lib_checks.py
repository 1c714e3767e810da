"""What is said about variables that are set to what cannot be."""

import re

import pytest
from layer_values import values
from metaota import checks

EXAMPLE = "Set it like BISTABLE_{} = "


def said(**changes: str) -> str:
    """Return the one message about these values."""
    found = checks.mistakes(values(**changes))
    assert len(found) == 1, found
    return found[0]


def test_nothing_is_said_about_the_usual_values() -> None:
    assert checks.mistakes(values()) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DEVICE_TYPE", "acorn 2"),
        ("DEVICE_TYPE", ""),
        ("DEVICE_TYPE", "acorn/2"),
        ("COMPATIBLE_TYPES", "acorn-1, acorn-2"),
        ("ARTIFACT_NAME", "release 7"),
        ("ARTIFACT_NAME", "release/7"),
        ("ARTIFACT_NAME", "it's"),
        ("ARTIFACT_NAME", ""),
        ("BOOTLOADER", "barebox"),
        ("BOOTLOADER", "GRUB"),
        ("BOOTLOADER", "u-boot"),
        ("BOOTLOADER", ""),
        ("TRIES", "0"),
        ("TRIES", "10"),
        ("TRIES", "three"),
        ("KERNEL", "bzImage"),
        ("KERNEL", "/boot/my kernel"),
        ("KERNEL", "/boot/../bzImage"),
        ("KERNEL", "/boot/"),
        ("INITRD", "initrd.img"),
        ("DEVICETREE", "acorn.dtb"),
        ("KERNEL_ARGS", "console=ttyS0 root=/dev/sda2"),
        ("KERNEL_ARGS", "root=/dev/sda2"),
        ("KERNEL_ARGS", 'dyndbg="file x +p"'),
        ("KERNEL_ARGS", "console=$console"),
        ("KERNEL_ARGS", "bistable.slot=a"),
        ("KERNEL_ARGS", "motto=größer"),
        ("UBOOT_DISK", "mmc0"),
        ("UBOOT_DISK", "/dev/mmcblk0"),
        ("STORAGE_SIZE_MB", "8G"),
        ("STORAGE_SIZE_MB", "-8"),
        ("STORAGE_SIZE_MB", "0"),
        ("STORAGE_SIZE_MB", "7456.5"),
        ("BOOT_SIZE_MB", "64M"),
        ("BOOT_SIZE_MB", ""),
        ("DATA_SIZE_MB", "0"),
        ("SLOT_SIZE_MB", "1G"),
        ("ERASE_BLOCK_MB", "0"),
        ("ERASE_BLOCK_MB", "0.5"),
        ("ERASE_BLOCK_MB", "3"),
        ("BLOBS_END_MB", "8 MiB"),
        ("BLOBS", "u-boot.bin"),
        ("BLOBS", "u-boot.bin:32K"),
        ("BLOBS", "boot/u-boot.bin:32"),
        ("BLOBS", "../u-boot.bin:32"),
        ("BLOBS", "a.bin:32, b.bin:64"),
        ("BLOBS_RECIPES", "imx-boot, atf"),
        ("UBOOT_WATCHDOG", "watchdog 0"),
        ("UBOOT_WATCHDOG", "$wdt"),
        ("UBOOT_WATCHDOG", "wdt;reset"),
        ("UBOOT_ADDRESSES", "kernel_addr_r"),
        ("UBOOT_ADDRESSES", "kernel_addr_r=40400000"),
        ("UBOOT_ADDRESSES", "kernel_addr_r = 0x40400000"),
        ("PARTITION_TABLE", "msdos"),
        ("EXTRA_PARTITIONS", "logs:64"),
        ("EXTRA_PARTITIONS", "logs:64:btrfs"),
        ("EXTRA_PARTITIONS", "logs:64:ext4:"),
        ("EXTRA_PARTITIONS", "logs:64:ext4:first"),
        ("EXTRA_PARTITIONS", "Logs:64:ext4"),
        ("EXTRA_PARTITIONS", "logs:0:ext4"),
        ("EXTRA_PARTITIONS", f"{'x' * 37}:4:none"),
        ("EXTRA_PARTITIONS", "logs:64:ext4,more:4:none"),
        ("DISK_SEED", "one two"),
        ("DISK_SEED", ""),
        ("LAYOUT", "acorn.toml"),
        ("LAYOUT", "/layouts/acorn.json"),
        ("SIGN_COMMAND", "kms-sign"),
        ("KEY_PASSPHRASE_FILE", "passphrase"),
        ("VERIFY_KEYS", "public.pem"),
        ("VERIFY_KEYS", "/keys/public.pem other.pem"),
        ("EXAMPLE_KEYS", "yes"),
        ("RELEASE", "true"),
        ("ROOTFS_FSTYPE", "btrfs"),
        ("ROOTFS_FSTYPE", "ext4.gz"),
        ("COMPRESSION", "lz4"),
        ("COMPRESSION", "zstd 19"),
        ("PROVIDES", "rootfs-image.app.version=7"),
        ("DEPENDS", "app"),
        ("GROUP", "two words"),
        ("SBOM", "app.cdx.json"),
        ("START", "daemon"),
        ("SERVER_URLS", "updates.example.com"),
        ("SERVER_URLS", "https://a.example.com ftp://b.example.com"),
        ("CONFIG_FILES", "/conf/health.conf"),
        ("FEATURES", "grow"),
        ("FEATURES", "grow-data,machine-id"),
        ("PERSIST", "home"),
    ],
)
def test_what_cannot_be_is_named_with_its_value_and_a_form_that_is_right(name: str, value: str) -> None:
    message = said(**{name: value})
    assert message.startswith(f"BISTABLE_{name} is '{value}': " if value else f"BISTABLE_{name} is not set: ")
    example = re.search(rf'Set it like BISTABLE_{name} = "(.*)"\.$', message)
    assert example is not None
    assert checks.mistakes(values(**{name: example[1]}))[:1] in ([], [said_of_several(name, example[1])])


def said_of_several(name: str, value: str) -> str | None:
    """Return what is said about a value that is well written, because of another variable; for examples."""
    found = checks.mistakes(values(**{name: value}))
    assert not any(message.startswith(f"BISTABLE_{name} is '{value}': it has to be") for message in found)
    return found[0] if found else None


@pytest.mark.parametrize("name", sorted(checks.FORMS))
def test_the_example_of_each_variable_is_written_as_it_should_be(name: str) -> None:
    form = checks.FORMS[name]
    assert re.fullmatch(form.pattern, form.example)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("COMPATIBLE_TYPES", "acorn-1  acorn-2"),
        ("ARTIFACT_NAME", "core-image-minimal-6.0+snapshot-20261126"),
        ("TRIES", "9"),
        ("INITRD", "/boot/initrd.img"),
        ("DEVICETREE", "/boot/vendor/acorn_2-rev.b.dtb"),
        ("KERNEL_ARGS", ""),
        ("KERNEL_ARGS", "rootwait rootfstype=ext4 systemd.unit=x"),
        ("UBOOT_DISK", "virtio 0"),
        ("UBOOT_WATCHDOG", "watchdog@30280000"),
        ("UBOOT_ADDRESSES", "kernel_addr_r=0x40400000  fdt_addr_r=0x40000000"),
        ("BLOBS_RECIPES", "imx-boot virtual/bootloader"),
        ("STORAGE_SIZE_MB", ""),
        ("PARTITION_TABLE", "mbr"),
        ("EXTRA_PARTITIONS", "logs:64:ext4  calibration:4:none"),
        ("EXTRA_PARTITIONS", "fip:8:none:front logs:64:ext4"),
        ("LAYOUT", "/layouts/acorn.toml"),
        ("SIGN_COMMAND", "/usr/bin/kms-sign --profile release"),
        ("VERIFY_KEYS", "/keys/public.pem /keys/next.pem"),
        ("ROOTFS_FSTYPE", "squashfs"),
        ("COMPRESSION", "none"),
        ("COMPRESSION", "zstd:19,workers=2"),
        ("PROVIDES", "a:1 b:2:3"),
        ("START", "timer"),
        ("SERVER_URLS", "https://a.example.com http://10.0.0.1:8080/x"),
        ("CONFIG_FILES", "/conf/50-a.toml /conf/60-b.toml"),
        ("FEATURES", ""),
        ("PERSIST", "/home /var/lib/app"),
    ],
)
def test_other_values_that_can_be_are_taken(name: str, value: str) -> None:
    assert checks.mistakes(values(**{name: value})) == []


def test_each_mistake_has_a_message() -> None:
    found = checks.mistakes(values(TRIES="0", PARTITION_TABLE="apm", START="x"))
    assert [message.split()[0] for message in found] == [
        "BISTABLE_TRIES",
        "BISTABLE_PARTITION_TABLE",
        "BISTABLE_START",
    ]


# --- what depends on several variables


def test_a_processor_without_boot_scripts_is_named() -> None:
    assert said(TARGET_ARCH="powerpc64") == (
        "TARGET_ARCH is 'powerpc64': there are boot scripts for x86_64, aarch64, arm, riscv64 only."
    )


@pytest.mark.parametrize("loader", ["grub", "systemd-boot", "efi"])
def test_a_boot_loader_that_the_processor_does_not_have_is_refused(loader: str) -> None:
    message = said(TARGET_ARCH="arm", BOOTLOADER=loader)
    assert message.startswith(f"BISTABLE_BOOTLOADER is '{loader}', which there is not for armhf.")
    assert 'BISTABLE_BOOTLOADER = "uboot"' in message


def test_systemd_boot_without_systemd_is_refused() -> None:
    message = said(BOOTLOADER="systemd-boot", DISTRO_FEATURES="sysvinit bistable")
    assert "needs systemd in DISTRO_FEATURES" in message
    assert 'INIT_MANAGER = "systemd"' in message


def test_grub_and_erofs_are_refused() -> None:
    assert "GRUB cannot read a kernel in it" in said(ROOTFS_FSTYPE="erofs")


def test_erofs_is_taken_with_a_boot_loader_that_need_not_read_it() -> None:
    assert checks.mistakes(values(ROOTFS_FSTYPE="erofs", BOOTLOADER="systemd-boot")) == []


def test_a_raspberry_pi_needs_u_boot_between_its_firmware_and_the_slots() -> None:
    board = {"TARGET_ARCH": "aarch64", "MACHINEOVERRIDES": "rpi:raspberrypi4", "BOOTLOADER": "uboot"}
    assert 'Set RPI_USE_U_BOOT = "1", or BISTABLE_BOOTLOADER = "raspberry-pi".' in said(**board)
    assert checks.mistakes(values(**board, RPI_USE_U_BOOT="1")) == []


PI = {
    "TARGET_ARCH": "aarch64",
    "MACHINEOVERRIDES": "rpi:raspberrypi4",
    "BOOTLOADER": "raspberry-pi",
    "KERNEL": "/boot/firmware/kernel8.img",
}


def test_the_firmware_of_a_raspberry_pi_may_choose_the_slot() -> None:
    assert checks.mistakes(values(**PI)) == []


@pytest.mark.parametrize("change", [{"MACHINEOVERRIDES": "acorn"}, {"TARGET_ARCH": "x86_64"}])
def test_other_firmware_cannot(change: dict[str, str]) -> None:
    assert "this machine is none of the layer meta-raspberrypi" in said(**{**PI, **change})


def test_the_firmware_cannot_start_both_u_boot_and_a_kernel() -> None:
    assert "Leave RPI_USE_U_BOOT out" in said(**PI, RPI_USE_U_BOOT="1")


@pytest.mark.parametrize("name", ["KERNEL", "INITRD", "DEVICETREE"])
def test_what_the_firmware_starts_lies_where_it_comes_from(name: str) -> None:
    message = said(**{**PI, name: "/boot/x.img"})
    assert message.startswith(f"BISTABLE_{name} is '/boot/x.img', and the firmware reads only what lies in /boot/firmw")
    assert message.endswith(f'Set BISTABLE_{name} = "/boot/firmware/x.img".')


@pytest.mark.parametrize(("processor", "plain"), [("arm", "zImage"), ("aarch64", "Image"), ("riscv64", "Image")])
def test_a_kernel_that_is_packed_for_u_boot_is_refused(processor: str, plain: str) -> None:
    message = said(TARGET_ARCH=processor, BOOTLOADER="uboot", KERNEL="/boot/uImage")
    assert f'KERNEL_IMAGETYPE = "{plain}"' in message
    assert checks.mistakes(values(TARGET_ARCH=processor, BOOTLOADER="uboot", KERNEL=f"/boot/{plain}")) == []


def test_a_place_in_memory_that_is_named_twice_is_refused() -> None:
    board = {"TARGET_ARCH": "aarch64", "BOOTLOADER": "uboot"}
    message = said(**board, UBOOT_ADDRESSES="kernel_addr_r=0x1 fdt_addr_r=0x2 kernel_addr_r=0x3")
    assert message == "BISTABLE_UBOOT_ADDRESSES has kernel_addr_r twice. Leave one of them out."


def test_slots_that_do_not_fit_are_refused_with_the_largest_that_do() -> None:
    message = said(SLOT_SIZE_MB="1000")
    room = re.search(r'Set BISTABLE_SLOT_SIZE_MB = "(\d+)"', message)
    assert room is not None
    assert checks.mistakes(values(SLOT_SIZE_MB=room[1])) == []
    assert checks.mistakes(values(SLOT_SIZE_MB=str(int(room[1]) + 1))) != []


@pytest.mark.parametrize("storage", ["1", "64", "320", "330"])
def test_a_storage_that_leaves_nothing_for_slots_is_refused(storage: str) -> None:
    message = said(STORAGE_SIZE_MB=storage)
    assert message.startswith(f"BISTABLE_STORAGE_SIZE_MB is '{storage}': nothing is left for the slots")


def test_without_a_storage_size_slots_may_have_any_size_but_none() -> None:
    assert checks.mistakes(values(STORAGE_SIZE_MB="", SLOT_SIZE_MB="100000")) == []
    assert said(STORAGE_SIZE_MB="", SLOT_SIZE_MB="0").startswith("BISTABLE_SLOT_SIZE_MB is not set")
    assert said(SLOT_SIZE_MB="0").startswith(
        "BISTABLE_SLOT_SIZE_MB is not set: it is not known how large the slots are"
    )


def test_the_sizes_of_a_layout_of_your_own_are_its_business() -> None:
    assert checks.mistakes(values(LAYOUT="/layouts/acorn.toml", SLOT_SIZE_MB="100000")) == []


@pytest.mark.parametrize("place", ["/usr", "/var", "/boot", "/data", "/proc", "/run"])
def test_what_is_in_use_before_the_data_partition_is_there_cannot_be_kept_on_it(place: str) -> None:
    assert said(PERSIST=f"/home {place}").startswith(f"BISTABLE_PERSIST names {place}, which is in use")


def test_for_etc_the_feature_of_the_image_is_named() -> None:
    assert 'IMAGE_FEATURES += "overlayfs-etc"' in said(PERSIST="/etc")


@pytest.mark.parametrize("extra", ["data:4:none", "boot-env:4:none", "logs:4:none logs:8:none"])
def test_two_partitions_of_one_name_are_refused(extra: str) -> None:
    name = extra.partition(":")[0]
    assert said(EXTRA_PARTITIONS=extra).startswith(f"BISTABLE_EXTRA_PARTITIONS has {name}, and there is a partition")


def test_the_firmware_of_a_raspberry_pi_starts_from_the_first_partition() -> None:
    refused = said(**{**PI, "EXTRA_PARTITIONS": "logs:4:none fip:4:none:front"})
    assert refused.startswith("BISTABLE_EXTRA_PARTITIONS puts fip in front, and the firmware of a Raspberry Pi")


# --- keys


def refused(**changes: str) -> str:
    """Return the one message about these keys."""
    found = checks.signing_mistakes(values(**changes))
    assert len(found) == 1, found
    return found[0]


@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"SIGNING_KEY": "pkcs11:token=room;object=release"},
        {"SIGNING_KEY": "none", "VERIFY_KEYS": ""},
        {"SIGNING_KEY": "", "SIGN_COMMAND": "/usr/bin/kms-sign"},
    ],
)
def test_keys_that_are_there_are_taken(keys: dict[str, str]) -> None:
    assert checks.signing_mistakes(values(**keys)) == []


def test_a_missing_key_is_named_with_the_ways_to_go_on() -> None:
    message = refused(SIGNING_KEY="")
    assert message.startswith("BISTABLE_SIGNING_KEY is not set: there is no key to sign with.")
    for way in ('BISTABLE_SIGNING_KEY = "/', '"none"', 'BISTABLE_EXAMPLE_KEYS = "1"'):
        assert way in message


@pytest.mark.parametrize("key", ["private.pem", "keys/private.pem", "None", "pkcs11:"])
def test_a_key_that_is_neither_path_nor_token_is_refused(key: str) -> None:
    assert refused(SIGNING_KEY=key).startswith(f"BISTABLE_SIGNING_KEY is '{key}': it has to be an absolute path")


def test_a_release_is_signed() -> None:
    assert "since BISTABLE_RELEASE is 1" in refused(SIGNING_KEY="none", RELEASE="1")


def test_devices_have_to_know_the_key() -> None:
    assert refused(VERIFY_KEYS="").startswith("BISTABLE_VERIFY_KEYS is not set: devices would not know the key")


def test_the_public_key_of_a_sign_command_has_to_be_known() -> None:
    message = refused(SIGN_COMMAND="/usr/bin/kms-sign", VERIFY_KEYS="")
    assert message.startswith("BISTABLE_VERIFY_KEYS is not set: the key that BISTABLE_SIGN_COMMAND signs with")


# --- names of files in artifacts


def test_a_name_may_have_ninety_characters() -> None:
    assert checks.name_mistakes("x" * 90) == []


def test_a_longer_name_is_refused_with_what_makes_it() -> None:
    (message,) = checks.name_mistakes("x" * 91)
    assert message.startswith(f"IMAGE_LINK_NAME makes a file {'x' * 91}: its name has 91 characters")
    assert message.endswith("there is room for 90. Set IMAGE_LINK_NAME to something shorter.")


def test_a_token_needs_the_layer_that_talks_to_it() -> None:
    token = values(SIGNING_KEY="pkcs11:token=room;object=release", BBFILE_COLLECTIONS="core meta-ota")
    (message,) = checks.signing_mistakes(token)
    assert "without the layer meta-python" in message
    assert "BISTABLE_SIGN_COMMAND" in message
