"""An image with one system becomes one with two slots, whatever it was made by."""

import gzip
import lzma
import os
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
from commandline import call_program
from disk_samples import DISK_TOOLS, GRUB, GRUB_TOOLS, UBOOT, call, in_image, layout, leftovers, small_root, table_of
from hypothesis import given
from hypothesis import strategies as st
from image_samples import SBIN, needs

from bistable.artifact.errors import RejectedError, RequestError
from bistable.artifact.image import ImageOptions, make_image
from bistable.tools.disk import (
    Converted,
    ConvertOptions,
    Layout,
    Outputs,
    client_source,
    convert_disk,
    inspect_disk,
    load_layout,
)
from bistable.tools.disk.client import Configuration
from bistable.tools.disk.convert.mounts import moved_mounts
from bistable.tools.disk.geometry import place
from bistable.tools.disk.sparse import copy_into

pytestmark = [DISK_TOOLS, needs("resize2fs")]
MIB = 1 << 20
PACKAGES = ("python3", "python3-cryptography", "python3-zstandard", "libubootenv-tool", "python3-dbus-fast")

PI = """\
[device]
type = "pi"

[disk]
table = "mbr"

[boot]
loader = "uboot"
architecture = "arm64"
initrd = "/boot/initrd.img"
disk = "mmc 0"

[boot-partition]
size = "8 MiB"
files = { "u-boot.bin" = "u-boot.bin" }

[slots]
size = "24 MiB"

[data]
size = "8 MiB"
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a system with what the client needs, as far as the database of packages tells."""
    top = small_root(tmp_path / "root")
    (top / "usr/lib/python3/dist-packages").mkdir(parents=True)
    (top / "var/lib/dpkg").mkdir(parents=True)
    write_database(top, *PACKAGES)
    return top


def write_database(top: Path, *packages: str) -> None:
    (top / "var/lib/dpkg/status").write_text(
        "".join(
            f"Package: {name}\nStatus: install ok installed\nVersion: 99\nArchitecture: all\n\n" for name in packages
        )
    )


def pi_layout(tmp_path: Path) -> Layout:
    (tmp_path / "u-boot.bin").write_bytes(b"U-BOOT")
    (tmp_path / "pi.toml").write_text(PI)
    return load_layout(tmp_path / "pi.toml")


