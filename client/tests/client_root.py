"""A root file system for shell programs: dash, busybox, and files that look like what a kernel shows."""

import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from peers import attempt

DIST = Path(__file__).parent.parent / "dist"
APPLETS = ("cat", "uname", "grep", "awk", "uniq", "basename", "egrep")
FAKE_IP = """#!/bin/sh
cat "/ip/$4"
"""


def as_root() -> list[str]:
    """Return what makes a process root, in a namespace of its own if need be."""
    return [] if os.geteuid() == 0 else ["unshare", "--map-root-user"]


class Root:
    """A directory to chroot into."""

    def __init__(self, path: Path) -> None:
        for needed in ("busybox", "dash"):
            if shutil.which(needed) is None:
                pytest.skip(f"the program {needed} is not installed")
        if as_root() and attempt(*as_root(), "true").returncode:
            pytest.skip("a chroot needs root, or a kernel that lets users have their own namespace")
        self.path = path
        (path / "bin").mkdir(parents=True)
        (path / "dev").mkdir()
        (path / "dev/null").touch()
        (path / "tmp").mkdir()
        self._install("busybox", "busybox")
        self._install("dash", "sh")  # busybox's own shell prefers its own programs to those of a test
        for applet in APPLETS:
            (path / "bin" / applet).symlink_to("busybox")

    def _install(self, program: str, name: str) -> None:
        place = shutil.which(program) or ""
        shutil.copy(place, self.path / "bin" / name)
        for library in re.findall(r"/\S+", attempt("ldd", place).stdout):
            if Path(library).is_file():
                (self.path / library[1:]).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(library, self.path / library[1:])

    def file(self, place: str, text: str, *, mode: int = 0o644) -> None:
        path = self.path / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)

    def interface(self, name: str, index: int, address: str, *, kind: int = 1, assigned: int | None = None) -> None:
        facts = {"type": kind, "ifindex": index, "address": address, "addr_assign_type": assigned}
        for key, value in facts.items():
            if value is not None:
                self.file(f"sys/class/net/{name}/{key}", f"{value}\n")

    def run(self, program: Path, variables: Mapping[str, str] | None = None) -> CompletedProcess[str]:
        """Run a shell program of ours or of others in here."""
        shutil.copy(program, self.path / "program")
        (self.path / "program").chmod(0o755)
        command: list[str | Path] = [*as_root(), "chroot", self.path, "/program"]
        return attempt(*command, env={"PATH": "/bin:/usr/sbin:/usr/bin:/sbin", **(variables or {})})

    def lines(self, program: Path, variables: Mapping[str, str] | None = None) -> list[str]:
        done = self.run(program, variables)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()
