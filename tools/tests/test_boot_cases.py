"""Boot scripts in real boot loaders, case by case, beside what `decide` says of the same bytes."""

import shutil
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import pytest
from boot_cases import CASES, Case
from boot_machines import (
    BOARD,
    OVMF_CODE,
    SLOT_A,
    SLOT_B,
    UBOOT,
    UBOOT_RISCV64,
    Boot,
    Disk,
    boot_grub,
    boot_uboot,
    boot_uboot_riscv64,
    make_disk,
)
from boot_plans import KERNEL, environment_of, plan_for, variables
from boot_programs import needs
from boot_stand_ins import amd64_kernel, arm64_kernel, riscv64_kernel

from bistable.tools.boot import BootFiles, BootPlan, Decision, Loader, decide, prepare_boot

pytestmark = pytest.mark.boots

BOOTS = {Loader.UBOOT: boot_uboot, Loader.GRUB: boot_grub}
KERNELS = {Loader.UBOOT: arm64_kernel, Loader.GRUB: amd64_kernel}
FIRMWARE = {Loader.UBOOT: ("qemu-system-aarch64", UBOOT), Loader.GRUB: ("qemu-system-x86_64", OVMF_CODE)}

PREPARED: dict[Loader, BootFiles] = {}


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where disks are made once, to be copied for each case."""
    return tmp_path_factory.mktemp("disks")


def _rows() -> Sequence[object]:
    rows = []
    for case in CASES:
        for loader in case.loaders:
            # U-Boot takes half a second, OVMF with GRUB four.
            late = case.rare or (loader is Loader.GRUB and not case.quick)
            marks = [pytest.mark.slow] if late else []
            rows.append(pytest.param(loader, case, id=f"{loader.value}: {case.name}", marks=marks))
    return rows


def machine(workshop: Path, loader: Loader, directory: Path, kernels: str) -> tuple[BootPlan, Disk]:
    needs("mkfs.vfat", "mcopy", "sfdisk", FIRMWARE[loader][0], FIRMWARE[loader][1])
    plan = plan_for(loader)
    if loader not in PREPARED:
        PREPARED[loader] = prepare_boot(plan)
    made = workshop / f"{loader.value}-{kernels}.img"
    if not made.exists():
        make_disk(made, PREPARED[loader], _slots(loader, kernels))
    shutil.copyfile(made, directory / "disk.img")
    return plan, Disk(directory / "disk.img")


def _slots(loader: Loader, kernels: str) -> dict[int, dict[PurePosixPath, bytes]]:
    return {
        number: {KERNEL: KERNELS[loader](f"KERNEL {slot}\n")} if slot in kernels else {}
        for slot, number in (("a", SLOT_A), ("b", SLOT_B))
    }


def check(decision: Decision, boot: Boot, after: bytes, case: Case) -> None:
    """The model agrees with the loader, as far as the model knows: it does not know of broken disks and kernels."""
    if case.faults:
        return
    if decision.slot is None or decision.slot in case.kernels:
        assert decision.slot == boot.started
    if decision.slot is None or decision.slot in case.kernels or decision.counted:
        assert decision.environment_after == after


@pytest.mark.parametrize(("loader", "case"), _rows())
def test_the_boot_script_starts_what_it_should_and_the_model_says_so(
    loader: Loader, case: Case, tmp_path: Path, workshop: Path
) -> None:
    plan, disk = machine(workshop, loader, tmp_path, case.kernels)
    disk.set_environment(case.environment(loader))
    started = []
    for number in range(len(case.starts)):
        decision = decide(plan, disk.environment())
        boot = BOOTS[loader](disk, faults=case.faults)
        started.append(boot.started)
        if number == 0:
            assert [line for line in case.says if line not in boot.said] == [], boot.said
        check(decision, boot, disk.environment(), case)
    assert tuple(started) == case.starts


@pytest.mark.parametrize("loader", [Loader.UBOOT, Loader.GRUB])
def test_a_new_device_boots_its_first_slot_and_leaves_the_canary(
    loader: Loader, tmp_path: Path, workshop: Path
) -> None:
    plan, disk = machine(workshop, loader, tmp_path, "ab")
    decision = decide(plan, disk.environment())
    boot = BOOTS[loader](disk)
    assert boot.said == [
        "bistable: copies=ok,ok current=0 order=a a=good b=no",
        "bistable: booting slot a",
        "KERNEL a",
    ]
    assert decision.slot == "a"
    assert disk.environment() == decision.environment_after
    settled = disk.environment()
    assert BOOTS[loader](disk).started == "a"
    assert disk.environment() == settled


def test_a_u_boot_without_the_command_for_watchdogs_says_so_and_goes_on(tmp_path: Path) -> None:
    needs("mkfs.vfat", "mcopy", "sfdisk", *FIRMWARE[Loader.UBOOT])
    made = prepare_boot(plan_for(Loader.UBOOT, watchdog="watchdog@30280000"))
    disk = make_disk(tmp_path / "disk.img", made, _slots(Loader.UBOOT, "ab"))
    boot = boot_uboot(disk)
    assert "Unknown command 'wdt'" in boot.console
    assert boot.said[1:] == ["bistable: cannot start the watchdog", "bistable: booting slot a", "KERNEL a"]


def test_a_risc_v_machine_counts_and_falls_back(tmp_path: Path) -> None:
    needs("mkfs.vfat", "mcopy", "sfdisk", "qemu-system-riscv64", UBOOT_RISCV64)
    kernels = {number: {KERNEL: riscv64_kernel(f"KERNEL {slot}\n")} for slot, number in (("a", SLOT_A), ("b", SLOT_B))}
    plan = plan_for(Loader.UBOOT, architecture="riscv64")
    disk = make_disk(tmp_path / "disk.img", prepare_boot(plan), kernels)
    disk.set_environment(environment_of(Loader.UBOOT, variables(b_tries=1)))
    assert boot_uboot_riscv64(disk).said == [
        "bistable: copies=ok,ok current=0 order=b a a=good b=1",
        "bistable: trying slot b, 0 tries left",
        "KERNEL b",
    ]
    assert boot_uboot_riscv64(disk).started == "a"


def test_a_board_that_does_not_say_where_a_kernel_goes_is_told_so(tmp_path: Path, workshop: Path) -> None:
    _, disk = machine(workshop, Loader.UBOOT, tmp_path, "ab")
    board = {name: value for name, value in BOARD.items() if name != "kernel_addr_r"}
    before = disk.environment()
    boot = boot_uboot(disk, board=board)
    assert boot.said == ["bistable: kernel_addr_r is not set: this U-Boot does not say where a kernel goes"]
    assert disk.environment() == before
