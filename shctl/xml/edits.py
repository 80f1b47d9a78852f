"""Edit stored domain XML, and keep everything that is not asked for as it is; pure, no I/O.

libvirt writes numbers in its own units, so what does not change keeps its text. Comments, CDATA and
namespaces that other programs put into the metadata stay too.
"""

from collections.abc import Callable

from lxml import etree

from shctl.xml.parsing import parse_for_edit


def edited(xml: str, change: Callable[[etree._Element], object]) -> str:
    """Return a domain's XML after a change to its root element."""
    root = parse_for_edit(xml)
    change(root)
    return etree.tostring(root, encoding="unicode")
