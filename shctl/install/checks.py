"""Published checksums of a tree's files."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

# Trees of the last twenty years publish one of these; the length in digits tells which.
ALGORITHMS: Mapping[int, str] = {32: "md5", 40: "sha1", 64: "sha256", 128: "sha512"}


@dataclass(frozen=True)
class Checksum:
    """A checksum as published: the name that hashlib knows and lower-case hexadecimal digits."""

    algorithm: str
    value: str


def parse_checksum(text: str) -> Checksum | None:
    """Return the checksum in text ("HEX" or "NAME:HEX"), None when it is of no known kind."""
    value = text.rpartition(":")[2].strip().lower()
    algorithm = ALGORITHMS.get(len(value))
    if algorithm is None or not re.fullmatch("[0-9a-f]+", value):
        return None
    return Checksum(algorithm, value)


def parse_sums(text: str) -> dict[str, Checksum]:
    """Return path to checksum from the output of sha256sum and its kind.

    Words before the checksum ("HASH SHA256" in SUSE's content file) are skipped.
    """
    sums = {}
    for match in re.finditer(r"^(?:[A-Z0-9]+ )*([0-9A-Fa-f]{32,128}) [ *]?(\S.*?)\s*$", text, re.M):
        checksum = parse_checksum(match[1])
        if checksum:
            sums[match[2].removeprefix("./")] = checksum
    return sums
