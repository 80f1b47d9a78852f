"""URLs of trees: redacted, joined, and followed."""

import pytest

from shctl.install.http.urls import follow, has_credentials, is_inside, join, redact


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://h/os/", "http://h/os/"),
        ("http://user:secret@h:81/os", "http://***@h:81/os"),
        ("http://h/os?token=secret", "http://h/os?***"),
        ("http://h/os#secret", "http://h/os"),
        ("http://h/a\x1b[2Jb\n", "http://h/a_[2Jb_"),
        ("http://[::1/", "(not a URL)"),
    ],
)
def test_redacted(url: str, shown: str) -> None:
    assert redact(url) == shown


def test_credentials() -> None:
    assert has_credentials("http://user@h/")
    assert not has_credentials("http://h/user@h")


def test_joined_path_is_quoted() -> None:
    assert join("http://h/os/", "a b/c?d#e+f") == "http://h/os/a%20b/c%3Fd%23e+f"


@pytest.mark.parametrize(
    ("url", "target", "followed"),
    [
        ("http://h/a", "/b", "http://h/b"),
        ("http://h/a/b", "c", "http://h/a/c"),
        ("http://h/a", "https://i/b", "https://i/b"),
        ("https://h/a", "http://h/a", None),
        ("http://h/a", "ftp://h/a", None),
        ("http://h/a", "https:///a", None),
        ("http://h/a", "/\x00", None),
        ("http://h/a", "http://[::1", None),
    ],
)
def test_followed_redirects(url: str, target: str, followed: str | None) -> None:
    assert follow(url, target) == followed


@pytest.mark.parametrize("path", ["k", "a/k", "a..b/k", "a b", "größe"])
def test_paths_inside_a_tree(path: str) -> None:
    assert is_inside(path)


@pytest.mark.parametrize("path", ["", "/k", "../k", "a/../k", "a//k", "./k", "a\\k", "c:k", "k\n"])
def test_paths_outside_of_a_tree(path: str) -> None:
    assert not is_inside(path)
