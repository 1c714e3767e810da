"""What `image build` and `image convert` share: options on the layout and the output, and how the result is shown."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from bistable.artifact.cli.framework import option
from bistable.artifact.cli.options import FILE, OUTPUT, bundle
from bistable.artifact.cli.render import View, clean, rows, size_text

if TYPE_CHECKING:
    from bistable.tools.disk import BuiltDisk, Layout
    from bistable.tools.disk.outputs import Outputs

F = TypeVar("F", bound=Callable[..., Any])

LAYOUT: Final = "Layout"


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskOutput:
    """What the options said of the output."""

    output_path: Path
    slot_image: Path | None
    no_bmap: bool

    def outputs(self) -> "Outputs":
        """Return the files to write."""
        from bistable.tools.disk.outputs import Outputs

        return Outputs(disk=self.output_path, block_map=not self.no_bmap, slot_image=self.slot_image)


def disk_output_options(function: F) -> F:
    """Add the options on the output, handed over as `disk_output`."""
    return bundle(
        "disk_output",
        DiskOutput,
        [
            option(
                "-o",
                "--output-path",
                type=FILE,
                required=True,
                metavar="FILE",
                section=OUTPUT,
                help="Write the disk image to this file, which appears when it is complete, in place of an older one. "
                "It is sparse; if its name ends in .zst it is compressed.",
            ),
            option(
                "--slot-image",
                type=FILE,
                metavar="FILE",
                section=OUTPUT,
                help="Keep the image of the slots, of which `bistable artifact write rootfs` makes updates.",
            ),
            option(
                "--no-bmap",
                is_flag=True,
                section=OUTPUT,
                help="Write no block map beside it, by which bmaptool writes only what is needed.",
            ),
        ],
    )(function)


def settings_option(function: F) -> F:
    """Add --set, handed over as `settings`."""
    return option(
        "--set",
        "settings",
        multiple=True,
        metavar="TABLE.KEY=VALUE",
        section=LAYOUT,
        help="Go before what the layout says, as in --set 'slots.size=2 GiB'. May be given several times.",
    )(function)


def loaded_layout(name: str, settings: Sequence[str]) -> "Layout":
    """Read the layout that the user named, with settings of the command line.

    Raises:
        RequestError: it cannot be used, or a setting is of the wrong form.
    """
    from bistable.tools.disk.layout import load_layout

    return load_layout(name, settings=dict(map(_setting, settings)))


def _setting(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise click.BadParameter(f"{text!r} is not of the form TABLE.KEY=VALUE", param_hint="--set")
    return key, value


def epoch() -> int | None:
    """Return SOURCE_DATE_EPOCH, or None if it is not set.

    Raises:
        RequestError: it is no number.
    """
    from bistable.artifact.writer import source_date_epoch

    return source_date_epoch() if os.environ.get("SOURCE_DATE_EPOCH") else None


def work_size(layout: "Layout") -> int:
    """Return about how many bytes there are to write."""
    from bistable.tools.disk.geometry import filled_slots

    return layout.slots.size * len(filled_slots(layout)) + (layout.data.size or 0)


def built_view(built: "BuiltDisk", filled: Sequence[str], remarks: Sequence[str]) -> View:
    """Return the result of a command that made a disk: `filled` partitions hold a system; `remarks` are for people."""
    outputs, geometry = built.outputs, built.geometry
    return View(
        schema="image.build/1",
        document={
            "output": str(outputs.disk),
            "size": geometry.size,
            "stored": built.stored,
            "block_map": str(outputs.map_path) if outputs.block_map else None,
            "mapped": built.mapped,
            "slot_image": None if outputs.slot_image is None else str(outputs.slot_image),
            "loader": built.plan.loader.value,
            "table": geometry.table.value,
            "root_filesystem": built.root.kind.value,
            "partitions": [
                {
                    "name": partition.name,
                    "number": partition.number,
                    "start": partition.start,
                    "size": partition.size,
                    "uuid": partition.uuid,
                    "filled": partition.name in filled,
                }
                for partition in geometry.partitions
            ],
            "remarks": list(remarks),
        },
        lines=[
            f"wrote {clean(str(outputs.disk))}, {size_text(geometry.size)}, {size_text(built.stored)} of it stored",
            *rows(
                [
                    ("loader", built.plan.loader.value),
                    ("partitions", [_partition_line(built, part.name) for part in geometry.partitions]),
                    ("slots", f"{built.root.kind.value} in {', '.join(filled)}"),
                    ("slot image", "" if outputs.slot_image is None else clean(str(outputs.slot_image))),
                    (
                        "block map",
                        f"{clean(str(outputs.map_path))}, {size_text(built.mapped or 0)}" if built.mapped else "",
                    ),
                ],
                indent="  ",
            ),
        ],
    )


def _partition_line(built: "BuiltDisk", name: str) -> str:
    partition = built.geometry.partition(name)
    return f"{partition.number} {clean(name):10} {size_text(partition.size)} at {partition.start}"
