"""The command line: global options, command groups, output, and exit codes."""

import gc
import os
import signal
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any, NoReturn

import click

from shctl import __version__
from shctl.cli import streams
from shctl.commands.base import OUTPUTS, LazyGroup, set_output
from shctl.commands.session import DEFAULT_URI, Live, Observe, Session
from shctl.common import paths, signals
from shctl.common.errors import Interrupted, Several, ShctlError
from shctl.common.text import clean_lines

GC_THRESHOLD = 50_000  # new objects before the first garbage collection
COMPLETION = "_SHCTL_COMPLETE"  # click's variable for shells
MEMBERS = {
    "hosts": ("shctl.commands.hosts:hosts", "Create, start, stop, watch and delete hosts."),
    "networks": ("shctl.commands.networks:networks", "Create, show and remove VLAN networks."),
    "status": (
        "shctl.commands.status:status",
        "Show the hypervisor's memory, processors, pools, hosts, VLANs and versions.",
    ),
    "events": (
        "shctl.commands.events:events",
        "Print what happens to hosts and networks, by any program.",
    ),
    "doctor": (
        "shctl.commands.doctor:doctor",
        "Find problems that interrupted commands and other tools left behind.",
    ),
    "trees": ("shctl.commands.trees:trees", "Examine installation trees."),
    "tokens": (
        "shctl.commands.tokens:tokens",
        "Create, list and delete access tokens for the REST server.",
    ),
    "serve": ("shctl.commands.serve:serve", "Run the REST server."),
    "config": ("shctl.commands.config:config", "Show the current settings."),
    "completion": (
        "shctl.commands.completion_script:completion",
        "Print the script with which a shell completes commands, options and names.",
    ),
}


class Root(LazyGroup):
    """The root group; it turns every error into one line on stderr and an exit code."""

    def main(self, *args: Any, **extra: Any) -> NoReturn:
        """Run the command line and exit."""
        session = Session()
        extra["standalone_mode"] = False
        if COMPLETION in os.environ:
            from shctl.cli import shell_protocol

            shell_protocol.install()
        try:
            data = super().main(*args, obj=session, **extra)
            _print(session, data)
        except (Exception, KeyboardInterrupt) as error:
            sys.exit(_report(_undo_unprinted(error, session), session))
        finally:
            session.close()
        # --help and --version return their own exit code.
        sys.exit(data if isinstance(data, int) else 0)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; turn Ctrl-C into Abort, since click would print an empty line."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            raise click.Abort from error
        except SystemError as error:
            # During a call, libvirt's binding runs Python code, and with it the signal's handler.
            if isinstance(error.__cause__, KeyboardInterrupt):
                raise click.Abort from error
            raise


def _undo_unprinted(error: BaseException, session: Session) -> BaseException:
    """Undo a command whose result had to be printed; return the error that says so."""
    if session.undo_unprinted is None:
        return error
    is_pipe = isinstance(error, BrokenPipeError)
    why = "standard output is closed" if is_pipe else str(error) or "interrupted"
    return ShctlError(f"{session.undo_unprinted()}: {why}")


def _report(error: BaseException, session: Session) -> int:
    """Print an error on stderr, one line per failure, and return the exit code."""
    from shctl.cli.errors import as_failure, line

    if isinstance(error, BrokenPipeError):
        return 128 + signal.SIGPIPE  # as a shell reports a command killed by SIGPIPE
    if isinstance(error, (click.Abort, KeyboardInterrupt)):
        return _report_interrupt(session)
    if isinstance(error, Several) and error.done:
        _print(session, error.done)
    if session.debug:
        import traceback

        click.echo(clean_lines("".join(traceback.format_exception(error))), nl=False, err=True)
    failures = error.failures if isinstance(error, Several) else [as_failure(error)]
    for failure in failures:
        click.echo(line(failure, session.output), err=True)
    return failures[0].exit_code


def _report_interrupt(session: Session) -> int:
    from shctl.cli.errors import line

    # The terminal has echoed ^C at the cursor, perhaps in the middle of a line.
    if session.output != "json" and sys.stderr.isatty():
        click.echo(err=True)
    click.echo(line(Interrupted(session.interrupted), session.output), err=True)
    return Interrupted.exit_code


def _render(data: Any, session: Session) -> str:
    from shctl.common.output import render

    return render(data, session.output, streams.width())


