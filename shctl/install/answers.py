"""Read answers and the files to inject, given as FILE, NAME=FILE, or - for standard input."""

import os
import stat
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from shctl.common.errors import InvalidInput

# Of all files together: QEMU and the guest keep them in memory, with the initrd itself.
MAX_BYTES = 64 << 20
MAX_VALUE = 1 << 16  # bytes of a file that has the value of a placeholder
STANDARD_INPUT = "-"
_FROM_FILE = "@"
# A NAME is relative, without . and .., so an argument that begins like this is a path.
_PATHS = ("/", "./", "../")


class _Refusal(ValueError):
    """A file cannot be read; the message says why."""


def read_answers(files: Iterable[str]) -> dict[str, bytes]:
    """Return the contents of files of answers by their names; raise InvalidInput.

    A pipe or standard input has its path as its name, since the content says what it is.
    """
    with _naming("answers"):
        return _read_all((Path(file).name if _has_name(file) else file, file) for file in files)


def read_injected(arguments: Iterable[str]) -> dict[str, bytes]:
    """Return the contents of files by their names in the initrd; raise InvalidInput."""
    with _naming("inject"):
        return _read_all(map(split, arguments))


def read_values(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return values by name; one that is @FILE is the first line of that file.

    So a secret is not in the list of processes. @@ at the start is one @. Raise InvalidInput.
    """
    with _naming("values"):
        return {name: _value(name, text) for name, text in pairs}


def _value(name: str, text: str) -> str:
    if not text.startswith(_FROM_FILE):
        return text
    file = text.removeprefix(_FROM_FILE)
    if file.startswith(_FROM_FILE):
        return file
    lines = _read(name, file, MAX_VALUE).decode("utf-8", "surrogateescape").splitlines()
    if len(lines) != 1:
        raise _Refusal(f"{file} must have one line, the value of {name}; it has {len(lines)}")
    return lines[0]


@contextmanager
def _naming(field: str) -> Iterator[None]:
    try:
        yield
    except _Refusal as error:
        raise InvalidInput(f"{field}: {error}", field=field) from error


def _read_all(pairs: Iterable[tuple[str, str]]) -> dict[str, bytes]:
    contents: dict[str, bytes] = {}
    pairs = list(pairs)
    if [file for _, file in pairs].count(STANDARD_INPUT) > 1:
        raise _Refusal("standard input can be read only once")
    for name, file in pairs:
        if name in contents:
            raise _Refusal(f"two files are named {name}; rename one")
        left = MAX_BYTES - sum(map(len, contents.values()))
        contents[name] = _read(name, file, left)
    return contents


def split(argument: str) -> tuple[str, str]:
    """Return a file's name in the initrd and its path, or "-" for standard input.

    The first equals sign separates them. An argument that begins with /, ./ or ../ is a path; its
    last part is the name. Raise ValueError if there is no name.
    """
    name, sign, file = argument.partition("=")
    if sign and not argument.startswith(_PATHS):
        if not name or not file:
            raise _Refusal(f"{argument!r} is not of the form NAME=FILE")
        if not os.path.lexists(file) and os.path.lexists(argument):
            raise _Refusal(f"{file} does not exist; for the file {argument} write ./{argument}")
        return name, file
    if argument == STANDARD_INPUT:
        raise _Refusal("standard input needs a name: NAME=-")
    if sign and not os.path.lexists(argument):
        raise _Refusal(f"{argument} does not exist; a NAME before = is relative, without . and ..")
    _check_name(argument)
    return Path(argument).name, argument


def _check_name(file: str) -> None:
    """Raise ValueError for a path whose last part is no name, such as /dev/fd/63 of <(...)."""
    if not _has_name(file):
        what = "a pipe" if stat.S_ISFIFO(_kind(file)) else "an open file"
        raise _Refusal(f"{file} is {what} without a name; name it with NAME={file}")


def _has_name(file: str) -> bool:
    if file == STANDARD_INPUT:
        return False
    kind = _kind(file)
    is_descriptor = file.startswith("/dev/") or Path(file).parent.name == "fd"
    return not (stat.S_ISFIFO(kind) or (is_descriptor and stat.S_ISREG(kind)))


def _kind(file: str) -> int:
    try:
        return os.stat(file).st_mode  # noqa: PTH116, Path would drop the slash of "file/"
    except FileNotFoundError:
        raise _Refusal(f"{file} does not exist") from None
    except (OSError, ValueError) as error:
        raise _unreadable(file, error) from error


def _read(name: str, file: str, limit: int) -> bytes:
    """Return a file's content, of at most `limit` bytes."""
    if file != STANDARD_INPUT:
        kind = _kind(file)
        if not (stat.S_ISREG(kind) or stat.S_ISFIFO(kind)):
            raise _Refusal(f"{file} is neither a file nor a pipe")
    try:
        content = _read_standard_input(limit) if file == STANDARD_INPUT else _open(file, limit)
    except OSError as error:
        raise _unreadable(file, error) from error
    if len(content) > limit:
        raise _too_large(name, limit)
    return content


def _open(file: str, limit: int) -> bytes:
    with Path(file).open("rb") as stream:
        return stream.read(limit + 1)


def _read_standard_input(limit: int) -> bytes:
    if sys.stdin is None:  # closed by the calling process
        raise _Refusal("standard input is closed; give a file instead")
    return sys.stdin.buffer.read(limit + 1)


def _unreadable(file: str, error: OSError | ValueError) -> _Refusal:
    reason = error.strerror if isinstance(error, OSError) else None
    return _Refusal(f"cannot read {file}: {reason or error}")


def _too_large(name: str, limit: int) -> _Refusal:
    if limit == MAX_VALUE:
        return _Refusal(f"the file for {name} has more than {MAX_VALUE >> 10} KiB")
    return _Refusal(f"with {name}, the files have more than {MAX_BYTES >> 20} MiB together")
