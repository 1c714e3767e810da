"""A device of files: slots, a simulated boot loader, an update module, and `bistablectl` as a process."""

import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from client_modules import gone

from bistable.artifact import Codec, InputBytes, Options, WriteRequest, module_request, rootfs_request, write_artifact
from bistable.client.boot.simulated import boot, create, read_device
from bistable.client.model import SlotName

SHIPPED = Path(__file__).parent.parent / "dist/modules/v3"
SLOT_SIZE = 3 << 20
IMAGE_SIZE = 2 << 20
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/", "LC_ALL": "C.UTF-8"}
INTERNAL = 70


@cache
def image(name: str) -> bytes:
    """Return the image of a release: nothing of it is as in another one."""
    return hashlib.shake_256(name.encode()).digest(IMAGE_SIZE)


@dataclass(kw_only=True)
class Bench:
    """The device at `place`. Slot a runs release-0, which is what it provides."""

    place: Path
    settings: str = ""
    modules: Path = SHIPPED
    slots: dict[SlotName, Path] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.slots = {SlotName(name): self.place / f"slot-{name}" for name in ("a", "b")}
        for path in self.slots.values():
            path.write_bytes(bytes(SLOT_SIZE))
        self.slots[SlotName("a")].write_bytes(image("release-0") + bytes(SLOT_SIZE - IMAGE_SIZE))
        create(self.memory, (SlotName("a"), SlotName("b")))
        for name in ("scripts", "health.d", "files"):
            (self.place / name).mkdir()
        (self.place / "device_type").write_text("device_type=board\n")
        (self.place / "artifact_info").write_text("artifact_name=release-0\n")
        self.configure()

    def configure(self, more: str = "", *, data: Path | None = None) -> None:
        """Write the configuration."""
        place = self.place
        (place / "device.toml").write_text(f"""{more}
[device]
device-type-file = "{place}/device_type"
artifact-info-file = "{place}/artifact_info"
data-dir = "{data or self.data}"
[slots]
a = "{self.slots[SlotName("a")]}"
b = "{self.slots[SlotName("b")]}"
[boot]
backend = "simulated"
simulated-state = "{self.memory}"
[scripts]
rootfs-dir = "{place}/scripts"
retry-interval = 1
retry-timeout = 1
[modules]
directories = ["{self.modules}"]
{self.settings}
[health]
directory = "{place}/health.d"
""")

    @property
    def data(self) -> Path:
        return self.place / "data"

    @property
    def memory(self) -> Path:
        return self.place / "device.json"

    # --- artifacts

    def rootfs(self, name: str) -> Path:
        """Return an artifact with the image of a release."""
        return self._written(
            name, rootfs_request(InputBytes(name="rootfs.img", content=image(name)), name=name, device_types=["board"])
        )

    def file(self, name: str) -> Path:
        """Return an artifact that installs the file `files/target` with its name as content."""
        parts = {"dest_dir": str(self.place / "files"), "filename": "target", "target": name}
        return self.module("single-file", name, {key: value.encode() for key, value in parts.items()})

    def module(self, module: str, name: str, files: Mapping[str, bytes], **more: Any) -> Path:
        """Return an artifact for an update module."""
        items = [InputBytes(name=key, content=value) for key, value in files.items()]
        return self._written(name, module_request(module, items, name=name, device_types=["board"], **more))

    def _written(self, name: str, request: WriteRequest) -> Path:
        path = self.place / f"{name}.mender"
        if not path.exists():
            write_artifact(path, request, Options(codec=Codec.parse("none")))
        return path

    # --- processes

    def words(self, words: Sequence[str | Path]) -> list[str]:
        command = [sys.executable, "-m", "bistable.client.ctl"]
        return [*command, *(str(word) for word in words), "--config", str(self.place / "device.toml")]

    def start(self, *words: str | Path, **more: Any) -> "subprocess.Popen[str]":
        """Start a command, in a session of its own."""
        options: dict[str, Any] = {
            "env": ENVIRONMENT,
            "stdin": subprocess.DEVNULL,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
            "cwd": self.place,
            **more,
        }
        return subprocess.Popen(self.words(words), text=True, start_new_session=True, **options)

    @contextmanager
    def running_command(self, *words: str | Path, **more: Any) -> "Iterator[subprocess.Popen[str]]":
        """Start a command; whatever happens inside, nothing of it is left afterwards."""
        with self.start(*words, **more) as process:
            try:
                yield process
            finally:
                kill_session(process)

    def ctl(self, *words: str | Path, **more: Any) -> "subprocess.CompletedProcess[str]":
        """Run a command to its end; it must never fail without having meant to."""
        with self.start(*words, **more) as process:
            stdout, stderr = process.communicate(timeout=120)
        assert "Traceback" not in (stderr or ""), stderr
        assert process.returncode != INTERNAL, stderr
        return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)

    def must(self, *words: str | Path) -> str:
        """Run a command that has to succeed, and return its standard output."""
        done = self.ctl(*words)
        assert done.returncode == 0, (words, done.stdout, done.stderr)
        return done.stdout

    # --- what can be seen

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.must("status", "--json"))
        return found

    def provides(self) -> dict[str, str]:
        found: dict[str, str] = json.loads(self.must("provides", "--json"))["provides"]
        return found

    def booted(self) -> SlotName:
        slot = read_device(self.memory).booted
        assert slot is not None
        return slot

    def other(self) -> SlotName:
        (name,) = set(self.slots) - {self.booted()}
        return name

    def content(self, slot: SlotName) -> bytes:
        return self.slots[slot].read_bytes()[:IMAGE_SIZE]

    def reboot(self) -> SlotName:
        """Boot: a slot comes up if what is in it is whole."""
        return boot(self.memory, boots=self.whole)

    def whole(self, slot: SlotName) -> bool:
        known = {image(f"release-{number}") for number in range(10)}
        return self.content(slot) in known


def session_of(process: "subprocess.Popen[str]") -> list[int]:
    """Return the processes of the session that a process began, itself not included."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == process.pid and int(entry.name) != process.pid and fields[0] != "Z":
            found.append(int(entry.name))
    return found


def kill_session(process: "subprocess.Popen[str]") -> None:
    """End a process and all of its session at once, as a power cut does."""
    process.kill()
    process.wait()
    while left := session_of(process):
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
            gone(pid)
