"""Measure everything and print one table; for use inside tools/throwaway."""

import os
import platform
import subprocess
import time
from pathlib import Path

from benchmarks import commands, creating, following, peers, serving
from benchmarks.rack import Rack
from benchmarks.table import Row, head

NETWORKS = 40


def main() -> None:
    """Run every row, from an empty hypervisor to a full one."""
    rack = Rack()
    rack.add_networks(NETWORKS)
    print(_machine(), end="\n\n")
    print(head())
    rows: list[Row] = []
    for measure in (creating.rows, commands.rows, serving.rows, following.rows):
        for row in measure(rack):
            print("| " + " | ".join(row.cells) + " |", flush=True)
            rows.append(row)
    missed = [row.work for row in rows if row.met is False]
    print(f"\nNot met: {'; '.join(missed) or 'none'}")


def _machine() -> str:
    """Say when and on what this was measured."""
    with Path("/proc/meminfo").open() as stream:
        memory = int(stream.readline().split()[1]) / 2**20
    kcli, sushy = (peers.version(name) for name in ("kcli", "sushy-tools"))
    virsh = subprocess.run(["virsh", "--version"], capture_output=True, text=True, check=True)
    return (
        f"{time.strftime('%Y-%m-%d')}: {os.cpu_count()} processors, {memory:.0f} GiB, no KVM;"
        f" Python {platform.python_version()}, libvirt {virsh.stdout.strip()}, kcli {kcli},"
        f" sushy-tools {sushy}; load average {os.getloadavg()[0]:.1f} at the start"
    )


if __name__ == "__main__":
    main()
