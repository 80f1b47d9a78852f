"""click's classes with the features that all shctl commands share."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

import click

from shctl.commands.option_kinds import LocalOption, QueryOption
from shctl.commands.session import Session
from shctl.commands.types import item
from shctl.common.errors import InvalidInput, ShctlError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

OUTPUTS = ("table", "json", "name")


def set_output(ctx: click.Context, _param: click.Parameter, value: str | None) -> None:
    """Store the output format in the session, wherever -o was given."""
    session = ctx.find_object(Session)
    if value and session:
        session.output = value


def _is_json(ctx: click.Context) -> bool:
    session = ctx.find_object(Session)
    return session is not None and session.output == "json"


_output = LocalOption(
    ["-o", "--output"],
    type=click.Choice(OUTPUTS),
    hidden=True,
    is_eager=True,  # errors of other options use this format too
    expose_value=False,
    callback=set_output,
)


class Command(click.Command):
    """A command whose help ends with examples, and that accepts the global -o too."""

    def __init__(self, *args: Any, examples: Iterable[str] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.examples = tuple(examples)
        self._help: click.Option | None = None

    def get_help_option(self, ctx: click.Context) -> click.Option | None:
        """Return the --help option, which is created once."""
        # click searches 16 directories for translations each time it creates one.
        self._help = self._help or super().get_help_option(ctx)
        return self._help

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Return the parameters and the global -o, which users also type after the command."""
        return [*super().get_params(ctx), _output]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments; raise InvalidInput for bytes that are not valid text."""
        if ctx.default_map and "[defaults]" in ctx.default_map:
            from shctl.commands import option_defaults

            option_defaults.apply(ctx)
        original = list(args)  # the parser consumes args
        try:
            rest = super().parse_args(ctx, args)
        except click.MissingParameter as error:
            raise MissingParameters.all_of(self, ctx, original, error) from None
        _check_text(original)
        return rest

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; on the command line, errors name the option, not the JSON field."""
        session = ctx.find_object(Session)
        try:
            return super().invoke(ctx)
        except ShctlError as error:
            if session and session.local:
                error.args = (_as_typed(error.detail, ctx),)
            raise

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples after the options."""
        super().format_epilog(ctx, formatter)
        if self.examples:
            with formatter.section("Examples"):
                formatter.write("".join(f"  {example}\n" for example in self.examples))


class MissingParameters(click.MissingParameter):
    """All arguments and options that are missing, not only the first; in `missing`."""

    def __init__(self, ctx: click.Context, missing: list[click.Parameter]) -> None:
        super().__init__(ctx=ctx, param=missing[0])
        self.missing = missing
        self._hints = [(param, param.get_error_hint(ctx)) for param in missing]

    @classmethod
    def all_of(
        cls,
        command: click.Command,
        ctx: click.Context,
        args: list[str],
        error: click.MissingParameter,
    ) -> click.MissingParameter:
        """Return the error for a command line; `error` is the one for the first of them."""
        given, _, _ = command.make_parser(ctx).parse_args(list(args))
        missing = [
            param
            for param in command.get_params(ctx)
            if param.required and param.value_is_missing(param.consume_value(ctx, given)[0])
        ]
        return cls(ctx, missing) if len(missing) > 1 else error

    def format_message(self) -> str:
        """Return the message, such as Missing options '--memory', '--disk'."""
        parts = []
        for kind, word in ((click.Argument, "argument"), (click.Option, "option")):
            names = [hint for param, hint in self._hints if isinstance(param, kind)]
            if names:
                parts.append(f"{word}{'s' * (len(names) > 1)} {', '.join(names)}")
        return f"Missing {' and '.join(parts)}"


def _check_text(arguments: Iterable[str]) -> None:
    """Raise InvalidInput for bytes that are not valid in the locale's encoding."""
    for argument in arguments:
        # Python decodes an invalid byte as a lone surrogate (surrogateescape, PEP 383).
        if any("\udc80" <= character <= "\udcff" for character in argument):
            encoding = sys.getfilesystemencoding()
            raise InvalidInput(f"argument {os.fsencode(argument)!r} is not valid {encoding}")


