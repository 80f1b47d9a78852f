"""The error of a failed fetch, and one-line explanations of urllib3's, TLS and socket errors."""

import os
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from shctl.common.errors import InstallFailed
from shctl.install.http.limits import Limits
from shctl.install.http.urls import redact

if TYPE_CHECKING:
    from ssl import SSLCertVerificationError

    from shctl.install.http.proxies import Proxy

# Names of urllib3's errors for a failed connection, to a proxy if there is one.
CONNECT_ERRORS = {
    "NewConnectionError",
    "NameResolutionError",
    "ConnectTimeout",
    "ConnectTimeoutError",
}
# X509_V_ERR_* in OpenSSL's x509_vfy.h: self-signed, or issued by an unknown authority.
UNKNOWN_AUTHORITY = range(18, 22)
_CHECK_CERTIFICATE = "check the URL, the server's certificate and this machine's clock"


class FetchFailed(InstallFailed):
    """A file could not be fetched; `summary` is the HTTP status or a few words.

    `reason` is the message without the URL.
    """

    def __init__(self, url: str, summary: str, reason: str) -> None:
        super().__init__(f"cannot fetch {redact(url)}: {reason}", field="location")
        self.summary = summary
        self.reason = reason


def explain(error: BaseException, limits: Limits, proxy: "Proxy | None" = None) -> tuple[str, str]:
    """Return FetchFailed's summary and reason for an error of urllib3 or the socket below it.

    The errors' own texts are not used: they contain URLs with passwords, and several lines.
    """
    causes = list(_causes(error))
    names = {type(cause).__name__ for cause in causes}
    if proxy and (reason := _explain_proxy(causes, names, limits)):
        return "proxy", f"cannot reach the proxy {proxy}: {reason}"
    if certificate := _certificate_error(causes):
        return "certificate", _explain_certificate(certificate)
    if "CertificateError" in names:  # urllib3's own class, before version 2
        reason = f"certificate verify failed: not for that host name; {_CHECK_CERTIFICATE}"
        return "certificate", reason
    return _explain(causes, names, limits)


def _explain(causes: list[BaseException], names: set[str], limits: Limits) -> tuple[str, str]:
    if names & {"ConnectTimeout", "ConnectTimeoutError"}:
        return (
            "no answer",
            f"no response within {limits.connect:g} s; check that the server is running",
        )
    if names & {"ReadTimeout", "ReadTimeoutError", "TimeoutError"}:
        return "stalled", f"no data for {limits.stall:g} s; retry later"
    if "ConnectionRefusedError" in names:
        return "refused", "connection refused; check that the server is running"
    if short := _explain_short(causes):
        return "too short", short
    for cause in reversed(causes):
        # Errors of urllib3 also derive from OSError, but without errno.
        if isinstance(cause, OSError) and cause.errno and cause.strerror:
            return "no connection", f"{cause.strerror}; check the URL and the server"
    return "broken off", "the response is incomplete or not HTTP; check the server and retry"


def _explain_short(causes: list[BaseException]) -> str:
    """Return how much of a body was received, "" for other errors.

    urllib3 reports it since version 2.
    """
    from urllib3.exceptions import IncompleteRead

    for cause in causes:
        if isinstance(cause, IncompleteRead) and isinstance(cause.partial, int) and cause.expected:
            declared = cause.partial + cause.expected
            return f"only {cause.partial} of {declared} bytes were received; retry"
    return ""


def _explain_proxy(causes: list[BaseException], names: set[str], limits: Limits) -> str:
    """Return why a proxy cannot be used, "" if the error is not the proxy's."""
    for cause in causes:
        if tunnel := re.match(r"Tunnel connection failed: ([0-9]{3})", str(cause)):
            return f"it returned {tunnel[1]} to CONNECT; check its user, password and rules"
    if not names & CONNECT_ERRORS:
        return ""
    reason = _explain(causes, names, limits)[1].partition(";")[0]
    return f"{reason}; check the proxy, or add the server to no_proxy"


def _certificate_error(causes: list[BaseException]) -> "SSLCertVerificationError | None":
    from ssl import SSLCertVerificationError

    return next((cause for cause in causes if isinstance(cause, SSLCertVerificationError)), None)


def _explain_certificate(error: "SSLCertVerificationError") -> str:
    reason = f"certificate verify failed: {error.verify_message}"
    if error.verify_code not in UNKNOWN_AUTHORITY:
        return f"{reason}; {_CHECK_CERTIFICATE}"
    file = os.environ.get("SSL_CERT_FILE")
    # OpenSSL ignores such a file silently.
    if file and not os.access(file, os.R_OK):
        return f"{reason}; SSL_CERT_FILE is {file!r}, which cannot be read"
    return (
        f"{reason}; if you trust the server, set SSL_CERT_FILE to a file with its certificate or"
        " its authority's, see shctl(1)"
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or seen.__context__
