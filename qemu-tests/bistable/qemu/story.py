"""The product's main job on a machine that boots, told as it happens: a good update is kept, a broken one rolled back.

    python -m bistable.qemu.story [--machine KIND] [--folder FOLDER]

Standard output gets the timeline. The exit status is 0 if all was as it should be, and 1 if not.
"""

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, TextIO

from bistable.artifact.errors import BistableError
from bistable.qemu.device import QemuDevice
from bistable.qemu.kinds import Kind
from bistable.qemu.machine import start
from bistable.qemu.rig import FIRST, RELEASE_FILE, Remove, Rig, rig
from bistable.tools.bench import patience
from bistable.tools.bench.errors import MisbehavedError
from bistable.tools.bench.serving import Server

FOLDER: Final = Path("build", "demo-boot")
DEFAULT: Final = Kind.ARM64_UBOOT
"""Emulated, it is the quickest to boot."""

BROKEN: Final = Remove(path="/sbin/init")
PANIC: Final = "Kernel panic - not syncing"
QUOTED: Final = ("bistable: ", PANIC)
"""Beginnings of the console's lines that tell the story."""

_SUMMARY: Final = "bistable: copies="


class Teller:
    """Writes the timeline: seconds since the beginning, and what happened."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._begin = time.monotonic()
        coloured = out.isatty() and not os.environ.get("NO_COLOR")
        self._bold, self._dim, self._red, self._plain = (
            ("\x1b[1m", "\x1b[2m", "\x1b[31m", "\x1b[0m") if coloured else ("", "", "", "")
        )

    def chapter(self, text: str) -> None:
        """Begin a new part."""
        self._write(f"\n{self._bold}{text}{self._plain}\n")

    def happened(self, text: str) -> None:
        """Tell of something, with the time."""
        self._write(f"{time.monotonic() - self._begin:6.1f} s  {text}\n")

    def quote(self, text: str, mark: str = "|") -> None:
        """Quote what somebody said, line by line."""
        for line in text.splitlines():
            self._write(f"          {self._dim}{mark} {line}{self._plain}\n")

    def failed(self, text: str) -> None:
        """Tell of the end that should not have been."""
        self._write(f"{self._red}{text}{self._plain}\n")

    def _write(self, text: str) -> None:
        self._out.write(text)
        self._out.flush()


class _Story:
    """The device and who tells of it."""

    def __init__(self, teller: Teller, found: Rig, device: QemuDevice) -> None:
        self._teller, self._rig, self._device = teller, found, device
        self._console = device.machine.console
        self._told = 0

    def command(self, line: str) -> str:
        """Run a command on the device and show it with what it said."""
        self._teller.quote(line, mark="#")
        output = self._device.run(f"{line} 2>&1", seconds=patience.INSTALL).output
        self._teller.quote(output)
        return output

    def came_up(self, slot: str, release: str, booted: str) -> None:
        """Quote the console's lines since the last time, and see that the right slot runs the right release."""
        lines = [
            line[line.index(words) :]
            for line in self._console.text().splitlines()
            for words in QUOTED
            if words in line and _SUMMARY not in line
        ]
        self._teller.quote("\n".join(lines[self._told :]))
        self._told = len(lines)
        runs = self._device.run(f"cat {RELEASE_FILE}").output
        self._teller.happened(f"slot {booted} runs {runs}")
        if (booted, runs) != (slot, release):
            raise MisbehavedError(
                f"slot {booted} runs {runs}, and slot {slot} should run {release}",
                console=self._console.text(),
                log=self._console.log,
            )


def tell(kind: Kind, folder: Path, teller: Teller) -> None:
    """Play the story on a machine of the kind; the disk, the artifacts and the console's log stay in `folder`.

    Raises:
        MisbehavedError: something was not as it should be.
        MachineError: this computer lacks something.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "console.log").unlink(missing_ok=True)
    teller.chapter(f"A disk for a machine of the kind {kind}")
    teller.happened("root filesystem, boot script and disk: built, or taken from the cache if nothing has changed")
    found = rig(kind)
    disk = found.new_disk(folder)
    for partition in found.geometry.partitions:
        teller.quote(f"{partition.number}  {partition.name:<9} {partition.size / (1 << 20):6.0f} MiB")
    teller.happened(f"{disk} is made: slot a holds {FIRST}, slot b is empty")
    good = _artifact(teller, found, folder, "release-2")
    with Server() as server, start(kind, disk, folder=folder) as machine:
        device = QemuDevice(machine)
        story = _Story(teller, found, device)
        teller.chapter("The device boots for the first time")
        story.came_up("a", FIRST, device.boot())

        teller.chapter("A good update")
        story.command(f"bistablectl install --no-progress {server.add(good)}")
        teller.happened("release-2 is installed; the device reboots")
        story.came_up("b", "release-2", device.reboot())
        story.command("bistablectl commit")
        teller.happened("release-2 is committed: slot b is good")

        teller.chapter("A broken update: its init is missing")
        bad = _artifact(teller, found, folder, "release-3", BROKEN)
        story.command(f"bistablectl install --no-progress {server.add(bad)}")
        teller.happened("release-3 is installed; the device reboots")
        with machine.console.tolerating(PANIC):
            story.came_up("b", "release-2", device.reboot())
        device.run("bistablectl recover", seconds=patience.INSTALL, allowed=tuple(range(10)))
        status = story.command("bistablectl status")
        if "release-2" not in status:
            raise MisbehavedError("the client does not know that release-2 runs", console=status)
        device.shut_down()
    teller.chapter("It held: the good update was kept, the broken one rolled back by the boot script.")
    teller.happened(f"all of it is in {folder}: disk, artifacts, and the console's log")


def _artifact(teller: Teller, found: Rig, folder: Path, name: str, *changes: Remove) -> Path:
    path = folder / f"{name}.mender"
    path.unlink(missing_ok=True)
    path.write_bytes(found.artifact(name, *changes).read_bytes())
    teller.happened(f"{path} is made and signed: {path.stat().st_size / 1e6:.1f} MB")
    return path


def main(words: Sequence[str] | None = None) -> int:
    """Play the story; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m bistable.qemu.story", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--machine", type=Kind, choices=list(Kind), default=DEFAULT, help=f"its kind ({DEFAULT})")
    parser.add_argument("--folder", type=Path, default=FOLDER, help=f"where all of it goes ({FOLDER})")
    options = parser.parse_args(words)
    teller = Teller(sys.stdout)
    try:
        tell(options.machine, options.folder, teller)
    except BistableError as e:
        teller.failed(f"demo: {e.what}\n{e.hint or ''}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
