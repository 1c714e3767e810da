"""The description of a disk that lies on its boot partition, so that `inspect` need not guess."""

import json
from pathlib import PurePosixPath
from typing import Any, Final

from bistable.tools.boot.plan import BootPlan
from bistable.tools.disk.geometry import Geometry
from bistable.tools.disk.layout.model import Layout

DESCRIPTION: Final = PurePosixPath("bistable/layout.json")
LIMIT: Final = 64 * 1024
VERSION: Final = 1


def describe(layout: Layout, geometry: Geometry, plan: BootPlan) -> bytes:
    """Return the description."""
    environment = plan.environment
    document: dict[str, Any] = {
        "version": VERSION,
        "layout": layout.name,
        "device_type": layout.device_type,
        "partitions": [
            {"name": part.name, "number": part.number, "start": part.start, "size": part.size}
            for part in geometry.partitions
        ],
        "boot": {
            "loader": plan.loader.value,
            "architecture": plan.architecture,
            "tries": plan.tries,
            "kernel": str(plan.kernel),
            "initrd": None if plan.initrd is None else str(plan.initrd),
            "devicetree": None if plan.devicetree is None else str(plan.devicetree),
            "arguments": plan.arguments,
            "disk": plan.disk,
            "boot_partition": plan.boot_partition,
            "slots": [{"name": slot.name, "partition": slot.partition, "root": slot.root} for slot in plan.slots],
            "environment": None
            if environment is None
            else {
                "partition": environment.partition,
                "offsets": list(environment.offsets),
                "size": environment.size,
            },
        },
    }
    return (json.dumps(document, indent=1) + "\n").encode()
