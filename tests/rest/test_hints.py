"""Messages that are written for the command line, as clients of REST get them."""

import click
import pytest

from shctl.cli.main import root
from shctl.rest import parameters
from shctl.rest.hints import Hints
from shctl.rest.runner import CommandRunner
from shctl.server import ROUTES

KEYS = {"--force": "force", "--network": "networks"}


@pytest.fixture(scope="module")
def hints() -> Hints:
    commands = CommandRunner(click.Context(root), "test:///default")
    return Hints((route, parameters.keys(commands.parameters(route))) for route in ROUTES)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("'shctl hosts start a' starts it", "'PUT /hosts/a/start' starts it"),
        ("'shctl hosts stop a --force' kills it", "'PUT /hosts/a/stop' with force kills it"),
        ("'shctl hosts stop a --force --timeout 5'", "'PUT /hosts/a/stop' with force, timeout 5"),
        ("'shctl hosts wait a --for installed'", "'GET /hosts/a/wait?for=installed'"),
        ("'shctl hosts list' shows all", "'GET /hosts' shows all"),
        ("'shctl hosts delete \u00e9'", "'DELETE /hosts/%C3%A9'"),
        ("'shctl networks create'", "'POST /networks/{name}'"),
        ("'shctl trees probe' shows every file", "'GET /trees' shows every file"),
        ("'shctl doctor' lists it", "'GET /doctor' lists it"),
        ("--force does not need the guest", "force does not need the guest"),
        ("'shctl hosts start a' or --force", "'PUT /hosts/a/start' or force"),
    ],
)
def test_requests_and_keys(hints: Hints, text: str, expected: str) -> None:
    assert hints.rewrite(text, KEYS) == expected


@pytest.mark.parametrize(
    "text",
    [
        "'shctl doctor --fix' as root",
        "'shctl doctor --fix'",
        "'shctl hosts delete a' in a root shell",
        "'shctl tokens create'",
        "'shctl hosts adopt a --own-disk /x'",
        "'shctl serve --allow-host' adds one",
        "'shctl hosts stop a b' takes two",
        "'shctl hostslist'",
        "'shctl hosts stop a --force",
        "'shctl '",
        "virsh --force",
    ],
)
def test_what_rest_does_not_have_stays(hints: Hints, text: str) -> None:
    assert hints.rewrite(text, {}) == text
