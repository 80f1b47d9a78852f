"""Building blocks of commands: click's classes with what every shctl command has."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Mapping
from functools import partial, wraps
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar

import click

from shctl.commands.session import Session
from shctl.commands.types import item
from shctl.common.errors import InvalidInput, Several, ShctlError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

OUTPUTS = ("table", "json", "name")

T = TypeVar("T")


class QueryOption(click.Option):
    """An option that REST has in the query, also where the other parameters are in a JSON body."""


class LocalOption(click.Option):
    """An option that makes sense at a terminal only, so that REST does not have it."""


def set_output(ctx: click.Context, _param: click.Parameter, value: str | None) -> None:
    """Keep how to print, from wherever it was given."""
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
    is_eager=True,  # an error of another option is printed like this too
    expose_value=False,
    callback=set_output,
)


class Command(click.Command):
    """A command whose help ends with examples; `-o` is understood behind the verb as well."""

    def __init__(self, *args: Any, examples: Iterable[str] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.examples = tuple(examples)
        self._help: click.Option | None = None

    def get_help_option(self, ctx: click.Context) -> click.Option | None:
        """Return --help, always the same; to make it click looks for translations in 16 places."""
        self._help = self._help or super().get_help_option(ctx)
        return self._help

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Return the parameters, with the global -o that people also type here."""
        return [*super().get_params(ctx), _output]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments; raise InvalidInput for bytes that are no text."""
        given = list(args)
        rest = super().parse_args(ctx, args)
        _check_text(given)
        return rest

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; errors for a person name options as they are typed."""
        session = ctx.find_object(Session)
        try:
            return super().invoke(ctx)
        except ShctlError as error:
            if session and session.local:
                error.args = (_as_typed(error.detail, ctx),)
            raise

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples below the options."""
        super().format_epilog(ctx, formatter)
        if self.examples:
            with formatter.section("Examples"):
                formatter.write("".join(f"  {example}\n" for example in self.examples))


def _check_text(arguments: Iterable[str]) -> None:
    """Raise InvalidInput for bytes that are no text in the locale's encoding."""
    for argument in arguments:
        # Python keeps each byte that it cannot decode as half of a surrogate pair.
        if any("\udc80" <= character <= "\udcff" for character in argument):
            coding = sys.getfilesystemencoding()
            raise InvalidInput(f"the argument {os.fsencode(argument)!r} is not text in {coding}")


def _as_typed(text: str, ctx: click.Context) -> str:
    """Return an error's text with the option in front where its field in JSON was."""
    field, _, rest = text.partition(": ")
    for param in ctx.command.params:
        option = _option(param, ctx.params)
        if option and field in (param.name, option.lstrip("-").replace("-", "_")):
            return f"{option}: {rest}"
    return text


def _option(param: click.Parameter, given: Mapping[str, Any]) -> str | None:
    """Return a visible option as it was given, so --no-start rather than --start."""
    if not isinstance(param, click.Option) or param.hidden:
        return None
    is_off = given.get(param.name or "") is False
    return max((is_off and param.secondary_opts) or param.opts, key=len)


class LocalCommand(Command):
    """A command that makes sense at a terminal only, so that REST does not have it."""


class Group(click.Group):
    """A group of commands, which knows what a mistyped one may have been."""

    command_class = Command

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Return the parameters, below the root with the global -o."""
        return [*super().get_params(ctx), *([_output] if ctx.parent else [])]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments; without any, print the help on stderr and end with 2."""
        # click's versions differ here: stdout and 0, or the whole help as an error's message.
        if not args and not ctx.resilient_parsing:
            if _is_json(ctx):
                ctx.fail("Missing command.")
            click.echo(ctx.get_help(), err=True, color=ctx.color)
            ctx.exit(InvalidInput.exit_code)
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that the arguments name; fail with the nearest that exists."""
        _check_text(args[:1])
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            from difflib import get_close_matches

            near = get_close_matches(args[0], self.list_commands(ctx), 1)
            if near and "Did you mean" not in error.message:
                error.message = f"{error.message.rstrip('.')}; did you mean {near[0]!r}?"
            raise

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the first line of each command's help, which click by itself cuts short."""
        commands = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl([(n, c.get_short_help_str(limit=200)) for n, c in commands if c])


