"""The files and directories of shctl, and those of libvirt that shctl reads.

Every path is computed when it is used, so that tests can relocate all of them.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class _Root:
    """The directory below which everything is; empty in production."""

    directory = ""


def relocate(root: str | Path) -> None:
    """Use another root directory for every path, for tests; "" is the real one."""
    _Root.directory = str(root)


def config_file() -> str:
    """Return the path of the settings; a string, since every command reads them."""
    return f"{_Root.directory}/etc/shctl/shctl.toml"


def socket() -> Path:
    """Return the path of the server's Unix socket."""
    return _path("/run/shctl/shctl.sock")


def locks() -> Path:
    """Return the directory of the lock files, which each user but root has to themselves."""
    uid = os.getuid()
    return _path("/run/shctl/locks" if uid == 0 else f"/tmp/shctl-{uid}/locks")  # noqa: S108


def deleted_hosts() -> Path:
    """Return the path of the list of recently deleted hosts.

    It is in /run, so lost at boot: a row that a power cut leaves belongs to a host that libvirt
    knows.
    """
    return locks().parent / "deleted-hosts"


def tokens() -> Path:
    """Return the path of the file of access tokens."""
    return _path("/var/lib/shctl/tokens.json")


def boot_files() -> Path:
    """Return the directory of the kernels and initrds that installations boot."""
    return _path("/var/lib/shctl/boot")


def volumes() -> Path:
    """Return the directory of the default storage pool."""
    return _path("/var/lib/shctl/volumes")


def tree_cache() -> Path:
    """Return the directory of the downloaded parts of installation trees."""
    return _path("/var/cache/shctl/trees")


def console_logs() -> Path:
    """Return the directory of the hosts' console logs."""
    return _path("/var/log/shctl/console")


def libvirt_logs() -> Path:
    """Return the directory below which libvirt writes logs."""
    return _path("/var/log/libvirt")


def qemu_logs() -> Path:
    """Return the directory of QEMU's logs, a file for each host."""
    return libvirt_logs() / "qemu"


def qemu_conf() -> Path:
    """Return the path of the settings of libvirt's QEMU driver."""
    return _path("/etc/libvirt/qemu.conf")


def nvram() -> Path:
    """Return libvirt's default directory of UEFI variables.

    From qemuDomainNVRAMPathFormat in libvirt's src/qemu/qemu_domain.c.
    """
    return _path("/var/lib/libvirt/qemu/nvram")


def stored_hosts() -> str:
    """Return the directory where libvirt stores the XML of persistent hosts.

    A string, since lists read it.

    From virDomainConfigFile in libvirt's src/conf/domain_conf.c.
    """
    return f"{_Root.directory}/etc/libvirt/qemu"


def running_hosts() -> str:
    """Return the directory where libvirt keeps the XML of running hosts, as a string.

    From virDomainObjSave in libvirt's src/conf/domain_conf.c.
    """
    return f"{_Root.directory}/run/libvirt/qemu"


def network_namespaces() -> Path:
    """Return the directory where `ip netns` and container engines mount namespaces."""
    return _path("/run/netns")


def _path(path: str) -> Path:
    from pathlib import Path  # 8 ms to import, which a list of hosts does not need

    return Path(_Root.directory + path)
