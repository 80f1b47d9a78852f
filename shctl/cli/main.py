"""The command line: global options, the groups, printing, and exit codes."""

import gc
import os
import signal
import sys
from collections.abc import Iterator
from typing import Any, NoReturn

import click

from shctl import __version__
from shctl.cli import streams
from shctl.commands.base import OUTPUTS, LazyGroup, set_output
from shctl.commands.session import DEFAULT_URI, Session
from shctl.common import signals
from shctl.common.errors import Interrupted, Several, ShctlError
from shctl.common.text import clean, clean_lines

GARBAGE = 50_000  # objects that may come up before the first look for garbage
MEMBERS = {
    "hosts": ("shctl.commands.hosts:hosts", "Create, start, stop, watch and delete hosts."),
    "networks": ("shctl.commands.networks:networks", "Create, show and remove VLAN networks."),
    "doctor": (
        "shctl.commands.doctor:doctor",
        "Find what interruptions and other tools left behind.",
    ),
    "trees": ("shctl.commands.trees:trees", "Look into installation trees."),
    "tokens": (
        "shctl.commands.tokens:tokens",
        "Create, list and delete access tokens for the REST server.",
    ),
    "serve": ("shctl.commands.serve:serve", "Run the REST server."),
    "config": ("shctl.commands.config:config", "Show the settings in force."),
}


class Root(LazyGroup):
    """The root group, which turns every failure into one line and an exit code."""

    def main(self, *args: Any, **extra: Any) -> NoReturn:
        """Run the command line and exit."""
        session = Session()
        extra["standalone_mode"] = False
        try:
            data = super().main(*args, obj=session, **extra)
            _print(session, data)
        except (Exception, KeyboardInterrupt) as error:
            sys.exit(_report(_taken_back(error, session), session))
        finally:
            session.close()
        # Help and version end with a number of their own.
        sys.exit(data if isinstance(data, int) else 0)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; an interrupt goes past click, which would print an empty line."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            raise click.Abort from error


def _taken_back(error: BaseException, session: Session) -> BaseException:
    """Take back what makes no sense unless its result is printed; return the error that says so."""
    if session.take_back is None:
        return error
    why = "nobody reads it" if isinstance(error, BrokenPipeError) else str(error) or "interrupted"
    return ShctlError(f"{session.take_back()}: {why}")


def _report(error: BaseException, session: Session) -> int:
    """Print an error on stderr, one line for each failure, and return the exit code."""
    if isinstance(error, BrokenPipeError):
        return 128 + signal.SIGPIPE
    if isinstance(error, (click.Abort, KeyboardInterrupt)):
        return _report_interrupt(session)
    if isinstance(error, Several) and error.done:
        _print(session, error.done)
    if session.debug:
        import traceback

        click.echo(clean_lines("".join(traceback.format_exception(error))), nl=False, err=True)
    failures = error.failures if isinstance(error, Several) else [_as_failure(error)]
    for failure in failures:
        click.echo(_line(failure, session.output), err=True)
    return failures[0].exit_code


def _report_interrupt(session: Session) -> int:
    # The terminal shows ^C where the cursor was, in the middle of a line.
    if session.output != "json" and sys.stderr.isatty():
        click.echo(err=True)
    click.echo(_line(Interrupted("interrupted"), session.output), err=True)
    return Interrupted.exit_code


def _as_failure(error: BaseException) -> ShctlError:
    from shctl.common.errors import InvalidInput

    if isinstance(error, ShctlError):
        return error
    if isinstance(error, click.BadParameter):
        from shctl.commands.settings import origin

        if where := origin(error):
            return InvalidInput(f"{where}: {error.message.rstrip('.')}")
    if isinstance(error, click.NoSuchOption) and (rightly := _in_its_place(error)):
        return InvalidInput(f"{error.message.rstrip('.')}; it goes before the group: '{rightly}'")
    if isinstance(error, click.UsageError):
        hint = f"; see '{error.ctx.command_path} --help'" if error.ctx else ""
        return InvalidInput(error.format_message().replace("\n", " ").rstrip(".") + hint)
    if isinstance(error, click.ClickException):
        return ShctlError(error.format_message())
    return ShctlError(f"unexpected {type(error).__name__}: {error}; --debug shows where")


