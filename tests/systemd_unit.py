"""Run commands as debian/shctl-server.shctl.service runs the server: root without root's powers.

systemd does not run in a throw-away hypervisor; unshare and setpriv replace it.
"""

import configparser
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.rest_server import Running, serving
from tests.support import ROOT, SHCTL, call

# What ProtectHome= hides, except a directory that contains this checkout or its Python.
_HIDDEN = ["/home", "/root", "/run/user"]
# A directory that the service cannot read, wherever the checkout is.
HOME = Path("/run/user/1000")

# No capability at all, no new ones, ProtectHome=yes.
_SCRIPT = """
hidden=$1; shift
mkdir -p /run/inaccessible && chmod 000 /run/inaccessible || exit 125
for directory in $hidden; do
    [ -d "$directory" ] && { mount --bind /run/inaccessible "$directory" || exit 125; }
done
exec setpriv --no-new-privs --bounding-set=-all --inh-caps=-all --ambient-caps=-all -- "$@"
"""


def as_service(*argv: str) -> list[str]:
    """Return the command that runs another one as the service is run, in the same process."""
    near = [ROOT.resolve(), Path(sys.prefix).resolve(), Path(sys.base_prefix).resolve()]
    hidden = [top for top in _HIDDEN if not any(path.is_relative_to(top) for path in near)]
    return ["unshare", "-m", "bash", "-c", _SCRIPT, "as_service", " ".join(hidden), *argv]


@contextmanager
def serving_as_service(directory: Path, *options: str, **env: str) -> Iterator[Running]:
    """Run a server as the service is run; see tests.rest_server.serving."""
    with serving(directory, *options, command=as_service(*SHCTL), **env) as running:
        yield running


_TEMPORARY = ("/tmp/", "/var/tmp/")
UNIT = ROOT / "debian/shctl-server.shctl.service"
# ProtectSystem=strict except the unit's paths, PrivateTmp=yes, and systemd's default limit of
# descriptors. The test's directories stay writable, for the server's socket.
_STRICT = """
kept=$1; shift
number=0
for directory in $kept; do
    number=$((number + 1))
    mkdir -p /run/kept$number && mount -n --bind "$directory" /run/kept$number || exit 125
done
for directory in /tmp /var/tmp; do
    mount -n -t tmpfs -o mode=1777 private "$directory" || exit 125
done
for directory in $1 $kept; do mkdir -p "$directory" || exit 125; done
for directory in $1; do mount -n --bind "$directory" "$directory" || exit 125; done
while read -r _ path _; do
    case " $1 /dev /proc /sys /tmp /var/tmp " in *" $path "*) continue ;; esac
    case $path in /dev/* | /proc/* | /sys/* | /run/kept*) continue ;; esac
    # What lies below another one that covers it is no mount point any more.
    mount -n -o remount,bind,ro "$path" 2>/dev/null
done </proc/self/mounts
number=0
for directory in $kept; do
    number=$((number + 1))
    mount -n --move /run/kept$number "$directory" || exit 125
done
shift
ulimit -n 1024
exec "$@"
"""


def as_unit(directory: Path, *argv: str) -> list[str]:
    """Return the command that runs another one with all restrictions of the unit."""
    places = [ROOT.resolve(), Path(sys.prefix).resolve(), Path(sys.base_prefix).resolve()]
    near = [path for path in places if path.as_posix().startswith(_TEMPORARY)]
    kept = [directory, *(path for path in near if path.parent not in near)]
    strict = ["bash", "-c", _STRICT, "strict", " ".join(map(str, kept)), " ".join(_writable())]
    # Mounts come first: they need capabilities.
    return [
        *as_service()[:4],
        _SCRIPT.replace("exec ", f"exec {shlex.join(strict)} "),
        *as_service(*argv)[5:],
    ]


def _writable() -> list[str]:
    parser = configparser.RawConfigParser(strict=False, interpolation=None)
    parser.read(UNIT)
    unit = parser["Service"]
    assert (unit["ProtectSystem"], unit["PrivateTmp"]) == ("strict", "yes")
    tops = {"State": "/var/lib", "Cache": "/var/cache", "Logs": "/var/log", "Runtime": "/run"}
    found = [f"{top}/{unit[f'{kind}Directory']}" for kind, top in tops.items()]
    return found + [path.removeprefix("-") for path in unit["ReadWritePaths"].split()]


@contextmanager
def serving_as_unit(directory: Path, *options: str, **env: str) -> Iterator[Running]:
    """Run a server as its unit does; see tests.rest_server.serving."""
    with serving(directory, *options, command=as_unit(directory, *SHCTL), **env) as running:
        yield running


_ONE = """
mkdir -p /run/var && mount --rbind /var /run/var && mount -t tmpfs -o mode=755 var /var
cd /run/var
for path in *; do
    case $path in
        lib | cache) mkdir "/var/$path" ;;
        *) if [ -L "$path" ]; then cp -a "$path" /var; else rebind "$path"; fi ;;
    esac
done
for path in lib/* cache/*; do
    case $path in
        */shctl) cp -a "$path" "/var/$path" ;;
        *) [ ! -d "$path" ] || rebind "$path" ;;
    esac
done
"""


@contextmanager
def one_file_system() -> Iterator[None]:
    """Put cache and state on one file system, as on most machines; no host may exist."""
    rebind = 'rebind() { mkdir "/var/$1" && mount --rbind "/run/var/$1" "/var/$1"; }'
    call("bash", "-euc", f"{rebind}\n{_ONE}")
    try:
        yield
    finally:
        call("umount", "-l", "/var", "/run/var")
