"""The inventory and identity programs that come with the client print what Mender's print, on made-up devices."""

import shutil
from pathlib import Path

import pytest
from client_root import DIST, FAKE_IP, Root
from peers import attempt

PROGRAMS = sorted([*(DIST / "inventory").iterdir(), *(DIST / "identity").iterdir()])
IDENTITY = DIST / "identity/device-identity"


def program(name: str) -> Path:
    return DIST / "inventory" / f"bistable-inventory-{name}"


def theirs(name: str) -> Path:
    """Return Mender's program, which its package brings as an example beside the client."""
    client = shutil.which("mender")
    path = Path(client or "/").parent.parent / "share/doc/mender-client/examples" / f"mender-{name}"
    if not path.exists():
        pytest.skip("the examples of the package mender-client are not there")
    return path


@pytest.fixture
def root(tmp_path: Path) -> Root:
    return Root(tmp_path / "root")


@pytest.mark.parametrize("path", [pytest.param(path, id=path.name) for path in PROGRAMS])
def test_programs_are_plain_shell(path: Path) -> None:
    if shutil.which("shellcheck") is None:
        pytest.skip("the program shellcheck is not installed")
    done = attempt("shellcheck", "--shell=sh", path)
    assert done.returncode == 0, done.stdout
    assert path.stat().st_mode & 0o111 == 0o111


# --- identity


def test_the_interface_with_the_lowest_index_gives_the_identity(root: Root) -> None:
    root.interface("lo", 1, "00:00:00:00:00:00", kind=772)
    root.interface("dummy0", 2, "00:00:00:00:00:02")
    root.interface("sit0", 3, "00:00:00:00:00:03", kind=776)
    root.interface("a", 12, "00:00:00:00:00:12")
    root.interface("wlan0", 9, "00:00:00:00:00:09")
    root.file("sys/class/net/bonding_masters", "\n")
    assert root.lines(IDENTITY) == ["mac=00:00:00:00:00:09"] == root.lines(theirs("device-identity"))


def test_an_address_made_up_at_each_boot_is_the_last_choice(root: Root) -> None:
    root.interface("ifb0", 2, "00:00:00:00:00:02", assigned=1)
    assert root.lines(IDENTITY) == ["mac=00:00:00:00:00:02"]
    root.interface("eth0", 4, "00:00:00:00:00:04", assigned=0)
    root.interface("eth1", 3, "00:00:00:00:00:03", assigned=3)
    root.interface("ifb1", 1, "00:00:00:00:00:01", assigned=1)
    assert root.lines(IDENTITY) == ["mac=00:00:00:00:00:03"]


def test_a_device_without_interfaces_has_no_identity(root: Root) -> None:
    root.interface("lo", 1, "00:00:00:00:00:00", kind=772)
    done = root.run(IDENTITY)
    assert (done.returncode, done.stdout) == (1, "")
    assert "cannot find an Ethernet interface" in done.stderr


# --- inventory


def test_network_interfaces_are_listed_with_their_addresses(root: Root) -> None:
    root.interface("lo", 1, "00:00:00:00:00:00")
    for index, name in enumerate(["eth0", "eth0.7", "br-1234", "docker0", "veth12"], start=2):
        root.interface(name, index, f"00:00:00:00:00:0{index}")
        root.file(f"ip/{name}", f"    inet 192.0.2.{index}/24 brd 192.0.2.255 scope global {name}\n")
    root.file("ip/eth0", "2: eth0\n    inet 192.0.2.1/24 x\n    inet 192.0.2.9/24 x\n    inet6 fe80::1/64 scope link\n")
    root.file("bin/ip", FAKE_IP, mode=0o755)
    assert root.lines(program("network")) == [
        "mac_eth0=00:00:00:00:00:02",
        "network_interfaces=eth0",
        "ipv4_eth0=192.0.2.1/24",
        "ipv4_eth0=192.0.2.9/24",
        "ipv6_eth0=fe80::1/64",
        "mac_eth0.7=00:00:00:00:00:03",
        "network_interfaces=eth0.7",
        "ipv4_eth0.7=192.0.2.3/24",
    ]
    assert root.lines(program("network")) == root.lines(theirs("inventory-network"))
    everything = {"INCLUDE_DOCKER_INTERFACES": "true"}
    assert root.lines(program("network"), everything) == root.lines(theirs("inventory-network"), everything)


def test_without_the_program_ip_there_are_no_ip_addresses(root: Root) -> None:
    root.interface("can0", 2, "")
    root.interface("eth0", 3, "00:00:00:00:00:03")
    root.file("sys/class/net/bonding_masters", "\n")
    expected = ["network_interfaces=can0", "mac_eth0=00:00:00:00:00:03", "network_interfaces=eth0"]
    assert root.lines(program("network")) == expected


