"""`bistable image build`: a disk image from a layout and a root file system."""

from collections.abc import Sequence
from pathlib import Path

import click

from bistable.artifact.cli.framework import Example, command, option
from bistable.artifact.cli.options import FILE, output_options
from bistable.artifact.cli.render import Console
from bistable.tools.cli.imageclient import NONE, ClientChoice, client_options
from bistable.tools.cli.imageoutput import (
    DiskOutput,
    built_view,
    disk_output_options,
    epoch,
    loaded_layout,
    settings_option,
    work_size,
)

CONTENT = "Content"


@command(
    "build",
    examples=[
        Example(
            "Make a disk of a directory, for a PC",
            "bistable image build x86-grub --rootfs ./rootfs -o disk.img",
        ),
        Example(
            "Keep the image of the slots, and make an update of the next one later",
            "bistable image build board.toml --rootfs rootfs.tar.zst -o disk.img.zst --slot-image rootfs.ext4",
        ),
        Example(
            "Put the client in, too, with larger slots than the layout says",
            "bistable image build arm64-uboot --rootfs ./rootfs --client own --set 'slots.size=2 GiB' -o disk.img",
        ),
    ],
)
@option(
    "--rootfs",
    type=FILE,
    required=True,
    metavar="PATH",
    section=CONTENT,
    help="The root file system of both slots: a directory, a tar file (.tar, .tar.gz, .tar.xz, .tar.zst), or an ext4, "
    "squashfs or erofs image.",
)
@option(
    "--keep-owners",
    is_flag=True,
    section=CONTENT,
    help="Keep the owners that files have in the directory; else root owns all. A tar's are always kept.",
)
@client_options(default=NONE)
@settings_option
@disk_output_options
@output_options
@click.argument("layout", metavar="LAYOUT")
def build(
    layout: str,
    rootfs: Path,
    keep_owners: bool,
    client: ClientChoice,
    settings: Sequence[str],
    disk_output: DiskOutput,
    console: Console,
) -> None:
    """Make a disk image with two slots, a boot loader that chooses one, and data that stays.

    LAYOUT is a file (docs/reference/layout.md), or the name of a layout that is there from the start: x86-grub,
    x86-systemd-boot, arm64-uboot, raspberry-pi, raspberry-pi-uboot. Root is not needed. The same input gives the same
    bytes: new files have the time SOURCE_DATE_EPOCH, or 0.
    """
    from bistable.tools.disk.build import BuildOptions, build_disk
    from bistable.tools.disk.geometry import filled_slots

    wanted = loaded_layout(layout, settings)
    with console.progress("writing", total=work_size(wanted)) as meter:
        built = build_disk(
            wanted,
            rootfs,
            disk_output.outputs(),
            BuildOptions(
                epoch=epoch(),
                keep_owners=keep_owners,
                change=client.change(),
                on_progress=meter.advance,
            ),
        )
    remarks = [f"not in the image: {left_out}" for left_out in built.root.left_out]
    for remark in remarks:
        console.warn(remark)
    console.result(built_view(built, filled_slots(wanted), remarks))
