"""`bistable image convert`: a disk image with two slots from one with a single system."""

from collections.abc import Sequence
from pathlib import Path

import click

from bistable.artifact.cli.framework import Example, command, option
from bistable.artifact.cli.options import FILE, output_options
from bistable.artifact.cli.render import Console
from bistable.tools.cli.imageclient import OWN, ClientChoice, client_options
from bistable.tools.cli.imageoutput import (
    LAYOUT,
    DiskOutput,
    built_view,
    disk_output_options,
    epoch,
    loaded_layout,
    settings_option,
    work_size,
)


@command(
    "convert",
    examples=[
        Example(
            "Give an image of Debian for PCs two slots",
            "bistable image convert debian.img --layout x86-grub -o ab.img --slot-image release-1.ext4",
        ),
        Example(
            "The same for a Raspberry Pi, by a layout of one's own",
            "bistable image convert raspios.img.xz --layout pi.toml --verify-key release.pub -o ab.img.zst",
        ),
    ],
)
@option(
    "--layout",
    required=True,
    metavar="LAYOUT",
    section=LAYOUT,
    help="A file (docs/reference/layout.md), or the name of a layout that is there from the start: x86-grub, "
    "x86-systemd-boot, arm64-uboot, raspberry-pi, raspberry-pi-uboot.",
)
@settings_option
@client_options(default=OWN)
@disk_output_options
@output_options
@click.argument("image", type=FILE)
def convert(
    image: Path,
    layout: str,
    settings: Sequence[str],
    client: ClientChoice,
    disk_output: DiskOutput,
    console: Console,
) -> None:
    """Turn a disk image with one system into one with two slots, with client and boot loader.

    IMAGE is an image of Debian or its kin, such as Raspberry Pi OS: partitions (MBR or GPT) of which one is ext4 with
    the root file system and one may be FAT, or the ext4 file system alone; .gz, .xz and .zst are unpacked. It is not
    changed. Packages that the client needs must be installed in it.
    """
    from bistable.tools.disk.convert import ConvertOptions, convert_disk
    from bistable.tools.disk.geometry import filled_slots

    wanted = loaded_layout(layout, settings)
    with console.progress("writing", total=work_size(wanted)) as meter:
        converted = convert_disk(
            image,
            wanted,
            disk_output.outputs(),
            ConvertOptions(
                client=client.source(),
                start=client.start_mode(),
                configuration=client.configuration(),
                epoch=epoch(),
                on_progress=meter.advance,
            ),
        )
    for remark in converted.remarks:
        console.note(remark)
    console.result(built_view(converted.built, filled_slots(converted.layout), converted.remarks))