def _in_its_place(error: click.NoSuchOption) -> str | None:
    """Return the command line with a global option where it belongs, None for any other option."""
    option = next((param for param in root.params if error.option_name in param.opts), None)
    if option is None or error.ctx is None:
        return None
    program, _, words = error.ctx.command_path.partition(" ")
    value = f" {option.metavar}" if option.metavar else ""
    return f"{program} {error.option_name}{value} {words}"


def _line(failure: ShctlError, output: str) -> str:
    if output != "json":
        return f"shctl: {failure.detail}"
    from shctl.common.output import to_json

    return to_json(failure.problem(), indent=None)


def _render(data: Any, session: Session) -> str:
    from shctl.common.output import render

    return render(data, session.output)


def _ask(question: str) -> bool:
    return click.confirm(clean(question), err=True)


@click.group(
    cls=Root,
    members=MEMBERS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option(
    "-c", "--connect", metavar="URI", envvar="SHCTL_CONNECT", default=DEFAULT_URI,
    show_default=True, callback=lambda _ctx, _param, value: _checked(value),
    help="The libvirt to work on.",
)  # fmt: skip
@click.option(
    "-o", "--output", type=click.Choice(OUTPUTS), envvar="SHCTL_OUTPUT", default="table",
    show_default=True, expose_value=False, callback=set_output,
    help="How to print what comes back.",
)  # fmt: skip
@click.option(
    "--config", metavar="FILE", envvar="SHCTL_CONFIG", is_eager=True,
    type=click.Path(readable=False),  # for the shells; reading it says more of what is wrong
    callback=lambda ctx, _param, value: _configure(ctx, value),
    help="Read settings from here instead of /etc/shctl/shctl.toml.",
)  # fmt: skip
@click.option("--debug", is_flag=True, envvar="SHCTL_DEBUG", help="Show where an error came from.")
@click.version_option(__version__, prog_name="shctl")
@click.pass_obj
def root(session: Session, connect: str, config: ShctlError | None, debug: bool) -> None:
    """Turn one staging hypervisor into a rack of throw-away machines.

    Hosts are libvirt domains; networks are VLANs on Open vSwitch bridges.
    """
    signals.install()
    session.uri, session.debug = connect, debug
    if config:
        raise config
    session.local = True
    if sys.stderr.isatty() and not streams.is_dumb():
        session.progress = _Progress()
    if sys.stdin.isatty() and sys.stderr.isatty():  # a question has to be seen too
        session.ask = _ask


def _checked(uri: str) -> str:
    """Return the URI; libvirt would not get past bytes that are no text, nor a NUL."""
    if not uri.isprintable():
        raise click.BadParameter(f"{uri[:40]!r} cannot be a URI")
    return uri


def _configure(ctx: click.Context, path: str | None) -> ShctlError | None:
    """Read the file; a mistake in it waits until it is known how to print errors."""
    from shctl.commands.settings import DEFAULT_PATH, META, load

    ctx.meta[META] = path or DEFAULT_PATH
    try:
        ctx.default_map = load(path)
    except ShctlError as error:
        return error
    return None


def _print(session: Session, data: Any) -> None:
    """Print what the command returned; nothing else prints on stdout."""
    if data is None or isinstance(data, int):  # a number is an exit code
        return
    if isinstance(data, bytes):
        streams.write_bytes(data)
        return
    if isinstance(data, Iterator) and session.output != "json":
        for piece in data:
            streams.write(piece)
        return
    text = _render(data, session)
    if text:
        click.echo(text, color=None if streams.may_colour() else False)


class _Progress:
    """One line on a terminal's stderr for each thing that is fetched."""

    def __init__(self) -> None:
        self._shown = ""

    def __call__(self, what: str, done: int, size: int | None) -> None:
        """Show how far the fetching of `what` has come, in MB where its size is not known."""
        text = f"{what}: {done // 10**6} MB" if not size else f"{what}: {100 * done // size} %"
        if text != self._shown:
            self._shown = text
            click.echo(f"\r\033[K{clean(text)}", nl=bool(size) and done == size, err=True)


def main() -> NoReturn:
    """Run shctl."""
    # Start-up makes 20,000 objects that all stay; to look through them for garbage takes 5 ms.
    gc.set_threshold(GARBAGE)
    streams.prepare()
    try:
        root.main(prog_name="shctl")
    except SystemExit as end:
        code = end.code
    # All is written and closed. Python's own way out would take those objects apart, in 4 ms more,
    # and complain of an output that has gone.
    os._exit(code if isinstance(code, int) else 1)
