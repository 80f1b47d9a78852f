"""Read IP addresses of hosts from the kernel's ARP table: those that this machine talked to.

libvirt could read it too, but libvirt 9.0 fails ("wrong nlmsg len").
"""

# Not /proc/net/arp: that path is missing for a service with ProcSubset=pid.
TABLE = "/proc/self/net/arp"
_COMPLETE = 0x2  # ATF_COM in linux/if_arp.h: the address was resolved


def addresses() -> dict[str, tuple[str, ...]]:
    """Return IPv4 addresses by MAC address."""
    found: dict[str, tuple[str, ...]] = {}
    try:
        with open(TABLE, encoding="ascii") as table:  # noqa: PTH123 - importing pathlib is slow
            lines = table.read().splitlines()[1:]
    except FileNotFoundError:  # a kernel without IPv4
        return found
    for line in lines:
        address, _type, flags, mac, *_ = line.split()
        if int(flags, 16) & _COMPLETE:
            found[mac] = (*found.get(mac, ()), address)
    return found
