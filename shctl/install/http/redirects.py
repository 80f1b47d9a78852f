"""Addresses that a redirect must not lead to unless the location itself is of that kind.

A tree's server could otherwise have shctl ask machines that it cannot reach itself: services on
the loopback address, a cloud's metadata service, the racks' own network.
"""

import socket
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address

# By IANA's registries of special-purpose addresses; those for documentation are left out.
_KINDS: Mapping[str, str] = {
    "loopback": "127.0.0.0/8 0.0.0.0/8 ::1/128 ::/128",
    "link-local": "169.254.0.0/16 fe80::/10",
    "private": (
        "10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 100.64.0.0/10 198.18.0.0/15 fc00::/7 fec0::/10"
    ),
    "reserved": "192.0.0.0/24 224.0.0.0/4 240.0.0.0/4 ff00::/8",
}
_NETWORKS = [(ip_network(text), kind) for kind, row in _KINDS.items() for text in row.split()]
# Those that hold an IPv4 address, and how many bits stand behind it: NAT64, 6to4, and the oldest.
_EMBEDDING = {IPv6Network("64:ff9b::/96"): 0, IPv6Network("2002::/16"): 80, IPv6Network("::/96"): 0}


class Forbidden(Exception):
    """An address that a redirect must not lead to."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


class Reach:
    """What the redirects of one location may lead to: public addresses, and its own kind."""

    def __init__(self) -> None:
        self._own: set[str] = set()
        self.redirected = False

    def begin(self, host: str, *, redirected: bool) -> None:
        """Note that requests to host follow; raise Forbidden where its name says enough."""
        self.redirected = redirected
        if address := literal(host):
            self.check(address)

    def check(self, address: Address) -> None:
        """Learn from an address of the location; raise Forbidden for one of a redirect's."""
        kind = kind_of(address)
        if not kind or kind in self._own:
            return
        if self.redirected:
            raise Forbidden(kind)
        self._own.add(kind)

    def check_peer(self, sock: socket.socket) -> None:
        """Check what a socket is connected to, which no change of a name can alter any more."""
        self.check(ip_address(sock.getpeername()[0].partition("%")[0]))


def kind_of(address: Address) -> str:
    """Return what is special of an address, "" for a public one."""
    plain = unwrap(address)
    return next((kind for network, kind in _NETWORKS if plain in network), "")


def unwrap(address: Address) -> Address:
    """Return the IPv4 address that stands in an IPv6 address, others as they are."""
    if isinstance(address, IPv4Address) or int(address) <= 1:  # :: and ::1
        return address
    if address.ipv4_mapped:
        return address.ipv4_mapped
    for network, behind in _EMBEDDING.items():
        if address in network:
            return IPv4Address(int(address) >> behind & 0xFFFFFFFF)
    return address


def literal(host: str) -> Address | None:
    """Return the address that a URL's host is, in any spelling; None for a name."""
    name = host.rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return IPv4Address("127.0.0.1")
    try:
        return ip_address(name.partition("%")[0])
    except ValueError:
        pass
    try:
        # The C library takes 127.1, 0x7f000001 and 2130706433 as well.
        return IPv4Address(socket.inet_aton(name))
    except (OSError, ValueError):
        return None
