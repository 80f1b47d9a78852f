"""Kernel command lines: arguments for Linux and for init."""

import pytest

from shctl.install.cmdline import join, split


@pytest.mark.parametrize(
    ("line", "for_kernel", "for_init"),
    [
        ("", "", ""),
        ("auto=true quiet", "auto=true quiet", ""),
        ("auto=true -- quiet", "auto=true", "-- quiet"),
        ("auto=true  --  a -- b", "auto=true", "--  a -- b"),
        ("-- a", "", "-- a"),
        ("a --", "a", "--"),
        ('a "--" b', "a", '"--" b'),
        ("a --- b --c c-- d=--", "a --- b --c c-- d=--", ""),
        ('a="x -- y" -- z', 'a="x -- y"', "-- z"),
        ('a="x -- y', "", 'a="x -- y'),
        ('a b="x" c"', 'a b="x"', 'c"'),
    ],
)
def test_split(line: str, for_kernel: str, for_init: str) -> None:
    assert split(line) == (for_kernel, for_init)


def test_long_lines_take_no_time() -> None:
    assert split('"' * 200_001 + " a" * 100_000)[0] == ""
    assert split('"' * 200_000 + " a" * 100_000)[1] == ""


def test_join_omits_empty_parts() -> None:
    assert join("", "a", "", "-- b") == "a -- b"
