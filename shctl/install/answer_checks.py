"""Check answers before an installation takes half an hour, with the checkers of their formats.

A checker is used if it is installed. It reads memory, not a file, since answers contain passwords,
and its messages are not passed on word for word, since they quote the answers.
"""

import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from shutil import which

from shctl.common import debug_log
from shctl.common.errors import InvalidInput
from shctl.install.answer_kinds import Kind, identify

TIMEOUT = 20.0  # seconds


@dataclass(frozen=True)
class Problem:
    """What is wrong with answers, and at which line if that is known."""

    text: str
    line: int | None = None

    def __str__(self) -> str:
        """Return the problem with its line."""
        return f"line {self.line}: {self.text}" if self.line else self.text


@dataclass(frozen=True)
class _Program:
    """A checker; `messages` finds the lines with errors in what it prints."""

    name: str
    options: tuple[str, ...]
    messages: re.Pattern[str]


_PROGRAMS = {
    Kind.PRESEED: _Program(
        "debconf-set-selections",
        ("--checkonly",),
        re.compile(r"(?P<text>parse error) on line (?P<line>\d{1,9})"),
    ),
    # Its other errors depend on the release that it checks for.
    Kind.KICKSTART: _Program(
        "ksvalidator",
        (),
        re.compile(
            r"on line (?P<line>\d{1,9}) of the kickstart file:\s+"
            r"(?P<text>Unknown command|Section %\w{1,20} does not end)"
        ),
    ),
    Kind.IGNITION: _Program(
        "ignition-validate",
        (),
        re.compile(r"error at \S{1,200}, line (?P<line>\d{1,9}) col \d+: (?P<text>[a-z ]{1,80})"),
    ),
}
# A disk of other hardware. Hosts have SCSI disks, and which of them is sda is not defined.
_OTHER_DISK = re.compile(r"(?<![\w/-])(?:/dev/)?(?:x?vd[a-h]|hd[a-d]|nvme\d+n\d+)(?![\w.-])")


def check(name: str, content: bytes) -> None:
    """Raise InvalidInput for answers with an error, by the file's name and the line."""
    kind = identify(content)
    # The kind of JSON is known only if it is valid.
    default = _json if content.lstrip().startswith(b"{") else _nothing
    for problem in (*_run(kind, content), *_SYNTAX.get(kind, default)(content)):
        at = f", line {problem.line}" if problem.line else ""
        raise InvalidInput(f"answers: {name}{at}: {problem.text}", field="answers")


def hints(content: bytes) -> list[Problem]:
    """Return what probably makes an installer ask or fail, although the answers are valid."""
    kind = identify(content)
    # In any encoding: only ASCII matters.
    text = content.decode("latin-1")
    return [*_HINTS[kind](text), *_disks(text)] if kind in _HINTS else []


def _run(kind: Kind | None, content: bytes) -> Iterator[Problem]:
    program = _PROGRAMS.get(kind) if kind else None
    if program is None or which(program.name) is None:
        return
    # Those who may read it are the same as those who may read this process's memory.
    with open(os.memfd_create("answers"), "r+b", buffering=0) as file:  # noqa: PTH123
        file.write(content)
        printed = _output(program, file.fileno())
    for match in program.messages.finditer(printed):
        yield Problem(match["text"].lower(), int(match["line"]) or None)


def _output(program: _Program, descriptor: int) -> str:
    argv = [program.name, *program.options, f"/dev/fd/{descriptor}"]
    with debug_log.logged(__name__, " ".join(argv)) as call:
        try:
            done = subprocess.run(
                argv, capture_output=True, timeout=TIMEOUT, check=False, shell=False,
                stdin=subprocess.DEVNULL, pass_fds=[descriptor],
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as error:
            # The installer checks them in the end.
            call.result = type(error).__name__
            return ""
        call.result = f"status {done.returncode}"
    return (done.stdout + done.stderr).decode(errors="replace")


def _json(content: bytes) -> Iterator[Problem]:
    try:
        json.loads(content)
    except json.JSONDecodeError as error:
        yield Problem(f"invalid JSON: {error.msg}", error.lineno)
    except (ValueError, RecursionError):
        yield Problem("invalid JSON")


def _xml(content: bytes) -> Iterator[Problem]:
    from shctl.xml.parsing import error_line

    if line := error_line(content):
        yield Problem("invalid XML", line)


def _nothing(_content: bytes) -> Iterator[Problem]:
    yield from ()


def _preseed(text: str) -> Iterator[Problem]:
    if not re.search(r"^\S+[ \t]+partman(?:-auto)?/(?:method|early_command)\b", text, re.MULTILINE):
        yield Problem("has no partman-auto/method: the installer would ask how to use the disks")
    if not re.search(r"^\S+[ \t]+passwd/(?:root|user)-password", text, re.MULTILINE):
        yield Problem("has no password: the installer would ask for one")


def _kickstart(text: str) -> Iterator[Problem]:
    commands = set(re.findall(r"^([a-z]+)\b", text, re.MULTILINE))
    if not commands & {"autopart", "part", "partition", "ostreesetup", "liveimg", "logvol"}:
        yield Problem("has no autopart or part: the installer would ask how to use the disks")
    if not commands & {"rootpw", "user", "sshkey"}:
        yield Problem("has no rootpw, user or sshkey: the installer would ask for a password")
    if not commands & {"reboot", "poweroff", "shutdown"}:
        yield Problem("has no reboot or poweroff: the installer would wait for a key at its end")
    if re.search(r"^reboot\b[^\n]*--kexec", text, re.MULTILINE):
        yield Problem("ends with reboot --kexec, so the end of the installer cannot be seen")


def _autoinstall(text: str) -> Iterator[Problem]:
    if re.search(r"^\s*interactive-sections\s*:", text, re.MULTILINE):
        yield Problem("has interactive-sections: the installer would ask")
    if not re.search(r"^\s*(?:identity|user-data)\s*:", text, re.MULTILINE):
        yield Problem("has neither identity nor user-data: the installer would stop")


def _disks(text: str) -> Iterator[Problem]:
    if found := _OTHER_DISK.search(text):
        line = text.count("\n", 0, found.start()) + 1
        disk = found[0]
        yield Problem(f"names {disk}, but the disks are SCSI disks: use @SHCTL_DISK@", line)


def _none(_text: str) -> Iterator[Problem]:
    yield from ()


_SYNTAX: Mapping[Kind | None, Callable[[bytes], Iterator[Problem]]] = {
    Kind.AUTOYAST: _xml,
}
_HINTS = {
    Kind.PRESEED: _preseed,
    Kind.KICKSTART: _kickstart,
    Kind.AUTOINSTALL: _autoinstall,
    Kind.AUTOYAST: _none,
    Kind.AGAMA: _none,
}
