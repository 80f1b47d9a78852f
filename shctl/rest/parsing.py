"""Parse request bodies and queries, and refuse what parsers may understand differently.

Every function raises InvalidInput, with the field where there is one.
"""

import json
from collections.abc import Collection
from typing import Any, NoReturn
from urllib.parse import unquote_to_bytes

from shctl.common.errors import InvalidInput
from shctl.common.text import clean
from shctl.rest.http.bodies import MAX_BODY

_FORM = "application/x-www-form-urlencoded"
_JSON_TYPES = ("application/json", "application/json; charset=utf-8", "", _FORM)


def check_content_type(content_type: str) -> None:
    """Accept JSON, no type, and the type of forms, which is curl's default.

    Clients of the daemon that shctl replaces send all three. Web pages of other sites can send a
    form without a CORS preflight, but Authenticator.check_browser refuses them.
    """
    parts = content_type.lower().replace('"', "").split(";")
    if "; ".join(part.strip() for part in parts) not in _JSON_TYPES:
        raise InvalidInput("Content-Type: must be application/json", field="Content-Type")


def read_body(body: bytes) -> dict[str, Any]:
    """Return the JSON object in a body; an empty body is an empty object."""
    if len(body) > MAX_BODY:
        raise InvalidInput(f"the body is too long; the limit is {MAX_BODY} bytes")
    if not body:
        return {}
    try:
        # Python would accept the last of equal keys, NaN and Infinity, and turn 1e999 into inf.
        data = json.loads(
            body.decode("utf-8"),
            object_pairs_hook=_object,
            parse_constant=_refuse_constant,
            parse_float=_finite,
        )
        if not isinstance(data, dict):
            raise InvalidInput("the body must be a JSON object")
        for field, value in data.items():
            _check_texts([field, value], field)
    except RecursionError:
        raise InvalidInput("the body is nested too deeply") from None
    # ValueError includes UnicodeDecodeError, JSONDecodeError and integers of over 4,300 digits.
    except ValueError as error:
        raise InvalidInput(f"the body is not valid JSON: {error}") from None
    return data


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    data: dict[str, Any] = {}
    for key, value in pairs:
        if key in data:
            raise InvalidInput(f"{printable(key)}: must not occur twice", field=printable(key))
        data[key] = value
    return data


def _refuse_constant(name: str) -> NoReturn:
    raise InvalidInput(f"{name} is not a JSON number")


def _finite(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise InvalidInput(f"the number {text[:40]} is too large")
    return number


def _check_texts(value: Any, field: str) -> None:
    """Refuse lone surrogates, which UTF-8 cannot encode, and NUL, which ends a string in C."""
    if isinstance(value, str):
        if "\0" in value or any("\ud800" <= character <= "\udfff" for character in value):
            name = printable(field)
            raise InvalidInput(f"{name}: must not contain NUL or lone surrogates", field=name)
    elif isinstance(value, list | dict):
        for part in [*value, *value.values()] if isinstance(value, dict) else value:
            _check_texts(part, field)


def printable(text: str) -> str:
    """Return the start of a client's text, safe for logs, responses and terminals."""
    return clean(text[:80])


def read_query(query: str, lists: Collection[str] = ()) -> dict[str, str | list[str]]:
    """Return the parameters of a query string; those in `lists` may occur several times."""
    found: dict[str, str | list[str]] = {}
    for part in query.split("&") if query else ():
        # Not parse_qsl, which drops parameters without a value and decodes with replacements.
        name, sign, value = (_decoded(text) for text in part.partition("="))
        if not sign or not name:
            raise InvalidInput(f"{printable(part)!r} in the query is not NAME=VALUE")
        _check_texts([name, value], name)
        if name in lists:
            found[name] = [*found.get(name, []), value]
        elif name in found:
            raise InvalidInput(f"{printable(name)}: must not occur twice", field=printable(name))
        else:
            found[name] = value
    return found


def _decoded(text: str) -> str:
    try:
        return unquote_to_bytes(text.replace("+", " ")).decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidInput("the query is not percent-encoded UTF-8") from None
