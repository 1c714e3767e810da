"""What follows from the machine, the keys and the settings; and whether U-Boot fits."""

import shlex
import tomllib
from uuid import UUID

import pytest
from layer_values import values
from metaota import firmware, machine, settings, signing, uboot

# --- the machine


@pytest.mark.parametrize(
    ("about", "loader"),
    [
        ({"TARGET_ARCH": "x86_64", "UBOOT_MACHINE": "qemu-x86_64_defconfig"}, "grub"),
        ({"TARGET_ARCH": "aarch64", "UBOOT_MACHINE": "qemu_arm64_defconfig"}, "uboot"),
        ({"TARGET_ARCH": "arm", "UBOOT_CONFIG": "sd"}, "uboot"),
        ({"TARGET_ARCH": "aarch64", "MACHINE_FEATURES": "efi pci"}, "grub"),
        ({"TARGET_ARCH": "aarch64", "MACHINE_FEATURES": "pci"}, ""),
        ({"TARGET_ARCH": "riscv64", "UBOOT_CONFIG": "sd"}, "uboot"),
    ],
)
def test_the_boot_loader_of_a_machine_is_known_by_what_it_says(about: dict[str, str], loader: str) -> None:
    assert machine.bootloader(values(**about)) == loader


def test_the_file_system_of_a_kind_of_device_is_always_called_the_same() -> None:
    first = machine.file_system_uuid(values())
    assert str(UUID(first)) == first
    assert machine.file_system_uuid(values()) == first
    assert machine.file_system_uuid(values(DISK_SEED="acorn-3")) != first


@pytest.mark.parametrize(
    ("consoles", "arguments"),
    [
        ("115200;ttyS0 115200;ttyS1", "console=ttyS0,115200 rootwait panic=10"),
        ("", "rootwait panic=10"),
    ],
)
def test_the_first_serial_console_is_the_kernels(consoles: str, arguments: str) -> None:
    assert machine.kernel_arguments(values(SERIAL_CONSOLES=consoles)) == arguments


def test_machines_in_qemu_have_a_virtual_disk_and_boards_a_card() -> None:
    assert machine.uboot_disk(values(MACHINEOVERRIDES="qemuall:qemuarm64")) == "virtio 0"
    assert machine.uboot_disk(values(MACHINEOVERRIDES="acorn")) == "mmc 0"


@pytest.mark.parametrize(
    ("trees", "vendored", "place"),
    [
        ("", "", ""),
        ("acorn-2.dtb acorn-1.dtb", "", "/boot/acorn-2.dtb"),
        ("vendor/acorn-2.dtb", "", "/boot/acorn-2.dtb"),
        ("vendor/acorn-2.dtb", "1", "/boot/vendor/acorn-2.dtb"),
    ],
)
def test_the_first_device_tree_is_where_the_kernels_package_puts_it(trees: str, vendored: str, place: str) -> None:
    assert machine.devicetree(values(KERNEL_DEVICETREE=trees, KERNEL_DTBVENDORED=vendored)) == place


def test_a_raspberry_pi_has_the_device_tree_that_its_firmware_chose() -> None:
    assert machine.devicetree(values(KERNEL_DEVICETREE="bcm2711-rpi-4-b.dtb", MACHINEOVERRIDES="rpi:pi")) == ""


@pytest.mark.parametrize(
    ("loader", "place"), [("uboot", "/boot/Image"), ("raspberry-pi", "/boot/firmware/kernel8.img")]
)
def test_the_kernel_is_where_what_chooses_the_slot_reads_it(loader: str, place: str) -> None:
    board = values(BOOTLOADER=loader, KERNEL_IMAGETYPE="Image", SDIMG_KERNELIMAGE="kernel8.img")
    assert machine.kernel(board) == place


# --- the firmware of a Raspberry Pi

DEPLOYED = ["bootfiles/config.txt", "bootfiles/start4.elf", "bootfiles/cmdline.txt"]
WORDS = """
    bootfiles/* bcm2711-rpi-4-b.dtb
    disable-bt.dtbo;overlays/disable-bt.dtbo Image;kernel8.img more/*;extra
    bistable/boot-a/config.txt;config.txt bistable/boot-a/cmdline.txt;cmdline.txt
"""


