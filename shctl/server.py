"""The REST server: a table of routes to commands, JSON in and out, errors in one place."""

from collections.abc import Callable, Iterable
from functools import partial
from http import HTTPStatus
from typing import Any

import bottle
import click

from shctl import __version__
from shctl.common.errors import ShctlError
from shctl.common.output import to_json
from shctl.common.stream import Stream
from shctl.rest import access_log, daemon, docs, openapi, parameters, responses, runner
from shctl.rest.access import PUBLIC, SCOPES, Authenticator, authorize
from shctl.rest.admission import Admission, NoSuchPath
from shctl.rest.exchange import Exchange
from shctl.rest.hints import Hints
from shctl.rest.http import wsgi
from shctl.rest.http.listeners import Options
from shctl.rest.route import Page, Route

__all__ = ["PAGES", "ROUTES", "Options", "Server", "describe", "run"]
HOST, NETWORK = "/hosts/<name>", "/networks/<name>"
DISKS = f"{HOST}/disks"
INTERFACES = f"{HOST}/interfaces"
# Time limits in seconds. Changes may wait for locks and QEMU, creations for a tree's download.
READ, CHANGE, CREATE = 8, 60, 900
WAIT = 300  # the maximum of a parameter `timeout`
ROUTES = (
    Route(
        "GET", "/hosts", "hosts list", 200, "read", READ, cpu_bound=True, limit="read",
        renamed={"pattern": "patterns", "state": "states"},
    ),
    Route("GET", HOST, "hosts show", 200, "read", READ, limit="read"),
    Route("POST", HOST, "hosts create", 201, "admin", CREATE, failures=(502,), limit="create"),
    Route("PATCH", HOST, "hosts set", 200, "admin", CHANGE),
    Route("DELETE", HOST, "hosts delete", 204, "admin", CHANGE),
    Route("GET", DISKS, "hosts disks list", 200, "read", READ, limit="read"),
    Route("POST", DISKS, "hosts disks add", 201, "admin", CHANGE),
    Route("GET", f"{DISKS}/<disk>", "hosts disks show", 200, "read", READ, limit="read"),
    Route("PATCH", f"{DISKS}/<disk>", "hosts disks resize", 200, "admin", CHANGE),
    Route("DELETE", f"{DISKS}/<disk>", "hosts disks remove", 204, "admin", CHANGE),
    Route("GET", INTERFACES, "hosts interfaces list", 200, "read", READ, limit="read"),
    Route("POST", INTERFACES, "hosts interfaces add", 201, "admin", CHANGE),
    Route(
        "GET", f"{INTERFACES}/<index>", "hosts interfaces show", 200, "read", READ, limit="read"
    ),
    Route("PATCH", f"{INTERFACES}/<index>", "hosts interfaces set", 200, "admin", CHANGE),
    Route("DELETE", f"{INTERFACES}/<index>", "hosts interfaces remove", 204, "admin", CHANGE),
    Route("PUT", f"{HOST}/start", "hosts start", 204, "power", CHANGE),
    Route(
        "PUT", f"{HOST}/stop", "hosts stop", 204, "power", WAIT + CHANGE, max_timeout=WAIT,
        limit="stop",
    ),
    Route("PUT", f"{HOST}/reboot", "hosts reboot", 204, "power", CHANGE),
    Route(
        "GET", f"{HOST}/wait", "hosts wait", 200, "read", WAIT + READ, max_timeout=WAIT,
        renamed={"for": "condition"}, failures=(502,), limit="wait",
    ),
    # For admins, because installers print passwords.
    Route("GET", f"{HOST}/log", "hosts log", 200, "admin", READ, limit="read"),
    Route("GET", "/networks", "networks list", 200, "read", READ, cpu_bound=True, limit="read"),
    Route("GET", NETWORK, "networks show", 200, "read", READ, limit="read"),
    Route("POST", NETWORK, "networks create", 201, "admin", CHANGE),
    Route("POST", f"/hosts/<host>{NETWORK}", "networks create", 201, "admin", CHANGE),
    Route("DELETE", NETWORK, "networks delete", 204, "admin", CHANGE),
    # The caller decides where the server sends a request (server-side request forgery).
    Route("GET", "/trees", "trees probe", 200, "admin", CHANGE, failures=(502,), limit="create"),
    Route("GET", "/events", "events", 200, "read", READ, limit="read"),
    Route(
        "POST", "/trees/check", "trees check", 200, "admin", CHANGE, failures=(502,), limit="create"
    ),
    Route("GET", "/status", "status", 200, "read", READ, limit="read"),
    Route("GET", "/doctor", "doctor", 200, "read", CHANGE, limit="read"),
)  # fmt: skip
PAGES = (
    Page("/", "read", "about", "Return the name and the version."),
    Page("/healthz", PUBLIC, "health", "Check whether libvirt and Open vSwitch respond."),
    Page("/metrics", "read", "metrics", "Return metrics for Prometheus."),
    Page("/openapi.json", PUBLIC, "openapi", "Return the OpenAPI description of this interface."),
    Page("/docs", PUBLIC, "docs", "Return the description of this interface as a web page."),
)


