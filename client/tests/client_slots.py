"""Slots, images, media and a boot loader for tests of installing; power cuts included."""

import hashlib
import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bistable.artifact.errors import RejectedError
from bistable.artifact.model import PayloadFile
from bistable.client.boot import SlotStatus
from bistable.client.errors import BootError
from bistable.client.model import SlotName
from bistable.client.slots import Slot, SlotPair

MIB = 1 << 20
A, B = SlotName("a"), SlotName("b")


class PowerCutError(BaseException):
    """The power went: nothing catches it."""


@dataclass(kw_only=True)
class Power:
    """Counts the moments at which it can go, and goes at one of them."""

    cut_at: int | None = None
    moments: list[str] = field(default_factory=list)

    def moment(self, name: str) -> None:
        self.moments.append(name)
        if len(self.moments) - 1 == self.cut_at:
            raise PowerCutError(name)


@dataclass(kw_only=True)
class FakeBoot:
    """A boot loader in memory, which every call reaches before (or after) the power goes."""

    power: Power = field(default_factory=Power)
    first: SlotName = A
    trial: SlotName | None = None
    forbidden: set[SlotName] = field(default_factory=set)
    calls: list[str] = field(default_factory=list)
    refuse: bool = False

    def primary(self) -> SlotName:
        return self.trial or self.first

    def forbid(self, slot: SlotName) -> None:
        with self._call("forbid", slot):
            self.forbidden.add(slot)
            self.trial = None

    def activate(self, slot: SlotName) -> None:
        with self._call("activate", slot):
            self.trial = slot
            self.forbidden.discard(slot)

    def confirm(self, slot: SlotName) -> None:
        with self._call("confirm", slot):
            self.first, self.trial = slot, None

    def restore(self, slot: SlotName) -> None:
        with self._call("restore", slot):
            self.first, self.trial = slot, None

    def status(self, slot: SlotName) -> SlotStatus:
        raise NotImplementedError

    def _call(self, name: str, slot: SlotName) -> "_Call":
        self.calls.append(f"{name} {slot}")
        if self.refuse:
            raise BootError("cannot write the environment: it is locked")
        return _Call(self.power, name)


class _Call:
    def __init__(self, power: Power, name: str) -> None:
        self._power, self._name = power, name

    def __enter__(self) -> None:
        self._power.moment(f"before {self._name}")

    def __exit__(self, *_: object) -> None:
        self._power.moment(f"after {self._name}")


class CanaryBoot(FakeBoot):
    """One that leaves a mark, or does not."""

    def check_canary(self) -> None:
        self.calls.append("canary")
        if self.refuse:
            raise BootError("cannot trust the environment: the mark is missing")


class RearmingBoot(FakeBoot):
    """One that can rearm."""

    def rearm(self, slot: SlotName) -> None:
        self.calls.append(f"rearm {slot}")


class Image:
    """A payload file with content, as the artifact reader gives it."""

    def __init__(self, content: bytes, *, chunk: int = 256 * 1024, digest: str | None = None, name: str = "i") -> None:
        self.name = name
        self.size = len(content)
        self.digest = digest or hashlib.sha256(content).hexdigest()
        self._content, self._chunk = content, chunk

    def unhashed_chunks(self) -> Iterator[bytes]:
        for start in range(0, len(self._content), self._chunk):
            yield self._content[start : start + self._chunk]

    def finish_as(self, digest: str) -> PayloadFile:
        if digest != self.digest:
            raise RejectedError("cannot use the file i: its SHA-256 is not the one in the manifest")
        return PayloadFile(name=self.name, size=self.size, digest=self.digest)


@dataclass(kw_only=True)
class FakeMedium:
    """A slot in memory, which counts and can fail. It insists on what a device insists on."""

    content: bytearray
    comparable: bool = True
    zeroes: bool = True
    in_order: bool = False
    fail: dict[str, int] = field(default_factory=dict)
    fail_at: int = 0
    operations: list[tuple[str, int, int]] = field(default_factory=list)
    began: int | None = None
    flushed: bool = False
    closed: bool = False

    def begin(self, size: int) -> None:
        assert self.began is None
        self._fail("begin", 0)
        self.began = size

    def read(self, into: memoryview, offset: int) -> int:
        assert self.comparable
        self._fail("read", offset)
        found = self.content[offset : offset + len(into)]
        into[: len(found)] = found
        return len(found)

    def write(self, data: memoryview, offset: int) -> None:
        self._fail("write", offset)
        assert self.began is not None
        assert not self.in_order or offset == sum(length for _, _, length in self.operations)
        self.operations.append(("write", offset, len(data)))
        self.content[offset : offset + len(data)] = data

    def zero(self, offset: int, length: int) -> bool:
        assert offset % 4096 == length % 4096 == 0
        if not self.zeroes:
            return False
        self._fail("zero", offset)
        self.operations.append(("zero", offset, length))
        self.content[offset : offset + length] = bytes(length)
        return True

    def flush(self) -> None:
        self._fail("flush", len(self.content))
        self.flushed = True

    def close(self) -> None:
        self.closed = True

    def _fail(self, what: str, offset: int) -> None:
        if what in self.fail and offset >= self.fail_at:
            raise OSError(self.fail[what], os.strerror(self.fail[what]))


def random_bytes(size: int, seed: int = 0) -> bytes:
    """Return the same bytes for the same seed, different in every block."""
    return hashlib.shake_128(seed.to_bytes(4, "big")).digest(size)


def file_slots(folder: Path, *, size: int = 8 * MIB) -> SlotPair:
    """Make two files full of old content, of which one plays the running slot."""
    for number, name in enumerate((A, B)):
        (folder / name).write_bytes(random_bytes(size, seed=number))
    return SlotPair(a=Slot(name=A, device=folder / A), b=Slot(name=B, device=folder / B))


def loop_device(content: Path) -> Iterator[Path]:
    """Give a block device whose content is a file."""
    if os.geteuid() != 0:
        pytest.skip("loop devices need root")
    try:
        made = subprocess.run(
            ["losetup", "--find", "--show", content], capture_output=True, text=True, check=False, timeout=60
        )
    except FileNotFoundError:
        pytest.skip("the program losetup is not installed")
    if made.returncode:
        pytest.skip(f"no loop device: {made.stderr.strip()}")
    device = made.stdout.strip()
    try:
        yield Path(device)
    finally:
        subprocess.run(["losetup", "--detach", device], check=True, timeout=60)


def make_file_system(path: Path) -> None:
    """Make a file system in a file or device that has its size."""
    try:
        subprocess.run(["mkfs.ext4", "-q", "-F", path], check=True, capture_output=True, timeout=60)
    except FileNotFoundError:
        pytest.skip("the program mkfs.ext4 is not installed")


def mounting(*words: str | Path) -> Callable[[], None]:
    """Mount something, or skip the test; return what unmounts it."""
    made = subprocess.run(["mount", *words], capture_output=True, text=True, check=False, timeout=60)
    if made.returncode:
        pytest.skip(f"cannot mount: {made.stderr.strip()}")

    def unmount() -> None:
        subprocess.run(["umount", words[-1]], check=False, timeout=60, capture_output=True)

    return unmount
