"""Phases that installers print, and what merely resembles one."""

import pytest

from shctl.hosts.console_tail import text_lines
from shctl.hosts.installer_phases import find

# Debian 12 on a serial console: screen shows a bar with a clock, newt draws frames.
BAR = (
    "\x1b[14;36H\x1b[H\x1b[0m\x1b[7m\x1b[m\x1b[32m\x1b[40m[           \x1b[37m\x1b[31m (\x1b[37m"
    "1*installer\x1b[31m)\x1b[37m  2 shell  3 shell  4- log           \x1b[32m][\x1b[34m Nov 27"
    " \x1b[37m20:04 \x1b[32m]\x1b[14;36H\x1b[0m"
)
PROGRESS = (
    "\x1b[9;3H\x1b[0m\x1b(0\x1b[30m\x1b[47mlqqqqqqu\x1b[0m\x1b(B\x1b[30m\x1b[47m \x1b[31m"
    "Configuring the network with DHCP\x1b[30m \x1b(0tqqqqqqqk\x1b[10;3Hx\x1b[0m\x1b(B\x1b[30m"
    "\x1b[47m    \x1b(0x\x1b[0m\x1b(B\x1b[1m\x1b[37m\x1b[40m \x1b[11;3H\x1b[0m\x1b(0\x1b[30m"
    "\x1b[47mx\x1b[0m\x1b(B\x1b[30m\x1b[47m \x1b[35C\x1b[1m\x1b[37m\x1b[44m0%\x1b[34C"
)
QUESTION = (
    "\x1b[7;4H\x1b[0m\x1b(0\x1b[30m\x1b[47mlqqqqu\x1b[0m\x1b(B\x1b[30m\x1b[47m \x1b[31m"
    "[!!] Configure the network\x1b[30m \x1b(0tqqqqk\x1b[8;4Hx\x1b[0m\x1b(B\x1b[30m\x1b[47m  "
    "\x1b[34mNetwork autoconfiguration failed\x1b[30m  \x1b(0x\x1b[0m\x1b(B"
)
# Its text frontend.
TEXT = (
    "Attempting IPv6 autoconfiguration...  ... 8%... 100%\r\n"
    "Configuring the network with DHCP  ... 4%... 92%... 100%\r\n"
)
ASKED = "Configure the network\r\n-----\r\n\nfailed\r\n[Press enter to continue] \r\n"
# CentOS 7, text mode.
ANACONDA = (
    "Progress\r\nSetting up the installation environment\r\n.\r\n"
    "Creating disklabel on /dev/mapper/CentOS-Userland-7.raw\r\n.\r\n"
    "Starting package installation process\r\nPreparing transaction from installation source\r\n"
)
PACKAGES = "Installing kbd-misc (1/347)\r\nInstalling libreport-filesystem.armv7hl (2/347)\r\n"
# Ubuntu 22.04.
SUBIQUITY = (
    "start:    subiquity/Install/install/postinstall: final system configuration\r\n"
    "start:       subiquity/Install/install/postinstall/install_openssh-server: installing"
    " openssh-server\r\n"
    "finish:      subiquity/Install/install/postinstall/install_openssh-server: SUCCESS\r\n"
)


@pytest.mark.parametrize(
    ("log", "phase"),
    [
        (BAR + PROGRESS + BAR, "Configuring the network with DHCP"),
        (PROGRESS + QUESTION + BAR, "question: Configure the network"),
        (QUESTION + PROGRESS, "Configuring the network with DHCP"),
        ("\u2500\u2524 Installing the base system \u251c\u2500", "Installing the base system"),
        (TEXT, "Configuring the network with DHCP"),
        (TEXT + ASKED + BAR, "question"),
        (ANACONDA, "Preparing transaction from installation source"),
        (ANACONDA + PACKAGES, "Installing packages"),
        ("Running post-installation scripts\r\n..\r\n", "Running post-installation scripts"),
        (SUBIQUITY, "installing openssh-server"),
        # Since the last boot only.
        (PACKAGES + "SeaBIOS (version 1.16.2)\r\n", None),
        ("", None),
        ("[   12.3] systemd: Configuring storage\r\n", None),
        ("# Installing the base system, part 2\r\n", None),
        ("failed: Configuring apt\r\n", None),
        ("Configuring apt failed\r\n", None),
        ("Installing glibc\r\n", None),
        ("finish: subiquity/Install/install: SUCCESS\r\n", None),
    ],
)
def test_phases(log: str, phase: str | None) -> None:
    assert find(text_lines(log.encode())) == phase