def test_the_host_is_described(root: Root) -> None:
    processors = "".join(f"processor\t: {n}\nmodel name\t: Acorn: 7\n\n" for n in range(4))
    root.file("proc/cpuinfo", processors + "model name\t: Beech 2\n")
    root.file("proc/version", "Linux version 6.1 (x@y)\n")
    root.file("proc/meminfo", "MemTotal:       1000 kB\nMemFree:  5 kB\n")
    root.file("etc/hostname", "board-7")
    assert root.lines(program("hostinfo")) == [
        "cpu_model=Acorn: 7",
        "cpu_model=Beech 2",
        "kernel=Linux version 6.1 (x@y)",
        "mem_total_kB=1000",
        "hostname=board-7",
    ]


def test_a_host_without_files_still_has_a_name(root: Root) -> None:
    assert root.lines(program("hostinfo")) == [f"hostname={attempt('uname', '-n').stdout.strip()}"]


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"etc/os-release": 'NAME="Acorn"\nPRETTY_NAME="Acorn OS 1 (oak)"\n'}, "Acorn OS 1 (oak)"),
        ({"etc/os-release": 'NAME="Acorn OS"\nVERSION="1"\n'}, "Acorn OS 1"),
        ({"usr/lib/os-release": "PRETTY_NAME=Beech\n"}, "Beech"),
        ({"etc/os-release": "ID=x\n", "etc/issue": "Acorn \\n \\l\n"}, "Acorn \\n \\l"),
        ({}, "unknown"),
    ],
)
def test_the_system_has_a_name(root: Root, files: dict[str, str], expected: str) -> None:
    for place, text in files.items():
        root.file(place, text)
    assert root.lines(program("os")) == [f"os={expected}"]
    if "\\" not in expected:  # theirs prints what dash makes of it
        assert root.lines(program("os")) == root.lines(theirs("inventory-os"))


def test_a_broken_description_of_the_system_is_passed_over(root: Root) -> None:
    root.file("etc/os-release", "PRETTY_NAME=(((\n")
    root.file("usr/lib/os-release", "PRETTY_NAME='Beech 2'\n")
    assert root.lines(program("os")) == ["os=Beech 2"]


@pytest.mark.parametrize(
    ("mounts", "expected"),
    [
        ("rootfs / rootfs rw 0 0\n/dev/root / ext4 rw 0 0\nproc /proc proc rw 0 0\n", "ext4"),
        ("/dev/a / squashfs ro 0 0\noverlay / overlay rw 0 0\n", "overlay"),
        ("rootfs / rootfs rw 0 0\n", "Unknown"),
    ],
)
def test_the_type_of_the_root_file_system(root: Root, mounts: str, expected: str) -> None:
    root.file("proc/mounts", mounts)
    assert root.lines(program("rootfs-type")) == [f"rootfs_type={expected}"]


@pytest.mark.parametrize(
    ("place", "machine", "expected"),
    [
        ("boot/efi/EFI/BOOT/mender_grubenv1/env", "aarch64", "uboot_uefi_grub"),
        ("boot/grub-mender-grubenv/mender_grubenv1/env", "x86_64", "uefi_grub"),
        ("boot/EFI/BOOT/mender_grubenv1/env", "riscv64", "unknown_uefi_grub"),
        ("boot/grub/mender_grubenv1/env", "i686", "bios_grub"),
        ("boot/grub/grub-mender-grubenv/mender_grubenv1/env", "armv7l", "unknown_grub"),
        ("etc/fw_env.config", "armv7l", "uboot"),
        ("etc/other", "armv7l", "unknown"),
    ],
)
def test_the_boot_loader_integration(root: Root, place: str, machine: str, expected: str) -> None:
    root.file(place, "")
    (root.path / "bin/uname").unlink()
    root.file("bin/uname", f"#!/bin/sh\necho {machine}\n", mode=0o755)
    assert root.lines(program("bootloader-integration")) == [f"mender_bootloader_integration={expected}"]
    assert root.lines(program("bootloader-integration")) == root.lines(theirs("inventory-bootloader-integration"))


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ("dev/disk/by-partlabel/boot-env", "grub"),
        ("boot/efi/loader/entries/bistable-a+2-1.conf", "systemd-boot"),
        ("boot/firmware/autoboot.txt", "raspberry-pi"),
    ],
)
def test_the_boot_loaders_that_mender_has_no_word_for(root: Root, place: str, expected: str) -> None:
    root.file(place, "")
    assert root.lines(program("bootloader-integration")) == [f"mender_bootloader_integration={expected}"]


def test_update_modules_are_listed_once(root: Root) -> None:
    for place in ("bistable/modules/v3/deb", "mender/modules/v3/deb", "mender/modules/v3/docker"):
        root.file(f"usr/share/{place}", "", mode=0o755)
    root.file("usr/share/mender/modules/v3/README", "")
    (root.path / "usr/share/mender/modules/v3/folder").mkdir()
    assert root.lines(program("update-modules")) == ["update_modules=deb", "update_modules=docker"]


def test_no_update_modules_are_said_to_be_none(root: Root) -> None:
    assert (
        root.lines(program("update-modules")) == ["update_modules="] == root.lines(theirs("inventory-update-modules"))
    )