class LazyGroup(Group):
    """A group whose members are imported when they are used.

    `members` maps a name to "module:attribute" and the short help, so that --help imports none.
    """

    def __init__(self, *args: Any, members: Mapping[str, tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.members = members

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Return the members' names in the table's order."""
        return list(self.members)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import and return a member, or None."""
        if cmd_name not in self.members:
            return None
        module, attribute = self.members[cmd_name][0].split(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the members' short help from the table."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in self.members.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return the members that begin like this, and options; nothing is imported for that."""
        fit = [name for name in self.members if name.startswith(incomplete)]
        items = [item(name, self.members[name][1]) for name in fit]
        return items + click.Command.shell_complete(self, ctx, incomplete)


DRY_RUN = click.option(
    "--dry-run", cls=QueryOption, is_flag=True, help="Print what would be done, and change nothing."
)

Ask = Callable[..., str]


def confirmed(
    ask: Ask, *, refuses: bool = True
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add --yes, without which a person is asked and a program is refused.

    `ask` takes what the command takes. It raises what would refuse the deletion, and returns the
    question with the facts, or nothing where nothing is to go. REST has no --yes: DELETE says it.
    Without `refuses` a program goes on: nothing that it could lose is deleted.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def run(*args: Any, yes: bool, **given: Any) -> Any:
            session = click.get_current_context().find_object(Session)
            if session and session.local and not yes:
                _confirm(session, partial(ask, *args, **given), refuses=refuses)
            return function(*args, **given)

        needed = "; needed where nobody can be asked" if refuses else ""
        text = f"Do not ask{needed}."
        return click.option("-y", "--yes", cls=LocalOption, is_flag=True, help=text)(run)

    return decorate


def _confirm(session: Session, ask: Callable[[], str], *, refuses: bool) -> None:
    if session.ask is None:
        if not refuses:
            return
        raise InvalidInput("refusing to delete without --yes: there is no terminal to ask at")
    question = ask()
    if question and not session.ask(question):
        raise click.ClickException("nothing was deleted")


def for_each(wanted: Iterable[str], act: Callable[[str], T], *, at_once: bool = False) -> list[T]:
    """Run a command's work on each name, whatever becomes of the others.

    `at_once` is for work that mostly waits. Raises the failure where there is one name, Several
    where there are more.
    """
    unique = list(dict.fromkeys(wanted))
    results: dict[str, T | Exception] = dict.fromkeys(unique, ShctlError("not done"))

    def run(name: str) -> None:
        try:
            results[name] = act(name)
        except Exception as error:
            results[name] = error

    _run_all([partial(run, name) for name in unique], at_once=at_once and len(unique) > 1)
    failures = [result for result in results.values() if isinstance(result, Exception)]
    for failure in failures:
        if len(unique) == 1 or not isinstance(failure, ShctlError):
            raise failure
    done = [result for result in results.values() if not isinstance(result, Exception)]
    if failures:
        raise Several([f for f in failures if isinstance(f, ShctlError)], list(done))
    return done


def count(number: int, what: str) -> str:
    """Return a number with its noun: 1 host, 2 hosts."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def check_each(wanted: Iterable[str], check: Callable[[str], T | None]) -> list[T]:
    """Return what a check of each name comes to; one that fails lets nothing be done to any."""
    try:
        return [found for found in for_each(wanted, check) if found is not None]
    except Several as error:
        raise Several(error.failures, []) from error


def _run_all(functions: list[Callable[[], None]], *, at_once: bool) -> None:
    if not at_once:
        for function in functions:
            function()
        return
    import threading

    # Daemons, so that Ctrl-C need not wait for them.
    threads = [threading.Thread(target=function, daemon=True) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