def _as_typed(text: str, ctx: click.Context) -> str:
    """Return an error's text with its leading JSON field replaced by the option."""
    field, _, rest = text.partition(": ")
    for param in ctx.command.params:
        option = _option(param, ctx.params)
        if option and field in (param.name, option.lstrip("-").replace("-", "_")):
            return f"{option}: {rest}"
    return text


def _option(param: click.Parameter, values: Mapping[str, Any]) -> str | None:
    """Return the name of a visible option as the user typed it: --no-start, not --start."""
    if not isinstance(param, click.Option) or param.hidden:
        return None
    is_off = values.get(param.name or "") is False
    return max((is_off and param.secondary_opts) or param.opts, key=len)


class LocalCommand(Command):
    """A command that makes sense only on the command line, so REST does not have it."""


class Group(click.Group):
    """A group of commands, which suggests a command for a mistyped one."""

    command_class = Command

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Return the parameters; groups below the root accept the global -o too."""
        return [*super().get_params(ctx), *([_output] if ctx.parent else [])]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments; without any, print the help on stderr and exit with 2."""
        # Versions of click differ: help on stdout and exit code 0, or help as an error message.
        if not args and not ctx.resilient_parsing:
            if _is_json(ctx):
                ctx.fail("Missing command.")
            click.echo(ctx.get_help(), err=True, color=ctx.color)
            ctx.exit(InvalidInput.exit_code)
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that the arguments name; an error says what to type instead."""
        _check_text(args[:1])
        known = self.list_commands(ctx)
        if args[0] in known:
            return super().resolve_command(ctx, args)
        from shctl.commands import synonyms

        if meant := synonyms.resolve(args[0], known):
            return super().resolve_command(ctx, [meant, *args[1:]])
        try:
            return super().resolve_command(ctx, args)
        except click.NoSuchOption:
            raise
        except click.UsageError:
            # Not click's own hint, which may point from any word to any command.
            hint = self.hint(ctx, args[0])
            ctx.fail(f"No such command {args[0]!r}{hint and '; '}{hint}")

    def hint(self, ctx: click.Context, word: str) -> str:
        """Return what to type instead of an unknown command; "" if that is unclear."""
        from shctl.commands import synonyms

        return synonyms.hint(self.name or "", word, self.list_commands(ctx))

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the full first line of each command's help, which click would shorten."""
        commands = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl([(n, c.get_short_help_str(limit=200)) for n, c in commands if c])


class LazyGroup(Group):
    """A group that imports a command only when it runs.

    `members` maps a name to "module:attribute" and the short help, so --help imports no command.
    """

    def __init__(self, *args: Any, members: Mapping[str, tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.members = members

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Return the names of the members in their declared order."""
        return list(self.members)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import and return a member; None if there is none of that name."""
        if cmd_name not in self.members:
            return None
        module, attribute = self.members[cmd_name][0].split(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def hint(self, ctx: click.Context, word: str) -> str:
        """Return what to type instead of an unknown command; a verb lacks its group."""
        from shctl.commands import synonyms

        paths = []
        for name in self.members:
            group = self.get_command(ctx, name)
            known = group.list_commands(ctx) if isinstance(group, Group) else []
            if verb := word if word in known else synonyms.resolve(word, known):
                paths.append(repr(f"{name} {verb}"))
        if not paths:
            return super().hint(ctx, word)
        return f"did you mean {' or '.join(filter(None, (', '.join(paths[:-1]), paths[-1])))}?"

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the short help of the members."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in self.members.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return the matching members and options, without importing a command."""
        matching = [name for name in self.members if name.startswith(incomplete)]
        items = [item(name, self.members[name][1]) for name in matching]
        return items + click.Command.shell_complete(self, ctx, incomplete)


DRY_RUN = click.option(
    "--dry-run", cls=QueryOption, is_flag=True, help="Print what would be done, and change nothing."
)
