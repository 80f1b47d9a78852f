"""Turn exceptions into the one-line errors of the command line."""

import click

from shctl.common.errors import InvalidInput, ShctlError


def as_failure(error: BaseException) -> ShctlError:
    """Return the error to report for an exception, with its message and exit code."""
    if isinstance(error, ShctlError):
        return error
    if isinstance(error, click.BadParameter):
        from shctl.commands.settings import origin

        if where := origin(error):
            return InvalidInput(f"{where}: {error.message.rstrip('.')}")
    if isinstance(error, click.NoSuchOption) and (line := _corrected_line(error)):
        return InvalidInput(f"{error.message.rstrip('.')}; it goes before the group: '{line}'")
    if isinstance(error, click.UsageError):
        # click puts its suggestion after a space, or choices on a line of their own.
        text = error.format_message().replace("\n", " ").replace(" Did you mean", "; did you mean")
        hint = f"; see '{error.ctx.command_path} --help'" if error.ctx else ""
        return InvalidInput(text if text.endswith("?") else text.rstrip(".") + hint)
    if isinstance(error, click.ClickException):
        return ShctlError(error.format_message())
    return ShctlError(
        f"unexpected {type(error).__name__}: {error}; run again with --debug for details"
    )


def _corrected_line(error: click.NoSuchOption) -> str | None:
    """Return the command line with a global option before the group; None for other options."""
    if error.ctx is None:
        return None
    params = error.ctx.find_root().command.params
    option = next((param for param in params if error.option_name in param.opts), None)
    if option is None:
        return None
    program, _, words = error.ctx.command_path.partition(" ")
    value = f" {option.metavar}" if option.metavar else ""
    return f"{program} {error.option_name}{value} {words}"


def line(failure: ShctlError, output: str) -> str:
    """Return an error as a line of text, or of JSON with -o json."""
    if output != "json":
        return f"shctl: {failure.detail}"
    from shctl.common.output import to_json

    return to_json(failure.problem(), indent=None)
