"""Fail tests without the marker `hypervisor` that reach a hypervisor, by Python's audit events.

Such tests run as an ordinary user, perhaps on a machine with a hypervisor in use. Audit events
cover this process; of other programs, only those in PROGRAMS may be started.
"""

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import libvirt
import pytest

from shctl.common import paths

ADVICE = "mark it with @pytest.mark.hypervisor, or use its temporary directory and test:///default"
# None of these reaches a hypervisor; unit tests run shctl itself on test:///default.
PROGRAMS = {
    *("bash", "fish", "sh", "zsh", "env", "busybox", "cpio", "git", "openssl", "python3"),
    *("locale", "localedef", "man", "mandoc"),
}
# Lock files are never removed. Child processes use the same ones, regardless of TMPDIR.
LOCKS = f"{paths.locks().parent}/"
DEVICES = ("/dev/null", "/dev/full", "/dev/pts/", "/dev/ptmx", "/dev/tty", "/proc/self/")

_state = {"active": False}
_found: list[str] = []


def is_active() -> bool:
    """Return whether a unit test is running."""
    return _state["active"]


@contextmanager
def unit_test() -> Iterator[None]:
    """Watch a unit test, and fail it if it reached anything that is not allowed."""
    _found.clear()
    with pytest.MonkeyPatch.context() as patch:
        for name in ("open", "openAuth", "openReadOnly"):
            patch.setattr(libvirt, name, _test_driver_only(getattr(libvirt, name)))
        _state["active"] = True
        try:
            yield
        finally:
            _state["active"] = False
    # An error in a thread, or where errors are expected, would not fail the test by itself.
    assert not _found, f"{'; '.join(_found)}: {ADVICE}"


def _test_driver_only(opener: Callable[..., Any]) -> Callable[..., Any]:
    def open_test_driver(uri: str | None = None, *arguments: Any) -> Any:
        if not (uri or "").startswith("test:"):
            _refuse(f"the test connects to libvirt at {uri}")
        return opener(uri, *arguments)

    return open_test_driver


def _refuse(what: str) -> None:
    _found.append(what)
    raise PermissionError(what)


def _check_program(path: Any, _arguments: Any, *_: Any) -> None:
    name = Path(os.fsdecode(path)).name
    if name not in PROGRAMS and os.fsdecode(path) != sys.executable:
        _refuse(f"the test starts {name}")


def _check_open(path: Any, _mode: Any, flags: int) -> None:
    if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC):
        _check_paths(path)


def _check_paths(*paths: Any) -> None:
    for path in paths:
        # An integer is an open descriptor, which was checked when it was opened.
        if isinstance(path, str | bytes | os.PathLike) and not _may_write(os.fsdecode(path)):
            _refuse(f"the test writes to {os.fsdecode(path)}")


def _may_write(path: str) -> bool:
    full = f"{os.path.realpath(path)}/"
    temporary = f"{os.path.realpath(tempfile.gettempdir())}/"
    return full.startswith((temporary, LOCKS, *DEVICES)) or "__pycache__" in full


_CHECKS: dict[str, Callable[..., None]] = {
    "open": _check_open,
    "os.exec": _check_program,
    "os.posix_spawn": _check_program,
    "subprocess.Popen": _check_program,
    "os.chmod": lambda path, *_: _check_paths(path),
    "os.chown": lambda path, *_: _check_paths(path),
    "os.mkdir": lambda path, *_: _check_paths(path),
    "os.remove": lambda path, *_: _check_paths(path),
    "os.rename": lambda source, target, *_: _check_paths(source, target),
    "os.rmdir": lambda path, *_: _check_paths(path),
    "os.symlink": lambda _source, target, *_: _check_paths(target),
    "os.truncate": lambda path, *_: _check_paths(path),
}


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if _state["active"] and (check := _CHECKS.get(event)):
        check(*arguments)


# Audit hooks cannot be removed.
sys.addaudithook(_audit)
