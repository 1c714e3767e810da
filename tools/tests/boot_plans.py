"""Plans for the tiny disks, and environments in every state."""

import zlib
from collections.abc import Mapping
from pathlib import PurePosixPath

from boot_machines import BOOT, ENVIRONMENT, SLOT_A, SLOT_B

from bistable.tools.boot import BootPlan, EnvironmentPlace, Loader, SlotPlace, envfiles, grubenv

KERNEL = PurePosixPath("/boot/vmlinuz")
ROOT = "PARTUUID=6a1ab1e0-0000-4000-8000-00000000000{}"
OFFSETS = (0, 64 * 1024)
COPY = {Loader.UBOOT: 512, Loader.UBOOT_ENVIRONMENT: 16 * 1024, Loader.GRUB: grubenv.SIZE}
PARTITION = 1024 * 1024

VARIABLES = {
    "bistable_order": "b a",
    "bistable_a_good": "1",
    "bistable_a_tries": "0",
    "bistable_b_good": "0",
    "bistable_b_tries": "3",
    "bistable_seen": "1",
}
"""An update to b has been activated."""


def plan_for(loader: Loader, **changes: object) -> BootPlan:
    values: dict[str, object] = {
        "loader": loader,
        "slots": (
            SlotPlace(name="a", partition=SLOT_A, root=ROOT.format("a")),
            SlotPlace(name="b", partition=SLOT_B, root=ROOT.format("b")),
        ),
        "boot_partition": BOOT,
        "environment": EnvironmentPlace(partition=ENVIRONMENT, offsets=OFFSETS, size=COPY[loader])
        if loader in COPY
        else None,
        "kernel": KERNEL,
        "arguments": "console=ttyAMA0,115200 panic=-1",
        "architecture": "amd64" if loader in {Loader.GRUB, Loader.SYSTEMD_BOOT, Loader.EFI} else "arm64",
        **changes,
    }
    return BootPlan(**values)  # type: ignore[arg-type]


def variables(**changes: object) -> dict[str, str]:
    """The variables of an activated update, but for `changes`: `a_good=0`, `order="a"`; None leaves one out."""
    values = dict(VARIABLES)
    for name, value in changes.items():
        if value is None:
            del values[f"bistable_{name}"]
        else:
            values[f"bistable_{name}"] = str(value)
    return values


def copy_of(loader: Loader, values: Mapping[str, str], sequence: int) -> bytes:
    """One copy as its loader has it; any values."""
    if loader is Loader.GRUB:
        lines = {"bistable_seq": str(sequence), **values, "bistable_end": "1"}
        text = "".join(f"{name}={value}\n" for name, value in lines.items())
        return (grubenv.HEADER + text.encode()).ljust(grubenv.SIZE, b"#")
    size = COPY[loader]
    data = b"".join(f"{name}={value}\0".encode() for name, value in sorted(values.items())) + b"\0"
    data = data.ljust(size - 5, b"\0")
    return zlib.crc32(data).to_bytes(4, "little") + bytes([sequence]) + data


def partition_of(loader: Loader, first: bytes, second: bytes) -> bytes:
    """The partition with two copies."""
    raw = bytearray(PARTITION)
    if loader is Loader.GRUB:
        directory = envfiles.directory(OFFSETS, grubenv.SIZE)
        raw[envfiles.START : envfiles.START + len(directory)] = directory
    for offset, copy in zip(OFFSETS, (first, second), strict=True):
        raw[offset : offset + len(copy)] = copy
    return bytes(raw)


def environment_of(loader: Loader, values: Mapping[str, str], older: Mapping[str, str] | None = None) -> bytes:
    """The partition whose first copy is the newer one; the other has what was before it."""
    return partition_of(loader, copy_of(loader, values, 5), copy_of(loader, older or variables(), 4))
