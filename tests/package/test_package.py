"""debian/ matches the program; these tests need no build, unlike installed.py."""

import configparser
import re
import subprocess
import tomllib
from pathlib import Path
from shutil import copy

import pytest

from shctl import __version__
from shctl.common import paths
from shctl.rest import daemon, logs
from shctl.rest.http import sockets
from tests.support import ROOT

DEBIAN = ROOT / "debian"
# The program only reads these.
READ = {"/var/log/libvirt", "/var/lib/libvirt", "/run/libvirt", "/run/netns"}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def unit(name: str) -> configparser.RawConfigParser:
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(DEBIAN / f"shctl-server.shctl.{name}")
    return parser


def test_versions_agree() -> None:
    newest = re.match(r"shctl \((.+?)\)", (DEBIAN / "changelog").read_text())
    assert newest is not None
    assert newest[1] == __version__


def test_server_package_has_what_the_server_needs() -> None:
    control = (DEBIAN / "control").read_text().partition("Package: shctl-server")[2]
    needed = {re.split("[<>=]", line)[0] for line in PROJECT["optional-dependencies"]["server"]}
    assert needed
    assert {name for name in needed if f" python3-{name},\n" not in control} == set()


def test_socket_unit_matches_the_servers_default() -> None:
    socket = unit("socket")["Socket"]
    assert socket["ListenStream"] == str(paths.socket())
    assert socket["SocketGroup"] == sockets.GROUP
    assert int(socket["SocketMode"], 8) == sockets.MODE
    assert (DEBIAN / "shctl-server.sysusers").read_text().split() == ["g", sockets.GROUP, "-", "-"]


def test_service_is_watched_and_has_descriptors() -> None:
    service = unit("service")["Service"]
    # More than twice the longest allowed pause of the event loop.
    assert 10 <= int(service["WatchdogSec"]) <= 60
    assert int(service["LimitNOFILE"]) >= 4096
    assert service["ExecReload"] == "/bin/kill -HUP $MAINPID"
    own = daemon.DRAIN_TIMEOUT + daemon.CLOSE_TIMEOUT + logs.FLUSH_TIMEOUT
    assert own < int(service["TimeoutStopSec"]) <= 10


def test_service_may_write_where_the_program_writes() -> None:
    service = unit("service")["Service"]
    for kind, top in [
        ("State", "/var/lib"),
        ("Cache", "/var/cache"),
        ("Logs", "/var/log"),
        ("Runtime", "/run"),
    ]:
        named = f"{top}/{service[f'{kind}Directory']}"
        used = {
            found
            for file in (ROOT / "shctl").rglob("*.py")
            for found in re.findall(rf'"({top}/[^/"]+)', file.read_text())
        }
        assert used <= {named, *READ}


@pytest.mark.hypervisor
@pytest.mark.parametrize("unit", ["shctl-server.shctl", "shctl.shctl-ports"])
def test_service_is_confined(unit: str, tmp_path: Path) -> None:
    file = copy(DEBIAN / f"{unit}.service", tmp_path / "shctl.service")
    argv = ["systemd-analyze", "--no-pager", "security", "--offline=yes", file]
    report = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
    found = re.search(r"Overall exposure level for shctl.service: ([\d.]+)", report)
    assert found is not None
    assert float(found[1]) <= 2.0
