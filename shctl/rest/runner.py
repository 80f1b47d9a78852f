"""What all listeners share: the commands and how they run, the hypervisor, the numbers."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import click

from shctl.commands.session import Session
from shctl.common.errors import InvalidInput, ShctlError, TimedOut
from shctl.hypervisor.connection import Hypervisor
from shctl.rest import parameters, parsing, responses
from shctl.rest.access_log import Exchange
from shctl.rest.health import Health
from shctl.rest.libvirt_pool import Pool
from shctl.rest.limits import Work
from shctl.rest.metrics import Metrics
from shctl.rest.route import Route

T = TypeVar("T")
_OWN = 8.0  # seconds
Params = dict[str, click.Parameter]


class Core:
    """The commands below a root context, run for anybody who may.

    `root` is the context of the command line that started the server; its settings hold.
    """

    def __init__(self, root: click.Context, uri: str) -> None:
        self.uri = uri
        # For what the server itself looks at.
        self.hypervisor = Hypervisor(uri)
        self.health = Health(self.hypervisor)
        self.metrics = Metrics(self.hypervisor)
        self.exchanges: set[Exchange] = set()
        self._root = root
        self._pool = Pool(uri)
        # Kinds that hold up none of the others. Together, and with those who wait for a place, they
        # are fewer than the threads that take requests, so one is always left; and four of
        # libvirtd's twenty workers may be stuck in one guest.
        self.places = {
            "read": Work(most=64, each=4, own=32, queue=16),
            "change": Work(most=64, each=4, own=48, queue=32),
            # It may have to fetch a tree.
            "create": Work(most=64, each=4, own=48, queue=32),
            # These wait for guests, nearly all of the time in nobody's way.
            "wait": Work(most=96, each=96, own=32, queue=8),
            "stop": Work(most=48, each=16, own=32, queue=8),
        }
        # Python runs one thread at a time: one works while the other's call is on its way. With
        # more of them eight clients together get less than one alone.
        self._busy = threading.Semaphore(2)

    @contextmanager
    def open(self, exchange: Exchange) -> Iterator[None]:
        """Keep a request among those that are under way."""
        self.exchanges.add(exchange)
        try:
            yield
        finally:
            self.exchanges.discard(exchange)

    def find(
        self, path: str, session: Session | None = None
    ) -> tuple[click.Command, click.Context]:
        """Return the command at a path such as "hosts list", and the context to run it below."""
        command = self._root.command
        context = click.Context(
            command, info_name="shctl", obj=session, default_map=self._root.default_map
        )
        for name in path.split():
            if command is not context.command:
                context = click.Context(command, parent=context, info_name=command.name)
            found = command.get_command(context, name) if isinstance(command, click.Group) else None
            if found is None:
                raise ShctlError(f"there is no command {path!r}")
            command = found
        return command, context

    def parameters(self, route: Route) -> Params:
        """Return what a route takes in its body or its query, by the name that it has there."""
        command, parent = self.find(route.command)
        settings = (parent.default_map or {}).get(command.name or "", {})
        outside = {inside: name for name, inside in route.renamed.items()}
        return {
            outside.get(param.name or "", param.name or ""): parameters.as_set(param, settings)
            for param in parameters.remote(command)
            if not (isinstance(param, click.Argument) and "name" in route.placeholders)
        }

    def run(
        self, route: Route, name: str, given: dict[str, Any], argv: list[str], caller: str
    ) -> Any:
        """Run a route's command about a host or network, or none, and return its data.

        `given` are its parameters and `argv` is the command line that stands for them.
        """
        work = self.places[places(route, given)]
        return work.run(
            subject(route, name), caller, route.seconds, lambda: self._invoke(route, argv)
        )

    def run_own(self, what: str, function: Callable[[], T]) -> T:
        """Run something of the server's own under the limits of what only looks."""
        return self.places["read"].run(what, what, _OWN, function)

    def _invoke(self, route: Route, argv: list[str]) -> Any:
        with self._turn(route), self._pool.borrow() as hypervisor:
            session = Session(self.uri, hypervisor)
            command, parent = self.find(route.command, session)
            try:
                with command.make_context(command.name, argv, parent=parent) as context:
                    data = command.invoke(context)
                    return responses.Kept(data) if session.kept else data
            except click.UsageError as error:
                raise _as_invalid(error, route) from error

    @contextmanager
    def _turn(self, route: Route) -> Iterator[None]:
        """Wait for a busy route's turn."""
        if not route.busy:
            yield
            return
        if not self._busy.acquire(timeout=route.seconds):
            raise TimedOut(f"its turn did not come within {route.seconds:g} s; try again")
        try:
            yield
        finally:
            self._busy.release()


