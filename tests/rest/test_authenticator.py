"""Callers: their tokens and scopes, headers from browsers, and failures by address."""

from typing import Any

import pytest

from shctl.common.model import Token
from shctl.rest import access
from shctl.rest.access import (
    MAX_FAILURES,
    AccessDenied,
    Authenticator,
    Caller,
    Failures,
    TooManyFailures,
    Unauthenticated,
    authorize,
)


def test_too_many_failures_of_one_address() -> None:
    failures = Failures()
    assert [failures.add("a") for _ in range(MAX_FAILURES)] == [0] * MAX_FAILURES
    assert 0 < failures.add("a") <= access.WINDOW + 1
    assert failures.add("b") == 0


def test_r42_number_of_addresses_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    """An attacker with an IPv6 network has any number of addresses; the latest are kept."""
    monkeypatch.setattr(access, "_MAX_ADDRESSES", 4)
    failures = Failures()
    for _ in range(MAX_FAILURES):
        failures.add("guesses")
    for number in range(20):
        assert failures.add(f"other {number}") == 0
        assert failures.add("guesses")
    assert len(failures._times) == 4


TOKEN = Token("reader", "read", "valid", "2026-01-01T00:00:00Z", None)


@pytest.fixture
def listener(monkeypatch: pytest.MonkeyPatch) -> Authenticator:
    """Return a TCP listener whose one token is "right"."""
    monkeypatch.setattr(access, "find_token", lambda secret: TOKEN if secret == "right" else None)
    return Authenticator(trusted=False, names=("rack1.example",))


def request(**headers: str) -> dict[str, Any]:
    return {
        "REMOTE_ADDR": "192.0.2.1", "SERVER_PROTOCOL": "HTTP/1.1", "wsgi.url_scheme": "https",
        "HTTP_HOST": "rack1.example", **headers,
    }  # fmt: skip


@pytest.mark.parametrize("value", ["Bearer right", "bearer right", "Bearer  right "])
def test_valid_token(listener: Authenticator, value: str) -> None:
    caller = listener.authenticate(request(HTTP_AUTHORIZATION=value), "read")
    assert caller == Caller("token reader", "read")


@pytest.mark.parametrize("value", ["", "right", "Basic right", "Bearer wrong", "Bearer x,right"])
def test_wrong_credentials(listener: Authenticator, value: str) -> None:
    wrong = request(HTTP_AUTHORIZATION=value)
    for _ in range(MAX_FAILURES):
        with pytest.raises(Unauthenticated) as caught:
            listener.authenticate(wrong, "read")
        assert caught.value.headers == {"WWW-Authenticate": 'Bearer realm="shctl"'}
    with pytest.raises(TooManyFailures, match="try again in [0-9]+ s") as refused:
        listener.authenticate(wrong, "read")
    assert 0 < int(refused.value.headers["Retry-After"]) <= access.WINDOW + 1
    listener.authenticate(request(HTTP_AUTHORIZATION="Bearer right"), "read")


def test_no_token_is_needed_for_public_pages_and_on_a_unix_socket(listener: Authenticator) -> None:
    assert listener.authenticate(request(), access.PUBLIC) == Caller("anyone", access.PUBLIC)
    unix = Authenticator(trusted=True)
    assert unix.authenticate({"REMOTE_ADDR": "uid 0"}, "admin") == Caller("uid 0", "admin")


def test_scopes_include_the_previous_ones() -> None:
    for number, scope in enumerate(access.SCOPES):
        caller = Caller("token t", scope)
        for allowed in (access.PUBLIC, *access.SCOPES[: number + 1]):
            authorize(caller, allowed)
        for denied in access.SCOPES[number + 1 :]:
            with pytest.raises(AccessDenied, match=f"requires scope {denied}"):
                authorize(caller, denied)


@pytest.mark.parametrize(
    "headers",
    [
        {"HTTP_HOST": "evil.example"},
        {"HTTP_HOST": ""},
        {"HTTP_ORIGIN": "https://evil.example"},
        {"HTTP_ORIGIN": "http://rack1.example"},
        {"HTTP_SEC_FETCH_SITE": "cross-site"},
    ],
)
def test_requests_from_pages_of_other_sites(
    listener: Authenticator, headers: dict[str, str]
) -> None:
    with pytest.raises(AccessDenied):
        listener.check_browser(request(**headers))


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"HTTP_HOST": "RACK1.example.:8420"},
        {"HTTP_HOST": "192.0.2.7"},
        {"HTTP_HOST": "[2001:db8::1]:8420"},
        {"HTTP_ORIGIN": "https://rack1.example", "HTTP_SEC_FETCH_SITE": "same-origin"},
    ],
)
def test_requests_from_own_pages_and_other_clients(
    listener: Authenticator, headers: dict[str, str]
) -> None:
    listener.check_browser(request(**headers))


def test_an_ipv6_client_is_its_network() -> None:
    assert access._network("2001:db8::1") == access._network("2001:db8::ffff") == "2001:db8::/64"
    assert access._network("192.0.2.1") != access._network("192.0.2.2")
