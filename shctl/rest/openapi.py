"""Build the OpenAPI 3.1 document from the routes, the commands and the model."""

import inspect
import re
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from http import HTTPStatus
from typing import Any, Union, get_args, get_origin, get_type_hints

import click

from shctl import __version__
from shctl.commands.updates import Updates
from shctl.common import model, rows, status
from shctl.common.stream import Stream
from shctl.rest import examples, parameters
from shctl.rest.access import PUBLIC
from shctl.rest.parameters import Schema
from shctl.rest.route import Page, Route
from shctl.rest.schemas import schema_of

Params = Callable[[Route], Mapping[str, click.Parameter]]
Find = Callable[[str], tuple[click.Command, click.Context]]

# Statuses that any route may have.
_ALWAYS = (400, 401, 403, 429, 500, 503, 504)
_TEXT = {"type": "string"}
_FLAG = {"type": "boolean"}
# Media type and schema of the server's own pages, by Page.handler.
_PAGES: dict[str, tuple[str, Schema]] = {
    "about": (
        "application/json",
        {"type": "object", "properties": {"name": _TEXT, "version": _TEXT}},
    ),
    "health": (
        "application/json",
        {"type": "object", "properties": {"libvirt": _FLAG, "openvswitch": _FLAG}},
    ),
    "metrics": ("text/plain", _TEXT),
    "openapi": ("application/json", {"type": "object"}),
    "docs": ("text/html", _TEXT),
}
_INTRODUCTION = """\
Manage disposable machines on VLANs of a staging hypervisor. Each operation runs the command that
its description names. Requests and responses are JSON. Memory is in MiB, disk sizes are in GiB.

On a Unix socket, all clients that may open it have full access. Over TCP, clients send a token
with scope read, power or admin; each scope includes the previous ones. Paths may end in a slash."""
_PROBLEM: Schema = {
    "type": "object",
    "description": "Problem details (RFC 9457); `code` is a word for programs, which never changes,"
    " `field` the name of the invalid parameter.",
    "properties": {
        "type": _TEXT,
        "title": _TEXT,
        "status": {"type": "integer"},
        "detail": _TEXT,
        "code": _TEXT,
        "field": _TEXT,
    },
    "required": ["type", "title", "status", "detail", "code"],
}


def build(routes: Iterable[Route], pages: Iterable[Page], find: Find, params: Params) -> Schema:
    """Return the whole document; `find` and `params` are those of CommandRunner."""
    schemas: dict[str, Schema] = {"Problem": _PROBLEM}
    paths: dict[str, Schema] = {}
    for route in routes:
        command, parent = find(route.command)
        known = params(route)
        context = click.Context(command, parent=parent, info_name=command.name)
        example = examples.find(route, command, context, known)
        operation = _operation(route, command, known, example, schemas)
        paths.setdefault(_path(route.path), {})[route.method.lower()] = operation
    for page in pages:
        paths.setdefault(page.path, {})[page.method.lower()] = _page(page)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "shctl",
            "version": __version__,
            "description": _INTRODUCTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "schemas": dict(sorted(schemas.items())),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _path(path: str) -> str:
    return path.replace("<", "{").replace(">", "}")


def _operation(
    route: Route,
    command: click.Command,
    params: Mapping[str, click.Parameter],
    example: dict[str, Any],
    schemas: dict[str, Schema],
) -> Schema:
    keys = parameters.keys(params)
    text = parameters.replace_options(inspect.cleandoc(command.help or ""), keys)
    summary, _, description = text.partition("\n\n")
    operation: Schema = {
        "operationId": _identifier(route.method, route.path),
        "summary": summary,
        "description": f"{description}\n\nScope: {route.scope}. Command: {route.command}.".strip(),
        "tags": [route.command.split()[0]],
        "security": [{"token": []}],
        "parameters": [
            {
                "name": name,
                "in": "path",
                "required": True,
                "schema": schema,
                **_example(example, name),
            }
            for name, schema in _placeholders(route, command).items()
        ],
    }
    in_query, in_body = parameters.split(route, params)
    if route.has_body:
        operation["requestBody"] = _body(route, in_body, example)
    operation["parameters"] += [
        {**_query(route, name, param, keys), **_example(example, name)}
        for name, param in in_query.items()
    ]
    operation["responses"] = _responses(route, command, params, schemas)
    return operation


def _placeholders(route: Route, command: click.Command) -> dict[str, Schema]:
    """Return the schema of each placeholder; one that is no argument of the command is ignored."""
    arguments = {parameters.placeholder(route, param): param for param in command.params}
    return {
        name: parameters.part_schema(arguments[name]) if name in arguments else _TEXT
        for name in route.placeholders
    }


def _example(values: Mapping[str, Any], name: str) -> Schema:
    if name not in values:
        return {}
    # Programs that send every example must not have the server ask other machines.
    is_url = str(values[name]).startswith("http")
    return {"x-example" if is_url else "example": values[name]}


def _identifier(method: str, path: str) -> str:
    return "_".join([method.lower(), *re.findall("[a-z]+", path)])


def _property(route: Route, name: str, param: click.Parameter, keys: Mapping[str, str]) -> Schema:
    schema = parameters.schema(param)
    if text := getattr(param, "help", None):
        schema["description"] = parameters.replace_options(" ".join(text.split()), keys)
    if (value := parameters.default(param)) not in (None, ""):
        schema["default"] = value
    if name == "timeout" and route.max_timeout is not None:
        schema |= {"maximum": route.max_timeout}
        schema.pop("default", None)
        schema["description"] = (
            f"{schema.get('description', '')} The maximum is {route.max_timeout:g} s."
        )
    return schema


