"""The WSGI environment of an ASGI request, and the response of a WSGI application."""

from collections.abc import Callable
from typing import Any

import pytest

from shctl.rest.http import wsgi

SCOPE: dict[str, Any] = {
    "method": "GET", "path": "/", "query_string": b"", "http_version": "1.1", "headers": [],
}  # fmt: skip


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/hosts", "/hosts"),
        ("/hosts/", "/hosts"),
        ("/", "/"),
        ("http://localhost", "/"),
        ("HTTPS://localhost:8420/hosts/a", "/hosts/a"),
        ("/hosts/é", "/hosts/Ã©"),  # UTF-8, decoded as Latin-1
    ],
)
def test_path(path: str, expected: str) -> None:
    assert wsgi.environ({**SCOPE, "path": path}, "")["PATH_INFO"] == expected


def test_headers() -> None:
    headers = [
        (b"content-type", b"application/json"),
        (b"authorization", b"Bearer a"),
        (b"authorization", b"Bearer b"),
    ]
    found = wsgi.environ({**SCOPE, "headers": headers}, "192.0.2.1")
    assert found["CONTENT_TYPE"] == "application/json"
    assert found["HTTP_AUTHORIZATION"] == "Bearer a,Bearer b"
    assert found["REMOTE_ADDR"] == "192.0.2.1"


def test_call() -> None:
    def application(environ: wsgi.Environ, start: Callable[..., Any]) -> list[bytes]:
        start("500 Internal Server Error", [])
        start("200 OK", [("X-Test", "1")])
        return [environ["wsgi.input"].read(), b"!"]

    response = wsgi.call(application, wsgi.environ(SCOPE, ""), b"body")
    assert response == wsgi.Response(200, [("X-Test", "1")], b"body!")
