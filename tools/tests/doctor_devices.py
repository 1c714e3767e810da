"""Devices for the tests of the doctor: what the commands on one say that is as its board is rendered, to be spoilt."""

import hashlib
import json
import shlex
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from bistable.tools.bench.shell import Answer
from bistable.tools.board.model import Board, Flow
from bistable.tools.board.render import render_board
from bistable.tools.board.render.disk import plan_disk
from bistable.tools.board.render.flash import plan_flash
from bistable.tools.board.render.layoutfile import rendered_layout
from bistable.tools.boot.render import command_line
from bistable.tools.boot.ubifiles import mtdparts
from bistable.tools.boot.ubigeometry import partition_size
from bistable.tools.bringup.doctor import Diagnosis, examine

SECTOR = 512
CONF = "/etc/bistable/conf.d/"
UBOOTS = {Flow.UBOOT, Flow.UBOOT_ENVIRONMENT, Flow.UBOOT_UBI}
VARIABLES = {
    "bistable_order": "a b",
    "bistable_a_good": "1",
    "bistable_a_tries": "0",
    "bistable_b_good": "1",
    "bistable_b_tries": "0",
    "bistable_seen": "1",
}


@dataclass(kw_only=True)
class Device:
    """What a device says: shown files, and of each command the lines and the exit status. It is a shell, too."""

    files: dict[str, str] = field(default_factory=dict)
    said: dict[str, tuple[list[str], int]] = field(default_factory=dict)
    boot: dict[str, bytes] = field(default_factory=dict)
    """Of the boot partition."""
    commands: list[str] = field(default_factory=list)
    """Those that were run."""

    def run(self, command: str, *, seconds: float, allowed: tuple[int, ...]) -> Answer:
        """Answer as the device does."""
        assert seconds
        assert 127 in allowed
        self.commands.append(command)
        wanted = [shlex.split(line) for line in command.splitlines() if line.startswith(("s ", "f "))]
        if "sha256sum" in command:
            output = [line for _, path, *_ in wanted for line in self._digest(path)]
        else:
            output = [line for words in wanted for line in self._words(words)]
            settings = sorted(path for path in self.files if path.startswith(CONF))
            output += [line for path in settings for line in self._words(["f", path])]
        return Answer(status=0, output="\n".join(output))

    def _words(self, words: list[str]) -> list[str]:
        kind, name, *_ = words
        if kind == "f":
            return [f"@{name}", *(f" {line}" for line in self.files[name].splitlines())] if name in self.files else []
        lines, status = self.said.get(name, (["not found"], 127))
        return [f"@{name}", *(f" {line}" for line in lines), f" @={status}"]

    def _digest(self, path: str) -> list[str]:
        if path not in self.boot:
            return [f"@{path}", " @=1"]
        content = self.boot[path][72 if path.endswith(".scr") else 0 :]
        return [f"@{path}", f" {hashlib.sha256(content).hexdigest()}  -", " @=0"]

    def swap(self, name: str, old: str, new: str) -> None:
        """Change a text that is in what a command says, or in a file."""
        if name in self.files:
            assert old in self.files[name], self.files[name]
            self.files[name] = self.files[name].replace(old, new)
            return
        lines, status = self.said[name]
        assert old in "\n".join(lines), lines
        self.said[name] = ("\n".join(lines).replace(old, new).split("\n"), status)

    def status(self, change: Callable[[dict[str, Any]], None]) -> None:
        """Change what `bistablectl status` says."""
        document = json.loads("".join(self.said["status"][0]))
        change(document)
        self.said["status"] = ([json.dumps(document)], 0)


def good_device(board: Board, slot: str = "a") -> Device:
    """Return a device that is as its board is rendered."""
    rendered = {str(path).removeprefix("rendered/"): content.decode() for path, content in render_board(board).items()}
    device = Device()
    device.files = {
        "/proc/mtd": "dev:    size   erasesize  name\n",
        "/etc/fstab": rendered["fstab"],
        **{f"/etc/bistable/{path}": text for path, text in rendered.items() if path.startswith("conf.d/")},
    }
    if "fw_env.config" in rendered:
        device.files["/etc/fw_env.config"] = rendered["fw_env.config"]
        device.said["environment"] = ([f"{name}={value}" for name, value in VARIABLES.items()], 0)
    boot = board.boot
    handler = [] if board.vendor is None else [f"/usr/lib/bistable/{board.vendor.handler}"]
    in_slot = [] if board.vendor is not None else [boot.kernel, boot.initrd, boot.devicetree]
    device.said |= {
        "user": (["0"], 0),
        "kernel": (["6.12.1"], 0),
        "modules": (["6.12.1"], 0),
        "model": ([board.name], 0),
        "compatible": (["acorn,two", "acorn,any"], 0),
        "blocks": ([], 0),
        "links": ([], 1),
        "volumes": ([], 1),
        "watchdogs": ([], 1),
        "files": ([str(path) for path in [*in_slot, *handler] if path is not None], 0),
        "status": ([json.dumps({"device_type": board.device_type, "slots": {"running": slot}})], 0),
        "doctor": ([json.dumps({"findings": [{"area": "slots", "grade": "good", "what": "fine", "hint": None}]})], 0),
    }
    if board.watchdog is not None:
        watchdog = board.watchdog
        name = watchdog.device.removeprefix("/dev/")
        device.said["watchdogs"] = ([f"{name}|{watchdog.driver}|a watchdog|inactive|60|0|"], 0)
    _add_storage(device, board, slot)
    return device


