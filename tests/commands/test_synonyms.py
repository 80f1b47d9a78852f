"""Synonyms run the command that they stand for; hints never lead to a harmful command."""

import itertools

import click
import pytest

from shctl.cli.main import MEMBERS, root
from shctl.commands import synonyms
from shctl.commands.base import Group
from tests.support import Done, ok, run

TEST = ("-c", "test:///default")
ROOT = click.Context(root, info_name="shctl")
GROUPS = {
    name: sorted(group.list_commands(ROOT))
    for name in MEMBERS
    if isinstance(group := root.get_command(ROOT, name), Group)
}


def failure(line: str) -> Done:
    done = run(*TEST, *line.split())
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    return done


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("host ls", "hosts list"),
        ("net ls", "networks list"),
        ("network info default", "networks show default"),
        ("hosts get test", "hosts show test"),
        ("hosts -o name info test", "hosts -o name show test"),
    ],
)
def test_synonyms_that_read(typed: str, meant: str) -> None:
    assert ok(*TEST, *typed.split()) == ok(*TEST, *meant.split())


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("restart", "reboot"), ("shutdown", "stop"), ("rm", "delete"), ("del", "delete"),
     ("remove", "delete")],
)  # fmt: skip
def test_synonyms_that_change(typed: str, meant: str) -> None:
    found = run(*TEST, "hosts", typed, "nobody")
    assert found == run(*TEST, "hosts", meant, "nobody")
    assert found.code == (2 if meant == "delete" else 3)


def test_synonym_of_delete_needs_yes() -> None:
    done = failure("host rm test")
    assert "refusing to delete test without --yes" in done.err
    assert ok(*TEST, "-o", "name", "hosts", "list") == "test\n"


def test_errors_and_settings_use_the_name_of_the_command() -> None:
    assert "see 'shctl hosts show --help'" in failure("host get").err
    assert ok("host", "rm", "--help").startswith("Usage: shctl hosts delete ")


@pytest.mark.parametrize("words", [[], ["hosts"], ["networks"], ["tokens"], ["trees"]])
def test_help_does_not_list_synonyms(words: list[str]) -> None:
    listed = ok(*words, "--help").partition("Commands:")[2].split("\n  ")
    assert not {line.split(" ")[0] for line in listed} & set(synonyms.SYNONYMS)


@pytest.mark.parametrize("group", GROUPS)
def test_a_synonym_is_no_command(group: str) -> None:
    """It would never run."""
    assert not set(GROUPS[group]) & set(synonyms.SYNONYMS)
    assert not {(group, name) for name in GROUPS[group]} & set(synonyms.EXPLAINED)


def test_synonyms_of_a_command() -> None:
    assert synonyms.of("delete", GROUPS["hosts"]) == ["rm", "del", "remove"]
    assert synonyms.of("remove", ["add", "remove"]) == ["rm", "del"]
    assert synonyms.of("list", GROUPS["trees"]) == []


@pytest.mark.parametrize("line", ["hosts destroy test", "hosts destory test", "destroy test"])
def test_destroy_is_explained(line: str) -> None:
    """To virsh it means to power off, to others to delete."""
    done = failure(line)
    assert "'shctl hosts stop --force' powers hosts off" in done.err
    assert "'shctl hosts delete' deletes hosts with their disks" in done.err
    assert ok(*TEST, "-o", "name", "hosts", "list") == "test\n"


HINTS = {
    "hosts lsit": "did you mean 'list'?",
    "hosts shop": "did you mean 'show'?",
    "hosts delte": "did you mean 'delete'?",
    "hosts stpo": "did you mean 'stop'?",
    "hosst list": "did you mean 'hosts'?",
    "hosts disks delete": "'shctl hosts disks remove' removes disks with their data",
    "hosts disk set": "'shctl hosts disks resize' enlarges disks",
    "hosts reset": "'shctl hosts reboot --force' resets hosts",
    "networks destroy": "'shctl networks delete' deletes networks for good",
    "ls": "did you mean 'hosts list', 'networks list' or 'tokens list'?",
    "restart web1": "did you mean 'hosts reboot'?",
}


@pytest.mark.parametrize("line", HINTS)
def test_hints(line: str) -> None:
    assert HINTS[line] in failure(line).err


OTHER_WORDS = (
    "clear", "close", "detach", "disable", "display", "down", "drop", "dump", "erase", "halt",
    "pause", "power", "purge", "reload", "relist", "rename", "renew", "repeat", "report", "resume",
    "retry", "return", "select", "setup", "store", "suspend", "sweep", "top", "trash",
    "watch", "wipe",
)  # fmt: skip


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("word", OTHER_WORDS)
def test_other_words_lead_to_no_harmful_command(group: str, word: str) -> None:
    text = synonyms.hint(group, word, GROUPS[group])
    assert not [name for name in synonyms.HARMFUL if f"'{name}'" in text or f" {name}" in text]


def edits(word: str) -> set[str]:
    """Return every word that is one slip away, with the letters of the alphabet's start."""
    parts = [(word[:i], word[i:]) for i in range(len(word) + 1)]
    return (
        {a + b[1:] for a, b in parts if b}
        | {a + b[1] + b[0] + b[2:] for a, b in parts if len(b) > 1}
        | {a + letter + b[1:] for a, b in parts for letter in "aex" if b}
        | {a + letter + b for a, b in parts for letter in "aex"}
    )


@pytest.mark.parametrize("command", sorted(synonyms.HARMFUL))
def test_slips(command: str) -> None:
    for typed in edits(command):
        assert synonyms.is_slip(typed, command) == (typed[:1] == command[0]), typed
    for one, two in itertools.permutations(synonyms.HARMFUL, 2):
        assert not synonyms.is_slip(one, two)
