"""What runs on a device at boot, with stand-ins for the programs that change disks and mounts."""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from layer_files import LAYER

DATA = LAYER / "recipes-ota/bistable-data/files/bistable-data.sh"
INIT = LAYER / "recipes-ota/bistable/files/bistable.init"
PROGRAMS = ("sfdisk", "partx", "resize2fs", "mount", "umount", "systemctl", "start-stop-daemon", "bistabled")
STAND_IN = """\
#!/bin/sh
echo "${0##*/} $*" >> "$CALLS"
[ "$*" = "$EXTENDED" ] && echo f
case " $FAILING " in *" ${0##*/} "*) exit 1 ;; esac
exit 0
"""
HARMLESS = ("basename", "cat", "cp", "dirname", "mkdir", "mv", "readlink", "sed", "sync", "tail")
"""All else that the scripts may call: nothing real that mounts or writes to disks is within reach."""

ID, OTHER = "0123456789abcdef" * 2, "fedcba9876543210" * 2


@dataclass
class Device:
    """A device as far as the script sees it; the disk is nodisk, and its third partition the one for data."""

    top: Path
    failing: str = ""
    extended: str = ""
    mounts: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        for name in ("bin", "data", "etc", "sys/class/block", "sys/devices/nodisk/nodisk3"):
            (self.top / name).mkdir(parents=True)
        for name in PROGRAMS:
            program = self.top / "bin" / name
            program.write_text(STAND_IN)
            program.chmod(0o755)
        for name in HARMLESS:
            (self.top / "bin" / name).symlink_to(shutil.which(name) or name)
        self.mounts.append(f"/dev/nodisk3 {self.top}/data ext4 rw 0 0")
        disk = self.top / "sys/devices/nodisk"
        for path, value in (
            ("nodisk3/partition", 3),
            ("nodisk3/start", 2_000_000),
            ("nodisk3/size", 2_000_000),
        ):
            (disk / path).write_text(f"{value}\n")
        (disk / "size").write_text("8000000\n")
        for name, place in (("nodisk", "nodisk"), ("nodisk3", "nodisk/nodisk3")):
            (self.top / "sys/class/block" / name).symlink_to(f"../../devices/{place}")

    @property
    def data(self) -> Path:
        """Where the data partition is."""
        return self.top / "data"

    @property
    def identity(self) -> Path:
        """The file with the identity of the machine."""
        return self.top / "etc" / "machine-id"

    def boot(self, features: str = "", persist: str = "", action: str = "start") -> subprocess.CompletedProcess[str]:
        """Run the script as the build configures it."""
        (self.top / "data.conf").write_text(f'features="{features}"\npersist="{persist}"\n')
        (self.top / "mounts").write_text("".join(f"{line}\n" for line in self.mounts))
        return self.run(["/bin/sh", DATA, action])

    def run(self, command: list[str | Path]) -> subprocess.CompletedProcess[str]:
        """Run a program with the stand-ins."""
        environment = {
            "PATH": f"{self.top}/bin",
            "CALLS": f"{self.top}/calls",
            "FAILING": self.failing,
            "EXTENDED": self.extended,
            "BISTABLE_DATA_CONF": f"{self.top}/data.conf",
            "BISTABLE_DATA": str(self.data),
            "BISTABLE_MACHINE_ID": str(self.identity),
            "BISTABLE_SYS": f"{self.top}/sys",
            "BISTABLE_MOUNTS": f"{self.top}/mounts",
        }
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)

    @property
    def calls(self) -> list[str]:
        """What the stand-ins were called with."""
        log = self.top / "calls"
        return log.read_text().splitlines() if log.exists() else []


@pytest.fixture
def device(tmp_path: Path) -> Device:
    if Path("/bin/sh").resolve().name.startswith("busybox"):
        pytest.skip("the shell of this machine runs a mount of its own, not the stand-in")
    return Device(tmp_path)


def quiet(done: subprocess.CompletedProcess[str]) -> bool:
    """Say whether a script succeeded and had nothing to say."""
    return (done.returncode, done.stderr) == (0, "")


# --- growth


def test_data_gets_what_a_larger_disk_has(device: Device) -> None:
    assert quiet(device.boot("grow-data"))
    assert device.calls == [
        "sfdisk --quiet --relocate gpt-bak-std /dev/nodisk",
        "sfdisk --quiet --no-reread --no-tell-kernel -N 3 /dev/nodisk",
        "partx --update --nr 3 /dev/nodisk",
        "resize2fs /dev/nodisk3",
    ]


def test_what_holds_the_partition_in_a_master_boot_record_grows_first(device: Device) -> None:
    (device.top / "sys/devices/nodisk/nodisk3/partition").write_text("6\n")
    device.extended = "--part-type /dev/nodisk 4"
    assert quiet(device.boot("grow-data"))
    assert [call for call in device.calls if " -N " in call] == [
        "sfdisk --quiet --no-reread --no-tell-kernel -N 4 /dev/nodisk",
        "sfdisk --quiet --no-reread --no-tell-kernel -N 6 /dev/nodisk",
    ]


