"""Parse libvirt's XML; pure, no I/O."""

from lxml import etree


def parse(xml: str) -> etree._Element:
    """Return the root of libvirt's XML, which may be nested deeper than lxml allows by default."""
    parser = etree.XMLParser(huge_tree=True, resolve_entities=False, no_network=True)
    return etree.fromstring(xml, parser)
