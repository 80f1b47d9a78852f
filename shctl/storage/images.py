"""Find the files that disk images depend on; nothing else calls qemu-img."""

import json
import os
import stat
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from shctl.common import debug_log, files
from shctl.common.errors import Conflict
from shctl.xml.disks import RAW

TIMEOUT = 10  # seconds; one image takes 7 ms
_DEPTH = 200  # images in a chain, libvirt's own limit
_HEAD = 64  # bytes

# First bytes of the formats whose images can depend on another file: qcow and qcow2, qed, vmdk. A
# vmdk may also be a text file, which begins with comments, blank lines or its version.
_MAGICS = (b"QFI\xfb", b"QED\0", b"KDMV", b"COWD", b"#", b" ", b"version=")
_FORMATS = {
    "qcow", "qcow2", "qed", "vmdk", "vdi", "vhdx", "vpc", "luks", "parallels", "bochs", "cloop",
    "dmg",
}  # fmt: skip
# QEMU's drivers that use no network, and only the files that they name.
_LOCAL = _FORMATS | {"file", "host_device", RAW, "copy-on-read", "preallocate", "compress"}
_PREFIXES = ("file:", "host_device:")

Found = tuple[str, str | None]  # a file that an image depends on, and its format, None to probe it


class Unresolved(Conflict):
    """It cannot be determined what an image depends on."""


def may_have_backing(path: str) -> bool:
    """Return whether a file may be an image that depends on others; only False is certain.

    Raise Unreadable.
    """
    return _head(path).startswith(_MAGICS)


def _head(path: str) -> bytes:
    """Return the first bytes of a file or block device, none if it does not exist."""
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags)
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise files.unreadable(path, error) from error
    try:
        return os.read(descriptor, _HEAD)
    except OSError as error:
        raise files.unreadable(path, error) from error
    finally:
        os.close(descriptor)


def dependencies(path: str, kind: str | None) -> Iterator[str]:
    """Yield the files that an image depends on: backing files, data files, extents, recursively.

    `kind` is the image's format, None if QEMU would probe it. A raw image depends on nothing, even
    if its guest wrote the header of an image to it. Raise Unresolved, Unreadable.
    """
    left: list[Found] = [(path, kind)]
    seen: set[files.Identity] = set()
    while left:
        path, kind = left.pop()
        if kind == RAW or (found := _identity(path)) is None or found in seen:
            continue
        if len(seen) == _DEPTH:
            raise Unresolved(f"{path} has more than {_DEPTH} images below it")
        seen.add(found)
        for lower in _directly_below(path, _information(path, kind)):
            yield lower[0]
            left.append(lower)


def _identity(path: str) -> files.Identity | None:
    """Return an image's identity, None if it does not exist."""
    facts = files.stat_or_none(path)
    if facts is None:
        return None
    # Opening anything else, such as a FIFO, may block.
    if not stat.S_ISREG(facts.st_mode) and not stat.S_ISBLK(facts.st_mode):
        raise Unresolved(f"{path} is neither a file nor a block device")
    _head(path)  # raises Unreadable where qemu-img would only fail
    return files.identity_of(facts)


def _information(path: str, kind: str | None) -> dict[str, Any]:
    # -U (force-share) ignores the locks of a QEMU that has the image open. libvirt has names of
    # formats that QEMU does not know, such as iso.
    known = ["-f", kind] if kind in _FORMATS else []
    argv = ["qemu-img", "info", "--output=json", "-U", *known, "--", path]
    try:
        found = json.loads(_run(argv, path))
    except ValueError as error:
        raise Unresolved(f"qemu-img returns no description of {path}") from error
    if not isinstance(found, dict):
        raise Unresolved(f"qemu-img returns no description of {path}")
    return found


def _run(argv: list[str], path: str) -> str:
    try:
        process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, errors="surrogateescape", cwd="/",
        )  # fmt: skip
    except OSError as error:
        raise Unresolved(
            f"qemu-img cannot be run ({error.strerror}); install qemu-utils"
        ) from error
    try:
        with debug_log.logged(__name__, " ".join(argv)) as call:
            output, errors = process.communicate(timeout=TIMEOUT)
            call.result = f"status {process.returncode}"
    except subprocess.TimeoutExpired as error:
        process.kill()
        # A process that hangs in the kernel, as on NFS, does not die.
        with suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=1)
        raise Unresolved(f"qemu-img did not report on {path} within {TIMEOUT} s") from error
    if process.returncode:
        message = errors.strip().removeprefix("qemu-img: ")
        raise Unresolved(f"qemu-img cannot read {path}: {message[:300]}")
    return output


def _directly_below(path: str, found: dict[str, Any]) -> Iterator[Found]:
    name = found.get("full-backing-filename") or found.get("backing-filename")
    if name:
        kind = found.get("backing-filename-format")
        yield from ((file, kind) for file in _named(path, str(name)))
    data = (found.get("format-specific") or {}).get("data") or {}
    if data.get("data-file"):
        yield from ((file, RAW) for file in _named(path, str(data["data-file"])))
    extents = [str(extent.get("filename", "")) for extent in data.get("extents") or ()]
    yield from ((extent, RAW) for extent in extents if extent not in ("", path))


def _named(path: str, name: str) -> Iterator[str]:
    """Yield the files in the name of a dependency, as an image has it; raise Unresolved."""
    if name.startswith("json:"):
        try:
            options = json.loads(name.removeprefix("json:"))
        except (ValueError, RecursionError) as error:
            raise Unresolved(
                f"{path} depends on {name[:200]}, which shctl does not support"
            ) from error
        named = [*_in_options(path, options)]
    else:
        prefix = next(filter(name.startswith, _PREFIXES), "")
        named = [name.removeprefix(prefix)]
        if not prefix and ":" in name.partition("/")[0]:
            raise Unresolved(f"{path} depends on {name[:200]}, which is not on this machine")
    if not named:
        raise Unresolved(f"{path} depends on {name[:200]}, which shctl does not support")
    for file in named:
        # QEMU resolves a relative path from the image's directory, or from its own.
        yield os.path.join(os.path.dirname(path), file)  # noqa: PTH118, PTH120
        if not file.startswith("/"):
            yield f"/{file}"


def _in_options(path: str, options: object) -> Iterator[str]:
    """Yield the file names in options as QEMU's json: names have them, nested or with dots."""
    left = [options]
    while left:
        node = left.pop()
        if isinstance(node, list):
            left += node
        if not isinstance(node, dict):
            continue
        for key, value in node.items():
            last = key.rpartition(".")[2]
            if last == "driver" and not (isinstance(value, str) and value in _LOCAL):
                raise Unresolved(f"{path} depends on an image of QEMU's driver {str(value)[:40]!r}")
            if last == "filename":
                yield str(value)
            elif isinstance(value, dict | list):
                left.append(value)