def _add_storage(device: Device, board: Board, slot: str) -> None:
    if board.layout is not None:
        _add_disk(device, board, slot)
    elif board.ubi is not None:
        _add_flash(device, board, slot)
    else:
        assert board.vendor is not None
        device.files["/proc/cmdline"] = f"console={board.console.device},115200 root=PARTLABEL=APP\n"
        device.files["/proc/self/mountinfo"] = (
            "20 1 259:1 / / rw - ext4 /dev/root rw\n21 1 259:3 / /data rw - ext4 x rw\n"
        )
        names = dict(
            zip(("nvme0n1p1", "nvme0n1p2", "nvme0n1p3"), (*board.vendor.slots, board.vendor.data), strict=True)
        )
        blocks = [f"{name}|259:{number}|{number}|{number * 8000}|8000||" for number, name in enumerate(names, start=1)]
        device.said["blocks"] = (["nvme0n1|259:0|||500000000||", *blocks], 0)
        device.said["links"] = ([f"{link}|../../{name}" for name, link in names.items()], 0)


def _add_disk(device: Device, board: Board, slot: str) -> None:
    disk = plan_disk(rendered_layout(board))
    name = board.storage.device.removeprefix("/dev/")
    between = "p" if name[-1].isdigit() else ""
    lines, links = [f"{name}|179:0|||{board.storage.capacity // SECTOR}||"], []
    for part in disk.geometry.partitions:
        node = f"{name}{between}{part.number}"
        label = part.name if disk.geometry.table.value == "gpt" else ""
        lines.append(f"{node}|179:{part.number}|{part.number}|{part.start // SECTOR}|{part.size // SECTOR}||{label}")
        links.append(f"/dev/disk/by-partuuid/{part.uuid}|../../{node}")
        links += [f"/dev/disk/by-partlabel/{label}|../../{node}"] if label else []
    device.said["blocks"], device.said["links"] = (lines, 0), (links, 0)
    place = next(place for place in disk.plan.slots if place.name == slot)
    device.files["/proc/cmdline"] = f"{command_line(disk.plan, place)}\n"
    root = disk.geometry.partition(f"rootfs-{slot}").number
    mounts = [f"20 1 179:{root} / / ro,relatime - ext4 /dev/root ro", "21 20 0:5 / /dev rw shared:2 - devtmpfs dev rw"]
    for mount in disk.mounts:
        uuid = mount.line.split()[0].removeprefix("PARTUUID=")
        number = next(part.number for part in disk.geometry.partitions if part.uuid == uuid)
        mounts.append(f"{30 + number} 20 179:{number} / {mount.point} rw - any {name}{between}{number} rw")
    device.files["/proc/self/mountinfo"] = "\n".join(mounts)
    device.files["/data/bistable/device_type"] = f"device_type={board.device_type}\n"
    device.boot = {str(path): content for path, content in disk.files.boot.items()}


def _add_flash(device: Device, board: Board, slot: str) -> None:
    assert board.ubi is not None
    flash = plan_flash(board, board.ubi)
    plan = flash.plan
    device.files["/proc/cmdline"] = (
        f"root=ubi0:rootfs-{slot} rootfstype=ubifs ubi.mtd={plan.partition} {mtdparts(plan.flash)} "
        f"{board.boot.arguments} bistable.slot={slot}\n"
    )
    for number, part in enumerate(plan.flash.partitions):
        line = f'mtd{number}: {partition_size(plan.flash, part):08x} {plan.flash.erase_block:08x} "{part.name}"\n'
        device.files["/proc/mtd"] += line
    leb = flash.geometry.leb
    device.said["volumes"] = (
        [f"ubi0_{volume.number}|{volume.name}|{volume.blocks}|{leb}|" for volume in flash.geometry.volumes],
        0,
    )
    device.files["/proc/self/mountinfo"] = (
        f"20 1 0:15 / / ro - ubifs ubi0:rootfs-{slot} ro\n21 1 0:16 / /data rw - ubifs ubi0:data rw\n"
    )


def diagnosed(board: Board, device: Device) -> Diagnosis:
    """Return what the doctor says of it."""
    return examine(board, device)
