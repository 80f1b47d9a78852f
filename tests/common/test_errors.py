"""Errors: one line each, with exit code and HTTP status."""

import json
import re

import pytest

from shctl import server  # noqa: F401 - defines errors of its own
from shctl.common import errors
from shctl.common.errors import Conflict, InvalidInput, NotFound, Several, ShctlError
from shctl.common.output import to_json

NUMBERS = {
    "ShctlError": (1, 500),
    "InvalidInput": (2, 400),
    "NotFound": (3, 404),
    "Conflict": (4, 409),
    "TimedOut": (5, 504),
    "Unreachable": (6, 503),
    "InstallFailed": (7, 502),
    "NoSpace": (8, 507),
}


@pytest.mark.parametrize("name", NUMBERS)
def test_exit_code_and_status(name: str) -> None:
    error = getattr(errors, name)
    assert (error.exit_code, error.status) == NUMBERS[name]


def test_codes_statuses_and_titles_are_unique() -> None:
    for attribute in ("exit_code", "status", "code", "title"):
        assert len({getattr(getattr(errors, name), attribute) for name in NUMBERS}) == len(NUMBERS)


def test_message_is_one_line() -> None:
    assert ShctlError("a\n  b\r\nc\t d").detail == "a b c d"


def test_problem_details() -> None:
    assert Conflict("in use").problem() == {
        "type": "about:blank",
        "title": "Conflict",
        "status": 409,
        "detail": "in use",
        "code": "conflict",
    }
    assert InvalidInput("wrong", field="vlan").problem()["field"] == "vlan"
    assert json.loads(to_json(NotFound("né").problem(), indent=None))["detail"] == "né"


def test_several_has_the_codes_of_its_first_error() -> None:
    several = Several([NotFound("one"), Conflict("two")], ["done"])
    assert (several.exit_code, several.status, several.code) == (3, 404, "not_found")
    assert several.detail == "one; two"


# The objects of Several get the code of their first error.
WITHOUT_CODE = (ShctlError, Several)


def subclasses(kind: type[ShctlError]) -> list[type[ShctlError]]:
    return [kind, *(found for below in kind.__subclasses__() for found in subclasses(below))]


def test_each_class_has_a_code_and_says_what_it_means() -> None:
    """Of two classes with the same code, one is a special case of the other."""
    by_code: dict[str, list[type[ShctlError]]] = {}
    for kind in subclasses(ShctlError):
        assert kind.__doc__, kind
        assert re.fullmatch("[a-z]+(_[a-z]+)*", kind.code), kind
        assert kind.code != ShctlError.code or kind in WITHOUT_CODE, kind
        by_code.setdefault(kind.code, []).append(kind)
    for first, *others in by_code.values():
        assert all(issubclass(other, first) for other in others), (first, others)
