"""`bistable artifact write rootfs`: an artifact of a root filesystem."""

from collections.abc import Sequence
from pathlib import Path

import click

from bistable.artifact.cli.attesting import Attesting, attesting_options
from bistable.artifact.cli.contents import Contents, Version, contents_options, script_option, version_options
from bistable.artifact.cli.framework import Example, command, option
from bistable.artifact.cli.moving import refuse_moved
from bistable.artifact.cli.options import NAME, output_options, size
from bistable.artifact.cli.outputs import STANDARD
from bistable.artifact.cli.render import Console
from bistable.artifact.cli.signing import Signing, signing_options
from bistable.artifact.cli.writing import Destination, basic_spec, destination_options, write_out
from bistable.artifact.errors import RequestError

PAYLOAD = "Payload"
KINDS = ("ext4", "squashfs", "erofs")
STDIN_NAME = "rootfs.img"


@command(
    "rootfs",
    examples=[
        Example(
            "Sign an image with a key in a file",
            "bistable artifact write rootfs -f rootfs.ext4 -n release-1 -t beaglebone \\\n"
            "    -k private.pem -o release-1.mender",
        ),
        Example(
            "Make the image from a directory, with 1 GiB of room",
            "bistable artifact write rootfs -f ./rootfs --image-size 1GiB -n release-1 -t beaglebone",
        ),
        Example(
            "Take an image from a pipe, for clients that read no zstd",
            "zcat rootfs.ext4.gz | bistable artifact write rootfs -f - -n release-1 -t beaglebone --compression gzip",
        ),
        Example(
            "Sign in a cloud service, by its own program",
            "bistable artifact write rootfs -f rootfs.ext4 -n release-1 -t beaglebone \\\n"
            "    --sign-command ./kms-sign.sh --public-key public.pem",
        ),
    ],
)
@option(
    "-f",
    "--file",
    type=NAME,
    required=True,
    metavar="PATH",
    section=PAYLOAD,
    help="An image of a root filesystem; or a directory or tar file (.tar, .tar.gz, .tar.xz, .tar.zst), of which an "
    "image is made without root and the same every time; or - for an image on standard input.",
)
@option(
    "--file-name",
    metavar="NAME",
    section=PAYLOAD,
    help=f"Name of the image in the artifact if it comes from standard input; {STDIN_NAME} by default.",
)
@option(
    "--filesystem",
    type=click.Choice(KINDS),
    default="ext4",
    show_default=True,
    section=PAYLOAD,
    help="Kind of the image that is made of a directory or tar file.",
)
@option(
    "--image-size",
    type=size,
    metavar="SIZE",
    section=PAYLOAD,
    help="Size of the ext4 image that is made; by default what the content needs and a fifth more.",
)
@option(
    "--keep-owners",
    is_flag=True,
    section=PAYLOAD,
    help="Keep the owners that files have in the directory; else root owns all. A tar's are always kept.",
)
@option(
    "--no-checksum-provide",
    is_flag=True,
    section=PAYLOAD,
    help="Do not record the image's SHA-256 as rootfs-image.checksum: for clients before 2.5.",
)
@option(
    "--legacy-rootfs-image-checksum",
    is_flag=True,
    section=PAYLOAD,
    help="Record it under its old name, rootfs_image_checksum.",
)
@contents_options
@script_option
@version_options
@signing_options
@attesting_options
@destination_options
@output_options
@refuse_moved("--ssh-args")
def rootfs(
    file: str,
    file_name: str | None,
    filesystem: str,
    image_size: int | None,
    keep_owners: bool,
    no_checksum_provide: bool,
    legacy_rootfs_image_checksum: bool,
    contents: Contents,
    scripts: Sequence[Path],
    version: Version,
    signing: Signing,
    attesting: Attesting,
    destination: Destination,
    console: Console,
) -> None:
    """Write an artifact that carries a root filesystem.

    The input is read once; the artifact appears when it is complete. The same input and options give the same bytes:
    times in it are SOURCE_DATE_EPOCH, or 0.
    """
    from bistable.artifact.image import ImageKind, ImageOptions
    from bistable.artifact.writer.request import CHECKSUM_KEY, LEGACY_CHECKSUM_KEY

    _check_source(file, file_name, filesystem, image_size)
    checksum_key = LEGACY_CHECKSUM_KEY if legacy_rootfs_image_checksum else CHECKSUM_KEY
    spec = basic_spec(
        contents,
        version,
        payload_type="rootfs-image",
        files=(Path(file),),
        scripts=tuple(scripts),
        image=ImageOptions(kind=ImageKind(filesystem), size=image_size, keep_owners=keep_owners),
        checksum_key=None if no_checksum_provide else checksum_key,
    )
    write_out(spec, destination, signing, console, attesting=attesting, stdin_name=file_name or STDIN_NAME)


def _check_source(file: str, file_name: str | None, filesystem: str, image_size: int | None) -> None:
    if "://" in file:
        raise RequestError(
            f"cannot read {file}: a running device is not copied from here",
            hint="pipe its image in: ssh DEVICE sudo mender-snapshot dump | bistable artifact write rootfs -f - ...",
        )
    if file_name is not None and file != STANDARD:
        raise RequestError("cannot use --file-name without -f -", hint="else the name is that of the file")
    if image_size is not None and filesystem != "ext4":
        raise RequestError(f"cannot set the size of a {filesystem} image: it is as large as its content")
