"""Run the command of a route: read its parameters, build its argv, keep to the limits."""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import click

from shctl.commands.base import MissingParameters
from shctl.commands.session import Session
from shctl.common.errors import InvalidInput, ShctlError, TimedOut
from shctl.hypervisor.connection import Hypervisor
from shctl.hypervisor.feed import Feed
from shctl.rest import parameters, parsing, responses
from shctl.rest.exchange import Exchange
from shctl.rest.health import Health
from shctl.rest.libvirt_pool import ConnectionPool
from shctl.rest.limits import ConcurrencyLimit, StreamLimit
from shctl.rest.metrics import Metrics
from shctl.rest.route import Route

T = TypeVar("T")
_log = logging.getLogger(__name__)
_PAGE_TIMEOUT = 8.0  # seconds for the server's own pages, such as /healthz
Params = dict[str, click.Parameter]


class CommandRunner:
    """Runs commands for authorized requests; all listeners share one.

    `root` is the context of the command line that started the server; its settings apply to
    requests too.
    """

    def __init__(self, root: click.Context, uri: str) -> None:
        self.uri = uri
        # For supervision, health and metrics; requests use the pool.
        self.hypervisor = Hypervisor(uri)
        self.health = Health(self.hypervisor)
        self.metrics = Metrics(self.hypervisor)
        # Of its own: a hung call of another thread does not delay events.
        self.feed = Feed(Hypervisor(uri))
        self.streams = StreamLimit(total=512, per_caller=256)
        self.in_flight: set[Exchange] = set()
        self._root = root
        self._pool = ConnectionPool(uri)
        # One limit for each kind of request, so that no kind blocks another. All totals and queues
        # together are less than daemon.THREADS, so that a thread is always left. 4 per resource:
        # libvirtd has 20 workers (max_workers in libvirtd.conf), and one hung guest may block 4.
        self.limits = {
            "read": ConcurrencyLimit(total=64, per_resource=4, per_caller=32, queue=16),
            "change": ConcurrencyLimit(total=64, per_resource=4, per_caller=48, queue=32),
            # It may have to fetch a tree.
            "create": ConcurrencyLimit(total=64, per_resource=4, per_caller=48, queue=32),
            # These wait for guests and cost next to nothing.
            "wait": ConcurrencyLimit(total=96, per_resource=96, per_caller=32, queue=8),
            "stop": ConcurrencyLimit(total=48, per_resource=16, per_caller=32, queue=8),
        }
        # Because of the GIL: one computes while the other's call to libvirt runs. With more than
        # two, eight clients together were served more slowly than one alone.
        self._cpu_bound = threading.Semaphore(2)

    @contextmanager
    def track(self, exchange: Exchange) -> Iterator[None]:
        """Keep a request in `in_flight` while it runs."""
        self.in_flight.add(exchange)
        try:
            yield
        finally:
            self.in_flight.discard(exchange)

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
                raise ShctlError(f"no command {path!r}")
            command = found
        return command, context

    def parameters(self, route: Route) -> Params:
        """Return the parameters of a route, by their names in its body or its query."""
        command, parent = self.find(route.command)
        settings = (parent.default_map or {}).get(command.name or "", {})
        outside = {inside: name for name, inside in route.renamed.items()}
        return {
            outside.get(param.name or "", param.name or ""): parameters.with_default(
                param, settings
            )
            for param in parameters.for_rest(command)
            if not parameters.placeholder(route, param)
        }

    def path_arguments(self, route: Route) -> list[str]:
        """Return the placeholders of a route that are arguments of its command, in its order."""
        found = (parameters.placeholder(route, p) for p in self.find(route.command)[0].params)
        return [name for name in found if name]

    def run(
        self, route: Route, name: str, given: dict[str, Any], argv: list[str], exchange: Exchange
    ) -> Any:
        """Run a route's command, on the host or network `name` if it has one; return its data.

        `given` are its parameters, `argv` the same as a command line.
        """
        limit = self.limits[limit_name(route, given)]
        return limit.run(
            resource(route, name),
            exchange.caller.who,
            route.seconds,
            lambda: self._invoke(route, given, argv, exchange.last_event),
        )

    def run_page(self, name: str, function: Callable[[], T]) -> T:
        """Run the function of one of the server's own pages, within the limit of reads."""
        return self.limits["read"].run(name, name, _PAGE_TIMEOUT, function)

    def _invoke(
        self, route: Route, given: dict[str, Any], argv: list[str], after: str | None
    ) -> Any:
        with self._limit_cpu(route), self._pool.borrow() as hypervisor:
            started = time.monotonic()
            session = Session(self.uri, hypervisor)
            session.lasting, session.feed, session.after = self.hypervisor, self.feed, after
            # They have no words in argv.
            empty = [field for field, value in given.items() if value is False or value == []]
            session.emptied = frozenset(route.renamed.get(field, field) for field in empty)
            try:
                return self._run_command(route, argv, session)
            finally:
                # Without argv, which may contain passwords.
                _log.debug("%s: %d ms", route.command, 1000 * (time.monotonic() - started))

    def _run_command(self, route: Route, argv: list[str], session: Session) -> Any:
        command, parent = self.find(route.command, session)
        try:
            with command.make_context(command.name, argv, parent=parent) as context:
                data = command.invoke(context)
                return responses.Existing(data) if session.kept else data
        except click.UsageError as error:
            raise _as_invalid_input(error, route) from error

    @contextmanager
    def _limit_cpu(self, route: Route) -> Iterator[None]:
        """Wait until a CPU-bound route may run; raise TimedOut."""
        if not route.cpu_bound:
            yield
            return
        if not self._cpu_bound.acquire(timeout=route.seconds):
            raise TimedOut(f"the server was too busy for {route.seconds:g} s; try again")
        try:
            yield
        finally:
            self._cpu_bound.release()


