"""Click, taught the dialect of the command line: flags with one dash, and switches that take `=false`.

The words are sorted out by `arguments`, so that click is left with help, completion and commands.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click
from click.shell_completion import CompletionItem

from ctemplate.cli.arguments import spelled_out, unknown_command
from ctemplate.errors import ConfigError


class Flag(click.Option):
    """One flag, known with one dash and with two, shown with one. Without a metavar it is a switch."""

    def __init__(
        self, name: str, *, text: str, metavar: str = "", aliases: Sequence[str] = (), **attributes: Any
    ) -> None:
        self.names = (name, *aliases)
        self.takes_value = bool(metavar)
        spellings = [dashes + spelling for spelling in self.names for dashes in ("-", "--")]
        super().__init__(
            spellings, help=text, metavar=metavar or None, is_flag=not metavar, default=None, **attributes
        )  # fmt: skip

    def add_to_parser(self, parser: Any, ctx: click.Context) -> None:  # the parser's class is private to click
        """Let a switch take the `=true` or `=false` that `spelled_out` gave it."""
        if self.takes_value:
            super().add_to_parser(parser, ctx)
        else:
            parser.add_option(obj=self, opts=self.opts, dest=self.name, action="store", nargs=1)

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """The two columns of help, with the one spelling that people use."""
        return f"-{self.names[0]} {self.metavar or ''}".rstrip(), f"{self.help}."


class DialectCommand(click.Command):
    """A command whose flags are spelled as `arguments` says."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Spell the flags out before click reads them."""
        flags = {name: flag.takes_value for flag in self.params if isinstance(flag, Flag) for name in flag.names}
        words = spelled_out(args, flags, lenient=ctx.resilient_parsing)
        takes_words = isinstance(self, click.Group) or any(isinstance(param, click.Argument) for param in self.params)
        if words and not takes_words and not words[0].startswith("-"):
            raise ConfigError(f"{self.name} takes no word {words[0]}: {ctx.command_path} -help lists its flags")
        return super().parse_args(ctx, words)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Offer each flag once: with one dash, or with two where two were typed."""
        twice = incomplete.startswith("--")
        offered = super().shell_complete(ctx, incomplete)
        return [item for item in offered if not item.value.startswith("-") or item.value.startswith("--") == twice]


class DialectGroup(DialectCommand, click.Group):
    """The command that the others stand below."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or tell which one was probably meant."""
        if args[0] not in self.commands and not ctx.resilient_parsing:
            raise ConfigError(unknown_command(args[0], self.commands))
        return super().resolve_command(ctx, args)
