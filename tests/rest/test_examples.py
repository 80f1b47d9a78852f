"""Examples of requests, from the examples of the commands."""

import json
from urllib.parse import urlencode

import click
import pytest

from shctl.cli.main import root
from shctl.commands.base import Command
from shctl.rest import examples, parameters, runner
from shctl.rest.route import Route
from shctl.server import ROUTES

RUNNER = runner.CommandRunner(click.Context(root), "test:///default")


def example(route: Route) -> dict[str, object]:
    command, parent = RUNNER.find(route.command)
    context = click.Context(command, parent=parent, info_name=command.name)
    return examples.find(route, command, context, RUNNER.parameters(route))


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_example_is_a_valid_request(route: Route) -> None:
    given, known = example(route), RUNNER.parameters(route)
    in_query, in_body = parameters.split(route, known)
    query = urlencode({name: given[name] for name in in_query if name in given}, doseq=True)
    body = {name: given[name] for name in in_body if name in given}
    sent = json.dumps(body).encode() if route.has_body else b""
    read = runner.read_parameters(route, known, query, "application/json", sent)
    runner.cap_timeout(route, known, read)
    path = [str(given[name]) for name in route.placeholders if name in given]
    command, parent = RUNNER.find(route.command)
    argv = runner.build_argv(known, read, path)
    assert command.make_context(command.name, argv, parent=parent, resilient_parsing=False)


def test_creation() -> None:
    (route,) = [route for route in ROUTES if route.command == "hosts create"]
    values = example(route)
    assert values["name"] == "web1"
    assert values["networks"] == ["vlan10"]
    assert values["start"] is True
    assert type(values["memory"]) is int


def test_longest_wait_is_what_a_request_may_take() -> None:
    (route,) = [route for route in ROUTES if route.command == "hosts wait"]
    assert example(route)["timeout"] == route.max_timeout


def test_example_that_names_a_local_file_is_skipped() -> None:
    (route,) = [route for route in ROUTES if route.command == "hosts create"]
    command, parent = RUNNER.find(route.command)
    context = click.Context(command, parent=parent, info_name=command.name)
    installing = Command(
        name="create",
        params=command.params,
        examples=["shctl hosts create web2 --memory 16 --inject preseed.cfg"],
    )
    assert examples.find(route, installing, context, RUNNER.parameters(route)) == {}
