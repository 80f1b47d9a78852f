"""Published checksums of a tree's files."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

# Trees of the last twenty years publish one of these; the length in digits tells which.
ALGORITHMS: Mapping[int, str] = {32: "md5", 40: "sha1", 64: "sha256", 128: "sha512"}
_WORDS_BEFORE = 2


@dataclass(frozen=True)
class Checksum:
    """A checksum as published: the name that hashlib knows and lower-case hexadecimal digits."""

    algorithm: str
    value: str


def parse_checksum(text: str) -> Checksum | None:
    """Return the checksum in text ("HEX" or "NAME:HEX"), None when it is of no known kind."""
    value = text.rpartition(":")[2].strip().lower()
    algorithm = ALGORITHMS.get(len(value))
    if algorithm is None or value.strip("0123456789abcdef"):
        return None
    return Checksum(algorithm, value)


def parse_sums(lines: Iterable[str]) -> Iterator[tuple[str, Checksum]]:
    """Yield paths and checksums from the lines that sha256sum and its kind print."""
    return (entry for line in lines if (entry := _parse_entry(line)))


def _parse_entry(line: str) -> tuple[str, Checksum] | None:
    """Return path and checksum; words before them, "HASH SHA256" in SUSE's file, are skipped."""
    for _ in range(_WORDS_BEFORE + 1):
        digits, _, line = line.partition(" ")
        if checksum := parse_checksum(digits):
            path = line.removeprefix(" ").removeprefix("*").removeprefix("./")
            return (path, checksum) if path else None
    return None
