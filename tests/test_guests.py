"""The test guests boot, print their line and end as specified."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.guests import End, boot_sector, kernel

pytestmark = pytest.mark.hypervisor

QEMU = [
    "qemu-system-x86_64", "-nodefaults", "-machine", "q35", "-accel", "tcg", "-m", "64",
    "-display", "none", "-monitor", "stdio",
]  # fmt: skip
PATIENCE = 30  # seconds; a guest takes about one


class Machine:
    """A running QEMU: its serial port's text and its monitor."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self.process = process
        self.log = log

    def text(self) -> str:
        return self.log.read_text()

    def wait_for(self, text: str, times: int = 1) -> None:
        deadline = time.monotonic() + PATIENCE
        while self.text().count(text) < times:
            assert time.monotonic() < deadline, self.text()
            assert self.process.poll() is None, self.text()
            time.sleep(0.02)

    def wait_for_halt(self) -> None:
        """Ask until the processor sleeps."""
        deadline = time.monotonic() + PATIENCE
        while not self.halted():
            assert time.monotonic() < deadline

    def halted(self) -> bool:
        assert self.process.stdin
        assert self.process.stdout
        print("info registers", file=self.process.stdin, flush=True)
        return "HLT=1" in next(line for line in self.process.stdout if "HLT=" in line)

    def wait_for_end(self) -> None:
        assert self.process.wait(PATIENCE) == 0


@contextmanager
def booted(directory: Path, *arguments: str) -> Iterator[Machine]:
    """Run QEMU with the serial port in a file."""
    log = directory / "serial"
    log.touch()
    argv = [*QEMU, "-serial", f"file:{log}", *arguments]
    with subprocess.Popen(argv, stdin=-1, stdout=-1, text=True) as process:
        try:
            yield Machine(process, log)
        finally:
            process.kill()


def from_kernel(directory: Path, image: bytes, cmdline: str = "") -> list[str]:
    (directory / "linux").write_bytes(image)
    (directory / "initrd").write_bytes(b"no initrd at all")
    paths = ["-kernel", str(directory / "linux"), "-initrd", str(directory / "initrd")]
    return [*paths, "-append", cmdline]


def from_disk(directory: Path, image: bytes) -> list[str]:
    disk = directory / "disk"
    disk.write_bytes(image.ljust(1 << 20, b"\0"))
    return ["-drive", f"file={disk},format=raw,if=none,id=d", "-device", "virtio-scsi-pci",
            "-device", "scsi-hd,drive=d"]  # fmt: skip


def made(source: str, directory: Path, end: End) -> list[str]:
    if source == "kernel":
        return from_kernel(directory, kernel("It lives", end))
    return from_disk(directory, boot_sector("It lives", end))


@pytest.fixture(params=["kernel", "disk"])
def source(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_powers_off(source: str, tmp_path: Path) -> None:
    with booted(tmp_path, *made(source, tmp_path, End.POWER_OFF)) as machine:
        machine.wait_for_end()
    assert machine.text().count("It lives\n") == 1


def test_resets_and_boots_again(source: str, tmp_path: Path) -> None:
    with booted(tmp_path, *made(source, tmp_path, End.RESET)) as machine:
        machine.wait_for("It lives\n", times=2)


def test_halts(source: str, tmp_path: Path) -> None:
    with booted(tmp_path, *made(source, tmp_path, End.HALT)) as machine:
        machine.wait_for("It lives\n")
        machine.wait_for_halt()


def test_spins(source: str, tmp_path: Path) -> None:
    with booted(tmp_path, *made(source, tmp_path, End.SPIN)) as machine:
        machine.wait_for("It lives\n")
        assert not any(machine.halted() for _ in range(20))


def test_waits_before_it_ends(source: str, tmp_path: Path) -> None:
    image = kernel if source == "kernel" else boot_sector
    boot = from_kernel if source == "kernel" else from_disk
    with booted(tmp_path, *boot(tmp_path, image("Later", End.POWER_OFF, after=600))) as machine:
        machine.wait_for("Later\n")
        assert machine.process.poll() is None
    with booted(tmp_path, *boot(tmp_path, image("Soon", End.POWER_OFF, after=0.5))) as machine:
        machine.wait_for_end()
    assert machine.text() == "Soon\n"


@pytest.mark.parametrize(
    "cmdline", ["", "a=1 b='c d' --- quiet", "x" * 1000], ids=["none", "some", "long"]
)
def test_shows_its_command_line(cmdline: str, tmp_path: Path) -> None:
    image = kernel("Here", show_cmdline=True)
    with booted(tmp_path, *from_kernel(tmp_path, image, cmdline)) as machine:
        machine.wait_for_end()
    assert machine.text() == f"Here\ncmdline: {cmdline}\n"


def test_a_kernel_prints_a_long_message(tmp_path: Path) -> None:
    message = "It is long. " * 200
    with booted(tmp_path, *from_kernel(tmp_path, kernel(message))) as machine:
        machine.wait_for_end()
    assert machine.text() == message + "\n"


def test_a_kernel_installs_a_boot_sector(tmp_path: Path) -> None:
    image = kernel("Writing", installs=boot_sector("Installed", End.POWER_OFF))
    disk = from_disk(tmp_path, b"")
    with booted(tmp_path, *from_kernel(tmp_path, image), *disk) as machine:
        machine.wait_for_end()
    assert machine.text() == "Writing\n"
    with booted(tmp_path, *disk) as machine:
        machine.wait_for_end()
    assert machine.text() == "Installed\n"


def test_a_boot_sector_has_a_maximum_size() -> None:
    assert len(boot_sector("short")) == 512
    with pytest.raises(ValueError, match="too long"):
        boot_sector("x" * 500)
