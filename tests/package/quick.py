"""Run tests in a clean Debian of another release, on its own libvirt, Open vSwitch and Python.

    python -m tests.package.quick SUITE PACKAGE... -- PYTEST_ARGUMENT...

`make test-debian13` runs it. The checkout is copied below a directory that only root enters.
"""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.package import roots
from tests.package.roots import PROJECT, Root

COPY = "root/shctl"
LINUX = ".venv/linux"
# Slow tests that may differ between releases; the quick tests exclude them.
ROWS = ["tests/reliability", "-k", "r01 or r20 or r41"]
RUN = 'cd /root/shctl && exec "$@"'
PYTEST = ["python3", "-m", "pytest"]
# Inside of one too: the name of this machine may be unknown in the new system, and libvirt says so.
UNIT = ["tools/throwaway", *PYTEST, "-n", "2", "-m", "not hypervisor"]
# On two hypervisors, as `make test`.
MARKED = [
    *PYTEST, "-m", "hypervisor", "--dist", "loadfile",
    "--tx", "2*popen//python=tools/throwaway python3",
]  # fmt: skip
KEEP_OUT = shutil.ignore_patterns(
    ".git", ".venv*", "build", "dist", "__pycache__", "*.egg-info", ".*_cache"
)


def main(suite: str, *words: str) -> int:
    """Run all sets of tests; return the first nonzero exit status."""
    packages, arguments = words[: words.index("--")], words[words.index("--") + 1 :]
    with made(suite, packages) as root:
        sets = ([*UNIT, *arguments], [*MARKED, *arguments], [*MARKED, *ROWS])
        return next((code for words in sets if (code := test(root, *words))), 0)


@contextmanager
def made(suite: str, packages: tuple[str, ...]) -> Iterator[Root]:
    """Create the system with a copy of the checkout; remove both after the block."""
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="shctl-") as directory:
        Path(directory).chmod(0o755)
        root = roots.bootstrap(suite, Path(directory) / suite, packages)
        (root.path / "root").chmod(0o700)
        shutil.copytree(PROJECT, root.path / COPY, ignore=KEEP_OUT, symlinks=True)
        # The kernel of the guests, which are the same on every release.
        shutil.copytree(PROJECT / LINUX, root.path / COPY / LINUX, symlinks=True)
        yield root


def test(root: Root, *words: str) -> int:
    """Run a command in the copy of the checkout; return its exit status."""
    argv = root.argv("sh", "-c", RUN, "sh", *words)
    return subprocess.run(argv, stdin=subprocess.DEVNULL, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
