"""What a disk is meant to be: by the description on its boot partition, or else guessed from the partitions' names."""

import json
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Final

from bistable.artifact.errors import BistableError, MachineError, RequestError
from bistable.artifact.image import ImageKind
from bistable.artifact.image.debugfs import open_path
from bistable.tools.boot.plan import BootPlan, EnvironmentPlace, Loader, SlotPlace
from bistable.tools.disk import geometry as places
from bistable.tools.disk.description import DESCRIPTION, LIMIT, VERSION
from bistable.tools.disk.fat import read_fat
from bistable.tools.disk.inspect.findings import Findings
from bistable.tools.disk.layout.model import DEFAULT_KERNEL
from bistable.tools.disk.partitions import Found

_SIGNS: Final = (
    (Loader.GRUB, "grub/grub.cfg"),
    (Loader.UBOOT, "boot.scr"),
)
"""Boot loader, and the file by which it is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What a disk is meant to be; `names` are the partitions' by number."""

    plan: BootPlan | None
    names: dict[int, str]
    layout: str | None = None
    device_type: str | None = None


def what_is_known(disk: BinaryIO, partitions: tuple[Found, ...], findings: Findings) -> Known:
    """Find out what the disk is meant to be."""
    for partition in partitions:
        if partition.kind is not ImageKind.VFAT:
            continue
        try:
            content = read_fat(Path(open_path(disk)), partition.start, str(DESCRIPTION), limit=LIMIT)
        except MachineError as e:
            findings.warning(e.what, hint=e.hint)
            continue
        if content is not None:
            try:
                return _described(json.loads(content))
            except (ValueError, KeyError, TypeError, BistableError) as e:
                findings.error(f"the description of the disk, {DESCRIPTION}, cannot be understood: {e}")
    return _guessed(disk, partitions, findings)


def _described(document: dict[str, Any]) -> Known:
    if document["version"] != VERSION:
        raise RequestError(f"it is of version {document['version']}")
    boot, environment = document["boot"], document["boot"]["environment"]
    slots = [
        SlotPlace(name=str(slot["name"]), partition=int(slot["partition"]), root=str(slot["root"]))
        for slot in boot["slots"]
    ]
    plan = BootPlan(
        loader=Loader(boot["loader"]),
        slots=(slots[0], slots[1]),
        boot_partition=int(boot["boot_partition"]),
        environment=None
        if environment is None
        else EnvironmentPlace(
            partition=int(environment["partition"]),
            offsets=(int(environment["offsets"][0]), int(environment["offsets"][1])),
            size=int(environment["size"]),
        ),
        kernel=PurePosixPath(boot["kernel"]),
        initrd=None if boot["initrd"] is None else PurePosixPath(boot["initrd"]),
        devicetree=None if boot["devicetree"] is None else PurePosixPath(boot["devicetree"]),
        arguments=str(boot["arguments"]),
        architecture=str(boot["architecture"]),
        disk=str(boot["disk"]),
        tries=int(boot["tries"]),
    )
    return Known(
        plan=plan,
        names={int(item["number"]): str(item["name"]) for item in document["partitions"]},
        layout=str(document["layout"]),
        device_type=str(document["device_type"]),
    )


def _guessed(disk: BinaryIO, partitions: tuple[Found, ...], findings: Findings) -> Known:
    """Go by the names of the partitions and by what is on the boot partition."""
    by_name = {partition.name: partition for partition in partitions if partition.name}
    names = {partition.number: partition.name for partition in partitions}
    wanted = (places.BOOT, *places.SLOTS)
    if not all(name in by_name for name in wanted):
        findings.error(
            "this is no disk with two slots, as far as can be told: it has no description on a boot partition, and no "
            f"partitions called {', '.join(wanted)}"
        )
        return Known(plan=None, names=names)
    boot = by_name[places.BOOT]
    loader = next((loader for loader, sign in _SIGNS if _has(disk, boot, sign)), None)
    if loader is None:
        findings.error(f"the boot partition has none of {', '.join(sign for _, sign in _SIGNS)}: nothing boots it")
        return Known(plan=None, names=names)
    size = places.ENVIRONMENTS[loader]
    findings.note("the disk has no description: what it is meant to be is guessed from the names of its partitions")
    environment = by_name.get(places.ENVIRONMENT)
    slots = [
        SlotPlace(name=name[-1], partition=by_name[name].number, root=f"PARTUUID={by_name[name].uuid}")
        for name in places.SLOTS
    ]
    plan = BootPlan(
        loader=loader,
        slots=(slots[0], slots[1]),
        boot_partition=boot.number,
        environment=None
        if environment is None
        else EnvironmentPlace(partition=environment.number, offsets=(0, environment.size // 2), size=size),
        kernel=DEFAULT_KERNEL,
    )
    return Known(plan=plan, names=names)


def _has(disk: BinaryIO, boot: Found, path: str) -> bool:
    try:
        return read_fat(Path(open_path(disk)), boot.start, path, limit=1 << 24) is not None
    except MachineError:
        return False
