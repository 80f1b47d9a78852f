"""Run commands as debian/shctl-server.shctl.service runs the server: root without root's powers.

systemd does not run in a throw-away; unshare and setpriv stand for the parts that matter here.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.serving import Running, serving
from tests.support import ROOT, SHCTL

# What ProtectHome= hides, but for a directory that this checkout or its Python stands in.
_HIDDEN = ["/home", "/root", "/run/user"]
# A directory that the service cannot look into, wherever the checkout is.
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
    """Run a server as the service is run; see tests.serving.serving."""
    with serving(directory, *options, command=as_service(*SHCTL), **env) as running:
        yield running
