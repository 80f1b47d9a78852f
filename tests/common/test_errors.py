"""Errors: one line each, with exit code and HTTP status."""

import json

import pytest

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
    for attribute in ("exit_code", "status", "title"):
        assert len({getattr(getattr(errors, name), attribute) for name in NUMBERS}) == len(NUMBERS)


def test_message_is_one_line() -> None:
    assert ShctlError("a\n  b\r\nc\t d").detail == "a b c d"


def test_problem_details() -> None:
    assert Conflict("in use").problem() == {
        "type": "about:blank",
        "title": "Conflict",
        "status": 409,
        "detail": "in use",
    }
    assert InvalidInput("wrong", field="vlan").problem()["field"] == "vlan"
    assert json.loads(to_json(NotFound("né").problem(), indent=None))["detail"] == "né"


def test_several_has_the_codes_of_its_first_error() -> None:
    several = Several([NotFound("one"), Conflict("two")], ["done"])
    assert (several.exit_code, several.status) == (3, 404)
    assert several.detail == "one; two"