def limit_name(route: Route, given: dict[str, Any]) -> str:
    """Return the name of the limit that counts a request."""
    # A forced stop does not wait for the guest.
    immediate = given.get("force") and not given.get("timeout")
    return "change" if route.limit == "stop" and immediate else route.limit


def resource(route: Route, name: str) -> str:
    """Return what a request counts for in limits per resource: "hosts/web1", or a command."""
    if name:
        return f"{route.command.split()[0]}/{name}"
    # Lists are quick. Doctor, which reads everything, is not.
    return route.command if route.limit == "read" and not route.cpu_bound else ""


def read_parameters(
    route: Route, known: Params, query: str, content_type: str, body: bytes
) -> dict[str, Any]:
    """Return a request's parameters, with their JSON types checked; raise InvalidInput."""
    in_query, in_body = parameters.split(route, known)
    if not in_query:
        _check_none(query, "the query", "pass parameters in the body")
    given: dict[str, Any] = {
        field: parameters.from_query(
            field, value, parameters.schema(parameters.find(field, in_query))
        )
        for field, value in parsing.read_query(query, parameters.lists(in_query)).items()
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
        parameters.check(field, value, parameters.schema(parameters.find(field, known)))
    return given


def _check_none(part: str | bytes, what: str, hint: str) -> None:
    if part:
        raise InvalidInput(f"{what} must be empty here; {hint}")


def cap_timeout(route: Route, known: Params, given: dict[str, Any]) -> None:
    """Cap `timeout` at the route's maximum; raise InvalidInput if the request has a longer one."""
    maximum = route.max_timeout
    if maximum is None:
        return
    param = known["timeout"]
    value = given.get("timeout", parameters.default(param))
    try:
        too_long = value is not None and param.type.convert(str(value), param, None) > maximum
    except click.UsageError as error:
        raise _as_invalid_input(error, route) from error
    if too_long and "timeout" in given:
        text = (
            f"timeout: must be at most {maximum:g} s over HTTP; repeat the request to wait longer"
        )
        raise InvalidInput(text, field="timeout")
    # The default in the settings may be longer than a request may take.
    if too_long:
        given["timeout"] = f"{maximum:g}"


def build_argv(known: Params, given: dict[str, Any], path: Iterable[str]) -> list[str]:
    """Return the command line of a request's parameters, for click to parse.

    `path` are the arguments that the request's path contains.
    """
    options: list[str] = []
    arguments = [*path]
    for field, value in given.items():
        is_argument = isinstance(known[field], click.Argument)
        (arguments if is_argument else options).extend(parameters.argv_words(known[field], value))
    return [*options, "--", *arguments]


def _as_invalid_input(error: click.UsageError, route: Route) -> InvalidInput:
    param = getattr(error, "param", None)
    if param is None:
        return InvalidInput(error.format_message())
    outside = {inside: name for name, inside in route.renamed.items()}
    field = parameters.placeholder(route, param) or outside.get(param.name, param.name)
    if isinstance(error, MissingParameters):
        names = (outside.get(p.name or "", p.name) for p in error.missing)
        return InvalidInput(f"{', '.join(map(str, names))}: required", field=field)
    message = "required" if isinstance(error, click.MissingParameter) else error.message
    return InvalidInput(f"{field}: {message}", field=field)