def single(tmp_path: Path, root: Path, *, script: str = "", boot: dict[str, bytes] | None = None) -> Path:
    """Make an image with one system: `script` is sfdisk's, the last partition is the root; `boot` is on the first."""
    system, disk = tmp_path / "single.ext4", tmp_path / "single.img"
    make_image(root, system, ImageOptions(size=20 * MIB))
    if not script:
        return system
    with disk.open("wb") as file:
        file.truncate(32 * MIB)
        environment = {**os.environ, "PATH": SBIN}
        subprocess.run(["sfdisk", "-q", disk], input=script, text=True, check=True, env=environment)
        found = list(table_of(disk).values())
        if boot is not None:
            call("mkfs.fat", "--offset", str(found[0]["start"]), disk, str(found[0]["size"] // 2))
            for name, content in boot.items():
                (tmp_path / "staged").write_bytes(content)
                call("mcopy", "-i", f"{disk}@@{found[0]['start'] * 512}", tmp_path / "staged", f"::{name}")
        copy_into(system, file, found[-1]["start"] * 512)
    return disk


PI_SCRIPT = "label: dos\nlabel-id: 0x12345678\nsize=8MiB,type=c\nsize=20MiB,type=83\n"
PI_BOOT = {
    "start4.elf": b"firmware",
    "kernel8.img": gzip.compress(b"old kernel"),
    "initramfs8": b"old initrd",
    "config.txt": b"arm_64bit=1\n[pi4]\narm_boost=1\n",
    "cmdline.txt": b"console=tty1 root=PARTUUID=12345678-02 init=/firstboot",
}
FSTAB = """\
proc /proc proc defaults 0 0
PARTUUID=12345678-01 /boot/firmware vfat defaults 0 2
PARTUUID=12345678-02 / ext4 defaults,noatime 0 1
UUID=1234 /mnt/usb ext4 defaults 0 2
"""


def convert(source: Path, wanted: Layout, disk: Path, *, slot: Path | None = None, **more: Any) -> Converted:
    options = {"client": client_source(), **more}
    return convert_disk(source, wanted, Outputs(disk=disk, block_map=False, slot_image=slot), ConvertOptions(**options))


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


# --- Raspberry Pi OS style


@pytest.fixture
def pi(tmp_path: Path, root: Path) -> Path:
    (root / "etc/fstab").write_text(FSTAB)
    (root / "boot/vmlinuz").unlink()
    return single(tmp_path, root, script=PI_SCRIPT, boot=PI_BOOT)


def test_an_image_of_a_raspberry_pi_gets_two_slots_and_boots_the_first(pi: Path, tmp_path: Path, out: Path) -> None:
    converted = convert(pi, pi_layout(tmp_path), out / "ab.img", slot=out / "slot.ext4")
    report = inspect_disk(out / "ab.img")
    assert report.findings == ()
    assert report.boots == "a"
    assert [slot.os_name for slot in report.slots] == ["Demo OS", "Demo OS"]
    assert converted.built.geometry.table == "mbr"
    call("e2fsck", "-fn", out / "slot.ext4")
    assert (out / "slot.ext4").stat().st_size == 24 * MIB
    assert leftovers(out) == []


def test_its_firmware_starts_u_boot_and_nothing_old(pi: Path, tmp_path: Path, out: Path) -> None:
    converted = convert(pi, pi_layout(tmp_path), out / "ab.img")
    boot = f"{out / 'ab.img'}@@{converted.built.geometry.partition('boot').start}"
    names = call("mdir", "-b", "-i", boot, "::/").split()
    assert {"::/start4.elf", "::/u-boot.bin", "::/boot.scr", "::/config.txt"} <= set(names)
    assert not {"::/kernel8.img", "::/initramfs8"} & set(names)
    config = call("mtype", "-i", boot, "::config.txt").splitlines()
    assert config[:3] == ["arm_64bit=1", "[pi4]", "arm_boost=1"]
    assert config[-2:] == ["[all]", "kernel=u-boot.bin"]


def test_the_newest_kernel_in_the_root_is_started(pi: Path, root: Path, tmp_path: Path, out: Path) -> None:
    for version in ("6.9.0-rpi", "6.10.0-rpi", "6.10.0-old"):
        (root / f"boot/vmlinuz-{version}").write_bytes(gzip.compress(version.encode()))
        (root / f"boot/initrd.img-{version}").write_bytes(f"initrd {version}".encode())
    (root / "boot/initrd.img").unlink()
    (root / "etc/fstab").write_text(FSTAB)
    source = single(tmp_path, root, script=PI_SCRIPT, boot=PI_BOOT)
    convert(source, pi_layout(tmp_path), out / "ab.img", slot=out / "slot.ext4")
    # For arm64 it is unpacked: U-Boot starts a plain image.
    assert in_image(out / "slot.ext4", "/boot/vmlinuz") == "6.10.0-rpi"
    assert in_image(out / "slot.ext4", "/boot/initrd.img") == "initrd 6.10.0-rpi"


def test_a_kernel_that_is_only_on_the_boot_partition_moves_into_the_slots(
    root: Path, tmp_path: Path, out: Path
) -> None:
    for path in (root / "boot").iterdir():
        path.unlink()
    source = single(tmp_path, root, script=PI_SCRIPT, boot=PI_BOOT)
    convert(source, pi_layout(tmp_path), out / "ab.img", slot=out / "slot.ext4")
    assert in_image(out / "slot.ext4", "/boot/vmlinuz") == "old kernel"
    assert in_image(out / "slot.ext4", "/boot/initrd.img") == "old initrd"


def test_an_image_without_an_initial_ram_disk_is_started_without(root: Path, tmp_path: Path, out: Path) -> None:
    for path in (root / "boot").iterdir():
        path.unlink()
    boot = {name: content for name, content in PI_BOOT.items() if name != "initramfs8"}
    converted = convert(single(tmp_path, root, script=PI_SCRIPT, boot=boot), pi_layout(tmp_path), out / "ab.img")
    assert converted.built.plan.initrd is None
    assert any("initial RAM disk" in remark for remark in converted.remarks)


def test_mounts_name_what_is_on_the_new_disk(pi: Path, tmp_path: Path, out: Path) -> None:
    converted = convert(pi, pi_layout(tmp_path), out / "ab.img", slot=out / "slot.ext4")
    disk = converted.built.geometry.uuid
    assert in_image(out / "slot.ext4", "/etc/fstab").splitlines() == [
        "proc /proc proc defaults 0 0",
        f"PARTUUID={disk}-01 /boot/firmware vfat defaults 0 2",
        "/dev/root / ext4 defaults,noatime 0 1",
        "# was on the disk before the conversion: UUID=1234 /mnt/usb ext4 defaults 0 2",
        f"PARTUUID={disk}-06 /data ext4 defaults,noatime 0 2",
    ]
    assert converted.remarks == ("/mnt/usb is no longer mounted: it is not on the new disk",)


def test_a_raspberry_pi_without_u_boot_is_refused(pi: Path, out: Path) -> None:
    with pytest.raises(RequestError, match=r"there is no u-boot\.bin") as caught:
        convert(pi, layout(UBOOT, slots_size="24 MiB"), out / "ab.img")
    assert "u-boot-rpi" in (caught.value.hint or "")
    assert list(out.iterdir()) == []


def test_its_own_firmware_can_choose_the_slot_instead(pi: Path, tmp_path: Path, out: Path) -> None:
    text = PI.replace('"uboot"', '"raspberry-pi"').replace('files = { "u-boot.bin" = "u-boot.bin" }\n', "")
    converted = convert(pi, layout(text), out / "ab.img", slot=out / "slot.ext4")
    for slot in ("a", "b"):
        boot = f"{out / 'ab.img'}@@{converted.built.geometry.partition(f'boot-{slot}').start}"
        assert call("mtype", "-i", boot, "::vmlinuz") == "kernel"
        assert call("mtype", "-i", boot, "::start4.elf") == "firmware"
        config = call("mtype", "-i", boot, "::config.txt").splitlines()
        assert config[:3] == ["arm_64bit=1", "[pi4]", "arm_boost=1"]
        assert "kernel=vmlinuz" in config[config.index("[all]") :]
        assert "/firstboot" not in call("mtype", "-i", boot, "::cmdline.txt")
    mounts = in_image(out / "slot.ext4", "/etc/fstab").splitlines()
    assert all(line.startswith("#") for line in mounts if " /boot/firmware " in line)
    assert any("/boot/firmware" in remark for remark in converted.remarks)
    assert [slot.os_name for slot in inspect_disk(out / "ab.img").slots] == ["Demo OS", "Demo OS"]


# --- other styles


@GRUB_TOOLS
def test_a_pc_with_an_efi_partition_gets_grub_and_no_old_loader(root: Path, tmp_path: Path, out: Path) -> None:
    (root / "etc/fstab").write_text("UUID=1 / ext4 errors=remount-ro 0 1\nUUID=A-B /boot/efi vfat umask=0077 0 1\n")
    script = "label: gpt\nsize=8MiB,type=uefi\nsize=20MiB,type=linux\n"
    source = single(tmp_path, root, script=script, boot={"shimx64.efi": b"old"})
    converted = convert(source, layout(GRUB, slots_size="24 MiB"), out / "ab.img", slot=out / "slot.ext4")
    assert inspect_disk(out / "ab.img").boots == "a"
    boot = f"{out / 'ab.img'}@@{converted.built.geometry.partition('boot').start}"
    assert "shimx64" not in call("mdir", "-/", "-b", "-i", boot)
    table = in_image(out / "slot.ext4", "/etc/fstab").splitlines()
    assert table[0] == "/dev/root / ext4 errors=remount-ro 0 1"
    assert not any("/boot/efi" in line and not line.startswith("#") for line in table)


@pytest.mark.parametrize("script", ["", "label: dos\nsize=20MiB,type=83\n"], ids=["file system", "one partition"])
def test_a_root_file_system_alone_is_enough(script: str, root: Path, tmp_path: Path, out: Path) -> None:
    convert(single(tmp_path, root, script=script), layout(slots_size="24 MiB"), out / "ab.img")
    assert inspect_disk(out / "ab.img").boots == "a"


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress], ids=["gz", "xz"])
def test_a_compressed_image_is_unpacked(pack: Any, root: Path, tmp_path: Path, out: Path) -> None:
    source = single(tmp_path, root)
    convert(source, layout(slots_size="24 MiB"), out / "plain.img")
    packed = tmp_path / "packed.img"
    packed.write_bytes(pack(source.read_bytes()))
    convert(packed, layout(slots_size="24 MiB"), out / "ab.img")
    assert (out / "ab.img").read_bytes() == (out / "plain.img").read_bytes()


