"""The ways in which a server may misbehave, each with the expected error."""

from shctl.common.errors import InstallFailed, InvalidInput
from tests.install import treeserver
from tests.install.treeserver import KERNEL

LONG = b"Transfer-Encoding: " + b"," * 65000 + b"\r\n"

HOSTILE = {
    "404": (treeserver.status(404), InvalidInput, "404"),
    "403": (treeserver.status(403), InvalidInput, "403"),
    "500": (treeserver.status(500), InstallFailed, "500"),
    "204": (treeserver.status(204), InstallFailed, "204"),
    "304 unasked": (treeserver.status(304), InstallFailed, "304"),
    "stall in headers": (treeserver.stall_in_headers, InstallFailed, "no data for 0.3 s"),
    "stall in body": (treeserver.stall_in_body, InstallFailed, "no data for 0.3 s"),
    "drip headers": (treeserver.drip_headers, InstallFailed, "not complete within the time limit"),
    "drip body": (treeserver.drip_body, InstallFailed, "not complete within the time limit"),
    "too short": (treeserver.too_short, InstallFailed, "5518 of 6518 bytes were received"),
    "too long": (treeserver.too_long, InstallFailed, "more than the 6518 bytes that it declared"),
    "too large": (treeserver.too_large, InstallFailed, "the limit is 200000"),
    "endless": (treeserver.endless, InstallFailed, "longer than the limit"),
    "endless negative chunk": (treeserver.negative_chunk, InstallFailed, "not HTTP"),
    "endless trailers": (treeserver.endless_trailers, InstallFailed, "not HTTP"),
    "long headers": (treeserver.long_headers(LONG), InstallFailed, "incomplete or not HTTP"),
    "many headers": (treeserver.long_headers(b"A: b\r\n" * 90), InstallFailed, "not HTTP"),
    "long redirect": (
        treeserver.redirect("/" * 4097),
        InstallFailed,
        "a URL of more than 4096 characters",
    ),
    "redirect loop": (treeserver.redirect("/kernel"), InstallFailed, "more than 5 redirects"),
    "redirect to file": (
        treeserver.redirect("file:///etc/passwd"),
        InstallFailed,
        "redirects to file:///etc/passwd, which is refused",
    ),
    "redirect to ftp": (treeserver.redirect("ftp://h/k"), InstallFailed, "refused"),
    "redirect to nonsense": (treeserver.redirect("http://[::1"), InstallFailed, "not a URL"),
    "redirect, endless body": (treeserver.endless_redirect_body, InstallFailed, "refused"),
    "junk kernel": (treeserver.serve(b"junk"), InstallFailed, "not an x86 Linux kernel"),
    "short kernel": (
        treeserver.serve(treeserver.SHORT_KERNEL.ljust(30_000, b".")),
        InstallFailed,
        "it has 30000 bytes",
    ),
    "gzip": (treeserver.compressed(KERNEL), InstallFailed, "not an x86 Linux kernel"),
    "not HTTP": (treeserver.not_http, InstallFailed, "incomplete or not HTTP"),
}
