"""Tables within the width of a terminal."""

import pytest

from shctl.common.layout import cells, layout
from shctl.common.text import natural

COLUMNS = ("name", "state", "addresses")
LINES = [["NAME", "STATE", "ADDRESS"], ["web1", "running", "192.0.2.1,192.0.2.2"]]


def table(
    width: int | None, lines: list[list[str]] = LINES, columns: object = COLUMNS
) -> list[str]:
    return list(layout(columns, lines, width, lambda cell: cell))  # type: ignore[arg-type]


def test_nothing_is_cut_without_a_terminal() -> None:
    assert table(None) == ["NAME  STATE    ADDRESS", "web1  running  192.0.2.1,192.0.2.2"]
    assert table(200) == table(34) == table(None)


def test_last_columns_are_cut_first() -> None:
    assert table(26) == ["NAME  STATE    ADDRESS", "web1  running  192.0.2.1,~"]
    assert table(18) == ["NAME  STATE  ADDR~", "web1  runn~  192.~"]
    assert table(12) == ["NAME  STATE", "web1  runni~"]


@pytest.mark.parametrize("width", range(1, 40))
def test_names_are_never_cut(width: int) -> None:
    lines = table(width)
    assert lines[1].startswith("web1")
    assert all(len(line) <= max(width, 4) for line in lines)


def test_sentences_are_wrapped() -> None:
    lines = [["NAME", "PROBLEM"], ["web1", "its disk is gone and nobody knows why"]]
    assert table(26, lines, ("name", "problem")) == [
        "NAME  PROBLEM", "web1  its disk is gone and", "      nobody knows why",
    ]  # fmt: skip


def test_wide_characters_take_two_cells() -> None:
    assert (cells("abc"), cells("漢字"), cells("e\u0301")) == (3, 4, 1)
    lines = [["NAME", "STATE"], ["漢字", "running"], ["abc", "off"]]
    assert table(None, lines, ("name", "state")) == ["NAME  STATE", "漢字  running", "abc   off"]


def test_natural_order() -> None:
    names = ["web10", "web2", "web", "2b", "10a", "web1.example", "db"]
    assert sorted(names, key=natural) == ["2b", "10a", "db", "web", "web1.example", "web2", "web10"]
