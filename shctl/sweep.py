"""Remove ports that outlived their hosts; the package runs this before libvirtd starts.

A power cut leaves the rows of ports in Open vSwitch. libvirt takes such a row for a new port of the
same name, old tag and all. shctl sweeps before each start of its own, but by then libvirtd has
started the hosts that start by themselves.
"""

from shctl import openvswitch


def main() -> None:
    """Remove the rows; raise Unreachable."""
    openvswitch.sweep(openvswitch.stale_ports())


if __name__ == "__main__":
    main()
