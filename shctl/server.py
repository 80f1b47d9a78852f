"""The REST face: a table of routes onto the commands; JSON in, JSON out, errors in one place."""

from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any

import bottle

from shctl import __version__
from shctl.common import token_file
from shctl.common.errors import ShctlError
from shctl.common.output import to_json
from shctl.rest import access_log, docs, openapi, parameters, responses, runner
from shctl.rest.access import PUBLIC, Gate, check_scope
from shctl.rest.admission import Admission, NoRoute
from shctl.rest.http import wsgi
from shctl.rest.route import Page, Route

HOST, NETWORK = "/hosts/<name>", "/networks/<name>"
# Reads are short. Changes may wait for locks and for QEMU; a creation may have to fetch its tree.
READ, CHANGE, CREATE = 8, 60, 900
WAIT = 300
ROUTES = (
    Route("GET", "/hosts", "hosts list", 200, "read", READ, busy=True, places="read"),
    Route("GET", HOST, "hosts show", 200, "read", READ, places="read"),
    Route("POST", HOST, "hosts create", 201, "admin", CREATE, failures=(502,), places="create"),
    Route("DELETE", HOST, "hosts delete", 204, "admin", CHANGE),
    Route("PUT", f"{HOST}/start", "hosts start", 204, "power", CHANGE),
    Route(
        "PUT", f"{HOST}/stop", "hosts stop", 204, "power", WAIT + CHANGE, longest=WAIT,
        places="stop",
    ),
    Route("PUT", f"{HOST}/reboot", "hosts reboot", 204, "power", CHANGE),
    Route(
        "GET", f"{HOST}/wait", "hosts wait", 200, "read", WAIT + READ, longest=WAIT,
        renamed={"for": "condition"}, failures=(502,), places="wait",
    ),
    # Installers print passwords.
    Route("GET", f"{HOST}/log", "hosts log", 200, "admin", READ, places="read"),
    Route("GET", "/networks", "networks list", 200, "read", READ, busy=True, places="read"),
    Route("GET", NETWORK, "networks show", 200, "read", READ, places="read"),
    Route("POST", NETWORK, "networks create", 201, "admin", CHANGE),
    Route("POST", f"/hosts/<host>{NETWORK}", "networks create", 201, "admin", CHANGE),
    Route("DELETE", NETWORK, "networks delete", 204, "admin", CHANGE),
    # It makes the server send requests to wherever the caller likes.
    Route("GET", "/trees", "trees probe", 200, "admin", CHANGE, failures=(502,), places="create"),
    Route("GET", "/doctor", "doctor", 200, "read", CHANGE, places="read"),
)  # fmt: skip
PAGES = (
    Page("/", "read", "about", "Tell name and version."),
    Page("/healthz", PUBLIC, "health", "Tell whether libvirt and Open vSwitch answer."),
    Page("/metrics", "read", "metrics", "Give numbers to Prometheus."),
    Page("/openapi.json", PUBLIC, "openapi", "Describe this interface to programs."),
    Page("/docs", PUBLIC, "docs", "Describe this interface to people."),
)


def describe(shared: runner.Core) -> dict[str, Any]:
    """Return the OpenAPI document of all routes."""
    return openapi.build(ROUTES, PAGES, shared.find, shared.parameters)


def _no_route(error: bottle.HTTPError) -> bottle.HTTPResponse:
    """Answer for Bottle, should it find no route where one was found before."""
    return responses.problem(NoRoute(HTTPStatus(error.status_code)))


Respond = Callable[[access_log.Exchange, dict[str, str]], bottle.HTTPResponse]


def _told(error: BaseException, exchange: access_log.Exchange) -> ShctlError:
    """Return what the client gets to see of a failure; the unexpected is written down whole.

    A stranger learns no path and no other tool's words.
    """
    if isinstance(error, ShctlError) and error.status != HTTPStatus.INTERNAL_SERVER_ERROR:
        return error
    access_log.failure(exchange.id)
    if isinstance(error, ShctlError) and exchange.caller.scope in token_file.SCOPES:
        return error
    return ShctlError(f"something unexpected; the server's log has it as request {exchange.id}")


