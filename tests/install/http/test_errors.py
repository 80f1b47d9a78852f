"""Explanations of the errors of urllib3, TLS and sockets."""

import ssl

import pytest
from urllib3.exceptions import ConnectTimeoutError, HTTPError

from shctl.install.http.errors import FetchFailed, explain
from shctl.install.http.limits import Limits
from shctl.install.http.proxies import Proxy

PROXY = Proxy("http://user:secret@proxy:3128", "http_proxy")
REFUSED = ConnectionRefusedError(111, "Connection refused")


def caused_by(cause: BaseException) -> HTTPError:
    error = HTTPError("http://user:secret@h/")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "summary", "reason"),
    [
        (ConnectTimeoutError(), "no answer", "no response within 10 s"),
        (caused_by(TimeoutError()), "stalled", "no data for 30 s"),
        (caused_by(REFUSED), "refused", "connection refused"),
        (caused_by(OSError(113, "No route to host")), "no connection", "No route to host"),
        (HTTPError("boom"), "broken off", "incomplete or not HTTP"),
    ],
)
def test_explained(error: BaseException, summary: str, reason: str) -> None:
    found = explain(error, Limits())
    assert found[0] == summary
    assert reason in found[1]
    assert "secret" not in found[1]


def test_error_of_a_proxy() -> None:
    error = caused_by(OSError("Tunnel connection failed: 403 Forbidden"))
    summary, reason = explain(error, Limits(), PROXY)
    assert summary == "proxy"
    assert reason.startswith(
        "cannot reach the proxy http://***@proxy:3128 (http_proxy): it returned"
    )


def test_error_behind_a_proxy_is_not_the_proxys() -> None:
    assert explain(caused_by(TimeoutError()), Limits(), PROXY)[0] == "stalled"


def test_certificate() -> None:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_code, error.verify_message = 10, "certificate has expired"
    summary, reason = explain(error, Limits())
    assert (summary, "certificate has expired; check the URL" in reason) == ("certificate", True)


def test_message_is_redacted() -> None:
    error = FetchFailed("http://user:secret@h/k?token=secret", "404", "gone")
    assert error.detail == "cannot fetch http://***@h/k?***: gone"
