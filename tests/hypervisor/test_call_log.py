"""Log lines of libvirt's calls, with libvirt's test driver."""

import logging
from typing import Any

import libvirt
import pytest

from shctl.hypervisor.call_log import LoggedModule

SECRET = "hunter2"


@pytest.fixture
def connection(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Any:
    caplog.set_level(logging.DEBUG, logger="shctl")
    monkeypatch.setattr(libvirt, "libvirtmod", LoggedModule(libvirt.libvirtmod))
    return libvirt.open("test:///default")


def test_arguments_results_and_names(connection: Any, caplog: pytest.LogCaptureFixture) -> None:
    domain = connection.lookupByName("test")
    caplog.clear()
    assert domain.state()[0] == libvirt.VIR_DOMAIN_RUNNING
    assert caplog.messages[0].startswith("virDomainGetState('test', 0): 1, ")
    caplog.clear()
    domain.name()
    assert caplog.messages == [], "it makes no call"


def test_errors(connection: Any, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(libvirt.libvirtError, match="Domain not found"):
        connection.lookupByName("nobody")
    assert "virDomainLookupByName('nobody'): error: Domain not found" in caplog.text


def test_xml_is_not_logged(connection: Any, caplog: pytest.LogCaptureFixture) -> None:
    xml = f"<domain type='test'><name>a</name><memory>1</memory><os><type>hvm</type>\
<cmdline>{SECRET}</cmdline></os></domain>"
    domain = connection.defineXMLFlags(xml, 0)
    assert SECRET in domain.XMLDesc()
    domain.undefine()
    assert "virDomainDefineXMLFlags(XML of" in caplog.text
    assert SECRET not in caplog.text
