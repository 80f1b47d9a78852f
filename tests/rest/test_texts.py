"""Texts of the OpenAPI document are about requests, not about a command line."""

import re
from collections.abc import Iterator
from typing import Any

import click
import pytest

from shctl.cli.main import root
from shctl.rest.runner import CommandRunner
from shctl.server import describe

# --word and -w, but not the hyphen of a compound word.
OPTION = re.compile(r"(?<![\w-])--?[a-z][\w-]*")
FOR_PEOPLE = {"description", "summary", "detail", "title"}


@pytest.fixture(scope="module")
def document() -> Any:
    return describe(CommandRunner(click.Context(root), "test:///default"))


def texts(part: Any, where: str = "") -> Iterator[tuple[str, str]]:
    """Yield each text for people with its place, also those in examples."""
    if isinstance(part, list):
        for number, item in enumerate(part):
            yield from texts(item, f"{where}/{number}")
    elif isinstance(part, dict):
        for key, value in part.items():
            if key in FOR_PEOPLE and isinstance(value, str):
                yield f"{where}/{key}", value
            else:
                yield from texts(value, f"{where}/{key}")


def test_no_text_mentions_an_option_of_the_command_line(document: Any) -> None:
    found = list(texts(document))
    assert len(found) > 100
    assert [(where, text) for where, text in found if OPTION.search(text)] == []
