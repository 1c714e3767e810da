"""The client is killed, or the power goes, at random moments: the device boots, and what it says of itself is true."""

import hashlib
import random
import subprocess
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest
from client_bench import Bench, image, kill_session, session_of
from client_modules import gone

RELEASES: Final = ("release-1", "release-2", "release-3")
TOO_LATE, IN_TIME = 0.85, 1.05
"""How the time of a command is corrected after each cut: how busy the machine is changes, and few may be too late."""


@dataclass(kw_only=True)
class Loop:
    """Updates a device again and again, and ends commands of it in their middle."""

    bench: Bench
    chance: random.Random
    seconds: dict[str, float] = field(default_factory=dict)
    """Command -> how long it takes."""
    counts: Counter[str] = field(default_factory=Counter)
    wanted: str = "release-0"
    """The release of the root file system that was installed last."""
    file: str = ""

    def measure(self) -> None:
        """Do everything once in peace, and learn how long it takes."""
        bench = self.bench
        self.timed("install rootfs", "install", bench.rootfs("release-1"))
        bench.reboot()
        self.timed("commit", "commit")
        self.timed("install file", "install", bench.file("file-1"))
        self.timed("rollback", "rollback")
        bench.must("install", bench.file("file-2"))
        bench.must("commit")
        self.seconds["resume"] = self.seconds["rollback"]

    def timed(self, name: str, *words: str | Path) -> None:
        begin = time.monotonic()
        self.bench.must(*words)
        self.seconds[name] = time.monotonic() - begin

    def cut(self, name: str, *words: str | Path) -> None:
        """Run a command and end it at a random moment of its time."""
        with self.bench.start(*words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            with suppress(subprocess.TimeoutExpired):
                process.wait(self.chance.uniform(0, self.seconds[name]))
            over = process.poll() is not None
            self.seconds[name] *= TOO_LATE if over else IN_TIME
            if self.chance.random() < 0.5:
                kill_session(process)
                self.bench.reboot()
                self.counts["power cuts"] += 1
            else:
                process.kill()
                process.wait()
                self.counts["kills"] += 1
            # A module that outlives the client ends by itself; nothing waits for ever for somebody who is gone.
            assert all(gone(pid) for pid in session_of(process))
        self.counts["too late"] += over
        update = self.look()
        self.counts[f"in {'idle' if update is None else update['state']}"] += 1

    def look(self) -> dict[str, Any] | None:
        """See whether the device is sound, and return the update in progress."""
        bench = self.bench
        status = bench.status()
        slots = status["slots"]
        following = slots["state"][slots["next"]]
        assert following["good"] or following["tries_left"], status
        assert bench.whole(slots["next"]), status
        assert bench.whole(bench.booted())
        good = [name for name, slot in slots["state"].items() if slot["good"]]
        assert good, status
        assert all(bench.whole(name) for name in good), status
        update: dict[str, Any] | None = status["update"]
        return update

    def settle(self) -> None:
        """Bring whatever is in progress to its end, as people would."""
        bench = self.bench
        for _ in range(20):
            update = self.look()
            if update is None:
                break
            if "Reboot the device" in update["next"]:
                bench.reboot()
            else:
                bench.ctl(self._answer(update["next"]))
        else:
            raise AssertionError(f"it does not come to an end: {bench.status()}")
        self.check()

    def _answer(self, advice: str) -> str:
        return "resume" if "resume" in advice else self.chance.choice(["commit", "rollback"])

    def check(self) -> None:
        """Compare what the device provides with what it holds."""
        bench, provides = self.bench, self.bench.provides()
        running = bench.content(bench.booted())
        assert provides["rootfs-image.checksum"] == hashlib.sha256(running).hexdigest()
        assert image(provides["rootfs-image.version"]) == running
        target = bench.place / "files/target"
        # An update of the root file system clears all that begins with rootfs-image.
        if (version := provides.get("rootfs-image.single-file.version")) is not None:
            assert target.read_text() == version
        assert [path.name for path in (bench.place / "files").iterdir()] == ["target"]
        assert not (bench.data / "modules/v3/payloads/0000/tree").exists()

    def once(self, number: int) -> None:
        """Begin an update and cut it off once, in one of its commands."""
        bench = self.bench
        if self.chance.random() < 0.6:
            artifact = bench.rootfs(self.chance.choice(RELEASES))
            commands = [("install rootfs", ("install", artifact)), ("commit", ("commit",))]
        else:
            artifact = bench.file(f"file-{number % 7}")
            last = self.chance.choice(["commit", "rollback"])
            commands = [("install file", ("install", artifact)), (last, (last,))]
        cut = self.chance.randrange(len(commands))
        for position, (name, words) in enumerate(commands):
            if position == cut:
                self.cut(name, *words)
                break
            bench.ctl(*words)
            if name == "install rootfs":
                bench.reboot()
        if self.chance.random() < 0.3:
            self.cut("resume", "resume")
        self.settle()


def run(place: Path, *, seed: int, times: int) -> Counter[str]:
    loop = Loop(bench=Bench(place=place), chance=random.Random(seed))
    loop.measure()
    number = 0
    while loop.counts["kills"] + loop.counts["power cuts"] < times:
        number += 1
        try:
            loop.once(number)
        except AssertionError as e:
            raise AssertionError(f"after {number} updates, seed {seed}, {dict(loop.counts)}: {e}") from e
    bench = loop.bench
    bench.must("install", bench.rootfs("release-9"))
    bench.reboot()
    bench.must("commit")
    loop.check()
    assert bench.content(bench.booted()) == image("release-9")
    return loop.counts


def test_a_device_survives_that_its_client_is_killed_and_its_power_goes(tmp_path: Path) -> None:
    counts = run(tmp_path, seed=1, times=25)
    assert counts["kills"] > 0
    assert counts["power cuts"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 6))
def test_a_device_survives_it_hundreds_of_times(tmp_path: Path, seed: int) -> None:
    counts = run(tmp_path, seed=seed, times=100)
    print(dict(sorted(counts.items())))  # noqa: T201  the numbers are of interest
