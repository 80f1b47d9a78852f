"""The proxies that the environment names, and the hosts that it takes out.

The standard library's own reading knows neither networks nor bare IPv6 addresses in no_proxy.
"""

import os
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from urllib.parse import urlsplit

from shctl.install.http.urls import redact

_SCHEMES = ("http", "https")
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Proxy:
    """A proxy's URL, which may hold a password, and the variable that names it."""

    url: str
    variable: str

    def __str__(self) -> str:
        """Return what may be shown of it."""
        return f"{redact(self.url)} ({self.variable})"


class BadProxy(ValueError):
    """A proxy that cannot be used; says why."""


def choose(url: str) -> Proxy | None:
    """Return the proxy to fetch url through, None for none; raise BadProxy."""
    parts = urlsplit(url)
    for variable in (f"{parts.scheme}_proxy", "all_proxy"):
        if value := _setting(variable):
            port = parts.port or _PORTS[parts.scheme]
            return None if is_bypassed(parts.hostname or "", port) else _proxy(value, variable)
    return None


def is_bypassed(host: str, port: int) -> bool:
    """Tell whether no_proxy takes out a host, by its name, its address, or a network."""
    entries = _setting("no_proxy").replace(",", " ").split()
    return any(_matches(entry.lower(), host.rstrip(".").lower(), port) for entry in entries)


def _setting(name: str) -> str:
    """Return a variable in small letters or capitals; an empty one in small letters counts."""
    return os.environ.get(name, os.environ.get(name.upper(), "")).strip()


def _proxy(value: str, variable: str) -> Proxy:
    proxy = Proxy(value if "://" in value else f"http://{value}", variable)
    try:
        parts = urlsplit(proxy.url)
        is_usable = parts.scheme in _SCHEMES and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_usable = False
    if not is_usable:
        raise BadProxy(f"{variable} names no proxy that can be used; give http://HOST:PORT there")
    return proxy


def _matches(entry: str, host: str, port: int) -> bool:
    if entry == "*" or _is_in(entry, host):
        return True
    name, wanted = _split(entry)
    if wanted not in ("", str(port)):
        return False
    suffix = name.removeprefix("*").strip(".")
    return bool(suffix) and (host == suffix or host.endswith(f".{suffix}") or _is_in(name, host))


def _split(entry: str) -> tuple[str, str]:
    """Return host and port of an entry; brackets stand around an IPv6 address with a port."""
    if entry.startswith("["):
        name, _, port = entry[1:].partition("]")
        return name, port.removeprefix(":")
    name, _, port = entry.partition(":")
    return name, port


def _is_in(entry: str, host: str) -> bool:
    """Tell whether a host is an address, and entry that address or a network that holds it."""
    try:
        return ip_address(host.partition("%")[0]) in ip_network(entry, strict=False)
    except ValueError:
        return False
