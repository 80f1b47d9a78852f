"""Retired words: the glossary in docs/architecture.md has the words to use instead."""

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from shctl.cli.main import root
from tests.support import ROOT

RETIRED = (
    r"told|tells?(?!\()|telling",  # report, return, distinguish, name
    r"mend(s|ed|ing)?|put(s|ting)? right",  # fix
    r"hindrances?",  # reason
    r"doors?|faces?",  # frontend, interface
    r"beside|anew|may you",  # next to, again, can you
    r"whoever|whatever|whosoever|whatsoever",
    r"ours|theirs|at hand|so many",
    r"strangers?|knock(s|ed|ing)?",  # unauthenticated client, connect
    r"settle[sd]?|recogni[sz]e[sd]?",  # finish, authenticate
    r"comes? to its end",  # ends, finishes
    r"stands? (in|on|there|still|behind)|stood",  # is, is in, depends on
    r"look(s|ed)? (at|whether)",  # check, read
)
PATTERN = re.compile(rf"\b({'|'.join(RETIRED)})\b", re.IGNORECASE)
PLACES = (
    "shctl",
    "docs",
    "man",
    "debian",
    "benchmarks",
    "tools",
    "tests",
    "Makefile",
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
)


def files() -> Iterator[Path]:
    """Yield the text files of PLACES, except this one, which lists the words."""
    for place in PLACES:
        path = ROOT / place
        found = [path] if path.is_file() else sorted(path.rglob("*"))
        yield from (
            file
            for file in found
            if file.is_file() and "__pycache__" not in file.parts and file != Path(__file__)
        )


def retired_words(name: str, text: str) -> list[str]:
    """Return "name:line: word" for each retired word in the text."""
    return [
        f"{name}:{number}: {match[0]}"
        for number, line in enumerate(text.splitlines(), 1)
        # Names in snake case are words too.
        for match in PATTERN.finditer(line.replace("_", " "))
    ]


def test_no_retired_words_in_files() -> None:
    found = [
        word
        for file in files()
        for word in retired_words(str(file.relative_to(ROOT)), file.read_text())
    ]
    assert not found, "\n".join(found)


def helps(command: click.Command, ctx: click.Context) -> Iterator[tuple[str, str]]:
    """Yield the path and the help of a command and of all commands below it."""
    yield ctx.command_path, command.get_help(ctx)
    if isinstance(command, click.Group):
        for name in command.list_commands(ctx):
            member = command.get_command(ctx, name)
            assert member is not None
            yield from helps(member, click.Context(member, info_name=name, parent=ctx))


@pytest.mark.parametrize(("path", "text"), [*helps(root, click.Context(root, info_name="shctl"))])
def test_no_retired_words_in_help(path: str, text: str) -> None:
    assert retired_words(path, text) == []


def test_snake_case_is_checked() -> None:
    assert retired_words("f", "def _told(): ...\nmended = 1  # Told") == [
        "f:1: told", "f:2: mended", "f:2: Told",
    ]  # fmt: skip
