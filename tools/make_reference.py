#!/usr/bin/env python3
"""Write the reference of the command line, and manual pages, from the commands themselves.

tools/make_reference.py               docs/reference/cli.md
tools/make_reference.py --man DIR     a manual page for each command, DIR/bistable*.1
"""

import re
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Final

import click

from bistable.artifact.cli.app import bistable
from bistable.artifact.cli.framework import Command, LazyGroup

CLI: Final = Path(__file__).parents[1] / "docs" / "reference" / "cli.md"

WIDTH: Final = 120

INTRODUCTION: Final = """\
# Commands

<!-- Written by tools/make_reference.py from the commands themselves. -->

Options may stand before and after arguments; `--` ends them. A single `-` is standard input or output. `-h` or `--help`
shows of any command what stands here. Exit codes: [FORMAT.md §13](../../artifact/FORMAT.md#13-exit-codes). The form of
`--json`: [json.md](json.md).
"""

VARIABLES: Final = (
    ("BISTABLE_KEY_PASSPHRASE", "The passphrase of an encrypted key, if no file gives it."),
    ("BISTABLE_PKCS11_PIN", "The PIN of a PKCS#11 token. It goes before one in the URI."),
    ("BISTABLE_DEBUG", "If set, a failure shows where in the program it came from."),
    ("SOURCE_DATE_EPOCH", "Unix seconds: the time of everything that is written; 0 by default."),
    ("TMPDIR", "Where temporary files go that are not beside an output; /tmp by default."),
    ("NO_COLOR", "If set, nothing is coloured. Only terminals get colours anyway."),
    ("https_proxy, http_proxy, no_proxy", "How addresses are reached."),
    ("SSL_CERT_FILE", "The certificate authorities that https servers are trusted by, if not those of the system."),
)
EXIT_CODES: Final = (
    ("0", "Done; the answer is yes."),
    ("1", "The answer is no: diff found differences, lint found errors."),
    ("2", "Wrong usage, or something that the format cannot express."),
    ("3", "The artifact is rejected: malformed, damaged, cut off, beyond a limit."),
    ("4", "The signature is rejected: wrong, missing, or by none of the keys."),
    ("5", "A version or kind that is not supported."),
    ("6", "A key, certificate or token cannot be used."),
    ("7", "The machine failed: a file, the disk, a program, the network."),
    ("8", "Sound, but refused by policy: augmented, attestation missing, too large."),
    ("70", "An internal error: please report it."),
    ("130", "Interrupted."),
    ("141", "Standard output was closed before its end."),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One command: its full name, the other names of its last word, and what it offers."""

    name: str
    others: tuple[str, ...]
    usage: str
    paragraphs: tuple[str, ...]
    options: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]
    commands: tuple[tuple[str, str], ...]
    examples: tuple[tuple[str, str], ...]


def pages(
    command: click.Command = bistable, above: click.Context | None = None, others: tuple[str, ...] = ()
) -> Iterator[Page]:
    """Yield the page of a command, then those of the commands below it."""
    ctx = click.Context(command, info_name=command.name, parent=above, **command.context_settings)
    children = command.list_commands(ctx) if isinstance(command, LazyGroup) else []
    yield Page(
        name=ctx.command_path,
        others=others,
        usage=" ".join([ctx.command_path, *command.collect_usage_pieces(ctx)]),
        paragraphs=tuple(" ".join(text.split()) for text in (command.help or "").split("\n\n")),
        options=tuple(_options(command, ctx)),
        commands=tuple((name, command.summary(ctx, name)) for name in children if isinstance(command, LazyGroup)),
        examples=tuple(command.examples) if isinstance(command, Command) else (),
    )
    for name in children:
        assert isinstance(command, LazyGroup)
        child = command.get_command(ctx, name)
        assert child is not None
        yield from pages(child, ctx, tuple(command.other_names(name)))


def _options(command: click.Command, ctx: click.Context) -> Iterator[tuple[str, tuple[tuple[str, str], ...]]]:
    if isinstance(command, Command):
        sections = command.sections(ctx)
    else:
        sections = {"Options": [p for p in command.get_params(ctx) if isinstance(p, click.Option)]}
    for heading, options in sections.items():
        records = [record for option in options if (record := option.get_help_record(ctx)) is not None]
        yield heading, tuple((names, text.replace("  [", " [")) for names, text in records)


# --- Markdown


def markdown() -> str:
    """Return the whole reference as one text."""
    found = list(pages())
    lines = [INTRODUCTION, "| variable | meaning |", "|---|---|"]
    lines += [f"| `{name}` | {text} |" for name, text in VARIABLES]
    lines += ["", *(f"- [{page.name}](#{page.name.replace(' ', '-')})" for page in found), ""]
    for page in found:
        lines += _markdown_page(page)
    return "\n".join(lines)


def _markdown_page(page: Page) -> Iterator[str]:
    yield f"## {page.name}\n"
    yield f"    {page.usage}\n"
    if page.others:
        yield f"Also: {', '.join(f'`{name}`' for name in page.others)}.\n"
    yield from (textwrap.fill(_markdown_text(paragraph), WIDTH) + "\n" for paragraph in page.paragraphs)
    if page.commands:
        yield from ("| command | |", "|---|---|")
        yield from (
            f"| [`{name}`](#{page.name.replace(' ', '-')}-{name}) | {_cell(text)} |" for name, text in page.commands
        )
        yield ""
    for heading, options in page.options:
        yield from (f"| {heading} | |", "|---|---|")
        yield from (f"| `{_cell(names)}` | {_cell(_markdown_text(text))} |" for names, text in options)
        yield ""
    for what, line in page.examples:
        yield f"{what}:\n"
        yield "\n".join(f"    {part}" for part in line.splitlines()) + "\n"


def _markdown_text(text: str) -> str:
    return re.sub(r"[*<]", r"\\\g<0>", text)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


# --- manual pages


def manual(page: Page) -> str:
    """Return a page in the language of man(7)."""
    title = page.name.replace(" ", "-")
    summary = page.paragraphs[0].rstrip(".")
    lines = [f'.TH {_roff(title.upper())} 1 "" "bistable {version("bistable")}" "Bistable"', ".nh", ".ad l"]
    lines += [".SH NAME", f"{_roff(title)} \\- {_roff(summary[:1].lower() + summary[1:])}"]
    lines += [".SH SYNOPSIS", f".B {_roff(page.name)}", _roff(page.usage.removeprefix(page.name).strip())]
    lines += [".SH DESCRIPTION", "\n.PP\n".join(_roff(text) for text in page.paragraphs)]
    if page.others:
        lines += [".PP", f"Also called {_roff(', '.join(page.others))}."]
    if page.commands:
        lines += [".SH COMMANDS", *_entries((f"{title}-{name}(1)", text) for name, text in page.commands)]
    for heading, options in page.options:
        lines += [f".SH {heading.upper()}", *_entries(options)]
    if page.examples:
        lines.append(".SH EXAMPLES")
        for what, line in page.examples:
            lines += [".PP", f"{_roff(what)}:", ".PP", ".RS 4", ".nf", _roff(line), ".fi", ".RE"]
    lines += [".SH EXIT STATUS", *_entries(EXIT_CODES), ".SH ENVIRONMENT", *_entries(VARIABLES)]
    above = title.rpartition("-")[0]
    lines += [".SH SEE ALSO", f".BR {_roff(above)} (1)"] if above else []
    return "\n".join(lines) + "\n"


def _entries(pairs: "Iterator[tuple[str, str]] | tuple[tuple[str, str], ...]") -> Iterator[str]:
    for term, text in pairs:
        yield from (".TP", f".B {_roff(term)}", _roff(text))


def _roff(text: str) -> str:
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    marked = re.sub(r"`([^`]*)`", r"\\fB\1\\fR", escaped)
    return re.sub(r"^(?=[.'])", r"\\&", marked, flags=re.MULTILINE)


def main(arguments: list[str]) -> None:
    """Write what is asked for."""
    if not arguments:
        CLI.write_text(markdown())
    elif len(arguments) == 2 and arguments[0] == "--man":
        directory = Path(arguments[1])
        directory.mkdir(parents=True, exist_ok=True)
        for page in pages():
            (directory / f"{page.name.replace(' ', '-')}.1").write_text(manual(page))
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
