"""Read the files in which libvirt stores its domains; pure, no I/O."""

from lxml import etree


def read_uuid(content: bytes) -> str | None:
    """Return the UUID in a domain's file, None without one; raise ValueError unless it is XML."""
    try:
        root = etree.fromstring(content, etree.XMLParser(resolve_entities=False, no_network=True))
    except etree.XMLSyntaxError as error:
        raise ValueError("it is not XML") from error
    # The file of a running host has <domain> in <domstatus>.
    element = root if root.tag == "domain" else root.find("domain")
    return None if element is None else element.findtext("uuid")