def test_other_boot_loaders_have_one_boot_partition() -> None:
    assert firmware.boot_files(values()) == {}
    assert machine.boot_files(values(BOOTLOADER="raspberry-pi")) == []


def test_each_slot_has_all_of_the_bsp_and_what_names_the_slot() -> None:
    board = {"BOOTLOADER": "raspberry-pi", "INITRD": "/boot/firmware/initrd.img", "INITRD_DEPLOYED": "x.cpio.gz"}
    found = firmware.boot_files(values(**board))
    assert found["BOOT"].split() == [
        "bistable/boot/autoboot.txt;autoboot.txt",
        "bistable/boot/bistable/layout.json;bistable/layout.json",
    ]
    for slot in ("a", "b"):
        assert found[f"BOOT-{slot.upper()}"].split() == [
            "${IMAGE_BOOT_FILES}",
            f"bistable/boot-{slot}/config.txt;config.txt",
            f"bistable/boot-{slot}/cmdline.txt;cmdline.txt",
            "x.cpio.gz;initrd.img",
        ]


def test_files_are_copied_into_the_slot_as_wic_would() -> None:
    matches = {"bootfiles/*": DEPLOYED, "more/*": ["more/x"]}.__getitem__
    assert firmware.copies(WORDS, matches) == {
        "config.txt": "bistable/boot-a/config.txt",
        "start4.elf": "bootfiles/start4.elf",
        "cmdline.txt": "bistable/boot-a/cmdline.txt",
        "bcm2711-rpi-4-b.dtb": "bcm2711-rpi-4-b.dtb",
        "overlays/disable-bt.dtbo": "disable-bt.dtbo",
        "kernel8.img": "Image",
        "extra/x": "more/x",
    }


# --- keys


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({}, ["--key", "/keys/private.pem"]),
        (
            {"KEY_PASSPHRASE_FILE": "/keys/phrase"},
            ["--key", "/keys/private.pem", "--key-passphrase-file", "/keys/phrase"],
        ),
        ({"SIGNING_KEY": "pkcs11:token=room;object=a"}, ["--key-pkcs11", "pkcs11:token=room;object=a"]),
        (
            {"SIGN_COMMAND": "/bin/kms --profile 'a b'"},
            ["--sign-command", "/bin/kms --profile 'a b'", "--public-key", "/keys/public.pem"],
        ),
        ({"SIGNING_KEY": "none"}, []),
    ],
)
def test_the_way_to_sign_becomes_options(keys: dict[str, str], words: list[str]) -> None:
    assert signing.words(values(**keys)) == words
    assert shlex.split(signing.shell(values(**keys))) == words


def test_what_was_signed_is_verified_with_all_keys_of_devices() -> None:
    assert signing.verify(values(VERIFY_KEYS="/keys/a.pem /keys/b.pem")) == "--key /keys/a.pem --key /keys/b.pem"


def test_what_nobody_signed_is_not_verified() -> None:
    assert signing.verify(values(SIGNING_KEY="none")) == ""


# --- settings of the client


def test_a_device_trusts_the_keys_by_their_names_there() -> None:
    files = settings.files(values(VERIFY_KEYS="/one/a.pem /two/b.pem"))
    assert tomllib.loads(files["20-keys.toml"]) == {
        "trust": {"verify-keys": ["/etc/bistable/keys/a.pem", "/etc/bistable/keys/b.pem"]}
    }


def test_where_nothing_is_signed_no_keys_are_named() -> None:
    assert settings.keys(values(SIGNING_KEY="none")) == []
    assert settings.files(values(SIGNING_KEY="none")) == {}


def test_servers_are_those_that_are_named() -> None:
    files = settings.files(values(SERVER_URLS="https://a.example.com  https://b.example.com/ä"))
    assert tomllib.loads(files["60-server.toml"]) == {
        "server": {"urls": ["https://a.example.com", "https://b.example.com/ä"]}
    }


def test_two_keys_of_one_name_are_refused() -> None:
    (message,) = settings.mistakes(values(VERIFY_KEYS="/one/a.pem /two/a.pem"))
    assert message.startswith("BISTABLE_VERIFY_KEYS names a file a.pem, and there is another one with that name")
    assert "Rename one of them" in message