def test_the_image_is_not_changed_and_gives_the_same_bytes_again(pi: Path, tmp_path: Path, out: Path) -> None:
    before = pi.read_bytes()
    for name in ("first.img", "second.img"):
        convert(pi, pi_layout(tmp_path), out / name)
    assert pi.read_bytes() == before
    assert (out / "first.img").read_bytes() == (out / "second.img").read_bytes()


def test_the_root_shrinks_to_the_slot(root: Path, tmp_path: Path, out: Path) -> None:
    convert(single(tmp_path, root), layout(slots_size="16 MiB"), out / "ab.img", slot=out / "slot.ext4")
    assert (out / "slot.ext4").stat().st_size == 16 * MIB
    call("e2fsck", "-fn", out / "slot.ext4")


def test_a_journal_in_use_is_written_back_first(root: Path, tmp_path: Path, out: Path) -> None:
    source = single(tmp_path, root)
    call("debugfs", "-w", "-R", "feature needs_recovery", source)
    convert(source, layout(slots_size="24 MiB"), out / "ab.img")
    assert inspect_disk(out / "ab.img").findings == ()


def test_features_that_not_every_boot_loader_reads_are_switched_off(root: Path, tmp_path: Path, out: Path) -> None:
    source = tmp_path / "new.ext4"
    call("mke2fs", "-q", "-t", "ext4", "-O", "metadata_csum,metadata_csum_seed,orphan_file", "-d", root, source, "24M")
    convert(source, layout(slots_size="24 MiB"), out / "ab.img", slot=out / "slot.ext4")
    features = re.findall("^Filesystem features: .*$", call("dumpe2fs", "-h", out / "slot.ext4"), re.MULTILINE)
    assert not {"metadata_csum_seed", "orphan_file"} & set(features[0].split())
    call("e2fsck", "-fn", out / "slot.ext4")


