"""Tell from a disk alone, without a boot, what would boot, whether it is whole, and whether the client tells the truth.

A check reads the partition table, the environment of the boot loader, both slots, and the data partition. What is
costly is kept by content: most cuts change one of these.
"""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from bistable.artifact.errors import RejectedError, RequestError
from bistable.qemu.clientview import ClientView, view
from bistable.qemu.gpt import Partition, read_gpt
from bistable.qemu.picture import PAGE, Picture
from bistable.qemu.truth import Running, lies
from bistable.tools.boot.decide import decide
from bistable.tools.boot.plan import BootPlan

MOST_BOOTS: Final = 24
"""More than all tries of both slots, twice; a disk that has not settled by then never does."""

FOLDER: Final = "bistable"
"""The client's directory in the data partition."""

_TABLE: Final = 9 * PAGE
"""Both ends of the disk have the partition table within this many bytes."""


class Kind(StrEnum):
    """What a finding is about."""

    TABLE = "table"
    LOADER = "loader"
    SLOT = "slot"
    DATA = "data"
    CLIENT = "client"
    TRUTH = "truth"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that must not be, after whatever power cut."""

    kind: Kind
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """A root file system that is known: its fingerprint and size, which artifact it is, and whether it comes up."""

    artifact: str
    fingerprint: int
    size: int
    starts: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Boot:
    """What one boot would do: the slot that the boot loader starts, and the artifact in it; None: something unknown."""

    slot: str
    artifact: str | None
    starts: bool
    counted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What would happen. `boots` are all boots from now on if nobody ever commits, until nothing changes any more."""

    boots: tuple[Boot, ...]
    client: ClientView
    running: Running | None
    """What runs after the first boot that comes up."""
    findings: tuple[Finding, ...]

    @property
    def sound(self) -> bool:
        """Whether nothing was found."""
        return not self.findings

    @property
    def path(self) -> str:
        """Return the slots of all boots, such as `bbba`; a slot that does not come up is in capitals."""
        return "".join(boot.slot if boot.starts else boot.slot.upper() for boot in self.boots)


