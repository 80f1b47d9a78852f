"""What an installer says it is doing, by the lines that it writes to the console.

Only whole lines of a known form count: a kernel message or the name of a package that contains the
same words is not a statement of the installer.
"""

import re
from collections.abc import Sequence

# Titles of progress bars, from the templates of Debian's installer; its text frontend adds dots and
# percentages. The title of a question has [!] or [!!] before it; the text frontend prompts.
_DEBIAN = "|".join(
    (
        "Detecting hardware to find installation media",
        "Scanning installation media",
        "Loading additional components",
        "Detecting network hardware",
        r"Detecting link on [\w.-]{1,20}; please wait",
        "Waiting for link-local address",
        "Attempting IPv6 autoconfiguration",
        "Configuring the network with DHCP",
        "Checking the (?:Debian|Ubuntu) archive mirror",
        "Setting up the clock",
        "Detecting disks and all other hardware",
        "Starting up the partitioner",
        "Guided partitioning",
        "Partitions formatting",
        "Installing the base system",
        "Configuring apt",
        "Select and install software",
        "Installing GRUB boot loader",
        "Finishing the installation",
    )
)
# Messages of pyanaconda in text mode.
_ANACONDA = "|".join(
    (
        "Setting up the installation environment",
        "Configuring storage",
        r"Creating (?:disklabel|[a-z0-9]{2,8}) on /dev/[!-~]{1,100}",
        "Running pre-installation (?:scripts|tasks)",
        "Starting package installation process",
        "Downloading packages",
        "Preparing transaction from installation source",
        "Installing boot ?loader",
        "Performing post-installation setup tasks",
        "Configuring installed system",
        "Writing network configuration",
        "Creating users",
        "Configuring addons",
        "Generating initramfs",
        "Storing configuration files and kickstarts",
        "Running post-installation (?:scripts|tasks)",
    )
)

# Installer, the form of a line, and the words to show; {} is what the form's group has matched.
_TABLE = (
    ("d-i", rf"({_DEBIAN})(?:\.\.\.)? *(?:\.\.\. *[0-9].*)?", "{}"),
    ("d-i", r"\[(?:!!?|\?)\] ([A-Z][ -~]{2,70})", "question: {}"),
    ("d-i", r"(?:\[Press enter to continue\]|Prompt: .{0,200}> ?)()", "question"),
    ("Anaconda", rf"({_ANACONDA})\.*", "{}"),
    (
        "Anaconda",
        r"Installing [\w.+:~^-]{1,100} \([0-9]{1,6}/[0-9]{1,6}\)()",
        "Installing packages",
    ),
    # Each step within a step has its own line, with the path of the outer ones.
    ("subiquity", r"start: *subiquity/Install/[\w/.+-]{1,300}: ([ -~]{1,100})", "{}"),
)
_FORMS = tuple((re.compile(form), words) for _, form, words in _TABLE)


def find(lines: Sequence[str]) -> str | None:
    """Return what the installer does by the last line that says so; None if no line does."""
    for line in reversed(lines):
        for form, words in _FORMS:
            if found := form.fullmatch(line):
                return words.format(found[1])
    return None
