"""Choose the proxy for a URL from http_proxy, https_proxy, all_proxy and no_proxy.

urllib.request.getproxies() supports neither networks nor bare IPv6 addresses in no_proxy.
"""

import logging
import os
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_address, ip_network
from urllib.parse import urlsplit

from shctl.install.http.urls import redact

_log = logging.getLogger(__name__)

_SCHEMES = ("http", "https")
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Proxy:
    """A proxy: its URL, which may contain a password, and the variable that sets it."""

    url: str
    variable: str

    def __str__(self) -> str:
        """Return the proxy for messages, without its password."""
        return f"{redact(self.url)} ({self.variable})"


class BadProxy(ValueError):
    """A proxy variable has an invalid value; the message says which and why."""


def choose(url: str) -> Proxy | None:
    """Return the proxy for a URL, None for a direct connection; raise BadProxy."""
    parts = urlsplit(url)
    for variable in (f"{parts.scheme}_proxy", "all_proxy"):
        if value := _setting(variable):
            port = parts.port or _PORTS[parts.scheme]
            return None if is_bypassed(parts.hostname or "", port) else _proxy(value, variable)
    return None


def is_bypassed(host: str, port: int) -> bool:
    """Return whether no_proxy contains a host's name, domain, address or network."""
    # A trailing dot only marks a name as fully qualified.
    name = host.rstrip(".").lower()
    return any(_matches(entry, name, port) for entry in _entries(_setting("no_proxy")))


@lru_cache  # so that a value is warned about once, not at every request
def _entries(no_proxy: str) -> tuple[str, ...]:
    """Split no_proxy into lower-case entries; log a warning for each invalid network."""
    entries = tuple(no_proxy.replace(",", " ").lower().split())
    for entry in entries:
        if "/" in entry and not _is_network(entry):
            _log.warning("ignoring %r in no_proxy: it is not a network such as 10.0.0.0/8", entry)
    return entries


def _is_network(entry: str) -> bool:
    try:
        ip_network(entry, strict=False)
    except ValueError:
        return False
    return True


def _setting(name: str) -> str:
    """Return a variable, "" if unset; the lower-case name takes precedence, even when empty."""
    return os.environ.get(name, os.environ.get(name.upper(), "")).strip()


def _proxy(value: str, variable: str) -> Proxy:
    proxy = Proxy(value if "://" in value else f"http://{value}", variable)
    try:
        parts = urlsplit(proxy.url)
        is_usable = parts.scheme in _SCHEMES and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_usable = False
    if not is_usable:
        raise BadProxy(f"invalid proxy in {variable}: must be http://HOST:PORT")
    return proxy


def _matches(entry: str, host: str, port: int) -> bool:
    if entry == "*" or _is_in(entry, host):
        return True
    name, only_port = _split(entry)
    if only_port not in ("", str(port)):
        return False
    suffix = name.removeprefix("*").strip(".")
    return bool(suffix) and (host == suffix or host.endswith(f".{suffix}") or _is_in(name, host))


def _split(entry: str) -> tuple[str, str]:
    """Return an entry's host and port, "" for any port; an IPv6 address may be in brackets."""
    if entry.startswith("["):
        name, _, port = entry[1:].partition("]")
        return name, port.removeprefix(":")
    name, _, port = entry.partition(":")
    return name, port


def _is_in(entry: str, host: str) -> bool:
    """Return whether the host is an address that equals the entry or is in its network."""
    try:
        # Without the zone of a link-local address, as in fe80::1%eth0.
        return ip_address(host.partition("%")[0]) in ip_network(entry, strict=False)
    except ValueError:
        return False
