"""What is made from a boot plan, and which plans are refused."""

import subprocess
from pathlib import Path, PurePosixPath

import pytest
from boot_plans import KERNEL, OFFSETS, ROOT, plan_for
from boot_programs import needs

from bistable.artifact.errors import MachineError, RejectedError, RequestError
from bistable.client.config.load import load, only
from bistable.tools.boot import EnvironmentPlace, Loader, SlotPlace, prepare_boot
from bistable.tools.boot.efiprograms import efi_program
from bistable.tools.boot.legacy import build_script, read_script

SCRIPT = PurePosixPath("boot.cmd")
IMAGE = PurePosixPath("boot.scr")
GRUB_CONFIG = PurePosixPath("grub/grub.cfg")
SYSTEMD_BOOT = Path("/usr/lib/systemd/boot/efi/systemd-bootx64.efi")
UBOOTS = [Loader.UBOOT, Loader.UBOOT_ENVIRONMENT]


def slot(name: str, **changes: object) -> SlotPlace:
    values: dict[str, object] = {"name": name, "partition": {"a": 3, "b": 4}.get(name, 5), "root": ROOT.format(name)}
    return SlotPlace(**{**values, **changes})  # type: ignore[arg-type]


def place(**changes: object) -> EnvironmentPlace:
    values: dict[str, object] = {"partition": 2, "offsets": OFFSETS, "size": 0x4000}
    return EnvironmentPlace(**{**values, **changes})  # type: ignore[arg-type]


# Scripts


@pytest.mark.parametrize(
    ("architecture", "name"), [("amd64", "x86_64"), ("arm64", "arm64"), ("armhf", "arm"), ("riscv64", "riscv")]
)
def test_a_boot_script_has_the_bytes_of_mkimage(architecture: str, name: str, tmp_path: Path) -> None:
    needs("mkimage")
    (tmp_path / "boot.cmd").write_text("echo one\necho two\n")
    command = ["mkimage", "-A", name, "-O", "linux", "-T", "script", "-C", "none", "-n", "bistable boot script"]
    command += ["-d", str(tmp_path / "boot.cmd"), str(tmp_path / "boot.scr")]
    # Time 0 is what ours has; 0 itself would be "now" for some versions.
    subprocess.run(command, check=True, capture_output=True, env={"PATH": "/usr/bin:/bin", "SOURCE_DATE_EPOCH": "0"})
    assert build_script("echo one\necho two\n", architecture) == (tmp_path / "boot.scr").read_bytes()


@pytest.mark.parametrize("loader", UBOOTS)
def test_the_script_in_the_image_is_the_one_beside_it(loader: Loader) -> None:
    files = prepare_boot(plan_for(loader))
    assert read_script(files.boot[IMAGE]).encode() == files.boot[SCRIPT]


@pytest.mark.parametrize("at", [0, 3, 5, 20, 40, 70, 100])
def test_a_damaged_script_is_refused(at: int) -> None:
    raw = bytearray(build_script("echo hello hello hello hello hello hello\n", "arm64"))
    raw[at] ^= 1
    with pytest.raises(RejectedError):
        read_script(bytes(raw))


@pytest.mark.parametrize("cut", [0, 10, 64, 70])
def test_a_script_that_was_cut_off_or_is_too_long_is_refused(cut: int) -> None:
    raw = build_script("echo hello\n", "arm64")
    for bad in (raw[:cut], raw + b"x", raw + bytes(2**20)):
        with pytest.raises(RejectedError):
            read_script(bad)


@pytest.mark.parametrize("loader", [*UBOOTS, Loader.GRUB])
def test_the_same_plan_gives_the_same_bytes(loader: Loader) -> None:
    assert prepare_boot(plan_for(loader)) == prepare_boot(plan_for(loader))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"initrd": PurePosixPath("/boot/initrd.img"), "devicetree": PurePosixPath("/boot/board.dtb")},
        {"arguments": "mtdparts=spi0.0:512k(u-boot)ro,-(rest);nand0:-(x) dyn.opt=[1,2]"},
    ],
)
def test_grub_understands_its_script(changes: dict[str, object], tmp_path: Path) -> None:
    needs("grub-script-check")
    files = prepare_boot(plan_for(Loader.GRUB, **changes))
    (tmp_path / "grub.cfg").write_bytes(files.boot[GRUB_CONFIG])
    subprocess.run(["grub-script-check", str(tmp_path / "grub.cfg")], check=True)