def run(root: click.Context, uri: str, options: Options) -> None:
    """Serve until SIGTERM or SIGINT; raise InvalidInput for unusable files and addresses.

    `root` is the context of the command line, with its settings; `uri` is libvirt's.
    """
    daemon.run(root, uri, options, Server)


def describe(commands: runner.CommandRunner) -> dict[str, Any]:
    """Return the OpenAPI document of all routes."""
    return openapi.build(ROUTES, PAGES, commands.find, commands.parameters)


def _no_route(error: bottle.HTTPError) -> bottle.HTTPResponse:
    """Respond for Bottle in case its router and Admission's disagree."""
    is_missing = error.status_code == HTTPStatus.NOT_FOUND
    return responses.problem(NoSuchPath() if is_missing else ShctlError("cannot route the request"))


Handler = Callable[[Exchange, dict[str, str]], bottle.HTTPResponse]


def _public_error(error: BaseException, exchange: Exchange) -> ShctlError:
    """Return the error that the client may see, and log unexpected ones with their traceback.

    Hides paths and tool output from unauthenticated clients.
    """
    if isinstance(error, ShctlError) and error.status != HTTPStatus.INTERNAL_SERVER_ERROR:
        return error
    access_log.log_failure(exchange.id)
    if isinstance(error, ShctlError) and exchange.caller.scope in SCOPES:
        return error
    return ShctlError(f"unexpected error; the server's log has it as request {exchange.id}")


