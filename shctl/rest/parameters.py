"""Convert click parameters to JSON Schema, and JSON values to a command line.

Only types are checked here. click checks ranges, choices and names when it parses the argv.
"""

import re
from collections.abc import Iterable, Mapping
from copy import copy
from typing import Any

import click

from shctl.commands.option_kinds import LocalOption, QueryOption
from shctl.commands.types import Duration, NamedContent, NamedText
from shctl.commands.vlan_types import AUTO, TagOrAuto
from shctl.common.errors import InvalidInput
from shctl.rest.parsing import printable
from shctl.rest.route import Route

Schema = dict[str, Any]
# Values of one parameter; each may be a disk to create or a name to look up.
MAX_VALUES = 256
_TYPES: Mapping[str, tuple[type, ...]] = {
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "string": (str,),
    "array": (list,),
    "object": (dict,),
}
# From click's names of types to JSON's; all others are strings.
_NAMES = {"integer": "integer", "float": "number", "boolean": "boolean"}
_TEXT: Schema = {"type": "string"}
# A file's content, as text or as bytes.
_CONTENT: Schema = {
    "anyOf": [
        _TEXT,
        {
            "type": "object",
            "properties": {"base64": {"type": "string", "contentEncoding": "base64"}},
            "required": ["base64"],
            "additionalProperties": False,
        },
    ]
}
_OPTION = re.compile(r"(?<!\S)--[a-z-]+[a-z]")
_NUMBER = re.compile(r"-?[0-9]{1,18}(?:\.[0-9]{1,18})?")
_ARTICLES = {"integer": "an integer", "array": "an array", "object": "an object"}


def for_rest(command: click.Command) -> list[click.Parameter]:
    """Return the parameters of a command that REST has too."""
    return [param for param in command.params if not isinstance(param, LocalOption)]


def split(
    route: Route, params: Mapping[str, click.Parameter]
) -> tuple[dict[str, click.Parameter], dict[str, click.Parameter]]:
    """Return a route's parameters in the query, and those in the body."""
    if not route.has_body:
        return dict(params), {}
    body = {name: p for name, p in params.items() if not isinstance(p, QueryOption)}
    return {name: p for name, p in params.items() if name not in body}, body


def placeholder(route: Route, param: click.Parameter) -> str | None:
    """Return the part of a route's path that has an argument's value; None for other parameters."""
    if not isinstance(param, click.Argument):
        return None
    # A request names one of what the command line takes several of.
    name = (param.name or "").removesuffix("s" if param.nargs == -1 else "")
    return name if name in route.placeholders else None


def with_default(param: click.Parameter, settings: Mapping[str, Any]) -> click.Parameter:
    """Return a parameter with its default from the settings, if they have one."""
    if (name := param.name or "") not in settings:
        return param
    param = copy(param)
    param.default = settings[name]
    return param


def keys(params: Mapping[str, click.Parameter]) -> dict[str, str]:
    """Return the JSON key of each option, such as memory for --memory."""
    return {word: name for name, param in params.items() for word in param.opts}


def replace_options(text: str, known: Mapping[str, str]) -> str:
    """Return a text with its options replaced by their JSON keys."""
    return _OPTION.sub(lambda found: known.get(found[0], found[0]), text)


def schema(param: click.Parameter) -> Schema:
    """Return the JSON Schema of a parameter, without default and description."""
    if isinstance(param, click.Option) and param.is_flag:
        return {"type": "boolean"}
    if isinstance(param.type, NamedText):
        part = _CONTENT if isinstance(param.type, NamedContent) else _TEXT
        return {"type": "object", "additionalProperties": part, "maxProperties": MAX_VALUES}
    if not _is_list(param):
        return _scalar(param.type)
    least = {"minItems": 1} if param.required else {}
    return {"type": "array", "items": _scalar(param.type), "maxItems": MAX_VALUES, **least}


def part_schema(param: click.Parameter) -> Schema:
    """Return the JSON Schema of one value of a parameter, as a part of a path has it."""
    return _scalar(param.type)


def lists(params: Mapping[str, click.Parameter]) -> set[str]:
    """Return the names of the parameters that have several values."""
    return {name for name, param in params.items() if _is_list(param)}


def _is_list(param: click.Parameter) -> bool:
    return param.multiple or param.nargs == -1


def _scalar(kind: click.ParamType) -> Schema:
    if isinstance(kind, Duration):
        return {"type": ["number", "string"]}
    if isinstance(kind, TagOrAuto):
        bounds = {"type": "integer", "minimum": kind.min, "maximum": kind.max}
        return {"anyOf": [bounds, {"type": "string", "enum": [AUTO]}]}
    if isinstance(kind, click.Choice):
        return {"type": "string", "enum": list(kind.choices)}
    if isinstance(kind, click.IntRange | click.FloatRange):
        name = "integer" if isinstance(kind, click.IntRange) else "number"
        bounds = {"minimum": kind.min, "maximum": kind.max}
        return {"type": name, **{key: v for key, v in bounds.items() if v is not None}}
    return {"type": _NAMES.get(kind.name, "string")}


