"""Read the files to inject, given as FILE, NAME=FILE, or NAME=- for standard input."""

import os
import stat
import sys
from collections.abc import Iterable
from pathlib import Path

from shctl.common.errors import InvalidInput

# Of all files together: QEMU and the guest keep them in memory, with the initrd itself.
MAX_BYTES = 64 << 20
STANDARD_INPUT = "-"
# A NAME is relative, without . and .., so an argument that begins like this is a path.
_PATHS = ("/", "./", "../")


def read_answers(arguments: Iterable[str]) -> dict[str, bytes]:
    """Return the contents of files by their names in the initrd; raise InvalidInput."""
    answers: dict[str, bytes] = {}
    pairs = [split(argument) for argument in arguments]
    if [file for _, file in pairs].count(STANDARD_INPUT) > 1:
        raise _refusal("standard input can be read only once")
    for name, file in pairs:
        if name in answers:
            raise _refusal(f"two files are named {name}; rename one with NAME=FILE")
        left = MAX_BYTES - sum(map(len, answers.values()))
        answers[name] = _read(name, file, left)
    return answers


def split(argument: str) -> tuple[str, str]:
    """Return a file's name in the initrd and its path, or "-" for standard input.

    The first equals sign separates them. An argument that begins with /, ./ or ../ is a path; its
    last part is the name. Raise InvalidInput if there is no name.
    """
    name, sign, file = argument.partition("=")
    if sign and not argument.startswith(_PATHS):
        if not name or not file:
            raise _refusal(f"{argument!r} is not of the form NAME=FILE")
        if not os.path.lexists(file) and os.path.lexists(argument):
            raise _refusal(f"{file} does not exist; for the file {argument} write ./{argument}")
        return name, file
    if argument == STANDARD_INPUT:
        raise _refusal("standard input needs a name: NAME=-")
    if sign and not os.path.lexists(argument):
        raise _refusal(f"{argument} does not exist; a NAME before = is relative, without . and ..")
    _check_name(argument)
    return Path(argument).name, argument


def _check_name(file: str) -> None:
    """Raise InvalidInput for a path whose last part is no name, such as /dev/fd/63 of <(...)."""
    kind = _kind(file)
    is_descriptor = file.startswith("/dev/") or Path(file).parent.name == "fd"
    if stat.S_ISFIFO(kind) or (is_descriptor and stat.S_ISREG(kind)):
        what = "a pipe" if stat.S_ISFIFO(kind) else "an open file"
        raise _refusal(f"{file} is {what} without a name; name it with NAME={file}")


def _kind(file: str) -> int:
    try:
        return os.stat(file).st_mode  # noqa: PTH116, Path would drop the slash of "file/"
    except FileNotFoundError:
        raise _refusal(f"{file} does not exist") from None
    except (OSError, ValueError) as error:
        raise _unreadable(file, error) from error


def _read(name: str, file: str, limit: int) -> bytes:
    """Return a file's content, of at most `limit` bytes."""
    if file != STANDARD_INPUT:
        kind = _kind(file)
        if not (stat.S_ISREG(kind) or stat.S_ISFIFO(kind)):
            raise _refusal(f"{file} is neither a file nor a pipe")
    try:
        content = _read_standard_input(limit) if file == STANDARD_INPUT else _open(file, limit)
    except OSError as error:
        raise _unreadable(file, error) from error
    if len(content) > limit:
        raise _refusal(f"with {name}, the files have more than {MAX_BYTES >> 20} MiB together")
    return content


def _open(file: str, limit: int) -> bytes:
    with Path(file).open("rb") as stream:
        return stream.read(limit + 1)


def _read_standard_input(limit: int) -> bytes:
    if sys.stdin is None:  # closed by the calling process
        raise _refusal("standard input is closed; give a file instead")
    return sys.stdin.buffer.read(limit + 1)


def _unreadable(file: str, error: OSError | ValueError) -> InvalidInput:
    reason = error.strerror if isinstance(error, OSError) else None
    return _refusal(f"cannot read {file}: {reason or error}")


def _refusal(reason: str) -> InvalidInput:
    return InvalidInput(f"inject: {reason}", field="inject")
