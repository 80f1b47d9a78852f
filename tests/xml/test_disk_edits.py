"""Room for disks in domain XML, and adding and removing them."""

import pytest

from shctl.common import names
from shctl.xml import disk_edits, domain
from shctl.xml.disk_device import Place, Source

DISK = "<disk type='file' device='{}'><target dev='{}' bus='{}'/>{}</disk>"
ADDRESS = "<address type='drive' controller='{}' bus='0' target='{}' unit='{}'/>"
CONTROLLER = "<controller type='scsi' index='{}' model='{}'/>"


def xml(*devices: str) -> str:
    return f"<domain><name>a</name><!-- kept --><devices>{''.join(devices)}</devices></domain>"


def scsi(target: str, *address: object) -> str:
    return DISK.format("disk", target, "scsi", ADDRESS.format(*address) if address else "")


def test_names_of_all_drives() -> None:
    drives = [scsi("sda"), DISK.format("cdrom", "sdb", "sata", "<source file='/x'/>")]
    assert disk_edits.targets(xml(*drives)) == {"sda", "sdb"}
    assert disk_edits.targets("<domain/>") == frozenset()


@pytest.mark.parametrize(
    ("devices", "target", "place"),
    [
        ((CONTROLLER.format(0, "virtio-scsi"),), "sdc", Place(0, 2)),
        ((CONTROLLER.format(0, "virtio-scsi"), scsi("sdb", 0, 0, 1)), "sdc", Place(0, 2)),
        ((CONTROLLER.format(0, "virtio-scsi"), scsi("sdx", 0, 0, 2)), "sdc", Place(0, 0)),
        # Addresses of other buses, targets and controllers are others.
        (
            (
                CONTROLLER.format(0, "virtio-scsi"), scsi("sdx", 0, 1, 2), scsi("sdy", 1, 0, 2),
                DISK.format("disk", "sdz", "sata", ADDRESS.format(0, 0, 2)),
            ),
            "sdc", Place(0, 2),
        ),
        ((CONTROLLER.format(0, "lsilogic"), scsi("sda", 0, 0, 0)), "sdb", Place(1, 1)),
        ((CONTROLLER.format(3, "virtio-transitional"),), "sdb", Place(3, 1)),
        ((), "sdb", Place(0, 1)),
        ((CONTROLLER.format("9" * 99, "virtio-scsi"), scsi("b", "x", 0, 0)), "sda", Place(0, 0)),
    ],
)  # fmt: skip
def test_a_free_place(devices: tuple[str, ...], target: str, place: Place) -> None:
    assert disk_edits.find_place([xml(*devices)], target) == place


def test_a_place_that_is_free_in_both_definitions() -> None:
    controller = CONTROLLER.format(0, "virtio-scsi")
    running = xml(controller, scsi("sdb", 0, 0, 1), scsi("sdc", 0, 0, 0))
    assert disk_edits.find_place([xml(controller), running], "sdb") == Place(0, 2)


def test_adding_and_removing() -> None:
    before = xml(CONTROLLER.format(0, "virtio-scsi"), scsi("sda"))
    after = disk_edits.add(before, "a", "sdb", Source("/v/a-sdb"), Place(0, 1))
    assert "<!-- kept -->" in after
    assert after.count("<controller") == 1
    device = disk_edits.device(after, "sdb")
    assert device is not None
    assert names.serial("a", "sdb") in device
    assert names.wwn("a", "sdb") in device
    assert [row.target for row in domain.read(after).disks] == ["sda", "sdb"]
    assert disk_edits.remove(after, "sdb").count("<disk") == 1
    assert disk_edits.device(disk_edits.remove(after, "sdb"), "sdb") is None
    assert disk_edits.device(after, "sd'b") is None


def test_a_controller_comes_with_the_first_disk() -> None:
    place = Place(1, 0)
    before = xml(CONTROLLER.format(0, "lsilogic"))
    assert not disk_edits.has_controller(before, place)
    after = disk_edits.add(before, "a", "sda", Source("/v/a-sda"), place)
    assert disk_edits.has_controller(after, place)
    assert "<disk" in disk_edits.add("<domain/>", "a", "sda", Source("/v"), place)


@pytest.mark.parametrize("index", [0, 1, 25, 26, 27, 701, 702, 18277])
def test_index_of_a_name(index: int) -> None:
    assert names.disk_index(names.disk_target(index)) == index