def test_kernel_initrd_and_device_tree_are_taken_from_the_slot() -> None:
    plan = plan_for(
        Loader.UBOOT,
        initrd=PurePosixPath("/boot/initrd.img"),
        devicetree=PurePosixPath("/boot/board.dtb"),
        disk="mmc 1",
        addresses={"kernel_addr_r": 0x80080000},
    )
    script = prepare_boot(plan).boot[SCRIPT].decode()
    for line in (
        "setenv kernel_addr_r 0x80080000",
        "mmc dev 1",
        "if load mmc 1:3 ${kernel_addr_r} /boot/vmlinuz; then",
        "if load mmc 1:4 ${fdt_addr_r} /boot/board.dtb; then",
        "if load mmc 1:4 ${ramdisk_addr_r} /boot/initrd.img; then",
        "booti ${kernel_addr_r} ${ramdisk_addr_r}:${filesize} ${fdt_addr_r}",
        f"setenv bootargs 'root={ROOT.format('b')} console=ttyAMA0,115200 panic=-1 bistable.slot=b'",
    ):
        assert line in script.splitlines()


def test_partitions_from_ten_on_are_written_as_u_boot_reads_them() -> None:
    script = prepare_boot(plan_for(Loader.UBOOT, slots=(slot("a", partition=10), slot("b", partition=31)))).boot[SCRIPT]
    assert b"load virtio 0:a " in script
    assert b"load virtio 0:1f " in script


def test_a_32_bit_board_boots_its_kernel_with_bootz() -> None:
    assert (
        b"bootz ${kernel_addr_r} - ${fdtcontroladdr}"
        in prepare_boot(plan_for(Loader.UBOOT, architecture="armhf")).boot[SCRIPT]
    )


@pytest.mark.parametrize("architecture", ["arm64", "riscv64"])
def test_a_64_bit_board_boots_its_kernel_with_booti(architecture: str) -> None:
    files = prepare_boot(plan_for(Loader.UBOOT, architecture=architecture))
    assert b"booti ${kernel_addr_r} - ${fdtcontroladdr}" in files.boot[SCRIPT]


def test_a_u_boot_with_an_environment_of_its_own_saves_it() -> None:
    script = prepare_boot(plan_for(Loader.UBOOT_ENVIRONMENT)).boot[SCRIPT]
    assert b"setenv bistable_save saveenv" in script
    assert b"env import" not in script


@pytest.mark.parametrize("loader", UBOOTS)
def test_a_watchdog_of_the_plan_is_started_unless_the_board_names_one(loader: Loader) -> None:
    line = 'if test -z "${bistable_watchdog}"; then setenv bistable_watchdog watchdog@30280000; fi'
    lines = prepare_boot(plan_for(loader, watchdog="watchdog@30280000")).boot[SCRIPT].decode().splitlines()
    assert line in lines
    assert lines.index(line) < lines.index('if test -n "${bistable_watchdog}"; then')
    assert b"setenv bistable_watchdog" not in prepare_boot(plan_for(loader)).boot[SCRIPT]


def test_no_other_script_saves_without_looking_at_the_result() -> None:
    script = prepare_boot(plan_for(Loader.UBOOT)).boot[SCRIPT].decode()
    saves = [line for line in script.splitlines() if "run bistable_save" in line]
    assert saves
    assert all(line.startswith(("if run", "elif ")) for line in saves)


# What the client is told


@pytest.mark.parametrize("loader", list(Loader))
def test_the_client_takes_its_configuration(loader: Loader, tmp_path: Path) -> None:
    if loader is Loader.SYSTEMD_BOOT:
        needs(SYSTEMD_BOOT)
    files = prepare_boot(plan_for(loader, initrd=PurePosixPath("/boot/initrd.img")))
    (tmp_path / "40-boot.toml").write_bytes(files.root[PurePosixPath("/etc/bistable/conf.d/40-boot.toml")])
    loaded = load(only(tmp_path / "40-boot.toml"))
    assert loaded.warnings == ()
    assert str(loaded.settings.slots.b) == "/dev/disk/by-partuuid/6a1ab1e0-0000-4000-8000-00000000000b"
    assert loaded.settings.boot.backend.value == loader.value.removesuffix("-environment")


def test_the_tools_of_u_boot_find_both_copies() -> None:
    files = prepare_boot(plan_for(Loader.UBOOT))
    lines = files.root[PurePosixPath("/etc/fw_env.config")].decode().splitlines()
    assert lines[1:] == [
        "/dev/disk/by-partlabel/boot-env 0x0 0x200",
        "/dev/disk/by-partlabel/boot-env 0x10000 0x200",
    ]