# --- the client


def test_client_keys_and_name_are_in_the_slots(root: Path, tmp_path: Path, out: Path) -> None:
    configuration = Configuration(artifact_name="first-1", servers=("https://updates.example.com",))
    convert(
        single(tmp_path, root), layout(slots_size="24 MiB"), out / "ab.img", slot=out / "slot.ext4",
        configuration=configuration,
    )  # fmt: skip
    slot = out / "slot.ext4"
    assert inspect_disk(out / "ab.img").slots[0].artifact_name == "first-1"
    assert "main" in in_image(slot, "/usr/bin/bistablectl")
    assert in_image(slot, "/usr/lib/python3/dist-packages/bistable/client/version.py")
    assert "updates.example.com" in in_image(slot, "/etc/bistable/conf.d/60-server.toml")


def test_packages_that_are_missing_are_all_named(root: Path, tmp_path: Path, out: Path) -> None:
    write_database(root, "python3")
    with pytest.raises(RequestError, match="these packages are not in it") as caught:
        convert(single(tmp_path, root), layout(slots_size="24 MiB"), out / "ab.img")
    assert all(name in caught.value.what for name in PACKAGES[1:])
    assert list(out.iterdir()) == []


def test_without_the_client_nothing_is_required(root: Path, tmp_path: Path, out: Path) -> None:
    write_database(root)
    convert(single(tmp_path, root), layout(slots_size="24 MiB"), out / "ab.img", client=None)
    assert inspect_disk(out / "ab.img").boots == "a"


# --- faults


def test_a_slot_that_is_too_small_is_refused_with_what_would_do(root: Path, tmp_path: Path, out: Path) -> None:
    (root / "large").write_bytes(os.urandom(12 * MIB))
    with pytest.raises(RequestError, match="what is in it needs") as caught:
        convert(single(tmp_path, root), layout(slots_size="12 MiB"), out / "ab.img")
    assert "make [slots] size at least" in (caught.value.hint or "")
    assert list(out.iterdir()) == []


