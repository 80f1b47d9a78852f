"""The limits of requests to a tree's server."""

from dataclasses import dataclass

MIB = 1 << 20


@dataclass(frozen=True)
class Limits:
    """Limits of one request, in seconds and bytes.

    `text` is for small files such as .treeinfo, `image` for kernel and initrd; `probe_total` is
    for all requests of a probe together.
    """

    connect: float = 10
    stall: float = 30
    text_total: float = 60
    probe_total: float = 300
    image_total: float = 3600
    text_bytes: int = 4 * MIB
    image_bytes: int = 1024 * MIB
    redirects: int = 5