@pytest.mark.parametrize(
    ("roots", "device"),
    [
        (("PARTUUID=0badcafe-03", "PARTUUID=0badcafe-05"), "/dev/disk/by-partuuid/0badcafe-02"),
        (("/dev/mmcblk0p3", "/dev/mmcblk0p4"), "/dev/mmcblk0p2"),
        (("PARTLABEL=rootfs-a", "PARTLABEL=rootfs-b"), "/dev/disk/by-partlabel/boot-env"),
    ],
)
def test_the_environment_is_found_beside_the_slots(roots: tuple[str, str], device: str) -> None:
    slots = (slot("a", root=roots[0]), slot("b", root=roots[1]))
    config = prepare_boot(plan_for(Loader.UBOOT, slots=slots)).root[PurePosixPath("/etc/fw_env.config")].decode()
    assert config.splitlines()[1].split()[0] == device


# Other loaders


def test_systemd_boot_has_one_entry_that_does_not_count_and_no_default() -> None:
    needs(SYSTEMD_BOOT)
    files = prepare_boot(plan_for(Loader.SYSTEMD_BOOT, initrd=PurePosixPath("/boot/initrd.img")))
    entries = [name for name in files.boot if "entries" in name.parts]
    assert [name.name for name in entries] == ["bistable-a.conf"]
    assert f"options root={ROOT.format('a')}" in files.boot[entries[0]].decode()
    assert b"default" not in files.boot[PurePosixPath("loader/loader.conf")]
    assert files.boot[PurePosixPath("EFI/BOOT/BOOTX64.EFI")] == SYSTEMD_BOOT.read_bytes()
    assert files.placed == {
        PurePosixPath("EFI/bistable/a/linux.efi"): KERNEL,
        PurePosixPath("EFI/bistable/a/initrd.img"): PurePosixPath("/boot/initrd.img"),
    }


@pytest.mark.parametrize("loader", [Loader.SYSTEMD_BOOT, Loader.EFI])
def test_the_client_finds_the_arguments_of_both_slots_on_the_boot_partition(loader: Loader) -> None:
    needs(SYSTEMD_BOOT)
    files = prepare_boot(plan_for(loader))
    for name in ("a", "b"):
        options = files.boot[PurePosixPath(f"EFI/bistable/{name}/options")].decode()
        assert options == f"root={ROOT.format(name)} console=ttyAMA0,115200 panic=-1 bistable.slot={name}\n"


def test_firmware_without_boot_entries_finds_a_program_that_tries_both_slots(tmp_path: Path) -> None:
    needs("grub-script-check")
    files = prepare_boot(plan_for(Loader.EFI, initrd=PurePosixPath("/boot/initrd.img")))
    assert files.boot[PurePosixPath("EFI/BOOT/BOOTX64.EFI")].startswith(b"MZ")
    (tmp_path / "grub.cfg").write_bytes(files.boot[GRUB_CONFIG])
    subprocess.run(["grub-script-check", str(tmp_path / "grub.cfg")], check=True)
    script = files.boot[GRUB_CONFIG].decode()
    assert 0 < script.index("/EFI/bistable/a/linux.efi") < script.index("/EFI/bistable/b/linux.efi")


def test_a_raspberry_pi_boots_the_partition_of_the_first_slot() -> None:
    slots = (slot("b", partition=3, root="PARTUUID=0badcafe-06"), slot("a", partition=2, root="PARTUUID=0badcafe-05"))
    files = prepare_boot(plan_for(Loader.RASPBERRY_PI, slots=slots, initrd=PurePosixPath("/boot/firmware/initrd.img")))
    assert files.boot == {
        PurePosixPath("autoboot.txt"): b"[all]\ntryboot_a_b=1\nboot_partition=3\n[tryboot]\nboot_partition=3\n"
    }
    assert files.slots["a"][PurePosixPath("cmdline.txt")] == (
        b"root=PARTUUID=0badcafe-05 console=ttyAMA0,115200 panic=-1 bistable.slot=a\n"
    )
    assert files.slots["b"][PurePosixPath("config.txt")] == (
        b"kernel=vmlinuz\narm_64bit=1\ninitramfs initrd.img followkernel\n"
    )
    client = files.root[PurePosixPath("/etc/bistable/conf.d/40-boot.toml")].decode()
    assert 'partitions = ["PARTUUID=0badcafe-02", "PARTUUID=0badcafe-03"]' in client


