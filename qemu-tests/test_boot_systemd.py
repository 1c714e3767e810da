"""The whole thing under systemd: the service on the bus, held by an application, and the unit that sees to a trial."""

import re
from pathlib import Path

import pytest

from bistable.qemu.kinds import Kind
from bistable.qemu.rootfs.build import Profile
from bistable.tools.bench import patience
from boot_bench import Bench, bench

pytestmark = [pytest.mark.boots, pytest.mark.slow]
KINDS = [Kind.X86_64_GRUB, Kind.ARM64_UBOOT, Kind.X86_64_SYSTEMD_BOOT]
CALL = "busctl call io.bistable.Updates1 /io/bistable/Updates1 io.bistable.Updates1"
STARTS_B = re.compile(r"ommand line: .*\bbistable\.slot=b")
STATE = "busctl get-property io.bistable.Updates1 /io/bistable/Updates1 io.bistable.Updates1 State"


def until(it: Bench, command: str) -> None:
    """Have the device repeat a command until it succeeds."""
    it.device.run(f"for i in $(seq 300); do {command} && exit 0; sleep 1; done; exit 1", seconds=patience.INSTALL)


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_an_application_has_the_service_install_and_holds_the_commit(kind: Kind, tmp_path: Path) -> None:
    with bench(kind, tmp_path, Profile.SYSTEMD) as it:
        assert it.device.boot() == "a"
        until(it, "systemctl is-active --quiet bistabled.service")
        url = it.offer("release-2")
        it.device.run(f"{CALL} Install 'sa{{sv}}' {url} 1 stops as 1 commit")

        # The service reboots the device by itself. Not every boot loader says so, but every kernel does.
        it.machine.console.expect(STARTS_B, seconds=patience.INSTALL)
        assert it.device.boot() == "b"
        assert it.release() == "release-2"
        until(it, f"{STATE} | grep -q paused-before-commit")
        assert not it.slots()["state"]["b"]["good"]

        it.device.run(f"{CALL} Continue ssb '' '' false")
        until(it, f"{STATE} | grep -q idle")
        assert it.slots()["state"]["b"]["good"]
        assert it.ctl("status")["artifact"] == "release-2"


@pytest.mark.parametrize("kind", [Kind.X86_64_GRUB], ids=str)
def test_a_trial_keeps_its_tries_over_reboots_where_the_unit_for_it_runs(kind: Kind, tmp_path: Path) -> None:
    with bench(kind, tmp_path, Profile.SYSTEMD_BY_HAND) as it:
        it.device.boot()
        it.install(it.offer("release-2"))
        # One more than there are tries.
        assert [it.device.reboot() for _ in range(4)] == ["b"] * 4
        assert it.device.run("systemctl is-failed bistable-recover.service", allowed=(1,)).output == "inactive"
        it.ctl("commit")
        assert it.slots()["state"]["b"]["good"]