class Checker:
    """Checks pictures of one disk, which boots by `plan`; `contents` are the systems that may be in a slot."""

    def __init__(self, plan: BootPlan, partitions: Sequence[Partition], contents: Sequence[Content]) -> None:
        if plan.environment is None:
            raise RequestError("cannot check the disk: its boot loader has no environment of its own")
        self._plan, self._environment = plan, plan.environment
        self._by_number = {partition.number: partition for partition in partitions}
        self._by_name = {partition.name: partition for partition in partitions}
        self._contents = contents
        self._boots: dict[tuple[bytes, str], tuple[tuple[Boot, ...], tuple[Finding, ...], bool]] = {}
        self._views: dict[int, ClientView] = {}
        self._tables: dict[tuple[int, int], tuple[Finding, ...]] = {}
        self._firmware: int | None = None

    def regions(self, size: int) -> dict[str, tuple[int, int]]:
        """Return the parts of a disk of `size` bytes that a picture has to know for `check`."""
        found = {"head": (0, _TABLE), "tail": (size - _TABLE, _TABLE)}
        for name in ("boot", "data"):
            partition = self._by_name[name]
            found[name] = (partition.start, partition.size)
        for slot in self._plan.slots:
            for content in self._contents:
                found[_region(slot.name, content.size)] = (self._by_number[slot.partition].start, content.size)
        return found

    def check(self, picture: Picture) -> Verdict:
        """Return what would happen with this disk."""
        findings = [*self._check_table(picture), *self._check_firmware(picture)]
        place = self._by_number[self._environment.partition]
        environment = picture.read(place.start, place.size)
        slots = {slot.name: self._content(picture, slot.name) for slot in self._plan.slots}
        key = (environment, ",".join(f"{name}={content and content.artifact}" for name, content in slots.items()))
        if key not in self._boots:
            self._boots[key] = self._follow(environment, slots)
        boots, troubles, good = self._boots[key]
        client = self._view(picture)
        running = _running(boots, good=good)
        findings += troubles
        findings += [Finding(kind=_kind_of(words), words=words) for words in client.trouble]
        if running is not None:
            findings += [Finding(kind=Kind.TRUTH, words=words) for words in lies(client, running)]
        return Verdict(boots=boots, client=client, running=running, findings=tuple(findings))

    def _check_table(self, picture: Picture) -> tuple[Finding, ...]:
        key = (picture.region_fingerprint("head"), picture.region_fingerprint("tail"))
        if key not in self._tables:
            try:
                read_gpt(picture.read, picture.size)
                self._tables[key] = ()
            except RejectedError as e:
                self._tables[key] = (Finding(kind=Kind.TABLE, words=e.what),)
        return self._tables[key]

    def _check_firmware(self, picture: Picture) -> tuple[Finding, ...]:
        """See to it that nobody writes to the partition from which firmware and boot loader come."""
        now = picture.region_fingerprint("boot")
        if self._firmware is None:
            self._firmware = now
        return () if now == self._firmware else (Finding(kind=Kind.LOADER, words="the boot partition was written to"),)

    def _content(self, picture: Picture, slot: str) -> Content | None:
        for content in self._contents:
            if picture.region_fingerprint(_region(slot, content.size)) == content.fingerprint:
                return content
        return None

    def _view(self, picture: Picture) -> ClientView:
        key = picture.region_fingerprint("data")
        if key not in self._views:
            with tempfile.TemporaryDirectory(prefix="bistable-", dir=_memory()) as scratch:
                image = Path(scratch, "data.img")
                picture.save_region("data", image)
                self._views[key] = view(image, FOLDER)
        return self._views[key]

    def _follow(
        self, environment: bytes, slots: Mapping[str, Content | None]
    ) -> tuple[tuple[Boot, ...], tuple[Finding, ...], bool]:
        """Boot on and on; return the boots, what is wrong, and whether the first slot that came up is a good one."""
        boots: list[Boot] = []
        findings: list[Finding] = []
        good = False
        for _ in range(MOST_BOOTS):
            decision = decide(self._plan, environment)
            if not any(copy.valid for copy in decision.copies):
                findings.append(Finding(kind=Kind.LOADER, words="no copy of the environment is valid"))
            settled = decision.environment_after == environment
            environment = decision.environment_after
            if decision.slot is not None:
                content = slots[decision.slot]
                boot = Boot(
                    slot=decision.slot,
                    artifact=None if content is None else content.artifact,
                    starts=content is not None and content.starts,
                    counted=decision.counted,
                )
                if boot.starts and not any(one.starts for one in boots):
                    good = not boot.counted
                findings += _wrong(boot)
                boots.append(boot)
            if settled:
                break
        else:
            findings.append(Finding(kind=Kind.LOADER, words=f"after {MOST_BOOTS} boots there is still no end"))
        if not boots or not boots[-1].starts:
            findings.append(Finding(kind=Kind.LOADER, words="in the end nothing boots"))
        return tuple(boots), tuple(dict.fromkeys(findings)), good


def _memory() -> Path | None:
    """Return a directory that is in memory, where there is one: the copies live for a moment, and are many."""
    place = Path("/dev/shm")
    return place if place.is_dir() else None


def _wrong(boot: Boot) -> Iterator[Finding]:
    if boot.artifact is None:
        yield Finding(kind=Kind.SLOT, words=f"slot {boot.slot} would boot, and holds no whole image")
    elif not boot.starts and not boot.counted:
        yield Finding(kind=Kind.SLOT, words=f"slot {boot.slot} counts as good, and does not come up")


def _running(boots: Sequence[Boot], *, good: bool) -> Running | None:
    for boot in boots:
        if boot.starts and boot.artifact is not None:
            return Running(slot=boot.slot, artifact=boot.artifact, good=good)
    return None


def _region(slot: str, size: int) -> str:
    return f"slot {slot} {size}"


def _kind_of(words: str) -> Kind:
    return Kind.DATA if words.startswith("data:") else Kind.CLIENT