class Server:
    """The WSGI application of one listener."""

    def __init__(self, shared: runner.Core, gate: Gate) -> None:
        self._core = shared
        self._admission = Admission(gate, (*ROUTES, *PAGES))
        self._app = bottle.Bottle()
        self._app.default_error_handler = _no_route
        for route in ROUTES:
            self._add(route, self._command(route))
        for page in PAGES:
            self._add(page, getattr(self, f"_{page.answer}"))
        description = describe(shared)
        # Both are for everyone, so they are made once.
        self._description = f"{to_json(description, indent=None)}\n"
        self._page = docs.page(description)

    def _add(self, row: Route | Page, respond: Respond) -> None:
        if row.scope not in (PUBLIC, *token_file.SCOPES):
            raise ShctlError(f"the route {row.method} {row.path} has no scope")

        def answer(**path: str) -> bottle.HTTPResponse:
            exchange: access_log.Exchange = bottle.request.environ["shctl.exchange"]
            try:
                check_scope(exchange.caller, row.scope)
                return respond(exchange, path)
            except (Exception, SystemExit) as error:
                return responses.problem(_told(error, exchange), exchange.keys)

        self._app.route(row.path, row.method, answer)

    def admit(self, exchange: access_log.Exchange) -> Route | Page:
        """Return what a request is for; raise what its header alone is refused for."""
        return self._admission.admit(exchange)

    def refuse(self, exchange: access_log.Exchange, error: BaseException) -> wsgi.Response:
        """Return the answer to a request that does not become a command, and write it down."""
        answer = responses.problem(_told(error, exchange))
        exchange.status = answer.status_code
        self._write_down(exchange)
        length = ("Content-Length", str(len(answer.body)))
        headers = [*answer.headerlist, length, ("X-Request-Id", exchange.id)]
        return wsgi.Response(answer.status_code, headers, answer.body)

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        """Answer a request that was admitted, and write it down."""
        exchange: access_log.Exchange = environ["shctl.exchange"]

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> None:
            exchange.status = int(status[:3])
            if exchange.status == HTTPStatus.NO_CONTENT:
                headers = [header for header in headers if header[0] != "Content-Length"]
            start_response(status, [*headers, ("X-Request-Id", exchange.id)], exc_info)

        with self._core.open(exchange):
            body: Iterable[bytes] = self._app(environ, start)
            self._write_down(exchange)
        return body

    def _command(self, route: Route) -> Respond:
        params = self._core.parameters(route)
        keys = parameters.keys(params)

        def respond(exchange: access_log.Exchange, path: dict[str, str]) -> bottle.HTTPResponse:
            environ, name = bottle.request.environ, path.get("name")
            exchange.keys = keys
            given = runner.read(
                route, params, environ["QUERY_STRING"], environ.get("CONTENT_TYPE", ""),
                environ["wsgi.input"].read(),
            )  # fmt: skip
            exchange.what["parameters"] = access_log.speakable(params, given)
            runner.bound_timeout(route, params, given)
            argv = runner.write_argv(params, given, name)
            done = self._core.run(route, name or "", given, argv, exchange.caller.who)
            return responses.success(route, name or "", done)

        return respond

    def _about(self, *_: object) -> bottle.HTTPResponse:
        return responses.data(200, {"name": "shctl", "version": __version__})

    def _health(self, *_: object) -> bottle.HTTPResponse:
        seen = self._core.run_own("health", self._core.health.look)
        return responses.data(200 if all(seen.values()) else 503, seen)

    def _metrics(self, *_: object) -> bottle.HTTPResponse:
        text = self._core.run_own("metrics", self._core.metrics.text)
        return responses.reply(200, text, self._core.metrics.media_type)

    def _openapi(self, *_: object) -> bottle.HTTPResponse:
        return responses.reply(200, self._description, responses.JSON)

    def _docs(self, *_: object) -> bottle.HTTPResponse:
        html = "text/html; charset=utf-8"
        return responses.reply(200, self._page, html, Content_Security_Policy=docs.POLICY)

    def _write_down(self, exchange: access_log.Exchange) -> None:
        method = exchange.method if exchange.route else "other"
        route = exchange.route or "none"
        self._core.metrics.count(method, route, exchange.status, exchange.seconds)
        access_log.write_down(exchange)
