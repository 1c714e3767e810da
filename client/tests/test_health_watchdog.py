"""Watchdogs are started, petted and stopped as the kernel and systemd want it, and a hung phase is not petted."""

import errno
import os
import shutil
import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from client_scripts import Time
from peers import call

from bistable.client.errors import ConfigError, HealthError
from bistable.client.health import Guard, HardwareWatchdog, NoWatchdog, SystemdWatchdog
from bistable.client.health.watchdog import FOR_EVER, WDIOC_SETTIMEOUT

HEADER = Path("/usr/include/linux/watchdog.h")
PRINT_NUMBER = """#include <linux/watchdog.h>
#include <stdio.h>
int main(void) { printf("%lu", (unsigned long) WDIOC_SETTIMEOUT); return 0; }
"""


class Driver:
    """A file in place of a device, and what its driver was told; it grants at most `longest` seconds."""

    def __init__(self, here: Path, longest: int = 60) -> None:
        self.device, self.sysfs, self.longest = here / "watchdog", here / "sysfs", longest
        self.device.touch()
        self.told: list[tuple[int, int]] = []

    def ioctl(self, descriptor: int, request: int, argument: bytes) -> bytes:
        assert os.path.samestat(os.fstat(descriptor), self.device.stat())
        (seconds,) = struct.unpack("i", argument)
        self.told.append((request, seconds))
        return struct.pack("i", min(seconds, self.longest))

    def says(self, name: str, nowayout: str) -> None:
        (self.sysfs / name).mkdir(parents=True)
        (self.sysfs / name / "nowayout").write_text(nowayout)

    @property
    def written(self) -> bytes:
        return self.device.read_bytes()


@pytest.fixture
def driver(tmp_path: Path) -> Driver:
    return Driver(tmp_path)


@pytest.fixture
def hardware(driver: Driver) -> Iterator[HardwareWatchdog]:
    watchdog = HardwareWatchdog(driver.device, sysfs=driver.sysfs, ioctl=driver.ioctl)
    yield watchdog
    watchdog.stop()


# --- the kernel's


def test_the_number_of_the_request_is_that_of_the_kernel(tmp_path: Path) -> None:
    compiler = shutil.which("cc")
    if compiler is None or not HEADER.exists():
        pytest.skip("a C compiler or the kernel's headers (linux-libc-dev) are not installed")
    (tmp_path / "a.c").write_text(PRINT_NUMBER)
    call(compiler, "-o", tmp_path / "a", tmp_path / "a.c")
    assert int(call(tmp_path / "a")) == WDIOC_SETTIMEOUT


def test_the_number_is_put_together_alike_where_directions_have_other_bits() -> None:
    most, others = 3 << 30, (2 | 4) << 29  # _IOC_READ | _IOC_WRITE on most machines; on mips, powerpc and sparc
    assert most == others
    assert most | struct.calcsize("i") << 16 | ord("W") << 8 | 6 == WDIOC_SETTIMEOUT


def test_a_watchdog_is_started_petted_and_stopped(driver: Driver, hardware: HardwareWatchdog) -> None:
    assert hardware.start(30) == 30.0
    hardware.pet()
    hardware.pet()
    assert b"V" not in driver.written
    hardware.stop()
    assert driver.told == [(WDIOC_SETTIMEOUT, 30)]
    assert driver.written == b"\0\0V"


def test_the_limit_is_what_the_driver_grants(tmp_path: Path) -> None:
    driver = Driver(tmp_path, longest=15)
    hardware = HardwareWatchdog(driver.device, sysfs=driver.sysfs, ioctl=driver.ioctl)
    assert hardware.start(600) == 15.0
    hardware.stop()


def test_a_driver_with_a_limit_of_its_own_is_used_as_it_is(driver: Driver) -> None:
    hardware = HardwareWatchdog(driver.device, sysfs=driver.sysfs)  # a real file knows no such request: ENOTTY
    assert hardware.start(30) == 30.0
    hardware.stop()
    assert driver.written == b"V"


def test_starting_again_only_sets_the_limit(driver: Driver, hardware: HardwareWatchdog) -> None:
    hardware.start(30)
    hardware.start(40)
    assert [seconds for _, seconds in driver.told] == [30, 40]
    assert driver.written == b""


def test_one_that_was_not_started_is_left_alone(driver: Driver, hardware: HardwareWatchdog) -> None:
    hardware.pet()
    hardware.stop()
    assert driver.written == b""


@pytest.mark.parametrize("name", ["watchdog", "watchdog1"])
def test_one_that_cannot_be_stopped_is_not_started(tmp_path: Path, name: str) -> None:
    driver = Driver(tmp_path)
    driver.device = tmp_path / name
    driver.device.touch()
    driver.says("watchdog0" if name == "watchdog" else name, "1\n")
    with pytest.raises(ConfigError, match="nowayout"):
        HardwareWatchdog(driver.device, sysfs=driver.sysfs, ioctl=driver.ioctl).start(30)
    assert driver.told == []


def test_one_that_can_be_stopped_is_started(driver: Driver, hardware: HardwareWatchdog) -> None:
    driver.says("watchdog0", "0\n")
    hardware.start(30)
    assert driver.told == [(WDIOC_SETTIMEOUT, 30)]


def test_one_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        HardwareWatchdog(tmp_path / "absent", sysfs=tmp_path).start(30)