@pytest.mark.parametrize("paths", ["/one/a.toml /two/a.toml", "/one/20-keys.toml"])
def test_two_files_of_settings_of_one_name_are_refused(paths: str) -> None:
    (message,) = settings.mistakes(values(CONFIG_FILES=paths))
    assert message.startswith(f"BISTABLE_CONFIG_FILES names a file {paths.rpartition('/')[2]}, and there is another")


@pytest.mark.parametrize("start", ["service", "timer"])
def test_a_service_without_the_layer_that_it_needs_is_refused(start: str) -> None:
    (message,) = settings.mistakes(values(START=start, BBFILE_COLLECTIONS="core meta-ota"))
    assert message.startswith(f"BISTABLE_START is '{start}', and without the layer meta-python")
    assert 'BISTABLE_START = "by-hand"' in message


def test_updates_by_hand_need_no_other_layer() -> None:
    assert settings.mistakes(values(START="by-hand", BBFILE_COLLECTIONS="core meta-ota")) == []


# --- U-Boot

FRAGMENT = """\
# what the boot script needs
CONFIG_CMD_SETEXPR=y
CONFIG_ENV_OFFSET=0x4400000
CONFIG_ENV_SIZE=0x4000
# CONFIG_BOOTCOUNT_ALTBOOTCMD is not set
"""


def test_a_configuration_that_has_the_fragment_fits() -> None:
    assert uboot.mismatches(FRAGMENT, FRAGMENT + 'CONFIG_SYS_PROMPT="=> "\n') == []


def test_numbers_fit_however_they_are_written() -> None:
    assert uboot.mismatches("CONFIG_ENV_SIZE=0x4000\n", "CONFIG_ENV_SIZE=16384\n") == []


def test_another_place_of_the_environment_is_told_with_both_values_and_what_it_means() -> None:
    (message,) = uboot.mismatches(FRAGMENT, FRAGMENT.replace("0x4400000", "0x3F0000"))
    assert message == (
        "CONFIG_ENV_OFFSET is 0x3F0000 in U-Boot's configuration, and has to be 0x4400000 "
        "(where the first copy of the environment is, which /etc/fw_env.config says, too)"
    )


def test_a_command_that_is_missing_is_told() -> None:
    configuration = FRAGMENT.replace("CONFIG_CMD_SETEXPR=y", "# CONFIG_CMD_SETEXPR is not set")
    (message,) = uboot.mismatches(FRAGMENT, configuration)
    assert message.startswith("CONFIG_CMD_SETEXPR is n in U-Boot's configuration, and has to be y")
    (message,) = uboot.mismatches(FRAGMENT, FRAGMENT.replace("CONFIG_CMD_SETEXPR=y\n", ""))
    assert message.startswith("CONFIG_CMD_SETEXPR is not there")


def test_what_must_not_be_set_may_be_absent() -> None:
    assert uboot.mismatches(FRAGMENT, FRAGMENT.replace("# CONFIG_BOOTCOUNT_ALTBOOTCMD is not set\n", "")) == []


@pytest.mark.parametrize(("old", "new"), sorted(uboot.RENAMED.items()))
def test_an_option_may_have_the_name_of_another_release(old: str, new: str) -> None:
    assert uboot.mismatches(f"{old}=1\n{new}=1\n", f"{new}=1\n") == []
    assert uboot.mismatches(f"{old}=1\n{new}=1\n", f"{old}=1\n") == []
    assert len(uboot.mismatches(f"{old}=1\n", f"{new}=0\n")) == 1


@pytest.mark.parametrize(("old", "new"), sorted(uboot.RENAMED.items()))
def test_what_must_not_be_set_is_set_under_neither_name(old: str, new: str) -> None:
    wanted = f"# {old} is not set\n"
    assert uboot.mismatches(wanted, "CONFIG_X=y\n") == []
    assert uboot.mismatches(wanted, f"{new}=y\n")[0].startswith(f"{new} is y in U-Boot's configuration")
    assert len(uboot.mismatches(wanted, f"{old}=y\n")) == 1
