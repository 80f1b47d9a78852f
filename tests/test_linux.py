"""End to end with a real Linux: its view of the hardware, and its VLAN."""

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from shctl.common import names
from tests import linux_guest
from tests.install.treeparts import LOADER
from tests.installations import BOOT, Trees, arguments, boots_from_disk, install_of, log_of
from tests.support import call, eventually, finish, ok, run, show, spawn, state

pytestmark = pytest.mark.usefixtures("vlan10")

INSTALLER = """
check() {
    [ "$2" = "$3" ] && echo "right: $1" && return
    echo "WRONG: $1 is $2, not $3"
    exec sleep 10000
}
cd /sys/block
until [ "$(echo sd*)" = "sda sdb sdc sdd sde sdf sdg sdh sdi" ]; do usleep 10000; done
check "the controller" "$(cat /sys/class/scsi_host/host*/proc_name | grep -v ahci)" virtio_scsi
# Linux probes disks in parallel and may call the second one sda: only the serial is stable.
for disk in sd*; do
    case $(tail -c +5 $disk/device/vpd_pg80) in
        @SHCTL_SERIAL@) wwn=@SHCTL_WWN@; first=$disk ;;
        @SHCTL_LAST_SERIAL@) wwn=@SHCTL_LAST_WWN@ ;;
        *) continue ;;
    esac
    check "$disk's WWN" "$(cat $disk/device/wwid)" "naa.$wwn"
done
until [ -e /dev/$first ]; do usleep 10000; done
check "the MAC" "$(cat /sys/class/net/eth0/address)" @SHCTL_MAC@
check "the name" @SHCTL_HOSTNAME@ linux
dd if=/sector of=/dev/$first conv=fsync
reboot -f
"""
NEIGHBOUR = """
ip link set eth0 up
ip address add @SHCTL_ADDRESS@/24 dev eth0
for near in @SHCTL_NEAR@; do
    until ping -c 1 -W 1 $near > /dev/null; do :; done
    echo "reaches $near"
done
for far in @SHCTL_FAR@; do
    ping -c 2 -W 1 $far > /dev/null && echo "REACHES $far" || echo "does not reach $far"
done
echo "that is all"
exec sleep 10000
"""


def script(directory: Path, text: str) -> list[str]:
    """Return the options that inject a script as the installer."""
    (directory / "installer").write_text(text)
    return ["--inject", str(directory / "installer")]


def report_of(name: str) -> list[str]:
    return [line for line in log_of(name).splitlines() if re.search("reach", line, re.IGNORECASE)]


def values_of(values: dict[str, str]) -> list[str]:
    return [f"--value={key}={value}" for key, value in values.items()]


def test_installs_itself_and_runs_from_its_disk(trees: Trees, tmp_path: Path) -> None:
    known = {
        "SERIAL": names.serial("linux", "sda"),
        "WWN": names.wwn("linux", "sda"),
        "LAST_SERIAL": names.serial("linux", "sdi"),
        "LAST_WWN": names.wwn("linux", "sdi"),
    }
    more = ["--memory", "256", *8 * ["--disk", "1"], "--wait"]
    more += [*script(tmp_path, INSTALLER), *values_of(known)]
    creating = spawn(*arguments("linux", linux_guest.serve(trees), *more))
    eventually(lambda: creating.poll() is not None or "WRONG" in log_of_new("linux"), 90)
    assert "WRONG" not in log_of("linux"), log_of("linux")
    assert finish(creating).code == 0
    eventually(lambda: boots_from_disk("linux"))
    assert log_of("linux").count("right: ") == 5
    assert (install_of("linux")["phase"], state("linux")) == ("installed", "running")
    ok("hosts", "delete", "--yes", "linux")


CD_READER = """
until [ -b /dev/sr0 ]; do usleep 10000; done
mkdir /cd
mount -t iso9660 -o ro /dev/sr0 /cd
echo "answers: $(sha256sum < /cd/autoinst.json)"
echo "files: $(ls /cd)"
echo "arguments: $(cat /proc/cmdline)"
exec sleep 10000
"""
PROFILE = b'{"product": {"id": "SLES"}, "root": {"password": "@SHCTL_HOSTNAME@"}}'


