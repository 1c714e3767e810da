"""What every command is made of: examples, options in sections, and groups that load their commands on demand."""

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any, Final, NamedTuple, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

DEFAULT_SECTION: Final = "Options"


class Example(NamedTuple):
    """One example: what it does (a phrase, no full stop) and the command line, without a prompt.

    A long line is broken as in a shell, with a backslash at the end.
    """

    what: str
    line: str


class SectionOption(click.Option):
    """An option that is listed under a heading of its own in the help."""

    def __init__(self, *args: Any, section: str = DEFAULT_SECTION, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.section = section


class Command(click.Command):
    """A command with examples, whose options are listed by section."""

    def __init__(self, *args: Any, examples: Sequence[Example] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.examples = tuple(examples)

    def sections(self, ctx: click.Context) -> dict[str, list[click.Option]]:
        """Return heading -> the options listed under it, the general ones last."""
        found: dict[str, list[click.Option]] = {}
        for parameter in self.get_params(ctx):
            if isinstance(parameter, click.Option) and not parameter.hidden:
                found.setdefault(getattr(parameter, "section", DEFAULT_SECTION), []).append(parameter)
        general = found.pop(DEFAULT_SECTION, [])
        return found | {DEFAULT_SECTION: general}

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, section by section."""
        for heading, options in self.sections(ctx).items():
            records = [record for option in options if (record := option.get_help_record(ctx)) is not None]
            with formatter.section(heading):
                formatter.write_dl(records)

    def format_epilog(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples, each line as it is: it is there to be copied."""
        if self.examples:
            with formatter.section("Examples"):
                for example in self.examples:
                    formatter.write(f"{'':{formatter.current_indent}}{example.what}:\n")
                    for line in example.line.splitlines():
                        formatter.write(f"{'':{formatter.current_indent + 2}}{line}\n")


class LazyGroup(click.Group):
    """A group that knows its commands by name and loads the one that is wanted, so that each is quick to start."""

    def __init__(
        self, *args: Any, table: Mapping[str, str], aliases: Mapping[str, str] | None = None, **kwargs: Any
    ) -> None:
        """Take `table`, name -> "module:attribute", and `aliases`, other name -> name."""
        super().__init__(*args, **kwargs)
        self.no_args_is_help = False
        self.table = table
        self.aliases = aliases or {}

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """Return the names in the order of the table, which is the order in which people need them."""
        return list(self.table)

    def place_of(self, name: str) -> str | None:
        """Return "module:attribute" of a command, None if there is none of that name."""
        return self.table.get(name)

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load a command by its name or by another name it goes by."""
        place = self.place_of(self.aliases.get(cmd_name, cmd_name))
        if place is None:
            return None
        module, _, attribute = place.partition(":")
        found = getattr(import_module(module), attribute)
        assert isinstance(found, click.Command)
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, under its proper name whatever it was called by."""
        name, found, rest = super().resolve_command(ctx, args)
        return (name if name is None else self.aliases.get(name, name)), found, rest

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the group's options; without any argument say what there is, which is a wrong usage all the same."""
        if not args and not ctx.resilient_parsing:
            click.echo(ctx.get_help(), err=True)
            ctx.exit(2)
        return super().parse_args(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands with their first sentence and the other names they go by."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, self.summary(ctx, name)) for name in self.list_commands(ctx)])

    def summary(self, ctx: click.Context, name: str) -> str:
        """Return what a command does in one sentence, and its other names."""
        found = self.get_command(ctx, name)
        assert found is not None
        sentence = " ".join((found.help or "").partition("\n\n")[0].split())
        others = ", ".join(self.other_names(name))
        return f"{sentence} Also: {others}." if others else sentence

    def other_names(self, name: str) -> list[str]:
        """Return the aliases of a command."""
        return [alias for alias, target in self.aliases.items() if target == name]


def command(name: str, *, examples: Sequence[Example] = ()) -> Callable[[Callable[..., Any]], Command]:
    """Make a command of a function; its docstring is the description."""
    return click.command(name, cls=Command, examples=examples)


def option(*declarations: str, section: str = DEFAULT_SECTION, **settings: Any) -> Callable[[F], F]:
    """Declare an option, listed under `section`."""
    return click.option(*declarations, cls=SectionOption, section=section, **settings)
