"""Parse libvirt's XML; pure, no I/O."""

from lxml import etree


def parse(xml: str) -> etree._Element:
    """Return the root of libvirt's XML, which may be nested deeper than lxml allows by default."""
    return _parsed(xml, strip_cdata=True)


def parse_for_edit(xml: str) -> etree._Element:
    """Return the root of XML that is stored again: with comments, and CDATA as it is."""
    return _parsed(xml, strip_cdata=False)


def _parsed(xml: str, *, strip_cdata: bool) -> etree._Element:
    parser = etree.XMLParser(
        huge_tree=True, resolve_entities=False, no_network=True, strip_cdata=strip_cdata
    )
    return etree.fromstring(xml, parser)


def error_line(content: bytes) -> int | None:
    """Return the line of the first syntax error in XML of a user; None if there is none."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
    try:
        etree.fromstring(content, parser)
    except etree.XMLSyntaxError as error:
        return error.lineno or 1
    return None
