"""bistablectl completion."""

import argparse
from typing import Final

from bistable.client.ctl import app, render

DESCRIPTION = """Print what makes a shell complete the command's words; put it where your shell looks, such as

    bistablectl completion bash > /usr/share/bash-completion/completions/bistablectl
    bistablectl completion zsh > /usr/share/zsh/site-functions/_bistablectl
    bistablectl completion fish > /usr/share/fish/vendor_completions.d/bistablectl.fish"""

BASH: Final = """_bistablectl() {{
    local words
    case "${{COMP_WORDS[1]}}" in
{cases}
        *) words="{commands}" ;;
    esac
    [ "$COMP_CWORD" -eq 1 ] && words="{commands}"
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "${{COMP_WORDS[COMP_CWORD]}}")
}}
complete -o default -F _bistablectl bistablectl
"""
ZSH: Final = """#compdef bistablectl
_bistablectl() {{
    local -a commands
    commands=(
{commands}
    )
    if (( CURRENT == 2 )); then
        _describe command commands
        return
    fi
    case "$words[2]" in
{cases}
    esac
}}
_bistablectl "$@"
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's own arguments."""
    parser.add_argument("shell", choices=["bash", "zsh", "fish"])


def run(options: argparse.Namespace) -> int:
    """Print it."""
    made = {"bash": _bash, "zsh": _zsh, "fish": _fish}[options.shell]()
    if options.json:
        render.show_json("completion/1", {"shell": options.shell, "script": made})
    else:
        render.show_text(made.rstrip("\n"))
    return 0


def _options(name: str) -> list[tuple[str, str]]:
    """Return the long options of a command, with what they do."""
    parser = argparse.ArgumentParser(prog=name)
    app.fill(parser, name)
    actions = parser._actions
    words = [(word, action.help or "") for action in actions for word in action.option_strings]
    return [(word, about.split(":")[0]) for word, about in words if word.startswith("--")]


def _bash() -> str:
    cases = "\n".join(
        f'        {name}) words="{" ".join(word for word, _ in _options(name))}" ;;' for name in app.COMMANDS
    )
    return BASH.format(cases=cases, commands=" ".join(app.COMMANDS))


def _zsh() -> str:
    commands = "\n".join(f"        '{name}:{_quoted(words)}'" for name, words in app.COMMANDS.items())
    cases = []
    for name in app.COMMANDS:
        words = " ".join(f"'{word}[{_quoted(about)}]'" for word, about in _options(name))
        cases.append(f"        {name}) _arguments {words} '*:file:_files' ;;")
    return ZSH.format(commands=commands, cases="\n".join(cases))


def _fish() -> str:
    lines = []
    for name, words in app.COMMANDS.items():
        lines.append(f"complete -c bistablectl -n __fish_use_subcommand -a {name} -d '{_quoted(words)}'")
        for option, about in _options(name):
            seen = f"'__fish_seen_subcommand_from {name}'"
            lines.append(f"complete -c bistablectl -n {seen} -l {option[2:]} -d '{_quoted(about)}'")
    return "\n".join(lines)


def _quoted(text: str) -> str:
    return text.replace("'", "").replace("[", "(").replace("]", ")")
