"""Remove ports that outlived their hosts; the package runs this before libvirtd starts.

A power cut leaves the rows of ports in Open vSwitch. libvirt takes such a row for a new port of the
same name, old tag and all. shctl sweeps before each start of its own, but by then libvirtd has
started the hosts that start by themselves.
"""

from pathlib import Path

from shctl import openvswitch

DEVICES = Path("/sys/class/net")


def main() -> None:
    """Remove the rows of libvirt's ports that have no device; raise Unreachable.

    A port of a host that runs has one, so libvirtd need not be asked, which is not there yet.
    """
    rows = [row for row in openvswitch.ports() if row.domain]
    openvswitch.sweep([row for row in rows if not (DEVICES / row.name).exists()])


if __name__ == "__main__":
    main()
