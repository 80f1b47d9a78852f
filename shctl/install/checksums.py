"""Parse the checksums that a tree publishes of its files."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

# The algorithms that trees use, by their number of hexadecimal digits.
ALGORITHMS: Mapping[int, str] = {32: "md5", 40: "sha1", 64: "sha256", 128: "sha512"}
_MAX_WORDS = 2  # before the digits, "HASH SHA256" in SUSE's files


@dataclass(frozen=True)
class Checksum:
    """A published checksum: hashlib's name of the algorithm, and lower-case hexadecimal digits."""

    algorithm: str
    value: str


def parse_checksum(text: str) -> Checksum | None:
    """Return the checksum in a text, "HEX" or "NAME:HEX"; None for unknown algorithms."""
    value = text.rpartition(":")[2].strip().lower()
    algorithm = ALGORITHMS.get(len(value))
    if algorithm is None or value.strip("0123456789abcdef"):
        return None
    return Checksum(algorithm, value)


def parse_sums(lines: Iterable[str]) -> Iterator[tuple[str, Checksum]]:
    """Yield paths and checksums from lines as sha256sum and similar commands print them."""
    return (entry for line in lines if (entry := _parse_entry(line)))


def _parse_entry(line: str) -> tuple[str, Checksum] | None:
    """Return path and checksum; skip up to _MAX_WORDS words before them."""
    for _ in range(_MAX_WORDS + 1):
        digits, _, line = line.partition(" ")
        if checksum := parse_checksum(digits):
            path = line.removeprefix(" ").removeprefix("*").removeprefix("./")
            return (path, checksum) if path else None
    return None
