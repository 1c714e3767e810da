"""What is written for systemd-boot and for UEFI, read by the real ones: the rules of the other tests are theirs."""

import shutil
from pathlib import Path
from uuid import UUID

import pytest
from client_boot import A, B
from client_boot_firmware import SystemdBoot
from client_firmware import GUID, SECTORS, START, SYSTEMD_BOOT, Machine

from bistable.client.boot.efi.efivars import GLOBAL
from bistable.client.boot.efi.entry import Partition, render_option
from bistable.client.boot.efi.options import render_numbers
from bistable.client.boot.systemdboot.entries import entry_name, render_entry
from bistable.client.model import SlotName

pytestmark = pytest.mark.boots


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


# Each slot: tries left (None: good) and version; a slot without a kernel has `None` in its place.
CASES: dict[str, tuple[dict[SlotName, tuple[int | None, int]], str, str]] = {
    "a trial that never comes up": ({A: (None, 1), B: (1, 2)}, "ab", "ba"),
    "a trial of two tries": ({A: (None, 1), B: (2, 2)}, "ab", "bbaa"),
    "the newer one of two good ones": ({A: (None, 3), B: (None, 2)}, "ab", "aa"),
    "versions are numbers": ({A: (None, 9), B: (None, 10)}, "ab", "bb"),
    "used up, both": ({A: (0, 1), B: (0, 2)}, "ab", "bb"),
    "an entry without a kernel": ({A: (None, 1), B: (3, 2)}, "a", "aa"),
}
"""Name -> the entries, the slots that have a kernel, and what is started, one after the other."""


@pytest.mark.parametrize(
    "case",
    [pytest.param(case, marks=[] if case == "a trial that never comes up" else pytest.mark.slow) for case in CASES],
)
def test_systemd_boot_starts_what_our_rules_say(case: str, machine: Machine, tmp_path: Path) -> None:
    entries, kernels, expected = CASES[case]
    for path, content in {
        "loader/loader.conf": b"timeout 0\n",
        "EFI/BOOT/BOOTX64.EFI": SYSTEMD_BOOT.read_bytes(),
    }.items():
        (machine.esp / path).parent.mkdir(parents=True, exist_ok=True)
        (machine.esp / path).write_bytes(content)
    folder = machine.esp / "loader/entries"
    folder.mkdir()
    for slot in kernels:
        machine.kernel(slot)
    for slot, (left, version) in entries.items():
        content = render_entry(slot, version=version, options=f"bistable.slot={slot}", initrd=False)
        (folder / entry_name(slot, left)).write_bytes(content)
    machine.build()
    model = SystemdBoot(shutil.copytree(machine.esp, tmp_path / "model"))
    told = [model.start() for _ in expected]
    assert "".join(found[1].parent.name for found in told if found is not None) == expected
    assert "".join(machine.starts(len(expected))) == expected
    assert machine.names("loader/entries") == sorted(path.name for path in model.folder.iterdir())


def test_the_firmware_starts_our_entries_by_boot_next_once_and_not_the_inactive_ones(machine: Machine) -> None:
    partition = Partition(number=1, start=START, size=SECTORS, guid=UUID(GUID))
    for slot in (A, B):
        machine.kernel(slot)
    variables = {
        "Boot0010": render_option(A, partition, "bistable.slot=a", active=False),
        "Boot0011": render_option(B, partition, "bistable.slot=b", active=True),
        "Boot0012": render_option(A, partition, "bistable.slot=a", active=True),
        "BootOrder": render_numbers((0x10, 0x11, 0x12)),
        "BootNext": render_numbers((0x12,)),
    }
    lines = [f"setvar {name} -guid {GLOBAL} -nv -bs -rt ={data.hex()}" for name, data in variables.items()]
    # The firmware's own shell runs this, as there is nothing else to start yet.
    (machine.esp / "startup.nsh").write_bytes("\r\n".join([*lines, "reset -s", ""]).encode())
    machine.build()
    machine.until_off()
    assert machine.starts(2) == ["a", "b"]
