"""A U-Boot that counts by itself and saves its own redundant environment: both schemes, in QEMU.

It is built by tools/build_uboot.sh; without it, and without BISTABLE_BUILD_UBOOT=1 to build it now, these are skipped.
"""

import os
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

import pytest
from boot_machines import BOARD, ENVIRONMENT, SLOT_A, SLOT_B, Boot, Disk, boot_uboot, get_file, make_disk, put_file
from boot_plans import COPY, KERNEL, OFFSETS, copy_of, partition_of, plan_for, variables
from boot_programs import needs
from boot_stand_ins import arm64_kernel

from bistable.tools.boot import BootFiles, EnvironmentPlace, Loader, decide, prepare_boot, ubootenv
from bistable.tools.boot.mender import decide_mender, mender_variables

pytestmark = [pytest.mark.boots, pytest.mark.slow]

ROOT = Path(__file__).parent.parent.parent
FILES = ("uboot.env", "uboot-r.env")
SIZE = COPY[Loader.UBOOT_ENVIRONMENT]
PLAN = plan_for(
    Loader.UBOOT_ENVIRONMENT, environment=EnvironmentPlace(partition=ENVIRONMENT, offsets=OFFSETS, size=SIZE)
)
MEMORY = {name: value for name, value in BOARD.items() if name not in {"bootcmd", "bootdelay"}}
SCRIPT = "load virtio 0:1 ${scriptaddr} boot.scr; source ${scriptaddr}; reset"


@pytest.fixture(scope="module")
def uboot() -> Path:
    built = sorted((ROOT / ".cache" / "qemu").glob("u-boot-*.bin"), key=lambda path: path.stat().st_mtime)
    if built:
        return built[-1]
    if os.environ.get("BISTABLE_BUILD_UBOOT") != "1":
        pytest.skip("no U-Boot with a boot count: run tools/build_uboot.sh")
    done = subprocess.run([ROOT / "tools" / "build_uboot.sh"], stdout=subprocess.PIPE, text=True, check=True)
    return Path(done.stdout.strip())


def disk_with(directory: Path, boot: Mapping[PurePosixPath, bytes], kernels: str = "ab") -> Disk:
    needs("mkfs.vfat", "mcopy", "sfdisk", "qemu-system-aarch64")
    slots = {
        number: {KERNEL: arm64_kernel(f"KERNEL {slot}\n")} if slot in kernels else {}
        for slot, number in (("a", SLOT_A), ("b", SLOT_B))
    }
    return make_disk(directory / "disk.img", BootFiles(boot=boot, environment={}, root={}), slots)


def both(values: Mapping[str, str]) -> dict[PurePosixPath, bytes]:
    return {
        PurePosixPath(name): ubootenv.build_copy(values, SIZE, counter=counter)
        for name, counter in zip(FILES, (2, 1), strict=True)
    }


def environment(disk: Disk) -> bytes:
    """The two files, laid out as a partition would have them."""
    return partition_of(Loader.UBOOT, *(get_file(disk, 1, name) for name in FILES))


def start(disk: Disk, uboot: Path) -> Boot:
    return boot_uboot(disk, bios=uboot, board={})


@pytest.mark.parametrize(
    ("changes", "kernels", "starts"),
    [
        ({}, "ab", ["a", "a"]),
        ({"mender_boot_part": "4", "mender_boot_part_hex": "4", "upgrade_available": "1"}, "ab", ["b", "a", "a"]),
        (
            {"mender_boot_part": "4", "mender_boot_part_hex": "4", "upgrade_available": "1", "bootlimit": "3"},
            "ab",
            ["b", "b", "b", "a", "a"],
        ),
        # A trial that cannot be loaded resets, and is counted all the same.
        ({"mender_boot_part": "4", "mender_boot_part_hex": "4", "upgrade_available": "1"}, "a", [None, "a", "a"]),
        ({"mender_boot_part": "4", "mender_boot_part_hex": "4"}, "ab", ["b", "b"]),
    ],
    ids=["new", "update", "update with three boots", "update without kernel", "committed"],
)
def test_u_boot_counts_and_falls_back_by_the_scheme_of_mender(
    changes: dict[str, str], kernels: str, starts: list[str | None], uboot: Path, tmp_path: Path
) -> None:
    values = {**MEMORY, "bootdelay": "-2", **mender_variables(PLAN), **changes}
    disk = disk_with(tmp_path, both(values), kernels)
    started: list[str | None] = []
    for _ in starts:
        decision = decide_mender(PLAN, environment(disk))
        boot = start(disk, uboot)
        started.append(boot.started)
        assert decision.slot is not None
        if decision.slot in kernels:
            assert decision.slot == boot.started, boot.console
        assert known(decision.environment_after, MENDERS) == known(environment(disk), MENDERS), boot.console
    assert started == starts


