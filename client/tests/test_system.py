"""The machine: which boot it is, its restart and its clocks."""

import time
from pathlib import Path
from uuid import UUID

import pytest

from bistable.client.errors import ClientError, ProgramError
from bistable.client.system import LinuxSystem, new_name


def recorder(folder: Path, name: str) -> Path:
    path = folder / name
    path.write_text(f'#!/bin/sh\necho "{name} $*" >> "{folder}/asked"\n')
    path.chmod(0o755)
    return path


def test_the_boot_is_that_of_the_kernel() -> None:
    assert LinuxSystem().boot_id() == Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def test_a_new_name_is_a_random_uuid() -> None:
    names = {new_name() for _ in range(8)}
    assert len(names) == 8
    assert all(UUID(name).version == 4 and str(UUID(name)) == name for name in names)


def test_a_kernel_that_does_not_tell_its_boot_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ClientError, match="cannot tell this boot from others") as caught:
        LinuxSystem(boot_id_file=tmp_path / "none").boot_id()
    assert caught.value.hint == "is /proc mounted?"
    (tmp_path / "empty").touch()
    with pytest.raises(ClientError, match="is empty"):
        LinuxSystem(boot_id_file=tmp_path / "empty").boot_id()


@pytest.mark.parametrize(("systemd_runs", "asked"), [(True, "systemctl reboot\n"), (False, "reboot \n")])
def test_the_reboot_goes_through_systemd_where_it_runs(
    systemd_runs: bool, asked: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("systemctl", "reboot"):
        recorder(tmp_path, name)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    marker = tmp_path / "systemd"
    if systemd_runs:
        marker.mkdir()
    LinuxSystem(systemd_runs=marker).reboot()
    assert (tmp_path / "asked").read_text() == asked


def test_an_argument_for_the_firmware_goes_through_systemd_where_it_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder(tmp_path, "systemctl")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    LinuxSystem(systemd_runs=tmp_path, argument=lambda: "0 tryboot").reboot()
    assert (tmp_path / "asked").read_text() == "systemctl reboot --reboot-argument=0 tryboot\n"


def test_an_argument_for_the_firmware_is_handed_over_directly_without_systemd(tmp_path: Path) -> None:
    asked: list[str] = []
    LinuxSystem(systemd_runs=tmp_path / "none", argument=lambda: "0 tryboot", restart=asked.append).reboot()
    assert asked == ["0 tryboot"]


def test_another_command_can_be_what_reboots(tmp_path: Path) -> None:
    LinuxSystem(reboot_command=[str(recorder(tmp_path, "own")), "now"]).reboot()
    assert (tmp_path / "asked").read_text() == "own now\n"


def test_a_reboot_that_is_refused_is_an_error() -> None:
    with pytest.raises(ProgramError):
        LinuxSystem(reboot_command=["false"]).reboot()


def test_the_clocks_are_those_of_the_machine() -> None:
    system = LinuxSystem()
    before = time.clock_gettime(time.CLOCK_BOOTTIME)
    assert before <= system.boottime() <= time.clock_gettime(time.CLOCK_BOOTTIME)
    early = time.time()
    assert early <= system.wall() <= time.time()
