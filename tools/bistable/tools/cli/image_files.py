"""`bistable image files`: what another image builder puts on a disk with two slots."""

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final

import click

from bistable.artifact.cli.framework import Example, command, option
from bistable.artifact.cli.options import FILE, OUTPUT, output_options
from bistable.artifact.cli.render import Console, View, clean, rows, size_text
from bistable.tools.cli.imageoutput import epoch, loaded_layout, settings_option

if TYPE_CHECKING:
    from bistable.tools.disk.files import WrittenFiles

SYSTEM: Final = "System"
WIC: Final = "Names in disk.wks, of files that wic takes"


@command(
    "files",
    examples=[
        Example("Write them for a PC", "bistable image files x86-grub -o files"),
        Example(
            "For a GRUB that looks for its script beside itself, and for a system without systemd",
            "bistable image files board.toml --grub-prefix /EFI/BOOT --init other -o files",
        ),
    ],
)
@option(
    "--grub-prefix",
    type=click.Path(path_type=PurePosixPath),
    default="/grub",
    show_default=True,
    metavar="PATH",
    section=SYSTEM,
    help="Where the GRUB of the other builder looks for grub.cfg, on the boot partition.",
)
@option(
    "--init",
    type=click.Choice(["systemd", "other"]),
    default="systemd",
    show_default=True,
    section=SYSTEM,
    help="What starts the system in the slots: fstab has options that only systemd understands.",
)
@option(
    "--slot-file",
    metavar="PATH",
    section=WIC,
    help="The image of both slots. By default rootfs.ext4, or what the layout says.",
)
@option(
    "--environment-file",
    metavar="PATH",
    section=WIC,
    help="The content of the partition boot-env, or none. By default boot-env.img.",
)
@option(
    "--data-dir",
    metavar="PATH",
    section=WIC,
    help="The directory with the content of the data partition, or none. By default data.",
)
@option(
    "--blob-dir",
    metavar="PATH",
    section=WIC,
    help="The directory with the files of [blobs] that the layout names by relative paths. By default they are where "
    "the layout is, on this machine.",
)
@settings_option
@option(
    "-o",
    "--output",
    type=FILE,
    required=True,
    metavar="DIR",
    section=OUTPUT,
    help="Write the files into this directory, which must be new or empty, and appears when it is complete.",
)
@output_options
@click.argument("layout", metavar="LAYOUT")
def files(
    layout: str,
    grub_prefix: PurePosixPath,
    init: str,
    slot_file: str | None,
    environment_file: str | None,
    data_dir: str | None,
    blob_dir: str | None,
    settings: Sequence[str],
    output: Path,
    console: Console,
) -> None:
    """Write what another image builder has to put on a disk with two slots.

    All that follows from LAYOUT (docs/reference/layout.md), as `image build` would write it: boot scripts, environment,
    settings of the client, lines for fstab, and the partitions in disk.json. Neither a root file system nor a boot
    loader is needed. What is in DIR: docs/reference/layout.md.
    """
    from bistable.tools.disk.files import FilesOptions, KickstartTexts, write_files
    from bistable.tools.disk.system import Init

    texts = KickstartTexts(slot_file=slot_file, environment_file=environment_file, data_dir=data_dir, blob_dir=blob_dir)
    options = FilesOptions(grub_prefix=grub_prefix, init=Init(init), texts=texts, epoch=epoch())
    written = write_files(loaded_layout(layout, settings), output, options)
    for remark in written.remarks:
        console.warn(remark)
    console.result(_view(written))


def _view(written: "WrittenFiles") -> View:
    geometry = written.geometry
    needed = written.document["needed"]
    return View(
        schema="image.files/1",
        document={
            "output": str(written.output),
            "loader": written.plan.loader.value,
            "table": geometry.table.value,
            "size": geometry.size,
            "files": [{"path": str(file.path), "purpose": file.purpose} for file in written.files],
            "partitions": written.document["partitions"],
            "needed": needed,
            "remarks": list(written.remarks),
        },
        lines=[
            f"wrote {clean(str(written.output))}, {len(written.files)} files",
            *rows(
                [
                    ("loader", written.plan.loader.value),
                    ("partitions", [_partition_line(part) for part in written.document["partitions"]]),
                    ("files", [clean(str(file.path)) for file in written.files]),
                    ("needed", [_needed_line(item) for item in needed]),
                ],
                indent="  ",
            ),
        ],
    )


def _partition_line(part: Mapping[str, Any]) -> str:
    return f"{part['number']} {clean(part['name']):10} {size_text(part['size'])} at {part['start']}"


def _needed_line(item: Mapping[str, Any]) -> str:
    source = f"{item['slot_file']} of the slot" if item["program"] is None else item["program"]
    return f"{clean(item['partition'])}: {clean(item['path'])}, {clean(source)}"
