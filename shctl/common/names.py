"""Rules for names, and what is derived from a name, so that a rebuilt host keeps it."""

import re
from collections.abc import Iterable
from itertools import count

from shctl.common.errors import InvalidInput

# 200 leaves room in 255-byte file names for what libvirt and shctl add to a name.
MAX_LENGTH = 200
MAX_INTERFACES = 256  # of a host
# A label as in RFC 1123, section 2.1, but without upper case.
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_HOST = rf"{_LABEL}(?:\.{_LABEL})*"
_NETWORK = r"[A-Za-z0-9](?:[A-Za-z0-9_-]|\.(?!\.))*"
HOST_RULE = (
    "parts of 1 to 63 lower-case letters, digits and inner '-', joined by '.', as in a host name"
)
NETWORK_RULE = "letters, digits, '_', '-' and single '.', starting with a letter or digit"


def check_host(name: str, field: str = "name") -> str:
    """Return the name of a new host; raise InvalidInput unless it is a host name."""
    return _check(name, _HOST, HOST_RULE, field)


def is_host(name: str) -> bool:
    """Return whether shctl accepts this name for a new host."""
    return len(name) <= MAX_LENGTH and bool(re.fullmatch(_HOST, name))


def check_network(name: str, field: str = "name") -> str:
    """Return the name of a new network; raise InvalidInput unless it is valid."""
    return _check(name, _NETWORK, NETWORK_RULE, field)


def _check(name: str, rule: str, hint: str, field: str) -> str:
    if len(name) > MAX_LENGTH:
        raise InvalidInput(f"{field}: longer than {MAX_LENGTH} characters", field=field)
    if not re.fullmatch(rule, name):
        raise InvalidInput(f"{field}: {name!r} is not allowed; use {hint}", field=field)
    return name


def check_text(name: str, field: str = "name") -> str:
    """Return the name of something that may exist; raise InvalidInput for an impossible name.

    Other tools have no rules for names, so this accepts any name that libvirt can look up.
    """
    if not name or len(name) > 4 * MAX_LENGTH or not name.isprintable():
        raise InvalidInput(f"{field}: {name[:40]!r} cannot be a name", field=field)
    return name


def is_file_name(name: str) -> bool:
    """Return whether a name from elsewhere can be one part of a path, and no more than that."""
    return len(name.encode("utf-8", "replace")) <= MAX_LENGTH and bool(
        name.isprintable() and name not in ("", ".", "..") and "/" not in name
    )


def file_name(name: str) -> str:
    """Return a name that is about to become part of a path; raise InvalidInput if it may not.

    libvirt accepts "..", so such a domain is not an error by itself.
    """
    if not is_file_name(name):
        raise InvalidInput(f"{name[:40]!r} cannot be the name of a file")
    return name


def disk_target(index: int) -> str:
    """Return the device name of a host's disk: sda for 0, sdz for 25, sdaa for 26."""
    letters = ""
    index += 1
    while index:
        index, letter = divmod(index - 1, 26)
        letters = chr(ord("a") + letter) + letters
    return f"sd{letters}"


def disk_index(target: str) -> int:
    """Return the index of a device name that disk_target gives: 0 for sda, 26 for sdaa."""
    index = 0
    for letter in target.removeprefix("sd"):
        index = 26 * index + ord(letter) - ord("a") + 1
    return index - 1


def volume(host: str, target: str) -> str:
    """Return the name of the volume behind a host's disk, as in web1-sda."""
    return f"{host}-{target}"


def mac(host: str, index: int) -> str:
    """Return the MAC address of a host's interface.

    40 bits of hash behind 52, which is locally administered and unicast: QEMU's own prefix
    52:54:00 leaves 24 bits, where a thousand interfaces would collide in one rack of thirty.
    """
    digest = _digest(f"mac/{host}/{index}")[:10]
    return ":".join(["52", *(digest[i : i + 2] for i in range(0, 10, 2))])


def interface_indexes(host: str, macs: Iterable[str]) -> dict[str, int]:
    """Return the index of each of a host's interfaces, by MAC address.

    That from which shctl derived the MAC. Any other MAC, such as an adopted host's, gets the lowest
    index that is free, in the order of `macs`.
    """
    addresses = tuple(dict.fromkeys(macs))
    derived = {mac(host, index): index for index in range(MAX_INTERFACES)}
    own = {address: derived[address] for address in addresses if address in derived}
    free = (index for index in count() if index not in own.values())
    return {address: own[address] if address in own else next(free) for address in addresses}


def wwn(host: str, target: str) -> str:
    """Return the World Wide Name of a host's disk: 16 hexadecimal digits.

    The first one, 3, says "locally assigned" (SPC-4, NAA identifiers).
    """
    return "3" + _digest(f"wwn/{host}/{target}")[:15]


def serial(host: str, target: str) -> str:
    """Return the serial number of a host's disk: 16 characters."""
    return "SHCTL" + _digest(f"serial/{host}/{target}")[:11].upper()


def _digest(text: str) -> str:
    from hashlib import sha256  # takes 3 ms, which a list of hosts does not need

    return sha256(text.encode()).hexdigest()