def _body(
    route: Route, params: Mapping[str, click.Parameter], example: Mapping[str, Any]
) -> Schema:
    required = [name for name, param in params.items() if param.required]
    keys = parameters.keys(params)
    schema: Schema = {
        "type": "object",
        "properties": {name: _property(route, name, param, keys) for name, param in params.items()},
        "additionalProperties": False,
    }
    if required:
        schema["required"] = required
    content: Schema = {"schema": schema}
    if values := {name: value for name, value in example.items() if name in params}:
        content["example"] = values
    return {"required": bool(required), "content": {"application/json": content}}


def _query(route: Route, name: str, param: click.Parameter, keys: Mapping[str, str]) -> Schema:
    schema = _property(route, name, param, keys)
    text = schema.pop("description", None)
    described = {"description": text} if text else {}
    return {"name": name, "in": "query", "required": param.required, "schema": schema, **described}


def _returned(command: click.Command) -> Any:
    """Return a command's return type; its module imports it for type checkers only."""
    names = {
        **vars(model), **vars(rows), **vars(status),
        "Iterator": Iterator, "Updates": Updates, "Stream": Stream,
    }  # fmt: skip
    annotation = getattr(command.callback, "__annotations__", {}).get("return")
    holder = types.SimpleNamespace(__annotations__={"return": annotation})
    return get_type_hints(holder, globalns=names)["return"]


def _responses(
    route: Route,
    command: click.Command,
    params: Mapping[str, click.Parameter],
    schemas: dict[str, Schema],
) -> Schema:
    returned, plan = _split_plan(_returned(command))
    responses = _success(route, returned, schemas)
    unchanged = []
    if plan and route.status == HTTPStatus.OK:
        done = responses.pop("200")
        unchanged.append((done["description"], done["content"]))
    if "if_not_exists" in params:
        content = responses[str(route.status)]["content"]
        unchanged.append(("It already exists and is the same", content))
    if plan:
        content = {"application/json": {"schema": schema_of(plan, schemas)}}
        unchanged.append(("the plan of a dry run", content))
    return {**_unchanged(unchanged), **responses}


def _unchanged(answers: list[tuple[str, Schema]]) -> Schema:
    """Return the response 200 of a route that may leave everything as it is."""
    if not answers:
        return {}
    schemas = [content["application/json"]["schema"] for _, content in answers]
    schema = schemas[0] if len(schemas) == 1 else {"anyOf": schemas}
    text = "; or ".join(text for text, _ in answers)
    return {"200": {"description": text, "content": {"application/json": {"schema": schema}}}}


def _split_plan(returned: Any) -> tuple[Any, Any]:
    """Return what a command returns, and what its dry run returns, None without one."""
    parts = get_args(returned) if get_origin(returned) in (Union, types.UnionType) else (returned,)
    plans = [part for part in parts if issubclass(_item(part), model.Planned)]
    return next(part for part in parts if part not in plans), next(map(_item, plans), None)


def _item(kind: Any) -> Any:
    return get_args(kind)[0] if get_origin(kind) is list else get_origin(kind) or kind


def _success(route: Route, returned: Any, schemas: dict[str, Schema]) -> Schema:
    success: Schema = {"description": HTTPStatus(route.status).phrase}
    if route.status != HTTPStatus.NO_CONTENT:
        media_type, schema = _content(returned, schemas)
        success["content"] = {media_type: {"schema": schema}}
    if route.status == HTTPStatus.CREATED:
        success["headers"] = {
            "Location": {"description": "Path of what was created.", "schema": _TEXT}
        }
    return {str(route.status): success, **{str(s): _problem(s) for s in _failures(route)}}


def _content(returned: Any, schemas: dict[str, Schema]) -> tuple[str, Schema]:
    """Return the media type and the schema of what a command returns."""
    if get_origin(returned) is Iterator:
        return "text/plain", _TEXT
    if get_origin(returned) is Stream:
        event = schema_of(get_args(returned)[0], schemas)
        # OpenAPI 3.1 has no schema for a sequence of events.
        text = "Server-sent events; the data of each is an Event."
        return "text/event-stream", {**_TEXT, "description": text, "x-event": event}
    return "application/json", schema_of(returned, schemas)


def _failures(route: Route) -> list[int]:
    more = {*_ALWAYS, *route.failures}
    if route.has_body:
        more |= {408, 415}
    if route.placeholders:
        more |= {404, 409}
    if route.method != "GET":
        more.add(507)
    return sorted(more)


def _problem(status: int) -> Schema:
    schema = {"$ref": "#/components/schemas/Problem"}
    return {
        "description": HTTPStatus(status).phrase,
        "content": {"application/problem+json": {"schema": schema}},
    }


def _page(page: Page) -> Schema:
    media_type, schema = _PAGES[page.handler]
    content = {"content": {media_type: {"schema": schema}}}
    responses: Schema = {"200": {"description": "OK", **content}}
    if page.handler == "health":
        responses["503"] = {"description": "At least one of them does not respond.", **content}
    failures = (400, 403, 500) if page.scope == PUBLIC else _ALWAYS
    responses |= {str(s): _problem(s) for s in failures if str(s) not in responses}
    return {
        "operationId": _identifier(page.method, page.path) if page.path != "/" else "get_root",
        "summary": page.summary,
        "description": f"Scope: {page.scope}.",
        "tags": ["server"],
        "security": [] if page.scope == PUBLIC else [{"token": []}],
        "responses": responses,
    }
