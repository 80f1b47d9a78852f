"""XML of pools and volumes."""

import libvirt
import pytest

from shctl.xml.disk_device import Ceph
from shctl.xml.storage import (
    PoolInfo,
    VolumeInfo,
    build_pool,
    build_volume,
    read_pool,
    read_volume,
)

POOL = """
<pool type='rbd'>
  <name>fast</name>
  <source>
    <host name='mon1' port='6789'/><host name='mon2'/>
    <name>rbd</name>
    <auth type='ceph' username='libvirt'><secret uuid='a-b-c'/></auth>
  </source>
</pool>
"""


def test_ceph_pool() -> None:
    assert read_pool(POOL).ceph == Ceph((("mon1", "6789"), ("mon2", None)), "libvirt", "a-b-c")


def test_ceph_pool_with_a_secret_by_usage() -> None:
    xml = POOL.replace("uuid='a-b-c'", "usage='client.u'")
    monitors = (("mon1", "6789"), ("mon2", None))
    assert read_pool(xml).ceph == Ceph(monitors, "libvirt", usage="client.u")


def test_ceph_pool_without_secret() -> None:
    xml = "<pool type='rbd'><name>p</name><source><host name='m'/><name>r</name></source></pool>"
    assert read_pool(xml).ceph == Ceph((("m", None),))


def test_other_pools_are_not_ceph() -> None:
    assert read_pool("<pool type='dir'><name>p</name></pool>").ceph is None


def test_pool_stored_by_libvirt() -> None:
    connection = libvirt.open("test:///default")
    pool = connection.storagePoolDefineXML(build_pool("p", "/srv/a<b>"))
    assert read_pool(pool.XMLDesc()) == PoolInfo("dir", "/srv/a<b>", None)


@pytest.mark.parametrize(("sparse", "allocation"), [(True, 0), (False, 2 << 30)])
def test_volume_created_by_libvirt(sparse: bool, allocation: int) -> None:
    connection = libvirt.open("test:///default")
    pool = connection.storagePoolLookupByName("default-pool")
    volume = pool.createXML(build_volume("v", 2, sparse=sparse, owner=(64055, 109)))
    assert volume.info()[1:] == [2 << 30, allocation]
    assert read_volume(volume.XMLDesc()) == VolumeInfo("raw", None)


def test_volume_on_top_of_another() -> None:
    xml = "<volume><target/><backingStore><path>/b</path></backingStore></volume>"
    assert read_volume(xml) == VolumeInfo(None, "/b")
