"""Draw a tree of objects, each of which has a `label` and `children`."""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from shctl.common.text import clean

_UNICODE = ("├── ", "│   ", "└── ", "    ")
_ASCII = ("|-- ", "|   ", "`-- ", "    ")


class Node(Protocol):
    """A node of a tree."""

    @property
    def label(self) -> str:
        """Return the text of the node."""

    @property
    def children(self) -> Sequence[Any]:
        """Return the nodes below it."""


def draw(nodes: Sequence[Node], *, unicode: bool = False) -> str:
    """Return the trees below each other, one node on each line."""
    marks = _UNICODE if unicode else _ASCII
    return "\n".join(line for node in nodes for line in (clean(node.label), *_below(node, marks)))


def _below(node: Node, marks: tuple[str, str, str, str]) -> Iterator[str]:
    middle, passing, last, blank = marks
    for index, child in enumerate(node.children, start=1):
        is_last = index == len(node.children)
        yield (last if is_last else middle) + clean(child.label)
        for line in _below(child, marks):
            yield (blank if is_last else passing) + line