def test_a_disk_that_is_full_keeps_its_table(device: Device) -> None:
    (device.top / "sys/devices/nodisk/size").write_text(f"{4_000_000 + 16384}\n")
    assert quiet(device.boot("grow-data"))
    assert device.calls == ["resize2fs /dev/nodisk3"]


def test_a_file_system_that_did_not_grow_with_its_partition_grows_at_the_next_boot(device: Device) -> None:
    device.failing = "resize2fs"
    assert "keeps its size" in device.boot("grow-data").stderr
    grown = device.top / "sys/devices/nodisk/nodisk3/size"
    grown.write_text("6000000\n")
    device.failing = ""
    assert quiet(device.boot("grow-data"))
    assert device.calls[-1] == "resize2fs /dev/nodisk3"
    assert device.calls.count("sfdisk --quiet --no-reread --no-tell-kernel -N 3 /dev/nodisk") == 1


def test_data_that_is_no_partition_is_left_alone(device: Device) -> None:
    (device.top / "sys/devices/nodisk/nodisk3/partition").unlink()
    assert quiet(device.boot("grow-data"))
    assert device.calls == []


def test_data_that_is_not_mounted_is_told(device: Device) -> None:
    device.mounts.clear()
    done = device.boot("grow-data")
    assert done.returncode == 0
    assert f"bistable-data: {device.data} is not a partition of its own" in done.stderr
    assert device.calls == []


def test_nothing_grows_where_it_is_not_to(device: Device) -> None:
    assert quiet(device.boot("machine-id"))
    assert device.calls == []


# --- identity


def test_the_first_identity_is_kept(device: Device) -> None:
    device.identity.write_text(f"{ID}\n")
    assert quiet(device.boot("machine-id"))
    assert (device.data / "machine-id").read_text() == f"{ID}\n"
    assert device.calls == []


@pytest.mark.parametrize("text", ["", "uninitialized\n"])
def test_what_is_no_identity_yet_is_not_kept(device: Device, text: str) -> None:
    device.identity.write_text(text)
    assert quiet(device.boot("machine-id"))
    assert not (device.data / "machine-id").exists()


@pytest.mark.parametrize("text", [f"{OTHER}\n", ""])
def test_a_new_slot_gets_the_identity_that_was_kept(device: Device, text: str) -> None:
    (device.data / "machine-id").write_text(f"{ID}\n")
    device.identity.write_text(text)
    assert quiet(device.boot("machine-id"))
    assert device.identity.read_text() == f"{ID}\n"
    assert device.calls == [f"umount {device.identity}", "systemctl --no-block try-restart systemd-journald.service"]


def test_the_same_identity_is_left_alone(device: Device) -> None:
    (device.data / "machine-id").write_text(f"{ID}\n")
    device.identity.write_text(f"{ID}\n")
    assert quiet(device.boot("machine-id"))
    assert device.calls == []


def test_on_a_read_only_slot_the_identity_is_mounted(device: Device) -> None:
    (device.data / "machine-id").write_text(f"{ID}\n")
    # A directory that is not there stands for a file that cannot be written; root may write any other.
    device.identity.parent.rmdir()
    assert quiet(device.boot("machine-id"))
    assert f"mount --bind {device.data}/machine-id {device.identity}" in device.calls


# --- what is kept


def test_changes_of_directories_are_kept_on_the_data_partition(device: Device) -> None:
    places = [device.top / "home", device.top / "var/lib/app-1"]
    assert quiet(device.boot(persist=" ".join(map(str, places))))
    assert len(device.calls) == 2
    for place, call in zip(places, device.calls, strict=True):
        found = re.fullmatch(
            rf"mount -t overlay -o lowerdir={place},upperdir=(\S+),workdir=(\S+) overlay {place}", call
        )
        assert found is not None
        assert place.is_dir()
        for made in found.groups():
            assert Path(made).is_dir()
            assert Path(made).parents[1] == device.data / "persist"


def test_two_directories_never_share_their_changes(device: Device) -> None:
    names = ["a/b", "a-b", "a--b", "a/-b", "a-/b"]
    device.boot(persist=" ".join(f"{device.top}/{name}" for name in names))
    assert len(list((device.data / "persist").iterdir())) == len(names)


def test_what_is_mounted_already_is_not_mounted_again(device: Device) -> None:
    device.mounts.append(f"overlay {device.top}/home overlay rw 0 0")
    assert quiet(device.boot(persist=f"{device.top}/home {device.top}/home2"))
    assert [call.rpartition(" ")[2] for call in device.calls] == [f"{device.top}/home2"]


