"""`hosts vnc`: the address of a host's screen."""

import json
import socket
from collections.abc import Iterator

import pytest

from shctl.hosts.vnc import display
from shctl.xml import domain
from tests.support import create, define, ok, run, show

GRAPHICS = (
    "<domain type='qemu' id='1'><name>a</name><memory>65536</memory><devices>{}</devices></domain>"
)


@pytest.mark.parametrize(
    ("graphics", "address"),
    [
        ("<graphics type='vnc' port='5901' listen='127.0.0.1'/>", "127.0.0.1:5901"),
        ("<graphics type='vnc' port='5901'><listen type='address' address='192.0.2.1'/></graphics>",
         "192.0.2.1:5901"),
        ("<graphics type='vnc' port='5901' listen='::1'/>", "[::1]:5901"),
        ("<graphics type='vnc' port='5901' passwd='secret'/>", "127.0.0.1:5901"),
        ("<graphics type='spice' port='5900'/><graphics type='vnc' port='6001'/>",
         "127.0.0.1:6001"),
        ("<graphics type='vnc' port='-1' autoport='yes'/>", None),
        ("<graphics type='vnc' port='99999'/>", None),
        ("<graphics type='vnc' port='\u0661'/>", None),
        ("<graphics type='vnc' socket='/run/a.sock'/>", None),
        ("", None),
    ],
)  # fmt: skip
def test_address_in_xml(graphics: str, address: str | None) -> None:
    assert domain.read(GRAPHICS.format(graphics)).vnc == address


def test_a_domain_that_is_off_has_no_address() -> None:
    xml = GRAPHICS.format("<graphics type='vnc' port='5901'/>").replace(" id='1'", "")
    assert domain.read(xml).vnc is None


@pytest.mark.parametrize(
    ("address", "shown"),
    [("127.0.0.1:5900", "127.0.0.1:0"), ("127.0.0.1:5999", "127.0.0.1:99"),
     ("127.0.0.1:6000", "127.0.0.1::6000"), ("127.0.0.1:80", "127.0.0.1::80"),
     ("[::1]:5901", "[::1]:1")],
)  # fmt: skip
def test_display(address: str, shown: str) -> None:
    assert display(address) == shown


@pytest.fixture
def screen() -> Iterator[str]:
    """Create a host that runs."""
    create("screen", "--start")
    yield "screen"
    ok("hosts", "delete", "--yes", "screen")


@pytest.mark.usefixtures("vlan10")
def test_a_vnc_server_is_at_the_address(screen: str) -> None:
    found = json.loads(ok("-o", "json", "hosts", "vnc", screen))
    assert list(found) == ["address", "display"]
    assert show(screen)["vnc"] == found["address"]
    assert ok("-o", "name", "hosts", "vnc", screen) == f"{found['display']}\n"
    host, _, port = found["address"].rpartition(":")
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        assert connection.recv(4) == b"RFB "  # RFC 6143, 7.1.1


@pytest.mark.usefixtures("vlan10")
def test_a_host_that_is_off(screen: str) -> None:
    ok("hosts", "stop", screen, "--force")
    assert show(screen)["vnc"] is None
    done = run("hosts", "vnc", screen)
    assert (done.code, "start it with 'shctl hosts start screen'" in done.err) == (4, True)


@pytest.mark.usefixtures("vlan10")
def test_a_host_without_a_screen() -> None:
    define(
        "<domain type='qemu'><name>blind</name><memory>65536</memory>"
        "<os><type arch='x86_64'>hvm</type></os></domain>"
    )
    ok("hosts", "start", "blind")
    done = run("hosts", "vnc", "blind")
    assert (done.code, "has no VNC server on a TCP port" in done.err) == (4, True)
    ok("hosts", "stop", "blind", "--force")
    ok("hosts", "adopt", "blind")
    ok("hosts", "delete", "--yes", "blind")
    assert run("hosts", "vnc", "blind").code == 3
