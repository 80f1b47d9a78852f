#!/usr/bin/python3
"""Generate docs/openapi.json from the commands and routes.

tools/openapi.py [FILE]
"""

import json
import sys
from pathlib import Path

import click

from shctl.cli.main import root
from shctl.commands.session import DEFAULT_URI
from shctl.rest.runner import CommandRunner
from shctl.server import describe

FILE = Path(__file__).resolve().parents[1] / "docs" / "openapi.json"


def text() -> str:
    """Return the OpenAPI document as JSON text."""
    document = describe(CommandRunner(click.Context(root), DEFAULT_URI))
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    Path(sys.argv[1] if sys.argv[1:] else FILE).write_text(text(), encoding="utf-8")
