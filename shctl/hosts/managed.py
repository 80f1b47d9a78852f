"""Check that shctl may change or delete a host."""

from shctl.common.errors import Conflict
from shctl.xml.domain import DomainInfo
from shctl.xml.metadata import Metadata


def check(name: str, info: DomainInfo) -> Metadata:
    """Return a host's metadata; raise Conflict if shctl neither created nor adopted it."""
    if info.metadata is None:
        origin = (
            "is a copy of a host that shctl created" if info.copied else "was not created by shctl"
        )
        raise Conflict(f"host {name!r} {origin}; 'shctl hosts adopt {name}' takes it over")
    return info.metadata
