"""Append answer files to an initrd, and insert values into them.

An initrd may consist of several archives, each with its own compression, and with zeros in between:
an archive can be appended to any initrd. See unpack_to_rootfs() in init/initramfs.c of
Linux.
"""

import gzip
import re
import shutil
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path, PurePosixPath

from shctl.common.atomic import write_atomically
from shctl.common.errors import InvalidInput
from shctl.install.formats import is_initrd
from shctl.install.http.urls import is_inside

PADDING = 4  # bytes, see cpio(5)
# Between two archives. LZ4's legacy format has no end mark: the decoder, in
# lib/decompress_unlz4.c of Linux, stops at a block of length zero (four bytes).
GAP = b"\0" * 4
_HEAD = 1 << 16  # bytes to read; zeros may precede the first archive
NAME_LIMIT = 4096  # bytes; Linux's PATH_MAX, including the NUL
TRAILER = "TRAILER!!!"

_PLACEHOLDER = re.compile(rb"@SHCTL_([A-Z0-9_]+)@")

# Often symbolic links in an initrd: an entry would replace the link by an empty directory.
KEPT_DIRECTORIES = frozenset({"bin", "sbin", "lib", "lib32", "lib64", "var/run", "var/lock"})
# An entry also sets the mode of a directory that already exists.
DIRECTORY_MODES = {"tmp": 0o1777, "var/tmp": 0o1777, "root": 0o700}


def check_initrd(initrd: Path, name: str) -> None:
    """Raise InvalidInput unless Linux would unpack an archive appended to this initrd."""
    with initrd.open("rb") as stream:
        head = stream.read(_HEAD)
    if not is_initrd(head):
        raise InvalidInput(
            f"inject: Linux cannot unpack {name}, so the files would be ignored;"
            " check the location, or give another initrd",
            field="inject",
        )


def append_files(initrd: Path, files: Mapping[str, bytes], target: Path) -> None:
    """Write a copy of an initrd with files (contents by relative name) to target, atomically.

    Its mode is 0600, because answers may contain passwords; libvirt makes QEMU's user the owner.
    The result is reproducible. Raise InvalidInput for a name, NoSpace, InstallFailed.
    """
    archive = gzip.compress(b"".join(_archive(files)), mtime=0)
    with write_atomically(target, 0o600) as stream, initrd.open("rb") as source:
        shutil.copyfileobj(source, stream, 1 << 20)
        stream.write(GAP + b"\0" * (-stream.tell() % PADDING))
        stream.write(archive)


def render(content: bytes, values: Mapping[str, str], field: str = "inject") -> bytes:
    """Replace each @SHCTL_NAME@ in a text by the value of NAME.

    Content that is not UTF-8, or contains NULs, is returned unchanged. Raise InvalidInput for an
    unknown name, and for a value with line breaks or control characters.
    """
    for name, value in values.items():
        if re.search(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]", value):
            raise InvalidInput(
                f"values: {name} contains line breaks or control characters", field="values"
            )

    def replace(match: re.Match[bytes]) -> bytes:
        name = match[1].decode()
        if name not in values:
            known = ", ".join(f"@SHCTL_{name}@" for name in sorted(values))
            raise InvalidInput(
                f"{field}: unknown placeholder @SHCTL_{name}@: must be one of {known}",
                field=field,
            )
        return values[name].encode(errors="surrogateescape")

    return _PLACEHOLDER.sub(replace, content) if _is_text(content) else content


def _is_text(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return b"\0" not in content


def check_names(files: Collection[str]) -> None:
    """Raise InvalidInput unless files of these names can be in one initrd."""
    for name in files:
        _check_name(name)
    for name in sorted(_directories(files) & set(files)):
        raise InvalidInput(f"inject: {name!r} is both a file and a directory", field="inject")


def _directories(files: Collection[str]) -> set[str]:
    return {str(parent) for name in files for parent in PurePosixPath(name).parents}


def _archive(files: Mapping[str, bytes]) -> Iterator[bytes]:
    check_names(files)
    directories = _directories(files)
    # Sorted: a directory has to precede its files.
    number = 0
    for number, name in enumerate(sorted(directories - KEPT_DIRECTORIES - {"."}), 1):
        yield _entry(number, name, 0o040000 | DIRECTORY_MODES.get(name, 0o755), b"")
    for file_number, name in enumerate(sorted(files), number + 1):
        content = files[name]
        executable = content.startswith(b"#!")
        yield _entry(file_number, name, 0o100000 | (0o755 if executable else 0o644), content)
    yield _entry(0, TRAILER, 0, b"")


def _check_name(name: str) -> None:
    usable = is_inside(name) and name != TRAILER
    if not usable or len(_encoded(name)) > NAME_LIMIT:
        raise InvalidInput(
            f"inject: invalid file name {name!r}: must be relative, without . and ..",
            field="inject",
        )


def _encoded(name: str) -> bytes:
    return name.encode() + b"\0"


def _entry(number: int, name: str, mode: int, content: bytes) -> bytes:
    """Return an entry in cpio's newc format, with the header's fields in the order of cpio(5)."""
    encoded = _encoded(name)
    links = 1
    owner = group = time = major = minor = 0
    fields = (number, mode, owner, group, links, time, len(content), major, minor, 0, 0)
    header = "070701" + "".join(f"{value:08X}" for value in (*fields, len(encoded), 0))
    return _padded(header.encode() + encoded) + _padded(content)


def _padded(part: bytes) -> bytes:
    return part + b"\0" * (-len(part) % PADDING)
