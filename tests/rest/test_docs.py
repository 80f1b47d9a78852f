"""The page /docs and its examples, from a description with one of each kind."""

import json
import re

from shctl import server  # noqa: F401 - defines errors of its own
from shctl.common.errors import Interrupted, ShctlError
from shctl.rest import docs

PROBLEM = {"content": {"application/problem+json": {"schema": {"$ref": "#/p/Problem"}}}}
DOCUMENT = {
    "info": {"title": "shctl", "version": "1", "description": "First.\n\nSecond <b>."},
    "paths": {
        "/hosts/{name}": {
            "post": {
                "operationId": "post_hosts_name",
                "summary": "Create a host.",
                "description": "Scope: admin.",
                "tags": ["hosts"],
                "security": [{"token": []}],
                "parameters": [
                    {
                        "name": "name", "in": "path", "required": True,
                        "schema": {"type": "string"}, "example": "web1",
                    },
                    {
                        "name": "dry_run", "in": "query", "required": False,
                        "schema": {"type": "boolean"}, "description": "Change nothing.",
                    },
                ],
                "requestBody": {
                    "content": {
                        "application/json": {
                            "schema": {
                                "type": "object",
                                "properties": {
                                    "memory": {"type": "integer", "minimum": 16, "maximum": 32}
                                },
                                "required": ["memory"],
                            },
                            "example": {"memory": 20, "note": "it's"},
                        }
                    }
                },
                "responses": {
                    "201": {
                        "description": "Created",
                        "content": {
                            "application/json": {
                                "schema": {"$ref": "#/components/schemas/Host"}
                            }
                        },
                    },
                    "400": {"description": "Bad Request", **PROBLEM},
                    "409": {"description": "Conflict", **PROBLEM},
                },
            }
        },
        "/hosts": {
            "get": {
                "operationId": "get_hosts",
                "summary": "List hosts.",
                "description": "",
                "tags": ["hosts"],
                "security": [{"token": []}],
                "responses": {
                    "200": {
                        "description": "OK",
                        "content": {
                            "application/json": {
                                "schema": {
                                    "type": "array",
                                    "items": {"$ref": "#/components/schemas/Host"},
                                }
                            }
                        },
                    },
                    "400": {"description": "Bad Request", **PROBLEM},
                },
            }
        },
    },
    "components": {
        "schemas": {
            "Host": {
                "type": "object",
                "description": "A host.",
                "properties": {"id": {"type": ["string", "null"]}},
            },
            "Problem": {"type": "object", "description": "An error.", "properties": {}},
        }
    },
}  # fmt: skip


def text(html: str) -> str:
    """Return what a reader sees."""
    shown = re.sub("<style>.*?</style>|<[^>]*>", " ", html, flags=re.DOTALL)
    return re.sub(r"\s+", " ", shown)


def test_index_links_to_every_operation() -> None:
    page = docs.render(DOCUMENT)
    links = set(re.findall('href="#([^"]+)"', page))
    assert {"post_hosts_name", "get_hosts"} <= links
    # Every link leads somewhere on the page, and no two places have one name.
    places = re.findall('id="([^"]+)"', page)
    assert links <= set(places)
    assert len(places) == len(set(places))


def test_text_is_escaped() -> None:
    assert "Second &lt;b&gt;." in docs.render(DOCUMENT)


def test_examples_are_command_lines() -> None:
    page = docs.render(DOCUMENT)
    examples = re.findall("<pre>(.*?)</pre>", page, re.DOTALL)
    assert examples[0].startswith("curl --unix-socket /run/shctl/shctl.sock")
    assert "http://localhost/hosts/web1 " in examples[0]
    sent = examples[0].replace("&quot;", '"').replace("&#039;", "'").partition("--json ")[2]
    # A quote in the JSON is quoted for the shell.
    assert json.loads(sent.strip("'").replace("'\"'\"'", "'")) == {"memory": 20, "note": "it's"}
    assert examples[1].endswith("http://localhost/hosts")


def test_common_statuses_are_described_once() -> None:
    seen = text(docs.render(DOCUMENT))
    # 400 is everybody's, 409 only the creation's.
    assert "Also 409 " in seen
    assert "Also 400" not in seen
    assert "409 Conflict" in seen


def errors(kind: type[ShctlError]) -> list[type[ShctlError]]:
    return [kind, *(found for below in kind.__subclasses__() for found in errors(below))]


def test_each_code_of_an_error_is_listed() -> None:
    page = docs.render(DOCUMENT)
    listed = re.findall(r"<code>\d+</code> [^<]*</td><td><code>([a-z_]+)</code></td>", page)
    codes = {kind.code for kind in errors(ShctlError)} - {Interrupted.code}
    assert {"conflict", "busy", "no_such_path", "method_not_allowed", "unauthenticated"} <= codes
    assert set(listed) == codes
    assert len(listed) == len(codes)


def test_answers_have_their_fields() -> None:
    page = docs.render(DOCUMENT)
    created = page.partition("<code>201</code>")[2].partition("</details>")[0]
    assert "Host" in created
    assert "string or null" in created
    listed = text(page.partition("<code>200</code>")[2].partition("</details>")[0])
    assert "array of Host" in listed
    assert "integer, 16 to 32" in text(page)
