"""Read and change Open vSwitch; nothing else calls ovs-vsctl.

Tables and columns are in ovs-vswitchd.conf.db(5), the JSON of values in RFC 7047, section 5.1.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from shctl.common import debug_log
from shctl.common.errors import NotFound, ShctlError, Unreachable
from shctl.networks.switch import PortRow

if TYPE_CHECKING:
    from shctl.xml.interfaces import InterfaceRow
    from shctl.xml.network import NetworkInfo

VIRTUALPORT: str | None = "openvswitch"
TIMEOUT = 3  # seconds; a call that works takes 4 ms


def check() -> None:
    """Raise Unreachable unless Open vSwitch answers."""
    bridges()


def version() -> str | None:
    """Return the version that Open vSwitch's start-up script has stored, else that of ovs-vsctl."""
    rows = _rows(_vsctl("--columns=ovs_version", "list", "Open_vSwitch"))
    stored = [str(text) for row in rows for text in _set(row["ovs_version"])]
    # "ovs-vsctl (Open vSwitch) 3.1.0"
    return stored[0] if stored else _vsctl("--version").split("\n")[0].split(" ")[-1]


def bridges() -> list[str]:
    """Return the names of all bridges; raise Unreachable when Open vSwitch does not answer.

    Without the fake bridges that list-br includes: their ports are on the parent bridge.
    """
    return sorted(row["name"] for row in _rows(_vsctl("--columns=name", "list", "Bridge")))


def ports() -> list[PortRow]:
    """Return every port of every bridge, read in one transaction."""
    answer = _vsctl(
        "--columns=name,ports", "list", "Bridge",
        "--", "--columns=_uuid,name,tag,trunks,vlan_mode,interfaces", "list", "Port",
        "--", "--columns=_uuid,name,type,external_ids", "list", "Interface",
    )  # fmt: skip
    # Not splitlines(), which also splits at line separators in what others write into rows.
    bridge_rows, port_rows, interface_rows = map(_rows, answer.rstrip("\n").split("\n"))
    bridge_of = {port: row["name"] for row in bridge_rows for port in _set(row["ports"])}
    interfaces = {row["_uuid"][1]: row for row in interface_rows}
    return [_port(row, bridge_of.get(row["_uuid"][1], ""), interfaces) for row in port_rows]


def carries(connected: InterfaceRow | NetworkInfo) -> bool:
    """Return whether an interface or a network is on Open vSwitch, by its XML."""
    return connected.switched


def remove_stale_ports(stale: Collection[PortRow]) -> None:
    """Remove stale rows; rows that changed meanwhile are kept. Raises Unreachable.

    Works while ovs-vswitchd is down, whose crash leaves such rows.
    """
    left = list(stale)
    while left:
        row = left.pop()
        try:
            _remove_row(row)
        except Unreachable:
            # wait-until also times out when another process has removed or reused the row. Read all
            # rows again, so that many such rows cost one timeout.
            present = ports()
            if row in present:
                raise
            left = [row for row in left if row in present]


def _remove_row(row: PortRow) -> None:
    # When libvirt reuses a row, its device appears and the switch assigns a positive ofport.
    owner, kind = json.dumps(row.domain), json.dumps(row.type)
    unchanged = [f"external_ids:vm-id={owner}", f"type={kind}", "ofport<0"]
    # One transaction. By UUID: the host may have started meanwhile, with a new row of that name.
    # --no-wait: do not wait for ovs-vswitchd, which may be down.
    _vsctl(
        "--no-wait", "wait-until", "Interface", row.name, *unchanged,
        "--", "--if-exists", "remove", "Bridge", row.bridge, "ports", row.uuid,
        timeout=1,
    )  # fmt: skip


def _port(row: dict[str, Any], bridge: str, interfaces: dict[str, dict[str, Any]]) -> PortRow:
    tag, mode = _set(row["tag"]), _set(row["vlan_mode"])
    own = [interfaces[uuid] for uuid in _set(row["interfaces"]) if uuid in interfaces]
    if [interface["name"] for interface in own] != [row["name"]]:
        own = [{"type": "bond", "external_ids": ["map", []]}]
    return PortRow(
        uuid=row["_uuid"][1],
        name=row["name"],
        bridge=bridge,
        tag=tag[0] if tag else None,
        trunk=tuple(sorted(_set(row["trunks"]))),
        vlan_mode=mode[0] if mode else None,
        domain=dict(own[0]["external_ids"][1]).get("vm-id"),
        type=own[0]["type"],
    )


def _rows(line: str) -> list[dict[str, Any]]:
    table = json.loads(line)
    return [dict(zip(table["headings"], row, strict=True)) for row in table["data"]]


def _set(value: Any) -> list[Any]:
    """Return a column as a list; a set of one element is encoded as that element (RFC 7047)."""
    if isinstance(value, list) and value[:1] == ["set"]:
        return [_atom(element) for element in value[1]]
    return [_atom(value)]


def _atom(value: Any) -> Any:
    return value[1] if isinstance(value, list) and value[0] == "uuid" else value


def _vsctl(*arguments: str, timeout: int = TIMEOUT) -> str:
    # The error that is raised has the message; without this, ovs-vsctl logs it to syslog as well.
    quiet = "--verbose=syslog:off"
    argv = ["ovs-vsctl", f"--timeout={timeout}", quiet, "--format=json", *arguments]
    with debug_log.logged(__name__, " ".join(argv)) as call:
        done = _run(argv)
        call.result = f"status {done.returncode}"
    if done.returncode:
        raise _failure(argv, done)
    return done.stdout


def _run(argv: list[str]) -> subprocess.CompletedProcess[str]:
    try:
        # The outer timeout only matters if ovs-vsctl itself hangs or is not scheduled.
        return subprocess.run(
            argv, capture_output=True, encoding="utf-8", errors="replace", timeout=TIMEOUT + 2,
            check=False, shell=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except FileNotFoundError as error:
        raise Unreachable("ovs-vsctl is not installed; install openvswitch-switch") from error
    except subprocess.TimeoutExpired as error:
        raise Unreachable(f"Open vSwitch did not respond within {TIMEOUT + 2} s") from error


def _failure(argv: list[str], done: subprocess.CompletedProcess[str]) -> ShctlError:
    """Return the error for a failed call, by its message: every failure has status 1."""
    message = done.stderr.strip()
    hint = "is openvswitch-switch running, and are you root?"
    if done.returncode < 0:  # --timeout kills it by SIGALRM
        return Unreachable(f"Open vSwitch did not respond within {TIMEOUT} s; {hint}")
    if "database connection failed" in message:
        return Unreachable(f"cannot reach Open vSwitch: {message}; {hint}")
    if "no row" in message or "no port named" in message:
        return NotFound(message)
    return ShctlError(f"{' '.join(argv)} failed with {done.returncode}: {message}")