def default(param: click.Parameter) -> Any:
    """Return a parameter's default if JSON has a value for it, otherwise None."""
    # Without a default it is None in click 8.1, and the object UNSET since click 8.3.
    return param.default if type(param.default) in (str, int, float) else None


def check(field: str, value: Any, schema: Schema) -> None:
    """Raise InvalidInput unless the value is of the schema's exact type."""
    choices = schema.get("anyOf", [schema])
    fitting = [choice for choice in choices if _is_of(value, choice)]
    # Of one choice click checks the value, and names all that are allowed.
    if len(choices) > 1:
        fitting = [choice for choice in fitting if value in choice.get("enum", [value])]
    if not fitting:
        words = " or ".join(word for choice in choices for word in _words(choice, len(choices)))
        raise InvalidInput(f"{field}: must be {words}, not {_kind(value)}", field=field)
    if isinstance(value, list | dict) and len(value) > MAX_VALUES:
        raise InvalidInput(
            f"{field}: must have at most {MAX_VALUES} items, not {len(value)}", field=field
        )
    for part in value if isinstance(value, list) else ():
        check(field, part, fitting[0]["items"])
    if isinstance(value, dict):
        _check_object(field, value, fitting[0])


def _words(choice: Schema, number: int) -> list[str]:
    """Return the words for one of several choices: an integer, "auto"."""
    if number > 1 and "enum" in choice:
        return [f'"{value}"' for value in choice["enum"]]
    return [_ARTICLES.get(name, f"a {name}") for name in _types(choice)]


def _check_object(field: str, value: dict[str, Any], schema: Schema) -> None:
    known, required = schema.get("properties", {}), schema.get("required")
    if required and list(value) != required:
        raise InvalidInput(f"{field}: an object must have the key {required[0]} only", field=field)
    for name, part in value.items():
        check(field, part, known.get(name) or schema["additionalProperties"])


def _types(schema: Schema) -> list[str]:
    return schema["type"] if isinstance(schema["type"], list) else [schema["type"]]


def _is_of(value: Any, schema: Schema) -> bool:
    # Not isinstance, for which True is an integer.
    return any(type(value) in _TYPES[name] for name in _types(schema))


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    found = next((name for name, types in _TYPES.items() if type(value) in types), "something else")
    return _ARTICLES.get(found, f"a {found}")


def from_query(field: str, value: str | list[str], schema: Schema) -> Any:
    """Return the value of a parameter in a query; each text must be written as in JSON."""
    if isinstance(value, str):
        return _from_text(field, value, schema)
    parts = [_from_text(field, text, schema["items"]) for text in value]
    check(field, parts, {"type": "array", "items": {"type": ["string", "number", "boolean"]}})
    return parts


def _from_text(field: str, text: str, schema: Schema) -> Any:
    """Return the value of a text in a query, which must be written as in JSON."""
    if schema["type"] == "boolean":
        if text not in ("true", "false"):
            raise InvalidInput(f"{field}: must be true or false", field=field)
        return text == "true"
    # Stricter than Python, for which " 1_0" is 10.
    if schema["type"] in ("integer", "number") and not _NUMBER.fullmatch(text):
        raise InvalidInput(f"{field}: must be a number", field=field)
    return text


def find(field: str, params: Mapping[str, click.Parameter]) -> click.Parameter:
    """Return a parameter by its name; raise InvalidInput if there is none."""
    if field not in params:
        name = printable(field)
        names = ", ".join(params) or "none"
        raise InvalidInput(f"{name}: no such parameter; the parameters are: {names}", field=name)
    return params[field]


def argv_words(param: click.Parameter, value: Any) -> Iterable[str]:
    """Return a checked value as words of a command line.

    Option and value are one word, so that a value that starts with -- is no option.
    """
    if isinstance(param, click.Argument):
        return [_text(part) for part in (value if isinstance(value, list) else [value])]
    if isinstance(value, bool):
        return (param.opts if value else param.secondary_opts)[:1]
    if isinstance(value, dict):
        pairs = [_pair(param.name or "", name, part) for name, part in value.items()]
        return [f"{param.opts[0]}={pair}" for pair in pairs]
    return [f"{param.opts[0]}={_text(v)}" for v in (value if isinstance(value, list) else [value])]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else repr(value)


def _pair(field: str, name: str, value: str | Mapping[str, str]) -> str:
    if "=" in name:
        raise InvalidInput(f"{field}: {printable(name)!r} must not contain =", field=field)
    # See shctl.commands.types.NamedContent.
    text = value if isinstance(value, str) else f"\0{value['base64']}"
    return f"{name}={text}"