class Server:
    """The WSGI application of one listener."""

    def __init__(self, commands: runner.CommandRunner, authenticator: Authenticator) -> None:
        self._commands = commands
        self._admission = Admission(authenticator, (*ROUTES, *PAGES))
        self._app = bottle.Bottle()
        self._app.default_error_handler = _no_route
        self._hints = Hints(
            (route, parameters.keys(commands.parameters(route))) for route in ROUTES
        )
        for route in ROUTES:
            self._add_route(route, self._command(route))
        for page in PAGES:
            self._add_route(page, getattr(self, f"_{page.handler}"))
        description = describe(commands)
        # Rendered once, because these pages need no token.
        self._description = f"{to_json(description, indent=None)}\n"
        self._page = docs.render(description)

    def _add_route(self, row: Route | Page, handler: Handler) -> None:
        if row.scope not in (PUBLIC, *SCOPES):
            raise ShctlError(f"the route {row.method} {row.path} has no scope")

        def respond(**path: str) -> bottle.HTTPResponse:
            exchange: Exchange = bottle.request.environ["shctl.exchange"]
            try:
                # Admission has checked it. Once more, so that no route can be without the check.
                authorize(exchange.caller, row.scope)
                return handler(exchange, path)
            except (Exception, SystemExit) as error:
                rewrite = partial(self._hints.rewrite, keys=exchange.keys)
                return responses.problem(_public_error(error, exchange), rewrite)

        self._app.route(row.path, row.method, respond)

    def admit(self, exchange: Exchange) -> Route | Page:
        """Check a request's headers and return its row of the table; raise ShctlError."""
        return self._admission.admit(exchange)

    def refuse(self, exchange: Exchange, error: BaseException) -> wsgi.Response:
        """Return the response to a request that runs no command, and log it."""
        response = responses.problem(_public_error(error, exchange))
        exchange.status = response.status_code
        self._log(exchange)
        length = ("Content-Length", str(len(response.body)))
        headers = [*response.headerlist, length, ("X-Request-Id", exchange.id)]
        return wsgi.Response(response.status_code, headers, response.body)

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        """Respond to an admitted request, and log it (WSGI)."""
        exchange: Exchange = environ["shctl.exchange"]

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> None:
            exchange.status = int(status[:3])
            # RFC 9110, 8.6: a 204 has no Content-Length; Bottle adds one.
            if exchange.status == HTTPStatus.NO_CONTENT:
                headers = [header for header in headers if header[0] != "Content-Length"]
            start_response(status, [*headers, ("X-Request-Id", exchange.id)], exc_info)

        with self._commands.track(exchange):
            body: Iterable[bytes] = self._app(environ, start)
            self._log(exchange)
        return body

    def _command(self, route: Route) -> Handler:
        params = self._commands.parameters(route)
        keys = parameters.keys(params)
        arguments = self._commands.path_arguments(route)

        def respond(exchange: Exchange, path: dict[str, str]) -> bottle.HTTPResponse:
            environ, name = bottle.request.environ, path.get("name", "")
            exchange.keys = keys
            given = runner.read_parameters(
                route, params, environ["QUERY_STRING"], environ.get("CONTENT_TYPE", ""),
                environ["wsgi.input"].read(),
            )  # fmt: skip
            exchange.audit["parameters"] = access_log.redact_parameters(params, given)
            runner.cap_timeout(route, params, given)
            argv = runner.build_argv(params, given, map(path.__getitem__, arguments))
            result = self._commands.run(route, name, given, argv, exchange)
            if isinstance(result, Stream):
                return self._begin(exchange, result)
            return responses.success(route, path, result)

        return respond

    def _begin(self, exchange: Exchange, stream: Stream[Any]) -> bottle.HTTPResponse:
        """Return the headers of a response that goes on; the event loop sends the rest."""
        if exchange.method != "HEAD":
            exchange.end = self._commands.streams.acquire(exchange.caller.who)
            exchange.stream = stream
        return responses.reply(200, b"", stream.media_type)

    def _about(self, *_: object) -> bottle.HTTPResponse:
        return responses.data(200, {"name": "shctl", "version": __version__})

    def _health(self, *_: object) -> bottle.HTTPResponse:
        services = self._commands.run_page("health", self._commands.health.check)
        return responses.data(200 if all(services.values()) else 503, services)

    def _metrics(self, *_: object) -> bottle.HTTPResponse:
        text = self._commands.run_page("metrics", self._commands.metrics.text)
        return responses.reply(200, text, self._commands.metrics.media_type)

    def _openapi(self, *_: object) -> bottle.HTTPResponse:
        return responses.reply(200, self._description, responses.JSON)

    def _docs(self, *_: object) -> bottle.HTTPResponse:
        html = "text/html; charset=utf-8"
        return responses.reply(200, self._page, html, Content_Security_Policy=docs.POLICY)

    def _log(self, exchange: Exchange) -> None:
        method = exchange.method if exchange.route else "other"
        route = exchange.route or "none"
        self._commands.metrics.count(method, route, exchange.status, exchange.seconds)
        access_log.log_request(exchange)
