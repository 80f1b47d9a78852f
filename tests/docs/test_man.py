"""Man pages: one for each command, with its options, and valid for mandoc.

Names and options are compared, not bytes: click's versions word some things differently. After a
change of a command, tools/man.py rewrites the pages.
"""

import re
import subprocess
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

from shctl.commands import settings
from shctl.common import errors

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "man").glob("*.[1-8]"))


def load_generator() -> Any:
    spec = spec_from_file_location("man", ROOT / "tools" / "man.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


man = load_generator()
LEAVES = list(man.leaves())


def sections(page: Path) -> dict[str, str]:
    """Return the text of each section, without roff's escapes."""
    parts = re.split(r"^\.SH (.+)\n", page.read_text(), flags=re.MULTILINE)
    plain = [re.sub(r"\\f[BIR]|\\&", "", part).replace("\\-", "-") for part in parts]
    return dict(zip(plain[1::2], plain[2::2], strict=True))


def tagged(body: str) -> set[str]:
    """Return the options that a section lists."""
    heads = re.findall(r"^\.TP\n(.+)$", body, re.MULTILINE)
    return {word for head in heads for word in re.findall(r"(?<!\S)--?[a-z][a-z-]*", head)}


def test_each_command_has_a_page_and_each_page_a_command() -> None:
    names = {f"{leaf.name}.{leaf.section}" for leaf in LEAVES}
    assert {page.name for page in PAGES} == names | {"shctl.1", "shctl.toml.5"}


@pytest.mark.parametrize("leaf", LEAVES, ids=lambda leaf: leaf.name)
def test_page_lists_the_public_options(leaf: Any) -> None:
    page = sections(ROOT / "man" / f"{leaf.name}.{leaf.section}")
    expected = {o for option in man.options(leaf.command) for o in option.opts}
    expected |= {o for option in man.options(leaf.command) for o in option.secondary_opts}
    assert tagged(page.get("OPTIONS", "")) == expected


@pytest.mark.parametrize("leaf", LEAVES, ids=lambda leaf: leaf.name)
def test_command_has_help_and_an_example(leaf: Any) -> None:
    page = sections(ROOT / "man" / f"{leaf.name}.{leaf.section}")
    assert leaf.command.help
    assert " ".join(leaf.words) in page["EXAMPLES"]
    assert all(option.help or option.show_default for option in man.options(leaf.command))


def test_root_page_lists_commands_options_and_exit_codes() -> None:
    page = sections(ROOT / "man" / "shctl.1")
    listed = re.findall(r"^\.BR (\S+) \(\d\)$", page["COMMANDS"], re.MULTILINE)
    assert listed == [leaf.name for leaf in LEAVES]
    assert tagged(page["OPTIONS"]) >= {"-c", "--connect", "-o", "--output", "--config", "--debug"}
    codes = set(re.findall(r"^\.B (\d+)$", page["EXIT STATUS"], re.MULTILINE))
    assert {str(kind.exit_code) for kind in errors.ShctlError.__subclasses__()} <= codes


def test_file_page_lists_the_keys() -> None:
    page = sections(ROOT / "man" / "shctl.toml.5")["SETTINGS"]
    assert re.findall(r"^\.TP\n(\S+) = ", page, re.MULTILINE) == list(settings.KEYS)


def test_hidden_options_are_not_documented() -> None:
    assert not [page for page in PAGES if "inject-text" in page.read_text().replace("\\", "")]


def test_mandoc_reports_nothing() -> None:
    done = subprocess.run(
        ["mandoc", "-T", "lint", *PAGES], capture_output=True, text=True, check=False
    )
    assert done.stdout == ""
