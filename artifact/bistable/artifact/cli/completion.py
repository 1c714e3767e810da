"""`bistable completion`: shell completion scripts."""

import click
from click.shell_completion import ShellComplete, get_completion_class

from bistable.artifact.cli.framework import Example, command
from bistable.artifact.cli.render import Console

SHELLS = ("bash", "zsh", "fish")


@command(
    "completion",
    examples=[
        Example(
            "Complete in bash, from the next login on",
            "bistable completion bash > ~/.local/share/bash-completion/completions/bistable",
        ),
        Example("Complete in this zsh", 'eval "$(bistable completion zsh)"'),
        Example("Complete in fish", "bistable completion fish > ~/.config/fish/completions/bistable.fish"),
    ],
)
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print a script that makes SHELL complete commands, options and file names.

    The script asks the program itself, so it stays right when the program is updated.
    """
    of_shell = get_completion_class(shell)
    assert of_shell is not None
    script = of_shell(ctx.find_root().command, {}, "bistable", "_BISTABLE_COMPLETE")
    # The plain method: that of bash starts a bash to see how old it is.
    Console().data(ShellComplete.source(script).encode())