def places(route: Route, given: dict[str, Any]) -> str:
    """Return the places that a request takes: pulling the plug waits for no guest."""
    at_once = given.get("force") and not given.get("timeout")
    return "change" if route.places == "stop" and at_once else route.places


def subject(route: Route, name: str) -> str:
    """Return what a request is about, of which only so many are let in; empty for no such limit."""
    if name:
        return f"{route.command.split()[0]}/{name}"
    # Lists are quick; what looks at everything is not.
    return route.command if route.places == "read" and not route.busy else ""


def read(route: Route, known: Params, query: str, content_type: str, body: bytes) -> dict[str, Any]:
    """Return a request's parameters, of the right types; raise InvalidInput."""
    in_query, in_body = parameters.split(route, known)
    if not in_query:
        _check_none(query, "the query", "pass parameters in the body")
    given: dict[str, Any] = {
        field: parameters.from_text(
            field, text, parameters.schema(parameters.known(field, in_query))
        )
        for field, text in parsing.read_query(query).items()
    }
    return given | _read_body(route, in_body, content_type, body)


def _read_body(route: Route, known: Params, content_type: str, body: bytes) -> dict[str, Any]:
    if not route.has_body:
        _check_none(body, "the body", "pass parameters in the query")
        return {}
    if body:
        parsing.check_content_type(content_type)
    given = parsing.read_body(body)
    for field, value in given.items():
        parameters.check(field, value, parameters.schema(parameters.known(field, known)))
    return given


def _check_none(part: str | bytes, what: str, hint: str) -> None:
    if part:
        raise InvalidInput(f"{what} must be empty here; {hint}")


def bound_timeout(route: Route, known: Params, given: dict[str, Any]) -> None:
    """Hold `timeout` to what the route allows; raise InvalidInput when more is asked for."""
    if route.longest is None:
        return
    param = known["timeout"]
    wanted = given.get("timeout", parameters.default(param))
    try:
        too_long = (
            wanted is not None and param.type.convert(str(wanted), param, None) > route.longest
        )
    except click.UsageError as error:
        raise _as_invalid(error, route) from error
    if too_long and "timeout" in given:
        text = f"timeout: at most {route.longest:g} s over HTTP; ask again when it is over"
        raise InvalidInput(text, field="timeout")
    if too_long:
        given["timeout"] = f"{route.longest:g}"


def write_argv(known: Params, given: dict[str, Any], name: str | None) -> list[str]:
    """Return the command line that stands for a request's parameters."""
    options: list[str] = []
    arguments = [] if name is None else [name]
    for field, value in given.items():
        is_argument = isinstance(known[field], click.Argument)
        (arguments if is_argument else options).extend(parameters.words(known[field], value))
    return [*options, "--", *arguments]


def _as_invalid(error: click.UsageError, route: Route) -> InvalidInput:
    param = getattr(error, "param", None)
    if param is None:
        return InvalidInput(error.format_message())
    outside = {inside: name for name, inside in route.renamed.items()}
    field = outside.get(param.name, param.name)
    if field not in route.renamed and isinstance(param, click.Argument) and route.placeholders:
        field = "name"
    message = "required" if isinstance(error, click.MissingParameter) else error.message
    return InvalidInput(f"{field}: {message}", field=field)
