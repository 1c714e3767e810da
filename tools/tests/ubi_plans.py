"""Plans for raw NAND of a usual kind: 512 MiB, blocks of 128 KiB, pages of 2 KiB."""

from pathlib import PurePosixPath

from bistable.artifact.limits import KIB, MIB
from bistable.tools.boot.ubi import Flash, FlashPartition, UbiPlan

PARTITIONS = (
    FlashPartition(name="boot", offset=0, size=4 * MIB),
    FlashPartition(name="env", offset=4 * MIB, size=512 * KIB),
    FlashPartition(name="env-r", offset=4 * MIB + 512 * KIB, size=512 * KIB),
    FlashPartition(name="ubi", offset=5 * MIB, size=None),
)


def flash(**changes: object) -> Flash:
    values: dict[str, object] = {
        "size": 512 * MIB,
        "erase_block": 128 * KIB,
        "page": 2 * KIB,
        "sub_page": 2 * KIB,
        "mtd_id": "gpmi-nand",
        "uboot": "nand0",
        "partitions": PARTITIONS,
        **changes,
    }
    return Flash(**values)  # type: ignore[arg-type]


def ubi_plan(**changes: object) -> UbiPlan:
    values: dict[str, object] = {
        "flash": flash(),
        "partition": "ubi",
        "slot_size": 96 * MIB,
        "data_size": None,
        "environment_size": 124 * KIB,
        "environment": None,
        "kernel": PurePosixPath("/boot/zImage"),
        "devicetree": PurePosixPath("/boot/acorn.dtb"),
        "arguments": "console=ttymxc0,115200 rootwait panic=10",
        **changes,
    }
    return UbiPlan(**values)  # type: ignore[arg-type]
