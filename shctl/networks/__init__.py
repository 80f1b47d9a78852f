"""Tagged networks, the ports of hosts, and Open vSwitch."""
