"""What is known of a live device: facts out of the words of its commands, none of which has to have worked."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, Final

from bistable.tools.bringup.doctor.script import Section, sections

SECTOR: Final = 512
_NONE: Final = Section(lines=(), status=None)
_SETTINGS: Final = "/etc/bistable/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A disk (`number` None) or partition, in bytes; `uuid` and `label` are empty where nothing tells them."""

    name: str
    device: str
    """Major and minor number, as in `254:2`."""
    number: int | None
    start: int
    size: int
    uuid: str = ""
    label: str = ""

    @property
    def node(self) -> str:
        """Return its node."""
        return f"/dev/{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """A volume of UBI, in bytes."""

    name: str
    label: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MtdPartition:
    """A partition of flash, in bytes."""

    name: str
    label: str
    size: int
    erase_block: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Mounted:
    """A file system that is mounted: where, the number of its device, and what the kernel calls that."""

    point: str
    device: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Watchdog:
    """A watchdog; what its driver does not tell is empty or None."""

    name: str
    driver: str
    identity: str
    state: str
    timeout: int | None
    most: int | None
    """The longest time that it can be set to; 0 is any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """All that was asked of a device. None: it could not be read."""

    user: int | None = None
    command_line: str | None = None
    kernel: str = ""
    modules: tuple[str, ...] | None = None
    model: str = ""
    compatible: tuple[str, ...] = ()
    blocks: tuple[Block, ...] = ()
    links: Mapping[str, str] = field(default_factory=dict)
    """Name in /dev/disk -> name of the block device."""
    mtd: tuple[MtdPartition, ...] = ()
    volumes: tuple[Volume, ...] = ()
    mounts: tuple[Mounted, ...] = ()
    table: str | None = None
    """/etc/fstab"""
    environment_table: str | None = None
    """/etc/fw_env.config"""
    environment: Section = _NONE
    """What fw_printenv says."""
    settings: Mapping[str, str] = field(default_factory=dict)
    files: frozenset[str] = frozenset()
    """Those of the files asked for that are there."""
    kept: Mapping[str, str] = field(default_factory=dict)
    """Those of the files asked for whose content is of interest."""
    watchdogs: tuple[Watchdog, ...] = ()
    status: Section = _NONE
    doctor: Section = _NONE

    def block(self, node: str) -> Block | None:
        """Return the disk or partition that a node or a link to it is."""
        name = self.links.get(node, node.removeprefix("/dev/"))
        return next((block for block in self.blocks if block.name == name), None)

    def source(self, source: str) -> Block | None:
        """Return the disk or partition that a line of fstab, or `root=`, names."""
        tag, _, value = source.partition("=")
        if tag == "PARTUUID":
            return next((block for block in self.blocks if block.uuid == value.lower()), None)
        if tag == "PARTLABEL":
            return next((block for block in self.blocks if block.label == value), None)
        return self.block(source)

    def numbered(self, device: str) -> Block | None:
        """Return the disk or partition with these numbers."""
        return next((block for block in self.blocks if block.device == device), None)

    def disk_of(self, block: Block) -> Block | None:
        """Return the disk that a partition is on."""
        disks = [disk for disk in self.blocks if disk.number is None and block.name.startswith(disk.name)]
        return max(disks, key=lambda disk: len(disk.name), default=None)

    def mounted(self, point: str) -> Mounted | None:
        """Return what is mounted there; what was mounted last hides what was before."""
        return next((mount for mount in reversed(self.mounts) if mount.point == point), None)


