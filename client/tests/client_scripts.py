"""Directories of state scripts that write down that they ran, and a runner with a clock of its own."""

from pathlib import Path

from bistable.artifact.model import Script
from bistable.client.errors import AbortedError
from bistable.client.scripts import ScriptLimits, ScriptRunner


class Time:
    """A clock that goes on only when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


class Scripts:
    """A system's and an artifact's directory; `ran` is what was executed, in order."""

    def __init__(self, root: Path, *, limits: ScriptLimits | None = None) -> None:
        self.rootfs, self.artifact, self.log = root / "rootfs", root / "data" / "scripts", root / "log"
        for directory in (self.rootfs, self.artifact):
            directory.mkdir(parents=True)
            (directory / "version").write_text("3")
        self.time = Time()
        self.substates: list[str] = []
        self.aborted = False
        """Whether somebody aborts as soon as a script waits."""
        self.runner = ScriptRunner(
            self.rootfs,
            self.artifact,
            limits or ScriptLimits(),
            self.time.sleep,
            self.time.clock,
            self.substates.append,
            self._check,
        )

    def _check(self) -> None:
        if self.aborted and self.time.slept:
            raise AbortedError("enough")

    def text(self, name: str, body: str = "") -> str:
        return f"#!/bin/sh\necho '{name}' >> '{self.log}'\n{body}\n"

    def add(self, name: str, body: str = "", *, mode: int = 0o755, directory: Path | None = None) -> Path:
        """Add a script to the directory that its state looks into."""
        system = name.startswith(("Idle", "Sync", "Download"))
        path = (directory or (self.rootfs if system else self.artifact)) / name
        path.write_text(self.text(name, body))
        path.chmod(mode)
        return path

    def carried(self, name: str, body: str = "") -> Script:
        """Return a script as an artifact carries it."""
        return Script(name=name, content=self.text(name, body).encode())

    @property
    def ran(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []
