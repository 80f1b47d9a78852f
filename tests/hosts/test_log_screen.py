"""The lines that a terminal would have shown."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shctl.hosts.log_screen import plain


@pytest.mark.parametrize(
    ("pieces", "lines"),
    [
        (["one\r\ntwo", "\r\nthree"], ["one", "two", "three"]),
        # In place, as a progress bar.
        (["10%\r", "20%\r\n"], ["20%"]),
        (["x" * 90], ["x" * 80, "x" * 10]),
        # A screen that is drawn and cleared, in pieces of the log.
        (
            ["\x1b[2J\x1b[1;1HTitle\x1b[3;5H<OK>", "\x1b[3;5H<NO>", "\x1b[2J\x1b[1;1HNext"],
            ["Title", "    <OK>", "    <NO>", "Next"],
        ),
        # Box drawing characters of a VT100.
        (["\x1b[1;1H\x1b)0\x0elqk\x0f"], ["┌─┐"]),
        # Sequences that pyte cannot handle.
        (["\x1b[1;2;3Ja\x1b[9Jb\x1b[9Kc\r\n"], ["abc"]),
        ([""], []),
    ],
)
def test_lines(pieces: list[str], lines: list[str]) -> None:
    # An empty piece, of which there is one for each empty piece of the log, is no line.
    assert list(filter(None, plain(pieces))) == [f"{line}\n" for line in lines]


def test_every_line_of_a_long_log() -> None:
    assert list(plain(["".join(f"{i}\r\n" for i in range(100))])) == [f"{i}\n" for i in range(100)]


@given(
    st.lists(
        st.text("\x1b\x9b[]();?0123456789HJKLMPXmhlrsu78c\r\n\tab\u0301漢\x0e\x0f"), max_size=5
    )
)
def test_no_text_is_an_error(pieces: list[str]) -> None:
    assert not any("\x1b" in line for line in plain(pieces))


@pytest.mark.parametrize(
    "text",
    ["\x1b[" + "9" * 2**20, "a" + "\u0301" * 2**20, "\x1b7" * 2**14, "\x1b]0;" + "x" * 2**18,
     "\x1b[2J" * 2**14],
)  # fmt: skip
def test_costly_text_ends(text: str) -> None:
    assert len(list(plain([text]))) <= 1


@pytest.mark.parametrize(
    "pieces",
    [["\x1b[\u00b2m lost\r\nnext"], ["\x1b[" + "1 " * 5000 + "m lost\r\n", "next"],
     ["\x1b[1", "1" * 5000 + "m lost\r\n", "next"]],
)  # fmt: skip
def test_parameters_that_are_no_numbers(pieces: list[str]) -> None:
    assert [line.strip() for line in plain(pieces)][-1] == "next"
