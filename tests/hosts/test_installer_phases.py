"""Phases that installers print, and what merely looks like one."""

import pytest

from shctl.hosts.installer_phases import find
from shctl.hosts.observation import lines_of

# As serial consoles have them: newt draws frames and moves the cursor.
NEWT = (
    "\x1b[9;22H\x1b[37m\x1b[44m\u250c\u2500\u2500\u2524 Installing the base system "
    "\u251c\u2500\u2500\u2510"
    "\x1b[12;24H Retrieving libc6 ...\x1b[14;30H 37%\x1b[24;1H"
)


@pytest.mark.parametrize(
    ("log", "phase"),
    [
        (NEWT, "Installing the base system"),
        (NEWT.replace("\u2524", "|").replace("\u251c", "|"), "Installing the base system"),
        ("Detecting network hardware ... 8%\r\n", "Detecting network hardware"),
        ("a\r\nConfiguring apt ...\r\nSelect and install soft ... 10%", "Configuring apt"),
        (".\nInstalling glibc-common (12/345)\n", "Installing glibc-common (12/345)"),
        ("Running post-installation scripts\n..\n", "Running post-installation scripts"),
        (
            "start: subiquity/Install/install/curtin_install: installing system\n",
            "subiquity/Install/install/curtin_install: installing system",
        ),
        ("", None),
        ("[   12.3] systemd: Configuring storage\n", None),
        ("# Installing the base system, part 2\n", None),
        ("Reinstalling the system\n", None),
        ("Installing glibc\n", None),
        ("pre-Configuring apt\n", None),
        ("finish: subiquity/Install: SUCCESS\n", None),
    ],
)
def test_phases(log: str, phase: str | None) -> None:
    assert find(lines_of(log)) == phase


def test_texts_of_a_screen_are_separate_lines() -> None:
    assert lines_of(NEWT) == ["Installing the base system", "Retrieving libc6 ...", "37%"]
    assert lines_of("\x1b]0;title\x07 login: \x1b[?25h\x1b(B") != []
    assert lines_of("a\x1b[31mb\x1b[0m\u202ec\n\n \n") == ["ab\ufffdc"]
