"""Output: tables for people, JSON and names for programs."""

import json

import click
import pytest

from shctl.common.model import Change, Disk, HostDetail, Interface, Outcome
from shctl.common.output import render
from shctl.common.rows import Host, Network

HOSTS = [Host("1", "a", "running"), Host("22", "longer-name", "shut off")]
DISK = Disk("sda", 1.5, "/v/a-sda", owned=True)
PORT = Interface("vlan10", "52:00:00:00:00:01", 10, (), "vnet0", ("192.0.2.1",), 0, "up")
DETAIL = HostDetail(
    id="1", name="a", state="running", reason="booted", managed=True, memory=512, max_memory=1024,
    cpus=1, max_cpus=2, firmware="bios", autostart=False, created=None, console=None, install=None,
    disks=(DISK,), interfaces=(PORT,), virt_type="kvm", pending=(Change("cpus", 2, "next start"),),
)  # fmt: skip


def plain(data: object, output: str = "table") -> str:
    return click.unstyle(render(data, output))


def test_table_is_aligned() -> None:
    assert plain(HOSTS).splitlines() == [
        "NAME         STATE     ID",
        "a            running   1",
        "longer-name  shut off  22",
    ]


def test_table_without_rows_is_empty() -> None:
    assert render([], "table") == render([], "name") == ""
    assert json.loads(render([], "json")) == []


def test_sheet_with_nested_tables() -> None:
    assert plain(DETAIL).splitlines() == [
        "NAME        a",
        "STATE       running",
        "REASON      booted",
        "ID          1",
        "MANAGED     yes",
        "MEMORY      512 MiB",
        "MAX_MEMORY  1024 MiB",
        "CPUS        1",
        "MAX_CPUS    2",
        "FIRMWARE    bios",
        "VIRT_TYPE   kvm",
        "AUTOSTART   no",
        "CREATED     -",
        "CONSOLE     -",
        "VNC         -",
        "PENDING",
        "  KEY   VALUE  APPLIED",
        "  cpus  2      next start",
        "INSTALL     -",
        "DISKS",
        "  NAME  SIZE     OWNED  PATH",
        "  sda   1.5 GiB  yes    /v/a-sda",
        "INTERFACES",
        "  INDEX  NETWORK  MAC                VLAN  PORT   LINK  ADDRESSES",
        "  0      vlan10   52:00:00:00:00:01  10    vnet0  up    192.0.2.1",
    ]


@pytest.mark.parametrize(
    ("size", "shown"),
    [(1.0, "1"), (10.0, "10"), (10240.0, "10240"), (0.05, "0.05"), (2 / 3, "0.67")],
)
def test_sizes_are_human_readable(size: float, shown: str) -> None:
    assert f"  {shown} GiB  " in plain([Disk("sda", size, "/v", owned=True)])


def test_empty_columns_are_omitted() -> None:
    assert plain([Outcome("a", "deleted")]).splitlines()[0] == "NAME  RESULT"
    kept = plain([Outcome("a", "deleted", ("/x", "/y")), Outcome("b", "deleted")]).splitlines()
    assert kept == ["NAME  RESULT   KEPT", "a     deleted  /x,/y", "b     deleted  -"]


def test_json_output_is_the_data() -> None:
    data = json.loads(render(DETAIL, "json"))
    assert list(data) == list(HostDetail.__slots__)
    assert data["disks"] == [{"name": "sda", "size": 1.5, "path": "/v/a-sda", "owned": True}]
    assert data["interfaces"][0]["trunk"] == []
    assert data["created"] is None
    assert json.loads(render(HOSTS, "json"))[1] == {
        "id": "22",
        "name": "longer-name",
        "state": "shut off",
    }


def test_json_escapes_non_ascii_text() -> None:
    text = render([Host("1", "é\x7f\x9b\u2028", "running")], "json")
    assert r'"\u00e9\u007f\u009b\u2028"' in text
    assert json.loads(text)[0]["name"] == "é\x7f\x9b\u2028"


def test_names() -> None:
    assert render(HOSTS, "name") == "a\nlonger-name"
    assert render(DETAIL, "name") == "a"


@pytest.mark.parametrize("output", ["table", "name"])
def test_names_cannot_control_the_terminal(output: str) -> None:
    """Hosts of other tools may have any name, including escape sequences."""
    shown = plain([Host("1", "a\x1b[31m\rb\u202ec", "running")], output)
    assert "a\ufffd[31m\ufffdb\ufffdc" in shown


def test_only_states_are_coloured() -> None:
    green = click.style("running", fg="green")
    assert green in render([Host("1", "running-late", "running")], "table")
    assert click.style("crashed", fg="red") in render([Host("1", "a", "crashed")], "table")
    row = Network("n", "active", "yes", "yes")
    assert click.style("active", fg="green") in render([row], "table")
    assert "\x1b" not in render(HOSTS, "json") + render(HOSTS, "name")
