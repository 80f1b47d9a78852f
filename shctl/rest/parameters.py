"""Click parameters as JSON has them: their schema, the check of a value, the words of an argv.

Only types are checked here; ranges, choices and names are left to click, which parses the argv.
"""

import re
from collections.abc import Iterable, Mapping
from copy import copy
from typing import Any

import click

from shctl.commands.base import LocalOption, QueryOption
from shctl.commands.types import Duration, NamedContent, NamedText
from shctl.common.errors import InvalidInput
from shctl.rest.parsing import printable
from shctl.rest.route import Route

Schema = dict[str, Any]
# Values of one parameter: each may stand for a disk to make, or a name to look up.
MOST = 256
_TYPES: Mapping[str, tuple[type, ...]] = {
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "string": (str,),
    "array": (list,),
    "object": (dict,),
}
# click's names for its types.
_NAMES = {"integer": "integer", "float": "number", "boolean": "boolean"}
_TEXT: Schema = {"type": "string"}
# A file's content: a text, or bytes.
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


def remote(command: click.Command) -> list[click.Parameter]:
    """Return the parameters that a command has in REST too."""
    return [param for param in command.params if not isinstance(param, LocalOption)]


def split(
    route: Route, params: Mapping[str, click.Parameter]
) -> tuple[dict[str, click.Parameter], dict[str, click.Parameter]]:
    """Return a route's parameters in the query, and those in the body."""
    if not route.has_body:
        return dict(params), {}
    body = {name: p for name, p in params.items() if not isinstance(p, QueryOption)}
    return {name: p for name, p in params.items() if name not in body}, body


def as_set(param: click.Parameter, settings: Mapping[str, Any]) -> click.Parameter:
    """Return a parameter with the default that the settings give it, if they do."""
    if (name := param.name or "") not in settings:
        return param
    param = copy(param)
    param.default = settings[name]
    return param


def keys(params: Mapping[str, click.Parameter]) -> dict[str, str]:
    """Return what options are called in JSON."""
    return {word: name for name, param in params.items() for word in param.opts}


def as_keys(text: str, known: Mapping[str, str]) -> str:
    """Return a text in which options are called as in JSON."""
    return _OPTION.sub(lambda found: known.get(found[0], found[0]), text)


def schema(param: click.Parameter) -> Schema:
    """Return the JSON Schema of a parameter's values; the default and the help are not in it."""
    if isinstance(param, click.Option) and param.is_flag:
        return {"type": "boolean"}
    if isinstance(param.type, NamedText):
        part = _CONTENT if isinstance(param.type, NamedContent) else _TEXT
        return {"type": "object", "additionalProperties": part, "maxProperties": MOST}
    if not param.multiple:
        return _scalar(param.type)
    least = {"minItems": 1} if param.required else {}
    return {"type": "array", "items": _scalar(param.type), "maxItems": MOST, **least}


def _scalar(kind: click.ParamType) -> Schema:
    if isinstance(kind, Duration):
        return {"type": ["number", "string"]}
    if isinstance(kind, click.Choice):
        return {"type": "string", "enum": list(kind.choices)}
    if isinstance(kind, click.IntRange | click.FloatRange):
        name = "integer" if isinstance(kind, click.IntRange) else "number"
        bounds = {"minimum": kind.min, "maximum": kind.max}
        return {"type": name, **{key: v for key, v in bounds.items() if v is not None}}
    return {"type": _NAMES.get(kind.name, "string")}


def default(param: click.Parameter) -> Any:
    """Return a parameter's default where JSON has a word for it, None where there is none."""
    # Versions of click differ in how they say that there is none.
    return param.default if type(param.default) in (str, int, float) else None


def check(field: str, value: Any, wanted: Schema) -> None:
    """Raise InvalidInput unless the value is of the schema's exact type."""
    choices = wanted.get("anyOf", [wanted])
    fitting = [choice for choice in choices if _is_of(value, choice)]
    if not fitting:
        names = [name for choice in choices for name in _types(choice)]
        words = " or ".join(_ARTICLES.get(name, f"a {name}") for name in names)
        raise InvalidInput(f"{field}: must be {words}, not {_kind(value)}", field=field)
    if isinstance(value, list | dict) and len(value) > MOST:
        raise InvalidInput(f"{field}: {len(value)} of them, and {MOST} are allowed", field=field)
    for part in value if isinstance(value, list) else ():
        check(field, part, fitting[0]["items"])
    if isinstance(value, dict):
        _check_object(field, value, fitting[0])


def _check_object(field: str, value: dict[str, Any], wanted: Schema) -> None:
    known, required = wanted.get("properties", {}), wanted.get("required")
    if required and list(value) != required:
        raise InvalidInput(f"{field}: an object here has {required[0]} alone", field=field)
    for name, part in value.items():
        check(field, part, known.get(name) or wanted["additionalProperties"])


def _types(wanted: Schema) -> list[str]:
    return wanted["type"] if isinstance(wanted["type"], list) else [wanted["type"]]


def _is_of(value: Any, wanted: Schema) -> bool:
    # By type(), since isinstance takes true for the integer 1.
    return any(type(value) in _TYPES[name] for name in _types(wanted))


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    found = next((name for name, types in _TYPES.items() if type(value) in types), "something else")
    return _ARTICLES.get(found, f"a {found}")


def from_text(field: str, text: str, wanted: Schema) -> Any:
    """Return what a query's text stands for, once it is written as JSON would write it."""
    if wanted["type"] == "boolean":
        if text not in ("true", "false"):
            raise InvalidInput(f"{field}: must be true or false", field=field)
        return text == "true"
    # Python reads " 1_0" as 10.
    if wanted["type"] in ("integer", "number") and not _NUMBER.fullmatch(text):
        raise InvalidInput(f"{field}: must be a number", field=field)
    return text


def known(field: str, params: Mapping[str, click.Parameter]) -> click.Parameter:
    """Return the parameter that a field names; raise InvalidInput where there is none."""
    if field not in params:
        name = printable(field)
        there = ", ".join(params) or "none"
        raise InvalidInput(f"{name}: no such parameter; there are: {there}", field=name)
    return params[field]


def words(param: click.Parameter, value: Any) -> Iterable[str]:
    """Return what stands for a checked value on the command line.

    Option and value are one word, so that no value is ever taken for an option.
    """
    if isinstance(param, click.Argument):
        return [_text(value)]
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
        raise InvalidInput(f"{field}: {printable(name)!r} has an equals sign", field=field)
    # See shctl.commands.types.NamedContent.
    text = value if isinstance(value, str) else f"\0{value['base64']}"
    return f"{name}={text}"
