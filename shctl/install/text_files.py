"""The texts of trees: unpacked, and held to limits before anything parses them."""

import zlib

MOST_LINES = 10_000
# Of checksums; a file with more lines than this would be longer than a text may be.
MOST_SUMS = 100_000
LONGEST_LINE = 4096  # bytes; the kernel's PATH_MAX, and no line of a tree is longer than a path
MOST_CODINGS = 2
GZIP = b"\x1f\x8b"
# What zlib calls them: gzip, zlib's own format, and no header at all.
_GZIP_BITS, _ZLIB_BITS, _RAW_BITS = 31, 15, -15
_BOM = b"\xef\xbb\xbf"


class BadText(ValueError):
    """A text that cannot be unpacked; says why."""


def unpack(body: bytes, encoding: str, limit: int) -> bytes:
    """Return body without its Content-Encoding, and without the gzip that the file itself may be.

    Raise BadText for what is not whole, unpacks to more than limit bytes, or is of another kind.
    """
    codings = [coding.strip().lower() for coding in encoding.split(",", MOST_CODINGS + 1)]
    codings = [coding for coding in codings if coding not in ("", "identity")]
    if len(codings) > MOST_CODINGS:
        raise BadText("it came compressed more than twice")
    for coding in reversed(codings):
        body = _inflate(body, _bits(coding, body), limit)
    return _inflate(body, _GZIP_BITS, limit) if body.startswith(GZIP) else body


def flaw(body: bytes, most_lines: int = MOST_LINES) -> str:
    """Return in a few words why body cannot be a text of a tree, "" when it can."""
    if is_page(body):
        return "a web page"
    if b"\0" in body:
        return "no text"
    if body.count(b"\n") >= most_lines:
        return "too many lines"
    if max(map(len, body.split(b"\n"))) > LONGEST_LINE:
        return "too long a line"
    return ""


def is_page(body: bytes) -> bool:
    """Tell whether body begins as HTML and XML do, and no file of a tree."""
    return body.removeprefix(_BOM).lstrip().startswith(b"<")


def lines(body: bytes) -> list[str]:
    """Return the lines of a text without flaw, without blanks around them."""
    text = body.removeprefix(_BOM).decode("utf-8", "replace")
    return [line.strip() for line in text.split("\n")]


def _bits(coding: str, body: bytes) -> int:
    if coding in ("gzip", "x-gzip"):
        return _GZIP_BITS
    if coding == "deflate":
        # Some servers leave the header away, which says deflate and is a multiple of 31.
        is_whole = int.from_bytes(body[:2]) % 31 == 0 and body[:1] and body[0] & 15 == zlib.DEFLATED
        return _ZLIB_BITS if is_whole else _RAW_BITS
    raise BadText("it came compressed, against the request, and not by gzip or deflate")


def _inflate(body: bytes, bits: int, limit: int) -> bytes:
    stream = zlib.decompressobj(bits)
    try:
        text = stream.decompress(body, limit + 1)
    except zlib.error:
        raise BadText("it came compressed and is damaged; retry") from None
    if len(text) > limit:
        raise BadText(f"unpacked it goes on after the limit, {limit} bytes")
    # A second stream in one file would cost a copy of what is left for each.
    if not stream.eof or stream.unused_data.strip(b"\0"):
        raise BadText("it came compressed and is not whole; retry")
    return text
