"""Render the OpenAPI document as an HTML page, which loads nothing else."""

import json
import re
import shlex
from base64 import b64encode
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import bottle

from shctl.common import paths
from shctl.common.errors import Interrupted, ShctlError

Schema = dict[str, Any]
_HERE = Path(__file__).parent
STYLE = (_HERE / "docs.css").read_text()
# Content-Security-Policy: no script, and this style only.
POLICY = (
    f"default-src 'none'; style-src 'sha256-{b64encode(sha256(STYLE.encode()).digest()).decode()}';"
    " frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)


@dataclass(frozen=True)
class Parameter:
    """A row of an operation's table of parameters; `place` is path, query or body."""

    name: str
    place: str
    schema: Schema
    text: str


@dataclass(frozen=True)
class Answer:
    """A successful response; `fields` is the schema of its object, or of those in its list."""

    status: str
    text: str
    media_type: str | None
    schema: Schema | None
    fields: Schema | None


@dataclass(frozen=True)
class Operation:
    """An operation as the page shows it; `failures` are the statuses that not all have."""

    id: str
    method: str
    path: str
    summary: str
    description: str
    curl: str
    parameters: tuple[Parameter, ...]
    answers: tuple[Answer, ...]
    failures: tuple[str, ...]


@dataclass(frozen=True)
class Problem:
    """A row of the table of problem codes; the first of a status has an anchor."""

    status: int
    phrase: str
    code: str
    meaning: str
    anchor: str | None


def render(document: dict[str, Any]) -> str:
    """Return the page as HTML."""
    schemas = document["components"]["schemas"]
    operations = [
        (method, path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    # Pages that need no token have fewer statuses.
    common = set.intersection(*(_failures(o) for _, _, o in operations if o["security"]))
    groups: dict[str, list[Operation]] = {}
    for method, path, operation in operations:
        shown = _operation(method, path, operation, common, schemas)
        groups.setdefault(operation["tags"][0], []).append(shown)
    page: str = bottle.SimpleTemplate((_HERE / "docs.html").read_text()).render(
        style=STYLE,
        info=document["info"],
        groups=groups.items(),
        common=sorted(common),
        problems=list(_problems()),
        schemas=schemas.items(),
        kind=_kind,
    )
    return page


def _operation(
    method: str, path: str, operation: Schema, common: set[str], schemas: dict[str, Schema]
) -> Operation:
    return Operation(
        id=operation["operationId"],
        method=method,
        path=path,
        summary=operation["summary"],
        description=operation["description"],
        curl=_curl(method, path, operation),
        parameters=tuple(_parameters(operation)),
        answers=tuple(_answers(operation["responses"], schemas)),
        failures=tuple(sorted(_failures(operation) - common)),
    )


def _body(operation: Schema) -> Schema:
    content: dict[str, Schema] = operation.get("requestBody", {}).get("content", {})
    return content.get("application/json", {})


def _parameters(operation: Schema) -> Iterator[Parameter]:
    for row in operation.get("parameters", ()):
        text = _with_required(row.get("description", ""), row["required"])
        yield Parameter(row["name"], row["in"], row["schema"], text)
    schema = _body(operation).get("schema", {})
    for name, part in schema.get("properties", {}).items():
        text = _with_required(part.get("description", ""), name in schema.get("required", ()))
        yield Parameter(name, "body", part, text)


def _with_required(text: str, required: bool) -> str:
    return f"{text} Required.".strip() if required else text


def _curl(method: str, path: str, operation: Schema) -> str:
    """Return a command line that sends the example of an operation over the Unix socket."""
    given: dict[str, dict[str, Any]] = {"path": {}, "query": {}}
    for row in operation.get("parameters", ()):
        for key in {"example", "x-example"} & row.keys():
            given[row["in"]][row["name"]] = row[key]
    # "any" for a part that the old agent's API had, and that is ignored.
    path = re.sub("{([a-z]+)}", lambda found: str(given["path"].get(found[1], "any")), path)
    query = urlencode(given["query"], doseq=True)
    example = _body(operation).get("example")
    # With --json, curl sends POST unless it is given a method.
    is_default = method == ("post" if example else "get")
    words = ["curl", "--unix-socket", str(paths.socket())]
    words += [] if is_default else ["-X", method.upper()]
    words += ["--no-buffer"] if "text/event-stream" in _media_types(operation) else []
    words.append(f"http://localhost{path}{'?' * bool(query)}{query}")
    command = shlex.join(words)
    return f"{command} \\\n  --json {shlex.quote(json.dumps(example))}" if example else command


def _media_types(operation: Schema) -> set[str]:
    contents = (response.get("content", {}) for response in operation["responses"].values())
    return {media_type for content in contents for media_type in content}


def _failures(operation: Schema) -> set[str]:
    responses: dict[str, Schema] = operation["responses"]
    return {status for status, response in responses.items() if _is_problem(response)}


def _is_problem(response: Schema) -> bool:
    return "application/problem+json" in response.get("content", {})


def _answers(responses: Schema, schemas: dict[str, Schema]) -> Iterator[Answer]:
    for status, response in responses.items():
        if _is_problem(response):
            continue
        content: Schema = response.get("content", {})
        media_type = next(iter(content), None)
        schema = content[media_type]["schema"] if media_type else None
        # Of a stream, what the data of each event is.
        schema = schema.get("x-event", schema) if schema else None
        fields = schemas.get(_reference(schema or {}))
        yield Answer(status, response["description"].rstrip("."), media_type, schema, fields)


def _reference(schema: Schema) -> str:
    """Return the name of an object, or of the objects in a list; "" for other schemas."""
    return str(schema.get("items", schema).get("$ref", "")).rpartition("/")[2]


def _kind(schema: Schema) -> Iterator[tuple[str, str | None]]:
    """Yield the words for a schema, each with the name of the object that it links to."""
    if "$ref" in schema:
        name = _reference(schema)
        yield name, name
    elif "anyOf" in schema:
        for index, part in enumerate(schema["anyOf"]):
            yield from [(" or ", None)] if index else []
            yield from _kind(part)
    elif "items" in schema and "$ref" in schema["items"]:
        yield "array of ", None
        yield from _kind(schema["items"])
    else:
        yield _plain(schema), None


def _plain(schema: Schema) -> str:
    if "enum" in schema:
        text = ", ".join(schema["enum"])
    else:
        kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        text = " or ".join(kinds)
    if "items" in schema:
        text += f" of {_plain(schema['items'])}"
    if "minimum" in schema:
        text += f", {schema['minimum']} to {schema['maximum']}"
    return f"{text}, default {schema['default']}" if "default" in schema else text


def _problems() -> Iterator[Problem]:
    """Yield every kind of error that a response may report, by status."""
    kinds = {(kind.status, kind.code): kind for kind in _errors(ShctlError)}
    seen: set[int] = set()
    for (status, code), kind in sorted(kinds.items()):
        meaning = (kind.__doc__ or "").partition("\n")[0]
        anchor = None if status in seen else f"status-{status}"
        seen.add(status)
        yield Problem(status, HTTPStatus(status).phrase, code, meaning, anchor)


def _errors(kind: type[ShctlError]) -> Iterable[type[ShctlError]]:
    yield kind
    for found in kind.__subclasses__():
        # Interrupted is no error of a request, and other classes without a code are special cases.
        if "code" in vars(found) and found is not Interrupted:
            yield from _errors(found)