# Plans that cannot be


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"slots": (slot("a"), slot("a"))}, "not a and b"),
        ({"slots": (slot("A"), slot("B"))}, "not a and b"),
        ({"slots": (slot("a"), slot("b", partition=3))}, "same partition"),
        ({"slots": (slot("a"), slot("b", partition=0))}, "no partition 0"),
        ({"slots": (slot("a"), slot("b", partition=129))}, "no partition 129"),
        ({"slots": (slot("a"), slot("b", root=ROOT.format("a")))}, "same root"),
        ({"slots": (slot("a"), slot("b", root="x'; reset"))}, "root="),
        ({"slots": (slot("a"), slot("b", root="LABEL=b"))}, "does not tell the client"),
        ({"boot_partition": 2}, "same partition"),
        ({"environment": None}, "place for its environment"),
        ({"environment": place(size=100)}, "100 bytes"),
        ({"environment": place(size=2**21)}, "not possible"),
        ({"environment": place(offsets=(0, 100))}, "multiples of 512"),
        ({"environment": place(offsets=(0, 0x2000))}, "overlap"),
        ({"environment": place(offsets=(-512, 0x8000))}, "multiples"),
        ({"kernel": PurePosixPath("boot/vmlinuz")}, "absolute path"),
        ({"kernel": PurePosixPath("/boot/../vmlinuz")}, "absolute path"),
        ({"kernel": PurePosixPath("/boot/my kernel")}, "absolute path"),
        ({"initrd": PurePosixPath("/boot/$x")}, "absolute path"),
        ({"devicetree": PurePosixPath("/a'b")}, "absolute path"),
        ({"arguments": "a='b'"}, "boot loaders take for something else"),
        ({"arguments": 'dyndbg="file x +p"'}, "boot loaders take for something else"),
        ({"arguments": "a=${b}"}, "boot loaders take for something else"),
        ({"arguments": "a b\\c"}, "boot loaders take for something else"),
        ({"arguments": "a & b"}, "boot loaders take for something else"),
        ({"arguments": "äöü"}, "boot loaders take for something else"),
        ({"arguments": "quiet root=/dev/sda1"}, "by itself|contain"),
        ({"arguments": "bistable.slot=a"}, "contain"),
        ({"arguments": "x" * 2000}, "2000 characters"),
        ({"tries": 0}, "0 times"),
        ({"tries": 10}, "10 times"),
        ({"disk": "virtio"}, "name of the disk"),
        ({"disk": "mmc 0; reset"}, "name of the disk"),
        ({"watchdog": ""}, "the watchdog's name is"),
        ({"watchdog": "wdt 0"}, "the watchdog's name is"),
        ({"watchdog": "wdt;reset"}, "the watchdog's name is"),
        ({"watchdog": "$x"}, "the watchdog's name is"),
        ({"watchdog": "'"}, "the watchdog's name is"),
        ({"watchdog": "-n"}, "the watchdog's name is"),
        ({"architecture": "mips"}, "architecture"),
        ({"addresses": {"kernel addr": 1}}, "place in memory"),
        ({"addresses": {"kernel_addr_r": -1}}, "place in memory"),
    ],
)
def test_a_plan_that_cannot_be_is_refused(changes: dict[str, object], why: str) -> None:
    with pytest.raises(RequestError, match=why):
        prepare_boot(plan_for(Loader.UBOOT, **changes))


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"size": 2048}, "1024"),
        ({"offsets": (512, 0x10000)}, "multiple of 2048"),
        ({"offsets": (0, 0x8000)}, "directory"),
        ({"offsets": (0x9800, 0x20000)}, "directory"),
    ],
)
def test_a_place_where_grub_cannot_keep_its_environment_is_refused(changes: dict[str, object], why: str) -> None:
    with pytest.raises(RequestError, match=why):
        prepare_boot(plan_for(Loader.GRUB, environment=place(**{"size": 1024, **changes})))


@pytest.mark.parametrize("loader", sorted(set(Loader) - set(UBOOTS)))
def test_a_watchdog_for_u_boot_is_refused_where_something_else_chooses_the_slot(loader: Loader) -> None:
    with pytest.raises(RequestError, match=f"is started by U-Boot, and the loader is {loader.value}"):
        prepare_boot(plan_for(loader, watchdog="wdt"))


def test_grub_for_an_architecture_without_uefi_is_refused() -> None:
    with pytest.raises(RequestError, match="armhf"):
        prepare_boot(plan_for(Loader.GRUB, architecture="armhf"))


@pytest.mark.parametrize(
    ("architecture", "path"),
    [("amd64", "EFI/BOOT/BOOTX64.EFI"), ("arm64", "EFI/BOOT/BOOTAA64.EFI"), ("riscv64", "EFI/BOOT/BOOTRISCV64.EFI")],
)
def test_the_program_lies_where_firmware_of_the_architecture_looks(architecture: str, path: str) -> None:
    found = efi_program(plan_for(Loader.GRUB, architecture=architecture))
    assert found is not None
    assert str(found.path) == path


def test_a_missing_boot_loader_is_named_with_its_package() -> None:
    if any(Path(place, "lib/grub/arm64-efi").exists() for place in ("/usr", "/usr/local")):
        pytest.skip("GRUB for 64 bit Arm is installed here")
    with pytest.raises(MachineError) as caught:
        prepare_boot(plan_for(Loader.GRUB, architecture="arm64"))
    assert "grub-efi-arm64-bin" in str(caught.value.hint)
