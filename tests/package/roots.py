"""Clean Debian systems in directories, with the packages installed as an admin would."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
PROJECT = HERE.parents[1]
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
OPTIONS = Path("/etc/apt/apt.conf.d")
# Needed by the tests and missing in a minimal system; not part of what is tested.
TOOLS = (
    "bash-completion", "curl", "dbus", "fish", "iproute2", "jq", "man-db", "openssl",
    "systemd-sysv", "zsh",
)  # fmt: skip
PATIENCE = 600  # seconds
MAKING = 1200  # seconds; a system with QEMU and a browser takes 100 on an idle machine
# Services do not start: there is no systemd, and the throw-away hypervisor has daemons of its own.
NO_SERVICES = "#!/bin/sh\nexit 101\n"


@dataclass(frozen=True)
class Root:
    """A Debian system in a directory."""

    suite: str
    path: Path

    def argv(self, *command: str) -> list[str]:
        """Return the command line that runs a command in the system."""
        return [str(HERE / "enter"), str(self.path), *command]

    def run(self, *command: str) -> str:
        """Run a command in the system, which must succeed; return its output."""
        done = self.attempt(*command)
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        return done.stdout

    def attempt(self, *command: str) -> "subprocess.CompletedProcess[str]":
        """Run a command in the system."""
        return subprocess.run(
            self.argv(*command), stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=PATIENCE, check=False,
        )  # fmt: skip

    def files(self, word: str) -> set[str]:
        """Return the paths that contain a word, without those of apt and dpkg."""
        ignored = ("var/lib/apt", "var/lib/dpkg", "var/cache/apt", "var/log/apt", "opt", "proc")
        found = set()
        for directory, names, files in os.walk(self.path):
            here = Path(directory).relative_to(self.path)
            names[:] = [name for name in names if str(here / name) not in ignored]
            found |= {str(here / name) for name in (*names, *files) if word in name}
        return found


def mirror() -> str:
    """Return the mirror that this machine uses."""
    rows = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(RELEASE) $(COMPONENT) $(REPO_URI)",
         "Created-By: Packages"],
        capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    release = _os_release()["VERSION_CODENAME"]
    return next(
        uri for name, part, uri in map(str.split, rows) if (name, part) == (release, "main")
    )


def _os_release() -> dict[str, str]:
    lines = Path("/etc/os-release").read_text().splitlines()
    return {key: value.strip('"') for key, _, value in (line.partition("=") for line in lines)}


def bootstrap(suite: str, path: Path, packages: Iterable[str]) -> Root:
    """Create a minimal Debian system with these packages, from this machine's mirror."""
    command = [
        "mmdebstrap", "--quiet", "--variant=apt", "--components=main",
        "--skip=cleanup/apt/lists", f"--include={','.join(packages)}", f"--keyring={KEYRING}",
        *(f"--aptopt={file}" for file in sorted(OPTIONS.iterdir())),
        '--aptopt=APT::Install-Recommends "false"',
        "--dpkgopt=force-unsafe-io", suite, str(path), mirror(),
    ]  # fmt: skip
    done = subprocess.run(command, check=False, timeout=MAKING, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    policy = path / "usr/sbin/policy-rc.d"
    policy.write_text(NO_SERVICES)
    policy.chmod(0o755)
    return Root(suite, path)


def make(suite: str, path: Path, packages: Iterable[Path]) -> Root:
    """Create a minimal Debian system; install the packages with their dependencies."""
    root = bootstrap(suite, path, TOOLS)
    (path / "opt/dist").mkdir()
    for package in packages:
        shutil.copy(package, path / "opt/dist")
    # As a reader of README types it; `yes` confirms.
    root.run("sh", "-euc", f"cd /opt; yes | {install_command()}")
    return root


def install_command() -> str:
    """Return README's command line that installs the packages."""
    found = re.search(r"^apt install .*$", (PROJECT / "README.md").read_text(), re.MULTILINE)
    assert found is not None
    return found[0]


def install(root: Root, packages: Iterable[str]) -> None:
    """Install packages, from files or by name."""
    root.run("apt-get", "-qq", "-y", "install", *packages)
