"""`bistable artifact show`: what an artifact is."""

from bistable.artifact.cli.describe import show_view
from bistable.artifact.cli.framework import Example, command, option
from bistable.artifact.cli.options import artifact_argument, output_options
from bistable.artifact.cli.reading import opened
from bistable.artifact.cli.render import Console
from bistable.artifact.cli.verifying import Verifying, verifying_options


@command(
    "show",
    examples=[
        Example("Show an artifact after checking all of it", "bistable artifact show release-1.mender"),
        Example(
            "Show the first kilobytes of a large one on a server",
            "bistable artifact show --head https://updates.example.com/release-1.mender",
        ),
        Example(
            "Take the name out in a script",
            "bistable artifact show --head --json release-1.mender | jq -r .artifact_name",
        ),
    ],
)
@option("--head", is_flag=True, help="Read and check only what stands before the payload: quick for any size.")
@verifying_options
@output_options
@artifact_argument
def show(artifact: str, head: bool, verifying: Verifying, console: Console) -> None:
    """Show what an artifact is: name, device types, payload, provides and depends, scripts, meta-data.

    The structure and every digest are checked, the payload's too, unless --head is given. A signature is checked if a
    key is given, and only noted otherwise: `verify` is the command for deciding whether to trust an artifact.
    """
    from bistable.artifact.reader import ArtifactReader

    policy = verifying.policy(artifact, allow_unchecked=True)
    with opened(artifact, console, "reading") as source:
        reader = ArtifactReader(source, policy)
        if head:
            view = show_view(source.name, reader.read_head(), reader.data_compression, None)
        else:
            whole = reader.finish()
            view = show_view(source.name, whole.head, whole.data_compression, whole)
    console.result(view)