@click.group(
    cls=Root,
    members=MEMBERS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option(
    "-c", "--connect", metavar="URI", envvar="SHCTL_CONNECT", default=DEFAULT_URI,
    show_default=True, callback=lambda _ctx, _param, value: _check_uri(value),
    help="URI of the libvirt connection.",
)  # fmt: skip
@click.option(
    "-o", "--output", type=click.Choice(OUTPUTS), envvar="SHCTL_OUTPUT", default="table",
    show_default=True, expose_value=False, callback=set_output,
    help="Output format.",
)  # fmt: skip
@click.option(
    "--config", metavar="FILE", envvar="SHCTL_CONFIG", is_eager=True,
    type=click.Path(readable=False),  # for completion; load() reports errors in more detail
    callback=lambda ctx, _param, value: _configure(ctx, value),
    help="Settings file to read instead of /etc/shctl/shctl.toml.",
)  # fmt: skip
@click.option("--verbose", is_flag=True, envvar="SHCTL_VERBOSE", help="Show each step on stderr.")
@click.option(
    "--debug", is_flag=True, envvar="SHCTL_DEBUG",
    help="Show steps, external calls and tracebacks on stderr.",
)  # fmt: skip
@click.version_option(__version__, prog_name="shctl")
@click.pass_obj
def root(
    session: Session, connect: str, config: ShctlError | None, verbose: bool, debug: bool
) -> None:
    """Turn one staging hypervisor into a rack of disposable machines.

    Hosts are libvirt domains. Networks are VLANs on Open vSwitch bridges.
    """
    signals.install()
    session.uri, session.debug = connect, debug
    if verbose or debug:
        from shctl.cli import verbosity

        verbosity.start(debug=debug)
    if config:
        raise config
    session.local = True
    session.note = lambda text: _note(text, session)
    # Log lines would be written into what is shown in place.
    session.live = partial(_live, in_place=not (verbose or debug))
    if sys.stderr.isatty() and sys.stdin.isatty():
        from shctl.cli import terminal

        session.ask = terminal.ask


def _note(text: str, session: Session) -> None:
    """Print a remark for people on stderr."""
    if session.output == "table":
        click.echo(text, err=True)


def _live(observe: Observe, limit: float | None, goal: str, lines: bool, *, in_place: bool) -> Live:
    """Show hosts on stderr while the block runs."""
    from shctl.cli import live

    return live.shown(observe, limit, goal, in_place=in_place, lines=lines)


def _check_uri(uri: str) -> str:
    """Return the URI; raise BadParameter for invalid text or a NUL, which libvirt cannot take."""
    if not uri.isprintable():
        raise click.BadParameter(f"{uri[:40]!r} is not a valid URI: it has unprintable characters")
    return uri


def _configure(ctx: click.Context, path: str | None) -> ShctlError | None:
    """Load the settings file; return its error, since the output format is not known yet."""
    from shctl.commands.settings import META, load

    ctx.meta[META] = path or paths.config_file()
    try:
        ctx.default_map = load(path)
    except ShctlError as error:
        return error
    return None


def _print(session: Session, data: Any) -> None:
    """Print the result of the command; nothing else prints on stdout."""
    if data is None or isinstance(data, int):  # an int is an exit code
        return
    if isinstance(data, bytes):
        streams.write_bytes(data)
        return
    if hasattr(data, "wake"):
        from shctl.cli import watch

        watch.show(data, session)
        return
    if hasattr(data, "take"):
        _print_stream(data, session)
        return
    if isinstance(data, Iterator) and session.output != "json":
        for piece in data:
            streams.write(piece)
        return
    text = _render(data, session)
    if text:
        click.echo(text, color=None if streams.use_colour() else False)


def _print_stream(items: Iterable[Any], session: Session) -> None:
    """Print what comes until Ctrl-C, which is its usual end."""
    from shctl.common.output import line

    with suppress(KeyboardInterrupt):
        for item in items:
            is_text = isinstance(item, str | bytes)
            streams.write(item if is_text else f"{line(item, session.output)}\n")


def main() -> NoReturn:
    """Run shctl."""
    # The 20,000 objects made at startup all stay; a garbage collection of them takes 5 ms.
    gc.set_threshold(GC_THRESHOLD)
    streams.prepare()
    try:
        root.main(prog_name="shctl")
    except SystemExit as end:
        code = end.code
    # All output is flushed and closed. A normal exit would take 4 ms to free those objects, and
    # would report a closed stdout once more.
    os._exit(code if isinstance(code, int) else 1)