def test_a_directory_that_cannot_be_kept_does_not_keep_the_next_from_it(device: Device) -> None:
    device.failing = "mount"
    done = device.boot(persist=f"{device.top}/one {device.top}/two")
    assert done.returncode == 0
    assert len(device.calls) == 2
    assert done.stderr.count("they are lost with the next update") == 2


# --- a step that fails


@pytest.mark.parametrize("failing", ["sfdisk", "partx", "resize2fs", "umount mount systemctl"])
def test_a_step_that_fails_keeps_neither_the_others_nor_the_device_from_going_on(device: Device, failing: str) -> None:
    (device.data / "machine-id").write_text(f"{ID}\n")
    device.identity.write_text(f"{OTHER}\n")
    device.failing = failing
    done = device.boot("grow-data machine-id", f"{device.top}/home")
    assert done.returncode == 0
    assert device.identity.read_text() == f"{ID}\n"
    assert device.calls[-1].startswith("mount -t overlay")
    assert "bistable-data: " in done.stderr


def test_nothing_is_done_when_the_system_stops(device: Device) -> None:
    assert quiet(device.boot("grow-data machine-id", "/home", action="stop"))
    assert device.calls == []


# --- the script of sysvinit


def init(device: Device, program: str, arguments: str = "") -> Path:
    """Write the script as the recipe does, with its absolute paths in the device of the test."""
    text = INIT.read_text()
    for word, value in (("@PROGRAM@", program), ("@ARGUMENTS@", arguments), ("@START@", "service"), ("@WHAT@", "test")):
        text = text.replace(word, value)
    for place in ("/usr/bin/", "/run/", "/var/lib/bistable", "/etc/default/"):
        assert place in text
        text = text.replace(place, f"{device.top}/{'bin/' if place == '/usr/bin/' else place.lstrip('/')}")
    (device.top / "run").mkdir()
    (device.top / "var/lib/bistable").mkdir(parents=True)
    script = device.top / program
    script.write_text(text)
    script.chmod(0o755)
    return script


def test_the_service_is_started_in_the_background_and_stopped(device: Device) -> None:
    script = init(device, "bistabled")
    assert device.run(["/bin/sh", script, "start"]).stdout == "Starting bistabled\n"
    assert device.run(["/bin/sh", script, "stop"]).returncode == 0
    pid = f"{device.top}/run/bistabled.pid"
    assert device.calls == [
        f"start-stop-daemon --start --background --make-pidfile --pidfile {pid} --exec {device.top}/bin/bistabled",
        f"start-stop-daemon --stop --oknodo --pidfile {pid}",
    ]


def test_restarting_is_both(device: Device) -> None:
    device.run([init(device, "bistabled"), "restart"])
    assert [call.split()[1] for call in device.calls] == ["--stop", "--start"]


def test_what_is_done_once_is_run_and_cannot_be_stopped(device: Device) -> None:
    shutil.copy(device.top / "bin/bistabled", device.top / "bin/bistablectl")
    script = init(device, "bistablectl", "recover --quiet")
    assert device.run(["/bin/sh", script, "start"]).returncode == 0
    assert device.run(["/bin/sh", script, "stop"]).returncode == 0
    assert device.calls == ["bistablectl recover --quiet"]


def test_how_it_ended_is_told(device: Device) -> None:
    device.failing = "start-stop-daemon"
    assert device.run(["/bin/sh", init(device, "bistabled"), "start"]).returncode == 1


def test_without_the_data_partition_nothing_is_started(device: Device) -> None:
    script = init(device, "bistabled")
    shutil.rmtree(device.top / "var/lib/bistable")
    (device.top / "var/lib/bistable").symlink_to("/nowhere/bistable")
    done = device.run(["/bin/sh", script, "start"])
    assert done.returncode == 1
    assert done.stderr == f"bistabled: {device.top}/var/lib/bistable is not there\n"
    assert device.calls == []


@pytest.mark.parametrize(("start", "calls"), [("service", 1), ("by-hand", 0)])
def test_it_is_started_if_it_is_what_leads_updates(device: Device, start: str, calls: int) -> None:
    script = init(device, "bistabled")
    leader = device.top / "etc/default/bistable"
    leader.parent.mkdir(parents=True)
    leader.write_text(f"start={start}\n")
    assert device.run(["/bin/sh", script, "start"]).returncode == 0
    assert len(device.calls) == calls


def test_whether_it_runs_can_be_asked(device: Device) -> None:
    script = init(device, "bistabled")
    assert device.run(["/bin/sh", script, "status"]).returncode == 1
    (device.top / "run/bistabled.pid").write_text(f"{os.getpid()}\n")
    assert device.run(["/bin/sh", script, "status"]).returncode == 0


def test_another_word_is_refused(device: Device) -> None:
    done = device.run(["/bin/sh", init(device, "bistabled"), "reload"])
    assert done.returncode == 2
    assert "start|stop|restart|status" in done.stderr
