"""Read from a console log which phase an installer is in, as far as it says so itself.

Nothing is guessed: without one of these lines, which are in English, there is no phase.
"""

import re
from collections.abc import Iterable

# Titles of debian-installer, in its newt, text and noninteractive frontends.
_DEBIAN_INSTALLER = (
    "Loading additional components", "Detecting network hardware",
    "Configuring the network with DHCP", "Setting up the clock",
    "Detecting disks and all other hardware", "Detecting disks and other hardware",
    "Starting up the partitioner", "Partitions formatting", "Installing the base system",
    "Installing the system", "Configuring apt", "Select and install software",
    "Retrieving and installing the kernel", "Installing GRUB boot loader",
    "Installing the GRUB boot loader", "Finishing the installation",
)  # fmt: skip
# Lines of Anaconda's text mode; pyanaconda/installation.py and the D-Bus modules print them.
_ANACONDA = (
    "Setting up the installation environment", "Configuring storage",
    "Running pre-installation scripts", "Running pre-installation tasks",
    "Starting package installation process", "Downloading packages",
    "Preparing transaction from installation source", "Installing boot loader",
    "Performing post-installation setup tasks", "Configuring installed system",
    "Writing network configuration", "Creating users", "Configuring addons",
    "Generating initramfs", "Running post-installation scripts", "Installation complete",
)  # fmt: skip
_PACKAGE = r"Installing [\w.+:-]{1,80} \(\d{1,6}/\d{1,6}\)"
# subiquity reports each step of its tree as "start: subiquity/Install/install/...: what it does".
_SUBIQUITY = r"start: subiquity/[\w/]{1,200}(?:: [^\r\n]{1,100})?"
_TITLES = "|".join(re.escape(title) for title in (*_DEBIAN_INSTALLER, *_ANACONDA))
# At the start of a line, or after the frame and the blanks of a screen.
_PHASE = re.compile(rf"(?:^|(?<=[^\w,;:.-]))(?:{_TITLES}|{_PACKAGE}|{_SUBIQUITY})(?![\w,;:-])")


def find(lines: Iterable[str]) -> str | None:
    """Return the last phase in the lines of a log, None without one."""
    last = None
    for line in lines:
        # A kernel or a service may log the same words.
        if not line.startswith("["):
            for match in _PHASE.finditer(line):
                last = match[0]
    return last.removeprefix("start: ") if last else None
