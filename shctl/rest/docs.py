"""Render the OpenAPI document as an HTML page, which loads nothing else."""

from base64 import b64encode
from collections.abc import Iterator
from hashlib import sha256
from html import escape
from typing import Any

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem;
  color: #1b1b1b; background: #fff }
h3 { margin: 2.5rem 0 .5rem; border-top: 1px solid #ccc; padding-top: 1rem }
code { font: 15px ui-monospace, monospace }
table { border-collapse: collapse; margin: .5rem 0 }
th, td { text-align: left; vertical-align: top; padding: .2rem 1rem .2rem 0 }
.method { display: inline-block; min-width: 4.5rem; color: #0a5 }
@media (prefers-color-scheme: dark) {
  body { color: #ddd; background: #161616 } h3 { border-color: #444 } .method { color: #4d9 } }
"""
# Content-Security-Policy: no script, and this style only.
POLICY = (
    f"default-src 'none'; style-src 'sha256-{b64encode(sha256(STYLE.encode()).digest()).decode()}';"
    " frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)


def render(document: dict[str, Any]) -> str:
    """Return the page as HTML."""
    info = document["info"]
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width">',
            f"<title>{escape(info['title'])} {escape(info['version'])}</title>",
            f"<style>{STYLE}</style></head><body>",
            f"<h1>{escape(info['title'])} {escape(info['version'])}</h1>",
            *_paragraphs(info["description"]),
            '<p>OpenAPI document: <a href="/openapi.json">openapi.json</a></p>',
            *_operations(document),
            "<h2>Objects</h2>",
            *_objects(document["components"]["schemas"]),
            "</body></html>\n",
        ]
    )


def _paragraphs(text: str) -> list[str]:
    return [f"<p>{escape(part)}</p>" for part in text.split("\n\n")]


def _operations(document: dict[str, Any]) -> Iterator[str]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            anchor = escape(operation["operationId"])
            yield f'<h3 id="{anchor}"><code><span class="method">{method.upper()}</span> '
            yield f"{escape(path)}</code></h3>"
            yield from _paragraphs(operation["summary"])
            yield from _paragraphs(operation["description"])
            yield from _parameters(operation)
            yield from _responses(operation["responses"])


def _parameters(operation: dict[str, Any]) -> Iterator[str]:
    rows = [
        (p["name"], p["in"], p["schema"], p["required"], p.get("description", ""))
        for p in operation.get("parameters", ())
    ]
    for content in operation.get("requestBody", {}).get("content", {}).values():
        schema = content["schema"]
        needed = schema.get("required", ())
        rows += [
            (name, "body", part, name in needed, part.get("description", ""))
            for name, part in schema["properties"].items()
        ]
    if rows:
        yield "<table><tr><th>parameter</th><th>in</th><th>value</th><th></th></tr>"
        yield from (_row(*row) for row in rows)
        yield "</table>"


def _row(name: str, place: str, schema: dict[str, Any], needed: bool, text: str) -> str:
    description = f"{text} Required." if needed else text
    cells = [f"<code>{escape(name)}</code>", place, escape(_kind(schema)), escape(description)]
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def _kind(schema: dict[str, Any]) -> str:
    """Return a short text for a schema."""
    if "$ref" in schema:
        return str(schema["$ref"].rpartition("/")[2])
    if "anyOf" in schema:
        return " or ".join(map(_kind, schema["anyOf"]))
    if "enum" in schema:
        return ", ".join(schema["enum"])
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    text = " or ".join(kinds)
    if "items" in schema:
        text += f" of {_kind(schema['items'])}"
    if "minimum" in schema:
        text += f", {schema['minimum']} to {schema['maximum']}"
    return f"{text}, default {schema['default']}" if "default" in schema else text


def _responses(responses: dict[str, Any]) -> Iterator[str]:
    yield "<p>"
    for status, response in responses.items():
        kinds = [_kind(content["schema"]) for content in response.get("content", {}).values()]
        shown = f" ({', '.join(kinds)})" if kinds and kinds != ["Problem"] else ""
        yield f"<code>{status}</code> {escape(response['description'])}{escape(shown)}<br>"
    yield "</p>"


def _objects(schemas: dict[str, Any]) -> Iterator[str]:
    for name, schema in schemas.items():
        yield f'<h3 id="{escape(name)}">{escape(name)}</h3>'
        yield from _paragraphs(schema["description"])
        yield "<table>"
        for field, part in schema["properties"].items():
            yield f"<tr><td><code>{escape(field)}</code></td><td>{escape(_kind(part))}</td></tr>"
        yield "</table>"
