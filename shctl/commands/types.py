"""click parameter types: names, numbers, durations, pairs."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import click

from shctl.commands import completion
from shctl.common import names
from shctl.common.errors import InvalidInput

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


class CheckedName(click.ParamType):
    """A name checked by a rule of shctl.common.names, with shell completion."""

    def __init__(
        self,
        name: str,
        check: Callable[[str], str],
        complete: completion.Completer | None = None,
    ) -> None:
        self.name = name
        self._check = check
        self._complete = complete

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the name; fail with the rule that it breaks."""
        try:
            return self._check(str(value))
        except InvalidInput as error:
            # click names the argument itself.
            self.fail(error.detail.removeprefix("name: "), param, ctx)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Return the existing names with this prefix."""
        found = self._complete(ctx, param, incomplete) if self._complete else []
        return [item(name) for name in found]


def item(value: str, text: str | None = None) -> CompletionItem:
    """Return a completion for the shell."""
    # Imported here, since only completion needs it.
    from click.shell_completion import CompletionItem

    return CompletionItem(value, help=text)


class NamedText(click.ParamType):
    """A pair written NAME=TEXT; in JSON, the pairs are an object."""

    name = "NAME=TEXT"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        """Return the name and the text; fail without a name or an equals sign."""
        name, sign, text = str(value).partition("=")
        if not name or not sign:
            self.fail(f"{name[:40]!r} is not of the form NAME=TEXT", param, ctx)
        return name, text


class NamedContent(NamedText):
    """A pair written NAME=TEXT whose text becomes bytes; JSON may have {"base64": ...} instead.

    REST passes base64 after a NUL, which neither an argument of a process nor JSON text can have.
    """

    def convert(  # type: ignore[override]
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, bytes]:
        """Return the name and the content; fail for a malformed pair or invalid base64."""
        name, text = super().convert(value, param, ctx)
        if not text.startswith("\0"):
            return name, text.encode(errors="surrogateescape")
        from binascii import a2b_base64  # only this command needs it

        try:
            # The base64 command writes lines of 76 characters.
            return name, a2b_base64("".join(text[1:].split()), strict_mode=True)
        except ValueError:
            self.fail(f"{name[:40]} is not valid base64", param, ctx)


class InjectedFile(click.ParamType):
    """A file written FILE, NAME=FILE or NAME=-; shctl.install.answers reads it."""

    name = "[NAME=]FILE"

    def shell_complete(
        self,
        ctx: click.Context,  # noqa: ARG002
        param: click.Parameter,  # noqa: ARG002
        incomplete: str,
    ) -> list[CompletionItem]:
        """Leave completion of file names to the shell."""
        from click.shell_completion import CompletionItem

        return [CompletionItem(incomplete, type="file")]


class AnswerFile(InjectedFile):
    """A file of answers, or - for standard input."""

    name = "FILE"


class Number(click.IntRange):
    """A whole number from `low` to `high`; with a unit of MiB or GiB also a suffix, as in 4G."""

    _sizes: ClassVar[tuple[str, ...]] = ("MiB", "GiB", "TiB")

    def __init__(self, low: int, high: int, unit: str = "") -> None:
        super().__init__(low, high)
        self._allowed = range(low, high + 1)
        self._unit = unit
        larger = self._sizes[self._sizes.index(unit) :] if unit in self._sizes else ()
        self._factors = {"": 1}
        for power, size in enumerate(larger):
            self._factors |= dict.fromkeys((size, size[0]), 1024**power)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number in its unit; fail with the valid range."""
        number = self._read(str(value))
        if number is None or number not in self._allowed:
            unit = f" {self._unit}" if self._unit else ""
            text = f"must be a whole number between {self.min} and {self.max}{unit}"
            self.fail(f"{text}, not {str(value)[:40]!r}", param, ctx)
        return number

    def _read(self, text: str) -> int | None:
        # int() raises ValueError for thousands of digits.
        found = re.fullmatch(r"([0-9]{1,18})([A-Za-z]*)", text)
        factor = self._factors.get(found[2]) if found else None
        return int(found[1]) * factor if found and factor else None

    def _describe_range(self) -> str:
        """Return the range for click's help and error messages."""
        return f"{self.min} to {self.max}"


class Duration(click.ParamType):
    """A duration in seconds, or as 90s, 90m, 2h or 1d; in JSON a number or such a string."""

    name = "duration"
    _units: ClassVar[dict[str, int]] = {"s": 1, "m": 60, "h": 3600, "d": 86400}

    def __init__(self, shortest: float, longest: float) -> None:
        self.shortest = shortest
        self.longest = longest

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the duration in seconds; fail if it is malformed or out of bounds."""
        found = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,3})?)([smhd]?)", str(value))
        if not found:
            self.fail(
                f"{str(value)[:40]!r} is not a duration; use seconds, or 90m, 2h, 1d", param, ctx
            )
        seconds = float(found[1]) * self._units[found[2] or "s"]
        if not self.shortest <= seconds <= self.longest:
            text = f"{value} is not between {self.shortest:g} and {self.longest:g} seconds"
            self.fail(text, param, ctx)
        return seconds


class Index(Number):
    """The index of an interface of the host that the argument before it names."""

    def __init__(self) -> None:
        super().__init__(0, names.MAX_INTERFACES - 1)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Return the indexes of the host's interfaces."""
        return [item(index) for index in completion.interfaces(ctx, param, incomplete)]


NEW_HOST = CheckedName("host", names.check_host)
NEW_NETWORK = CheckedName("network", names.check_network)
# Other programs give names that shctl would not; their objects can be listed and used.
INDEX = Index()
HOST = CheckedName("host", names.check_text, completion.hosts)
NETWORK = CheckedName("network", names.check_text, completion.networks)
DISK = CheckedName("disk", names.check_text, completion.disks)
PATTERN = CheckedName("pattern", partial(names.check_text, field="pattern"), completion.hosts)
POOL = CheckedName("pool", names.check_text, completion.pools)
BRIDGE = CheckedName("bridge", names.check_text, completion.bridges)
HOSTS = click.argument("names", type=HOST, nargs=-1, required=True, metavar="NAME...")
