"""`bistable artifact verify`: may it be trusted."""

from bistable.artifact.cli.describe import verify_view
from bistable.artifact.cli.framework import Example, command
from bistable.artifact.cli.options import artifact_argument, output_options
from bistable.artifact.cli.reading import opened
from bistable.artifact.cli.render import Console
from bistable.artifact.cli.verifying import Verifying, verifying_options


@command("verify", examples=[Example("x", "bistable artifact verify -k public.pem release-1.mender")])
@verifying_options
@output_options
@artifact_argument
def verify(artifact: str, verifying: Verifying, console: Console) -> None:
    """Check an artifact: signature, structure, and every digest."""
    from bistable.artifact.reader import read_artifact

    policy = verifying.policy(artifact, allow_unchecked=False)
    with opened(artifact, console, "verifying") as source:
        view = verify_view(source.name, read_artifact(source, policy), None)
    console.result(view)
