"""From a request to its command line, and to the limit that counts it."""

from typing import Any

import click
import pytest

from shctl.commands.option_kinds import QueryOption
from shctl.commands.types import Duration
from shctl.common.errors import InvalidInput
from shctl.rest import parameters, runner
from shctl.rest.route import Route

STOP = Route("PUT", "/hosts/<name>/stop", "hosts stop", 204, "power", 60, 300, limit="stop")
LIST = Route("GET", "/hosts", "hosts list", 200, "read", 8, cpu_bound=True, limit="read")
DOCTOR = Route("GET", "/doctor", "doctor", 200, "read", 60, limit="read")
TIMEOUT = click.Option(["--timeout"], type=Duration(0, 3600), default=600)
FORCE = click.Option(["--force"], is_flag=True)
KNOWN: dict[str, click.Parameter] = {"timeout": TIMEOUT, "force": FORCE}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, "stop"),
        ({"force": False}, "stop"),
        ({"force": True}, "change"),
        ({"force": True, "timeout": 5}, "stop"),
    ],
)
def test_only_waiting_stops_count_as_stops(given: dict[str, Any], expected: str) -> None:
    assert runner.limit_name(STOP, given) == expected


def test_resources() -> None:
    assert runner.resource(STOP, "web1") == "hosts/web1"
    assert runner.resource(DOCTOR, "") == "doctor"
    assert runner.resource(LIST, "") == ""


def test_build_argv() -> None:
    argv = runner.build_argv(KNOWN, {"force": True, "timeout": 5}, ["-web1"])
    assert argv == ["--force", "--timeout=5", "--", "-web1"]


def test_a_longer_default_is_capped() -> None:
    given: dict[str, Any] = {}
    runner.cap_timeout(STOP, KNOWN, given)
    assert given == {"timeout": "300"}


def test_a_longer_timeout_is_refused() -> None:
    with pytest.raises(InvalidInput, match="timeout: must be at most 300 s") as caught:
        runner.cap_timeout(STOP, KNOWN, {"timeout": 301})
    assert caught.value.field == "timeout"


@pytest.mark.parametrize("timeout", [0, 300, "5m"])
def test_other_timeouts_are_unchanged(timeout: object) -> None:
    given = {"timeout": timeout}
    runner.cap_timeout(STOP, KNOWN, given)
    assert given == {"timeout": timeout}


@pytest.mark.parametrize(
    ("query", "body"), [("force=true", b""), ("", b"[]"), ("", b'{"force": 1}'), ("", b'{"x": 1}')]
)
def test_invalid_parameters(query: str, body: bytes) -> None:
    with pytest.raises(InvalidInput):
        runner.read_parameters(STOP, KNOWN, query, "application/json", body)


def test_valid_parameters() -> None:
    body = b'{"force": true, "timeout": "5m"}'
    given = runner.read_parameters(STOP, KNOWN, "", "application/json", body)
    assert given == {"force": True, "timeout": "5m"}


DRY_RUN = QueryOption(["--dry-run"], is_flag=True)


def test_query_option_is_only_in_the_query() -> None:
    known = {**KNOWN, "dry_run": DRY_RUN}
    body = b'{"force": true}'
    given = runner.read_parameters(STOP, known, "dry_run=true", "application/json", body)
    assert given == {"force": True, "dry_run": True}
    for query, wrong in (("force=true", b""), ("", b'{"dry_run": true}'), ("dry_run=1", b"")):
        with pytest.raises(InvalidInput):
            runner.read_parameters(STOP, known, query, "application/json", wrong)


RESIZE = Route("PATCH", "/hosts/<name>/disks/<disk>", "hosts disks resize", 200, "admin", 60)


@pytest.mark.parametrize(
    ("param", "expected"),
    [
        (click.Argument(["name"]), "name"),
        (click.Argument(["disk"]), "disk"),
        (click.Argument(["names"], nargs=-1), "name"),
        (click.Argument(["location"]), None),
        (click.Option(["--name"]), None),
    ],
)
def test_placeholders_fill_the_arguments_of_their_names(
    param: click.Parameter, expected: str | None
) -> None:
    assert parameters.placeholder(RESIZE, param) == expected


def test_patch_has_a_body() -> None:
    body = b'{"force": true}'
    assert runner.read_parameters(RESIZE, KNOWN, "", "application/json", body) == {"force": True}
    with pytest.raises(InvalidInput, match="the query must be empty"):
        runner.read_parameters(RESIZE, KNOWN, "force=true", "", b"")


def test_arguments_in_a_path_come_before_others() -> None:
    known: dict[str, click.Parameter] = {"size": click.Option(["--size"], type=int)}
    argv = runner.build_argv(known, {"size": 5}, ["web1", "--sdb"])
    assert argv == ["--size=5", "--", "web1", "--sdb"]
