"""Decompress a tree's small text files, such as .treeinfo, and check them before parsing."""

import zlib

MAX_LINES = 10_000
# Of a checksum file; the limit in bytes, Limits.text_bytes, is reached at about this number.
MAX_CHECKSUM_LINES = 100_000
MAX_LINE = 4096  # bytes; Linux's PATH_MAX, and lines of a tree hardly contain more than a path
MAX_ENCODINGS = 2
GZIP = b"\x1f\x8b"
# zlib's wbits for gzip, zlib and raw deflate data, see the documentation of decompressobj().
_GZIP_BITS, _ZLIB_BITS, _RAW_BITS = 31, 15, -15
_BOM = b"\xef\xbb\xbf"


class BadText(ValueError):
    """A file cannot be decompressed; the message says why."""


def unpack(body: bytes, encoding: str, limit: int) -> bytes:
    """Decode a Content-Encoding, then decompress the file itself if it is a gzip file.

    Raise BadText for an unsupported encoding, incomplete data, or more than limit bytes.
    """
    encodings = [name.strip().lower() for name in encoding.split(",", MAX_ENCODINGS + 1)]
    encodings = [name for name in encodings if name not in ("", "identity")]
    if len(encodings) > MAX_ENCODINGS:
        raise BadText(f"it is compressed more than {MAX_ENCODINGS} times")
    for name in reversed(encodings):
        body = _inflate(body, _bits(name, body), limit)
    return _inflate(body, _GZIP_BITS, limit) if body.startswith(GZIP) else body


def flaw(body: bytes, max_lines: int = MAX_LINES) -> str:
    """Return in a few words why a body cannot be a text file of a tree, "" if it can."""
    if is_page(body):
        return "a web page"
    if b"\0" in body:
        return "a binary file"
    if body.count(b"\n") >= max_lines:
        return "too many lines"
    if max(map(len, body.split(b"\n"))) > MAX_LINE:
        return "too long a line"
    return ""


def is_page(body: bytes) -> bool:
    """Return whether a body begins like HTML or XML, as no text file of a tree does."""
    return body.removeprefix(_BOM).lstrip().startswith(b"<")


def lines(body: bytes) -> list[str]:
    """Return the lines of a text file, without surrounding blanks."""
    text = body.removeprefix(_BOM).decode("utf-8", "replace")
    return [line.strip() for line in text.split("\n")]


def _bits(encoding: str, body: bytes) -> int:
    """Return zlib's wbits for a Content-Encoding."""
    if encoding in ("gzip", "x-gzip"):
        return _GZIP_BITS
    if encoding == "deflate":
        # Some servers omit zlib's header: method 8 and a multiple of 31 (RFC 1950, section 2.2).
        has_header = (
            body[:1] and body[0] & 15 == zlib.DEFLATED and int.from_bytes(body[:2]) % 31 == 0
        )
        return _ZLIB_BITS if has_header else _RAW_BITS
    raise BadText("its Content-Encoding is neither gzip nor deflate, and none was requested")


def _inflate(body: bytes, bits: int, limit: int) -> bytes:
    stream = zlib.decompressobj(bits)
    try:
        text = stream.decompress(body, limit + 1)
    except zlib.error:
        raise BadText("its compressed data is damaged; retry") from None
    if len(text) > limit:
        raise BadText(f"decompressed, it is longer than the limit, {limit} bytes")
    # Only one stream: zlib copies the rest of the data for each further one.
    if not stream.eof or stream.unused_data.strip(b"\0"):
        raise BadText("its compressed data is incomplete; retry")
    return text
