"""Selection of a part of a console log."""

import pytest

from shctl.hosts.log_view import last_lines, since_boot

SEABIOS = b"\x1bc\x1b[?7l\x1b[2J\x1b[0mSeaBIOS (version 1.16.2-debian-1.16.2-1)\r\n"
# As OVMF of Debian 12 begins.
OVMF = b"\x1b[2J\x1b[01;01H\x1b[=3h\x1b[2J\x1b[01;01H\x1b[2J\x1b[01;01H\x1b[=3h\x1b[2J\x1b[01;01H"
LINUX = b"[    0.000000] Linux version 6.1\r\n"


@pytest.mark.parametrize(
    ("log", "number", "expected"),
    [
        (b"", 3, b""),
        (b"one\ntwo\nthree\n", 2, b"two\nthree\n"),
        (b"one\ntwo\nthree", 2, b"two\nthree"),
        (b"one\ntwo\n", 5, b"one\ntwo\n"),
        (b"\n\n\n", 1, b"\n"),
        (b"one\ntwo\n", 0, b""),
    ],
)
def test_last_lines(log: bytes, number: int, expected: bytes) -> None:
    assert last_lines(log, number) == expected


@pytest.mark.parametrize("firmware", [SEABIOS, OVMF])
def test_since_boot(firmware: bytes) -> None:
    boot = firmware + b"Booting\r\n" + LINUX + b"login: "
    assert since_boot(firmware + b"first\nlogin: " + boot) == boot


def test_since_boot_without_firmware_starts_at_the_kernel() -> None:
    assert since_boot(LINUX + b"old\nend" + LINUX + b"new\n") == LINUX + b"new\n"


def test_log_without_a_boot_is_returned_whole() -> None:
    assert since_boot(b"login: ") == b"login: "