def test_answers_on_a_cd(trees: Trees, tmp_path: Path) -> None:
    """A tree with a live image, whose installer reads its answers from a CD."""
    location = f"{trees.server.url}/agama"
    files = {LOADER[0]: linux_guest.kernel(), LOADER[1]: linux_guest.initrd({})}
    for path, content in {**files, "LiveOS/squashfs.img": b"hsqs"}.items():
        trees.server.files[f"/agama/{path}"] = content
    (tmp_path / "profile.json").write_bytes(PROFILE)
    more = ["--memory", "256", "--force-memory", "--answers", str(tmp_path / "profile.json")]
    ok(*arguments("linux", location, *more, *script(tmp_path, CD_READER)))
    eventually(lambda: "arguments: " in log_of("linux"), 25)
    log = log_of("linux")
    digest = hashlib.sha256(PROFILE.replace(b"@SHCTL_HOSTNAME@", b"linux")).hexdigest()
    assert f"answers: {digest}" in log
    assert "files: autoinst.json" in log
    assert f"root=live:{location}/LiveOS/squashfs.img ip=dhcp rd.neednet=1" in log
    cd = BOOT / "linux" / "answers.iso"
    assert cd.stat().st_mode & 0o777 == 0o600
    shown = show("linux")
    assert [disk["name"] for disk in shown["disks"] if disk["owned"]] == ["sda"]
    assert shown["pending"] == []
    ok("hosts", "delete", "--yes", "linux")
    assert not cd.parent.exists()


def is_over(name: str) -> bool:
    return "that is all" in log_of(name)


def log_of_new(name: str) -> str:
    """Return a host's log, empty if it does not exist yet."""
    try:
        return log_of(name)
    except FileNotFoundError:
        return ""


@contextmanager
def on_the_vlan(tag: int, address: str) -> Iterator[None]:
    """Give this machine an address in a VLAN of the bridge."""
    add = f"add-port br0 here tag={tag} -- set interface here type=internal"
    call("ovs-vsctl", *add.split())
    try:
        call("ip", "link", "set", "here", "up")
        call("ip", "address", "add", f"{address}/24", "dev", "here")
        yield
    finally:
        call("ovs-vsctl", "del-port", "here")


def neighbour(name: str, network: str, location: str, values: dict[str, str], path: Path) -> None:
    """Create a host that has this address and pings others."""
    words = f"hosts create {name} --memory 256 --disk 1 --network {network} --install --location"
    ok(*words.split(), location, *values_of(values), *script(path, NEIGHBOUR))


def test_reaches_its_own_vlan_and_no_other(trees: Trees, tmp_path: Path) -> None:
    location = linux_guest.serve(trees)
    ok("networks", "create", "vlan20", "--bridge", "br0", "--vlan", "20")
    with on_the_vlan(10, "10.9.0.254"):
        values = {"ADDRESS": "10.9.0.3", "NEAR": "", "FAR": "10.9.0.254"}
        neighbour("elsewhere", "vlan20", location, values, tmp_path)
        values = {"ADDRESS": "10.9.0.1", "NEAR": "", "FAR": ""}
        neighbour("one", "vlan10", location, values, tmp_path)
        values = {"ADDRESS": "10.9.0.2", "NEAR": "10.9.0.1 10.9.0.254", "FAR": "10.9.0.3"}
        neighbour("two", "vlan10", location, values, tmp_path)
        done = run("-o", "json", "hosts", "wait", "two", "--for", "address", "--timeout", "55")
        assert done.code == 0, done
        assert done.json["interfaces"][0]["addresses"] == ["10.9.0.2"]
        for name in ("two", "elsewhere"):
            eventually(partial(is_over, name), 90)
    assert report_of("two") == ["reaches 10.9.0.1", "reaches 10.9.0.254", "does not reach 10.9.0.3"]
    assert report_of("elsewhere") == ["does not reach 10.9.0.254"]
    ok("hosts", "delete", "--yes", "one", "two", "elsewhere")
    ok("networks", "delete", "--yes", "vlan20")
