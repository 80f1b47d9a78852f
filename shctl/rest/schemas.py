"""Describe the types of what commands return as JSON Schema (OpenAPI 3.1)."""

import inspect
import types
from typing import Any, Union, get_args, get_origin, get_type_hints

from shctl.rest.parameters import Schema

_PLAIN: dict[object, Schema] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    type(None): {"type": "null"},
}


def schema_of(kind: Any, schemas: dict[str, Schema]) -> Schema:
    """Return the JSON Schema of a type; add those of objects to `schemas`."""
    if kind in _PLAIN:
        return _PLAIN[kind]
    if hasattr(kind, "columns"):
        return _object(kind, schemas)
    origin, inside = get_origin(kind), get_args(kind)
    if origin in (list, tuple):
        return {"type": "array", "items": schema_of(inside[0], schemas)}
    if origin in (Union, types.UnionType):
        return _union([schema_of(part, schemas) for part in inside])
    raise TypeError(f"{kind} has no schema")


def _union(parts: list[Schema]) -> Schema:
    if all(set(part) == {"type"} for part in parts):
        return {"type": [part["type"] for part in parts]}
    return {"anyOf": parts}


def _object(kind: Any, schemas: dict[str, Schema]) -> Schema:
    name = kind.__name__
    if name not in schemas:
        # From __init__, because the classes in common/rows.py have no annotations themselves.
        hints = get_type_hints(kind.__init__)
        fields = [name for name in kind.__slots__ if name in hints]
        schemas[name] = {
            "type": "object",
            "description": inspect.cleandoc(kind.__doc__ or ""),
            "properties": {field: schema_of(hints[field], schemas) for field in fields},
            "required": list(getattr(kind, "required", fields)),
        }
    return {"$ref": f"#/components/schemas/{name}"}
