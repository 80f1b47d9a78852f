"""IP addresses of hosts that this machine has spoken with, from the kernel's own ARP table.

libvirt can read it too, but its version 9.0 fails on it ("wrong nlmsg len").
"""

from pathlib import Path

# This path is there for a service with ProcSubset=pid, too.
TABLE = Path("/proc/self/net/arp")
_COMPLETE = 0x2  # ATF_COM in linux/if_arp.h: somebody has answered


def addresses() -> dict[str, tuple[str, ...]]:
    """Return IPv4 addresses by MAC address."""
    found: dict[str, tuple[str, ...]] = {}
    try:
        lines = TABLE.read_text().splitlines()[1:]
    except FileNotFoundError:  # a kernel without IPv4
        return found
    for line in lines:
        address, _type, flags, mac, *_ = line.split()
        if int(flags, 16) & _COMPLETE:
            found[mac] = (*found.get(mac, ()), address)
    return found
