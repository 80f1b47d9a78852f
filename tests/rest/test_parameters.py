"""Click parameters as JSON Schema, and JSON values as a command line."""

from typing import Any

import click
import pytest

from shctl.commands.types import Duration
from shctl.common.errors import InvalidInput
from shctl.rest import parameters

NAME = click.Argument(["name"])
MEMORY = click.Option(["--memory"], type=click.IntRange(1, 4096), required=True)
NETWORKS = click.Option(["--network", "networks"], multiple=True)
START = click.Option(["--start/--no-start"], default=False)
TIMEOUT = click.Option(["--timeout"], type=Duration(1, 300))
STATE = click.Option(["--for", "condition"], type=click.Choice(["running", "stopped"]))


@pytest.mark.parametrize(
    ("param", "expected"),
    [
        (NAME, {"type": "string"}),
        (MEMORY, {"type": "integer", "minimum": 1, "maximum": 4096}),
        (NETWORKS, {"type": "array", "items": {"type": "string"}, "maxItems": 256}),
        (START, {"type": "boolean"}),
        (TIMEOUT, {"type": ["number", "string"]}),
        (STATE, {"type": "string", "enum": ["running", "stopped"]}),
    ],
)
def test_schema(param: click.Parameter, expected: dict[str, Any]) -> None:
    assert parameters.schema(param) == expected


@pytest.mark.parametrize(
    ("param", "value", "text"),
    [
        (MEMORY, "64", "memory: must be an integer, not a string"),
        (MEMORY, True, "memory: must be an integer, not a boolean"),
        (MEMORY, None, "memory: must be an integer, not null"),
        (NETWORKS, "lab", "networks: must be an array, not a string"),
        (NETWORKS, [1], "networks: must be a string, not an integer"),
        (NETWORKS, ["a"] * 257, "networks: must have at most 256 items, not 257"),
        (TIMEOUT, [], "timeout: must be a number or a string, not an array"),
    ],
)
def test_wrong_types(param: click.Parameter, value: object, text: str) -> None:
    name = param.name or ""
    with pytest.raises(InvalidInput) as caught:
        parameters.check(name, value, parameters.schema(param))
    assert (caught.value.detail, caught.value.field) == (text, name)


@pytest.mark.parametrize(
    ("param", "value", "words"),
    [
        (NAME, "--yes", ["--yes"]),  # after --, see runner.build_argv
        (MEMORY, 64, ["--memory=64"]),
        (NETWORKS, ["--yes", "b"], ["--network=--yes", "--network=b"]),
        (START, True, ["--start"]),
        (START, False, ["--no-start"]),
        (TIMEOUT, 0.5, ["--timeout=0.5"]),
    ],
)
def test_argv_words(param: click.Parameter, value: object, words: list[str]) -> None:
    assert list(parameters.argv_words(param, value)) == words


@pytest.mark.parametrize("text", [" 1", "1_0", "0x1", "1e3", "", "\u0661", "9" * 19])
def test_numbers_in_a_query_are_written_as_in_json(text: str) -> None:
    with pytest.raises(InvalidInput, match="memory: must be a number"):
        parameters.from_query("memory", text, parameters.schema(MEMORY))


def test_messages_name_json_keys() -> None:
    keys = parameters.keys({"networks": NETWORKS, "memory": MEMORY})
    text = "--network and --memory go before --other, a--network does not"
    expected = "networks and memory go before --other, a--network does not"
    assert parameters.replace_options(text, keys) == expected