MENDERS = ("mender_boot_part", "upgrade_available", "bootcount", "mender_saveenv_canary")


def known(partition: bytes, names: Iterable[str]) -> dict[str, str]:
    """What a scheme has in the copy that counts; saveenv adds U-Boot's own."""
    copies = [ubootenv.read_redundant(partition[offset : offset + SIZE]) for offset in OFFSETS]
    newer = ubootenv.second_is_newer(copies[0].counter or 0, copies[1].counter or 0)
    found = copies[1 if newer else 0].variables()
    return {name: value for name, value in found.items() if name in set(names)}


def test_the_limit_is_announced_and_altbootcmd_run(uboot: Path, tmp_path: Path) -> None:
    values = {
        **MEMORY,
        "bootdelay": "-2",
        **mender_variables(PLAN),
        "mender_boot_part": "4",
        "mender_boot_part_hex": "4",
        "upgrade_available": "1",
        "bootcount": "1",
    }
    disk = disk_with(tmp_path, both(values))
    boot = start(disk, uboot)
    assert "Warning: Bootlimit (1) exceeded. Using altbootcmd." in boot.console
    assert boot.started == "a"
    assert known(environment(disk), MENDERS)["upgrade_available"] == "0"


@pytest.mark.parametrize(
    ("changes", "starts"),
    [
        ({}, ["b", "b", "b", "a", "a"]),
        ({"order": "a", "seen": None, "b_tries": 0}, ["a", "a"]),
        ({"b_good": 1, "b_tries": 0}, ["b", "b"]),
        ({"a_good": 0, "b_tries": 0}, [None, "b"]),
        ({"order": "c"}, ["a", "a", "a", "b"]),
        ({"order": "'"}, ["a", "a", "a", "b"]),
        ({"b_tries": "x"}, ["a"]),
    ],
    ids=["update", "new", "committed", "nothing left", "unknown order", "quote", "unknown tries"],
)
def test_the_boot_script_works_with_an_environment_that_u_boot_itself_keeps(
    changes: dict[str, object], starts: list[str | None], uboot: Path, tmp_path: Path
) -> None:
    values = {**MEMORY, "bootdelay": "-2", "bootcmd": SCRIPT, **variables(**changes)}
    script = prepare_boot(plan_for(Loader.UBOOT_ENVIRONMENT, environment=None)).boot
    disk = disk_with(tmp_path, {**script, **both(values)})
    started: list[str | None] = []
    for _ in starts:
        decision = decide(PLAN, environment(disk))
        boot = start(disk, uboot)
        started.append(boot.started)
        assert decision.slot == boot.started, boot.console
        assert known(decision.environment_after, variables()) == known(environment(disk), variables()), boot.console
    assert started == starts


@pytest.mark.parametrize("broken", FILES)
def test_a_broken_copy_costs_nothing_but_what_was_in_it(broken: str, uboot: Path, tmp_path: Path) -> None:
    values = {**MEMORY, "bootdelay": "-2", "bootcmd": SCRIPT}
    script = prepare_boot(plan_for(Loader.UBOOT_ENVIRONMENT, environment=None)).boot
    files = {
        PurePosixPath(FILES[0]): copy_of(Loader.UBOOT, {**values, **variables()}, 2),
        PurePosixPath(FILES[1]): copy_of(Loader.UBOOT, {**values, **variables(order="a", b_tries=0)}, 1),
    }
    disk = disk_with(tmp_path, {**script, **files})
    put_file(disk, 1, broken, bytes(SIZE))
    boot = start(disk, uboot)
    assert boot.started == ("a" if broken == FILES[0] else "b")


def test_a_watchdog_that_is_not_there_does_not_stop_the_boot(uboot: Path, tmp_path: Path) -> None:
    values = {**MEMORY, "bootdelay": "-2", "bootcmd": SCRIPT, "bistable_watchdog": "watchdog@0", **variables(b_good=1)}
    script = prepare_boot(plan_for(Loader.UBOOT_ENVIRONMENT, environment=None)).boot
    disk = disk_with(tmp_path, {**script, **both(values)})
    boot = start(disk, uboot)
    assert "bistable: cannot start the watchdog" in boot.said
    assert boot.started == "b"
