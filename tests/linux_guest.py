"""A small Linux for guests: Debian's cloud kernel with busybox, and a script as its installer."""

import lzma
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import libvirt

from tests.guests import boot_sector
from tests.installations import FROM_DISK, Trees, log_of
from tests.support import ROOT, connected, eventually, ok

UNPACKED = ROOT / ".venv" / "linux"
BUSYBOX = Path("/usr/bin/busybox")
# In the order of their dependencies; some may be built into the kernel.
MODULES = """
    virtio_ring virtio virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci scsi_common scsi_mod
    crct10dif_common crc-t10dif crc64 crc64-rocksoft_generic crc64-rocksoft virtio_scsi sd_mod
    failover net_failover virtio_net cdrom sr_mod isofs
""".split()
INIT = """#!/busybox sh
/busybox --install -s /bin
export PATH=/bin
mount -t devtmpfs dev /dev; mount -t proc proc /proc; mount -t sysfs sys /sys
for module in $(cat /modules); do insmod /lib/$module || echo "no $module"; done
exec < /dev/console > /dev/console 2>&1
dmesg -n 1 # kernel messages would split other lines
sh /installer
echo "the installer ended with $?"
poweroff -f
"""
RUNS = "it runs"
LOOP = f"""
echo {RUNS}
while :; do
    for device in /sys/class/net/eth*; do
        name=${{device##*/}}
        ip link set $name up
        ip address add 10.9.0.1/24 dev $name 2> /dev/null
    done
    ping -c 1 -W 1 10.9.0.2 > /dev/null
done
"""


def serve(trees: Trees) -> str:
    """Serve the tree; return its location."""
    return trees.add("linux", kernel(), _initrd())


@cache
def kernel() -> bytes:
    """Return the kernel."""
    images = sorted(UNPACKED.glob("boot/vmlinuz-*"))
    assert images, "kernel is missing: `make test` fetches it with tools/fetch-kernel .venv/linux"
    return images[-1].read_bytes()


@cache
def _initrd(script: str = "") -> bytes:
    modules = dict(filter(None, map(_module, MODULES)))
    files = {f"lib/{name}": content for name, content in modules.items()}
    files |= {"modules": " ".join(modules).encode(), "init": INIT.encode()}
    files |= {"busybox": BUSYBOX.read_bytes(), "sector": boot_sector(FROM_DISK)}
    return archive(files | ({"installer": script.encode()} if script else {}))


def initrd(more: dict[str, bytes]) -> bytes:
    """Return the initrd with more files, such as a script `installer`."""
    return _initrd() + archive(more)


@cache
def small_initrd() -> bytes:
    """Return an initrd without modules, which finds no disk and no network."""
    return archive({"modules": b"", "init": INIT.encode(), "busybox": BUSYBOX.read_bytes()})


def archive(files: dict[str, bytes]) -> bytes:
    """Return an archive of an initrd's directories and these executable files."""
    directories = [_entry(name, 0o040755) for name in ("bin", "dev", "lib", "proc", "sys")]
    entries = [_entry(name, 0o100755, content) for name, content in files.items()]
    return b"".join([*directories, *entries, _entry("TRAILER!!!", 0)])


def _module(name: str) -> tuple[str, bytes] | None:
    found = next(UNPACKED.glob(f"**/{name}.ko*"), None)
    if found is None:
        return None
    content = found.read_bytes()
    return f"{name}.ko", lzma.decompress(content) if found.suffix == ".xz" else content


def _entry(name: str, mode: int, content: bytes = b"") -> bytes:
    """Return an entry of a "newc" archive, as cpio(5) has it."""
    size = len(name) + 1
    fields = (0, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, size, 0)
    head = b"070701" + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0"
    return b"".join(part + b"\0" * (-len(part) % 4) for part in (head, content))


@contextmanager
def booted(name: str) -> Iterator[None]:
    """Start a host that is off with this Linux, which releases what is unplugged.

    The test guests of a few hundred bytes do not. It sends a frame each second.
    """
    # QEMU's user cannot read pytest's temporary directories.
    with tempfile.TemporaryDirectory(dir="/run") as directory:
        Path(directory).chmod(0o755)
        _boot(name, Path(directory))
        ok("hosts", "start", name)
        eventually(lambda: RUNS in log_of(name), 60)
        yield


def _boot(name: str, directory: Path) -> None:
    for file, content in {"linux": kernel(), "initrd": _initrd(LOOP)}.items():
        (directory / file).write_bytes(content)
    with connected() as connection:
        xml = connection.lookupByName(name).XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
        boot = f"<kernel>{directory}/linux</kernel><initrd>{directory}/initrd</initrd>"
        boot += "<cmdline>console=ttyS0 quiet</cmdline></os>"
        connection.defineXML(xml.replace("</os>", boot))
