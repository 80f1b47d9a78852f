"""Check the addresses that redirects lead to.

A redirect may lead to a loopback, link-local, private or reserved address only if the location has
such an address itself. Otherwise the server of a tree could make shctl send requests to machines
that the server cannot reach: services on loopback, a cloud's metadata service, the racks' network.
"""

import socket
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address

# From IANA's special-purpose address registries, without the ranges for documentation.
_KINDS: Mapping[str, str] = {
    "loopback": "127.0.0.0/8 0.0.0.0/8 ::1/128 ::/128",
    "link-local": "169.254.0.0/16 fe80::/10",
    "private": (
        "10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 100.64.0.0/10 198.18.0.0/15 fc00::/7 fec0::/10"
    ),
    "reserved": "192.0.0.0/24 224.0.0.0/4 240.0.0.0/4 ff00::/8",
}
_NETWORKS = [(ip_network(text), kind) for kind, row in _KINDS.items() for text in row.split()]
# Networks whose addresses contain an IPv4 address, and how many bits follow it: NAT64 (RFC 6052),
# 6to4 (RFC 3056) and IPv4-compatible addresses (RFC 4291).
_EMBEDDING = {IPv6Network("64:ff9b::/96"): 0, IPv6Network("2002::/16"): 80, IPv6Network("::/96"): 0}


class ForbiddenAddress(Exception):
    """A redirect to an address that the policy forbids; `kind` is one of the kinds above."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


class RedirectPolicy:
    """Which addresses redirects may lead to: public ones, and the kinds that the location has."""

    def __init__(self) -> None:
        self._own: set[str] = set()
        self.redirected = False

    def begin(self, host: str, *, redirected: bool) -> None:
        """Begin a request to a host; raise ForbiddenAddress if it is a forbidden address."""
        self.redirected = redirected
        if address := parse_address(host):
            self.check(address)

    def check(self, address: Address) -> None:
        """Allow the kind of an address of the location; raise ForbiddenAddress for a redirect's."""
        kind = kind_of(address)
        if not kind or kind in self._own:
            return
        if self.redirected:
            raise ForbiddenAddress(kind)
        self._own.add(kind)

    def check_peer(self, sock: socket.socket) -> None:
        """Check the address that a socket is connected to; later DNS answers cannot change it."""
        self.check(ip_address(sock.getpeername()[0].partition("%")[0]))


def kind_of(address: Address) -> str:
    """Return an address's kind: loopback, link-local, private, reserved, or "" for public."""
    plain = _embedded_ipv4(address)
    return next((kind for network, kind in _NETWORKS if plain in network), "")


def _embedded_ipv4(address: Address) -> Address:
    """Return the IPv4 address inside an IPv6 address; other addresses unchanged."""
    if isinstance(address, IPv4Address) or int(address) <= 1:  # :: and ::1
        return address
    if address.ipv4_mapped:
        return address.ipv4_mapped
    for network, shift in _EMBEDDING.items():
        if address in network:
            return IPv4Address(int(address) >> shift & 0xFFFFFFFF)
    return address


def parse_address(host: str) -> Address | None:
    """Return the address that a URL's host is, in any notation; None for a name."""
    name = host.rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return IPv4Address("127.0.0.1")
    try:
        return ip_address(name.partition("%")[0])
    except ValueError:
        pass
    try:
        # getaddrinfo() also accepts 127.1, 0x7f000001 and 2130706433.
        return IPv4Address(socket.inet_aton(name))
    except (OSError, ValueError):
        return None
