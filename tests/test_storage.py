"""Pools of all kinds: what their XML says, and what is done to those that are not ours."""

from pathlib import Path

from shctl.domain import Ceph
from shctl.storage import read_ceph
from tests.support import call, prepare, run

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
    assert read_ceph(POOL) == Ceph((("mon1", "6789"), ("mon2", None)), "libvirt", "a-b-c")


def test_ceph_pool_without_secret() -> None:
    xml = "<pool type='rbd'><name>p</name><source><host name='m'/><name>r</name></source></pool>"
    assert read_ceph(xml) == Ceph((("m", None),))


def test_other_pools_are_no_ceph() -> None:
    assert read_ceph("<pool type='dir'><name>p</name></pool>") is None


def test_inactive_pool_is_left_alone(tmp_path: Path) -> None:
    """To build it, as starting it could need, formats the devices of some kinds of pools."""
    prepare()
    target = tmp_path / "images"
    call("virsh", "pool-define-as", "other", "dir", "--target", str(target))
    try:
        host = "hosts create a --memory 64 --disk 1 --network vlan10 --pool other".split()
        done = run(*host)
        info = call("virsh", "pool-info", "other")
    finally:
        call("virsh", "pool-undefine", "other")
    assert done.code == 2
    assert done.err == (
        "shctl: pool: pool 'other' is inactive; 'virsh pool-start other' starts it\n"
    )
    assert "inactive" in info
    assert not target.exists()