def test_two_systems_in_one_image_are_refused(root: Path, tmp_path: Path, out: Path) -> None:
    source = single(tmp_path, root, script="label: dos\nsize=4MiB,type=83\nsize=20MiB,type=83\n")
    make_image(root, tmp_path / "second.ext4", ImageOptions(size=8 * MIB))
    with source.open("r+b") as file:
        file.truncate(64 * MIB)
    call("sh", "-c", f"echo 'start=30MiB,size=20MiB,type=83' | sfdisk -q --append {source}")
    with source.open("r+b") as file:
        copy_into(tmp_path / "second.ext4", file, 30 * MIB)
    with pytest.raises(RequestError, match="2 of its partitions hold a root file system"):
        convert(source, layout(slots_size="24 MiB"), out / "ab.img")


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"", RejectedError),
        (os.urandom(1 << 20), RejectedError),
        (gzip.compress(os.urandom(1 << 16))[:-9], RejectedError),
    ],
    ids=["empty", "noise", "cut off"],
)
def test_what_is_no_image_is_refused(content: bytes, error: type[Exception], tmp_path: Path, out: Path) -> None:
    (tmp_path / "noise.img").write_bytes(content)
    with pytest.raises(error):
        convert(tmp_path / "noise.img", layout(), out / "ab.img")
    assert list(out.iterdir()) == []


def test_an_image_that_is_cut_off_is_refused(pi: Path, tmp_path: Path, out: Path) -> None:
    os.truncate(pi, 20 * MIB)
    with pytest.raises(RejectedError, match="behind its end"):
        convert(pi, pi_layout(tmp_path), out / "ab.img")


def test_a_root_that_is_damaged_is_refused(root: Path, tmp_path: Path, out: Path) -> None:
    source = single(tmp_path, root)
    with source.open("r+b") as file:
        file.seek(1024 + 3 * 1024)
        file.write(os.urandom(64 * 1024))
    with pytest.raises(RejectedError):
        convert(source, layout(slots_size="24 MiB"), out / "ab.img")
    assert list(out.iterdir()) == []


def test_an_image_without_a_kernel_is_refused(root: Path, tmp_path: Path, out: Path) -> None:
    for path in (root / "boot").iterdir():
        path.unlink()
    with pytest.raises(RequestError, match="there is no kernel in it"):
        convert(single(tmp_path, root), layout(slots_size="24 MiB"), out / "ab.img")


# --- mounts


@given(
    st.lists(st.sampled_from(["UUID=1 / ext4 d 0 1", "# c", "", "tmpfs /tmp tmpfs d 0 0", "/dev/sda5 none swap sw"]))
)
def test_a_table_of_mounts_keeps_its_comments_and_names_no_old_device(lines: list[str]) -> None:
    text = moved_mounts("\n".join(lines), boot=None).text
    assert [line for line in text.splitlines() if line in {"# c", "tmpfs /tmp tmpfs d 0 0"}] == [
        line for line in lines if line in {"# c", "tmpfs /tmp tmpfs d 0 0"}
    ]
    for line in text.splitlines():
        assert line.startswith("#") or "UUID=1" not in line
        assert line.startswith("#") or "sda5" not in line


def test_moving_mounts_twice_changes_nothing_more() -> None:
    once = moved_mounts(FSTAB, boot="12-34")
    assert moved_mounts(once.text, boot="12-34").text == once.text
    assert place(layout()).partition("boot").uuid not in once.text


# --- what the README shows


@GRUB_TOOLS
def test_the_image_commands_in_the_readme_run(
    pi: Path, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    pi.rename("raspios.img")
    root.rename("rootfs")
    Path("rootfs/boot/vmlinuz").write_text("kernel")
    pi_layout(tmp_path)
    Path("pi.toml").rename("board.toml")
    readme = Path(__file__).resolve().parents[2] / "README.md"
    lines = re.findall(r"^    bistable image (.*)$", readme.read_text(), re.MULTILINE)
    commands = [shlex.split(line, comments=True) for line in lines]
    codes = {words[0]: call_program("image", *words).code for words in commands}
    assert codes == {"build": 0, "inspect": 0, "convert": 0}