def parse_facts(output: str, *, kept: Sequence[str] = ()) -> Facts:
    """Return what the script for the first look has told."""
    said = sections(output)

    def lines(name: str) -> tuple[str, ...]:
        section = said.get(name, _NONE)
        return section.lines if section.status in {0, None} else ()

    def text(name: str) -> str | None:
        return said[name].text if name in said else None

    links = dict(_links(said.get("links", _NONE).lines))
    user = "".join(lines("user"))
    return Facts(
        user=_number(user),
        command_line=text("/proc/cmdline"),
        kernel="".join(lines("kernel")),
        modules=lines("modules") if "modules" in said and said["modules"].status == 0 else None,
        model="".join(lines("model")),
        compatible=lines("compatible"),
        blocks=tuple(_blocks(said.get("blocks", _NONE).lines, links)),
        links=links,
        mtd=tuple(_mtd(lines("/proc/mtd"))),
        volumes=tuple(_volumes(said.get("volumes", _NONE).lines)),
        mounts=tuple(_mounts(lines("/proc/self/mountinfo"))),
        table=text("/etc/fstab"),
        environment_table=text("/etc/fw_env.config"),
        environment=said.get("environment", _NONE),
        settings={name: section.text for name, section in said.items() if name.startswith(_SETTINGS)},
        files=frozenset(said.get("files", _NONE).lines),
        kept={name: said[name].text for name in kept if name in said},
        watchdogs=tuple(_watchdogs(said.get("watchdogs", _NONE).lines)),
        status=said.get("status", _NONE),
        doctor=said.get("doctor", _NONE),
    )


def json_of(section: Section) -> Mapping[str, Any] | None:
    """Return the JSON object that a command has written; None if it has not."""
    text = section.text
    try:
        document = json.loads(text[text.index("{") : text.rindex("}") + 1])
    except ValueError:
        return None
    return document if isinstance(document, dict) else None


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() else None


def _fields(lines: Sequence[str], count: int) -> Iterator[list[str]]:
    """Yield the values of lists; what is no line of the list, such as words of an error, is passed over."""
    for line in lines:
        values = line.split("|")
        if len(values) == count:
            yield values


def _links(lines: Sequence[str]) -> Iterator[tuple[str, str]]:
    for link, target in _fields(lines, 2):
        yield link, PurePosixPath(target).name


def _blocks(lines: Sequence[str], links: Mapping[str, str]) -> Iterator[Block]:
    uuids = {name: PurePosixPath(link).name for link, name in links.items() if "/by-partuuid/" in link}
    labels = {name: PurePosixPath(link).name for link, name in links.items() if "/by-partlabel/" in link}
    for name, device, number, start, size, uuid, label in _fields(lines, 7):
        yield Block(
            name=name,
            device=device,
            number=_number(number),
            start=(_number(start) or 0) * SECTOR,
            size=(_number(size) or 0) * SECTOR,
            uuid=(uuid or uuids.get(name, "")).lower(),
            label=label or labels.get(name, ""),
        )


def _mtd(lines: Sequence[str]) -> Iterator[MtdPartition]:
    for line in lines:
        words = line.split(maxsplit=3)
        if len(words) == 4 and words[0].startswith("mtd"):
            try:
                size, block = int(words[1], 16), int(words[2], 16)
            except ValueError:
                continue
            yield MtdPartition(name=words[0].rstrip(":"), label=words[3].strip('"'), size=size, erase_block=block)


def _volumes(lines: Sequence[str]) -> Iterator[Volume]:
    for name, label, blocks, block, _ in _fields(lines, 5):
        yield Volume(name=name, label=label, size=(_number(blocks) or 0) * (_number(block) or 0))


def _mounts(lines: Sequence[str]) -> Iterator[Mounted]:
    for line in lines:
        before, _, after = line.partition(" - ")
        left, right = before.split(), after.split()
        if len(left) >= 5 and len(right) >= 2:
            yield Mounted(point=left[4], device=left[2], source=right[1])


def _watchdogs(lines: Sequence[str]) -> Iterator[Watchdog]:
    for name, driver, identity, state, timeout, most, _ in _fields(lines, 7):
        yield Watchdog(
            name=name,
            driver=driver,
            identity=identity,
            state=state,
            timeout=_number(timeout),
            most=_number(most),
        )
