"""A domain's metadata: what is written is read back unchanged."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from shctl.common import clock
from shctl.common.states import Phase
from shctl.xml import metadata
from shctl.xml.metadata import Installation, Metadata, OwnedVolume
from tests.support import connected

TIME = "2026-01-02T03:04:05Z"
TEXT = st.text(st.characters(blacklist_categories=["Cs", "Cc"]), min_size=1, max_size=20)
INSTALL = Installation(Phase.INSTALLING, TIME, "2026-01-02T05:04:05Z", "http://a/<b>&'\"")
FULL = Metadata(TIME, False, (OwnedVolume("p", "a-sda"),), ("/a&b.img",), INSTALL)


def in_domain(element: etree._Element | None) -> etree._Element:
    root = etree.Element("domain")
    etree.SubElement(root, "name").text = "a"
    inside = etree.SubElement(root, "metadata")
    if element is not None:
        inside.append(element)
    return root


@pytest.mark.parametrize("data", [Metadata(TIME), FULL, Metadata(TIME, variables_left=True)])
def test_round_trip(data: Metadata) -> None:
    assert metadata.read(in_domain(metadata.build(data))) == data


def test_a_pending_volume() -> None:
    """It is equal to the same volume without the mark."""
    data = Metadata(TIME, volumes=(OwnedVolume("p", "a-sda"), OwnedVolume("p", "a-sdb", True)))
    again = metadata.read(in_domain(metadata.build(data)))
    assert again == data
    assert [volume.pending for volume in again.volumes] == [False, True]


@given(TEXT, TEXT, TEXT, st.booleans())
def test_round_trip_of_any_text(pool: str, name: str, path: str, complete: bool) -> None:
    data = Metadata(TIME, complete, (OwnedVolume(pool, name),), (path,))
    text = etree.tostring(in_domain(metadata.build(data)))
    assert metadata.read(etree.fromstring(text)) == data


def test_domain_without_shctl_metadata() -> None:
    assert metadata.read(etree.Element("domain")) is None
    other = etree.Element("{http://libosinfo.org/xmlns/libvirt/domain/1.0}libosinfo")
    assert metadata.read(in_domain(other)) is None


@pytest.mark.hypervisor
def test_round_trip_through_libvirt() -> None:
    """Written with the definition, and into an existing domain."""
    domain = etree.fromstring("<domain type='qemu'><name>meta</name><memory>64</memory></domain>")
    etree.SubElement(etree.SubElement(domain, "os"), "type", arch="x86_64").text = "hvm"
    etree.SubElement(domain, "metadata").append(metadata.build(FULL))
    later = Metadata(TIME, True, (OwnedVolume("q&", "b"),), ("/c<d",))
    with connected() as connection:
        handle = connection.defineXML(etree.tostring(domain, encoding="unicode"))
        try:
            assert metadata.read(etree.fromstring(handle.XMLDesc())) == FULL
            handle.setMetadata(2, metadata.text(later), metadata.KEY, metadata.URI, 2)
            assert metadata.read(etree.fromstring(handle.XMLDesc())) == later
        finally:
            handle.undefine()


def test_times_are_utc_and_sort_chronologically() -> None:
    now, later = clock.now(), clock.now(7200)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", now)
    assert now < later


def test_phases() -> None:
    assert INSTALL.open
    assert INSTALL.overdue
    ended = INSTALL.move(Phase.FAILED, "deadline")
    assert (ended.phase, ended.reason, ended.open) == (Phase.FAILED, "deadline", False)
    assert ended.ended
    assert INSTALL.move(Phase.INSTALLED).ended
    assert not Installation(Phase.INSTALLING, TIME, clock.now(60)).overdue