def test_one_that_systemd_has_is_an_error_that_says_so(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(*_: object) -> int:
        raise OSError(errno.EBUSY, "busy")

    monkeypatch.setattr(os, "open", busy)
    with pytest.raises(ConfigError, match="another program uses it, most likely systemd"):
        HardwareWatchdog(driver.device, sysfs=driver.sysfs).start(30)


def test_one_that_takes_no_more_pets_is_an_error(tmp_path: Path) -> None:
    full = HardwareWatchdog(Path("/dev/full"), sysfs=tmp_path)
    full.start(30)
    with pytest.raises(HealthError, match="cannot pet"):
        full.pet()
    full.stop()


# --- systemd's


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(10)
        yield listening


def test_systemd_is_told(systemd: socket.socket) -> None:
    watchdog = SystemdWatchdog(systemd.getsockname())
    assert watchdog.start(30) == 30.0
    watchdog.pet()
    watchdog.stop()
    assert [systemd.recv(100) for _ in range(3)] == [
        b"WATCHDOG_USEC=30000000\nWATCHDOG=1",
        b"WATCHDOG=1",
        b"WATCHDOG_USEC=%d" % FOR_EVER,
    ]


def test_a_service_knows_its_watchdog_from_the_environment(systemd: socket.socket) -> None:
    environment = {"NOTIFY_SOCKET": systemd.getsockname(), "WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "7"}
    watchdog = SystemdWatchdog.of_service(environment, 7)
    assert watchdog is not None
    watchdog.pet()
    assert systemd.recv(100) == b"WATCHDOG=1"


def test_sockets_without_a_file_are_found() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind("")  # the kernel chooses a name
        address = listening.getsockname()
        watchdog = SystemdWatchdog.of_service({"NOTIFY_SOCKET": "@" + address[1:].decode(), "WATCHDOG_USEC": "1"}, 7)
        assert watchdog is not None
        watchdog.pet()
        assert listening.recv(100) == b"WATCHDOG=1"


@pytest.mark.parametrize(
    "change",
    [
        {"NOTIFY_SOCKET": ""},
        {"NOTIFY_SOCKET": "vsock:2:1"},
        {"WATCHDOG_USEC": ""},
        {"WATCHDOG_USEC": "soon"},
        {"WATCHDOG_PID": "8"},
    ],
)
def test_a_process_that_systemd_does_not_watch_has_none(change: dict[str, str]) -> None:
    environment = {"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "7"} | change
    assert SystemdWatchdog.of_service(environment, 7) is None


def test_a_systemd_that_cannot_be_reached_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(HealthError, match="cannot tell systemd"):
        SystemdWatchdog(str(tmp_path / "absent")).pet()


# --- the guard


class Counting:
    """A watchdog that counts, and lets a test wait for a pet."""

    def __init__(self, granted: float = 0.003) -> None:
        self.granted, self.events = granted, list[str]()
        self.petted = threading.Event()
        self.failing = False

    def start(self, seconds: int) -> float:
        self.events.append(f"start {seconds}")
        return self.granted

    def pet(self) -> None:
        if self.failing:
            self.failing = False
            raise HealthError("cannot pet")
        self.events.append("pet")
        self.petted.set()

    def stop(self) -> None:
        self.events.append("stop")


def test_a_device_without_a_watchdog_needs_no_other_code() -> None:
    guard = Guard(NoWatchdog(), 60, Time().clock)
    guard.arm()
    assert guard.pet()
    guard.disarm()


def test_an_armed_guard_pets_by_itself_until_it_is_disarmed() -> None:
    watchdog = Counting()
    guard = Guard(watchdog, 60, Time().clock, seconds=30)
    guard.arm()
    assert watchdog.petted.wait(10)
    guard.disarm()
    guard.disarm()
    assert watchdog.events[0] == "start 30"
    assert watchdog.events[-1] == "stop"
    assert watchdog.events.count("stop") == 1


def test_a_phase_that_takes_too_long_is_petted_no_more() -> None:
    time, watchdog = Time(), Counting(granted=1e6)
    guard = Guard(watchdog, 60, time.clock)
    guard.arm()
    time.now += 59
    assert guard.pet()
    time.now += 1
    assert not guard.pet()
    assert watchdog.events == ["start 60", "pet"]
    guard.disarm()


def test_the_petting_thread_ends_when_the_phase_takes_too_long() -> None:
    time, watchdog = Time(), Counting()
    guard = Guard(watchdog, 60, time.clock)
    guard.arm()
    assert watchdog.petted.wait(10)
    time.now += 60
    (thread,) = [thread for thread in threading.enumerate() if thread.name == "watchdog"]
    thread.join(10)
    assert not thread.is_alive()
    assert "stop" not in watchdog.events
    guard.disarm()


def test_each_phase_has_a_limit_of_its_own() -> None:
    time, watchdog = Time(), Counting(granted=1e6)
    guard = Guard(watchdog, 60, time.clock)
    guard.arm()
    time.now += 100
    guard.arm()
    assert guard.pet()
    guard.disarm()


def test_a_pet_that_fails_is_tried_again() -> None:
    watchdog = Counting()
    watchdog.failing = True
    guard = Guard(watchdog, 60, Time().clock)
    guard.arm()
    assert watchdog.petted.wait(10)
    guard.disarm()


def test_a_guard_that_was_never_armed_pets_nothing() -> None:
    watchdog = Counting()
    assert not Guard(watchdog, 60, Time().clock).pet()
    assert watchdog.events == []
