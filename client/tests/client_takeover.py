"""A device with two slots that runs Debian's mender client 3.4.0, and on which ours is then used."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from client_peer import Ours
from forge import KEYS
from peers import attempt, call

SLOT_SIZE = 8 << 20
SLOTS = {"2": "/dev/board2", "3": "/dev/board3"}
MOUNT = """#!/bin/sh
echo "$(cat /log/root) on / type ext4 (rw)"
"""
REBOOT = """#!/bin/sh
echo reboot >> /log/reboots
"""


class BothClients(Ours):
    """One device with both clients. `client` is ours, `old` the one that was there first."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.program("bin/mount", MOUNT)
        self.program("bin/reboot", REBOOT)
        (self.root / "var/lib/mender/mender-agent.pem").write_text("a key\n")
        shutil.copy(KEYS / "ec256.pub", self.root / "etc/mender/key.pem")
        self.slots: dict[str, Path] = {}

    def old(self, *words: str) -> CompletedProcess[str]:
        return self.run(["/bin/mender", "--no-syslog", *words])

    def old_does(self, *words: str) -> str:
        done = self.old(*words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def does(self, *words: str) -> str:
        """Have our client do something that has to succeed."""
        done = self.client(*words)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def old_provides(self) -> dict[str, str]:
        lines = self.old_does("show-provides").splitlines()
        return dict(sorted(line.split("=", 1) for line in lines if "=" in line))

    def boot_slot(self, number: str) -> None:
        """Boot a slot, as the kernel and the fake `mount` of the old client tell it."""
        self.reboot()
        (self.log / "root").write_text(f"{SLOTS[number]}\n")
        (self.log / "cmdline").write_text(f"quiet root={SLOTS[number]} rw\n")

    def snapshot(self) -> dict[str, bytes]:
        """Return all files of the old client."""
        folders = [self.root / "etc/mender", self.root / "var/lib/mender", self.root / "usr/share/mender"]
        return {str(path): path.read_bytes() for folder in folders for path in folder.rglob("*") if path.is_file()}

    @contextmanager
    def with_slots(self, place: Path) -> Iterator[None]:
        """Give the device its two slots, and a boot environment of Mender's kind in which the first one runs."""
        if os.geteuid() != 0:
            pytest.skip("loop devices need root")
        nodes: list[str] = []
        try:
            for number, node in SLOTS.items():
                self.slots[number] = place / f"slot-{number}"
                with self.slots[number].open("wb") as file:
                    file.truncate(SLOT_SIZE)
                made = attempt("losetup", "--find", "--show", self.slots[number])
                if made.returncode:
                    pytest.skip(f"no loop device: {made.stderr.strip()}")
                nodes.append(made.stdout.strip())
                os.mknod(self.root / node[1:], 0o60600, Path(nodes[-1]).stat().st_rdev)
            values = {"mender_boot_part": "2", "mender_boot_part_hex": "2", "upgrade_available": "0", "bootcount": "0"}
            for key, value in values.items():
                (self.log / "env" / key).write_text(value + "\n")
            self.configure(RootfsPartA=SLOTS["2"], RootfsPartB=SLOTS["3"])
            self.boot_slot("2")
            yield
        finally:
            for made_node in nodes:
                call("losetup", "--detach", made_node)

    def boot_variables(self) -> dict[str, str]:
        """Return what the boot script looks at."""
        names = ("mender_boot_part", "mender_boot_part_hex", "upgrade_available", "bootcount")
        found = self.environment()
        return {name: found.get(name, "") for name in names}
