"""`bistable artifact write bootstrap`: an artifact without a payload."""

from bistable.artifact.cli.contents import Contents, contents_options
from bistable.artifact.cli.framework import Example, command
from bistable.artifact.cli.moving import refuse_moved
from bistable.artifact.cli.options import output_options
from bistable.artifact.cli.render import Console
from bistable.artifact.cli.signing import Signing, signing_options
from bistable.artifact.cli.writing import Destination, basic_spec, destination_options, write_out


@command(
    "bootstrap",
    examples=[
        Example(
            "Tell a new device which release is in its image",
            "bistable artifact write bootstrap -n release-1 -t beaglebone \\\n"
            "    -p rootfs-image.version:release-1 -o bootstrap.mender",
        )
    ],
)
@contents_options
@signing_options
@destination_options
@output_options
@refuse_moved()
def bootstrap(contents: Contents, signing: Signing, destination: Destination, console: Console) -> None:
    """Write an artifact with an empty payload, which tells a new device what it already has installed.

    It goes into the device's image, and fills the device's record of provides at the first start.
    """
    write_out(basic_spec(contents, None, payload_type=None), destination, signing, console)
