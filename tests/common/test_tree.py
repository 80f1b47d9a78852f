"""Drawings of trees."""

from dataclasses import dataclass

from shctl.common.tree import draw


@dataclass
class Node:
    label: str
    children: "tuple[Node, ...]" = ()


NODES = [Node("br0", (Node("a", (Node("x"), Node("y"))), Node("b"))), Node("br1")]


def test_ascii() -> None:
    assert draw(NODES).splitlines() == ["br0", "|-- a", "|   |-- x", "|   `-- y", "`-- b", "br1"]


def test_unicode() -> None:
    assert "├── a" in draw(NODES, unicode=True)


def test_control_characters_are_replaced() -> None:
    assert "\x1b" not in draw([Node("a\x1b[2J", (Node("b\x1b[2J"),))])
