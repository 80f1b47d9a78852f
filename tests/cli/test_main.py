"""The command line as a process: usage, help, output, settings, signals, and what it imports."""

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from shctl.cli.main import MEMBERS, root
from shctl.commands.base import Command
from shctl.commands.types import Duration
from shctl.common import defaults, paths
from shctl.hosts import waiting
from shctl.install import media
from shctl.rest import access
from tests.support import SHCTL, Done, call, environment, modules_after, ok, run

TEST = ("-c", "test:///default")


def tree(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Return the words of every group and command."""
    yield path
    if isinstance(command, click.Group):
        ctx = click.Context(command)
        for name in command.list_commands(ctx):
            member = command.get_command(ctx, name)
            assert member is not None
            yield from tree(member, (*path, name))


WORDS = list(tree(root))


def command_at(path: tuple[str, ...]) -> click.Command:
    command: click.Command = root
    for name in path:
        assert isinstance(command, click.Group)
        found = command.get_command(click.Context(command), name)
        assert found is not None
        command = found
    return command


LEAVES = [path for path in WORDS if not isinstance(command_at(path), click.Group)]


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_help_has_a_sentence_each_option_and_an_example(path: tuple[str, ...]) -> None:
    command = command_at(path)
    with click.Context(command, info_name=" ".join(["shctl", *path])) as ctx:
        text = command.get_help(ctx)
    assert command.help
    assert command.help.splitlines()[0].endswith(".")
    assert (
        f"Examples:\n  shctl {path[0]}" in text or f"Examples:\n  shctl -o json {path[0]}" in text
    )
    for parameter in command.params:
        if isinstance(parameter, click.Option) and not parameter.hidden:
            assert parameter.opts[0] in text
            assert parameter.help or parameter.show_default, parameter.name


def test_declared_defaults_and_choices_match_modules_imported_late() -> None:
    def option(path: str, name: str) -> Any:
        return next(p for p in command_at(tuple(path.split())).params if p.name == name)

    def seconds(path: str, name: str) -> float:
        return float(Duration(0, 1e9).convert(option(path, name).default, None, None))

    assert list(option("hosts wait", "condition").type.choices) == list(waiting._CONDITIONS)
    assert list(option("tokens create", "scope").type.choices) == list(access.SCOPES)
    assert seconds("hosts wait", "timeout") == defaults.WAIT_TIMEOUT
    assert seconds("hosts create", "install_timeout") == media.InstallOptions.timeout
    assert f"[default: {defaults.STOP_TIMEOUT:g}]" in option("hosts stop", "timeout").help
    assert option("serve", "path").default == str(paths.socket())


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_examples_are_command_lines_that_parse(path: tuple[str, ...]) -> None:
    """Each names its own command and only existing options."""
    command = command_at(path)
    assert isinstance(command, Command)
    known = {o for p in command.params for o in (*p.opts, *p.secondary_opts)}
    known |= {option for parameter in root.params for option in parameter.opts}
    for example in command.examples:
        words = shlex.split(example)
        assert words[0] == "shctl"
        assert " ".join(path) in example
        assert {w for w in words[1:] if w.startswith("-")} <= known


@pytest.mark.parametrize("name", MEMBERS)
def test_short_help_in_the_table_matches_the_group(name: str) -> None:
    assert MEMBERS[name][1] == str(command_at((name,)).help).splitlines()[0]


@pytest.mark.parametrize("option", ["-h", "--help"])
@pytest.mark.parametrize("words", ["", "hosts", "networks", "hosts create", "networks delete"])
def test_help_exits_with_zero(words: str, option: str) -> None:
    assert ok(*words.split(), option).startswith(f"Usage: shctl {words}".rstrip())


@pytest.mark.parametrize("words", ["", "hosts", "networks", "tokens"])
def test_group_without_a_command_fails_and_shows_help(words: str) -> None:
    done = run(*words.split())
    assert (done.code, done.out) == (2, "")
    assert done.err == ok(*words.split(), "--help")


def test_group_without_a_command_prints_one_json_object() -> None:
    done = run("-o", "json", "hosts")
    assert (done.code, json.loads(done.err)["status"]) == (2, 400)


def test_help_describes_ranges_in_words() -> None:
    assert "[16 to 16777216; required]" in " ".join(ok("hosts", "create", "--help").split())


def test_version() -> None:
    from shctl import __version__

    assert ok("--version") == f"shctl, version {__version__}\n"


MISTAKES = {
    "hosts frob": "No such command 'frob'",
    "hosts lsit": "did you mean 'list'?",
    "hosst list": "did you mean 'hosts'?",
    "networks crate x": "did you mean 'create'?",
    "networks list extra": "unexpected extra argument",
    "hosts show": "Missing argument 'NAME'",
    "hosts create a --disk 1 --network n": "Missing option '--memory'",
    "hosts create a --memory 64 --network n": "Missing option '--disk'",
    "hosts create a --memory 64 --disk 1": "Missing option '--network'",
    "hosts create a --memory x --disk 1 --network n": "MiB, not 'x'",
    "hosts create a --memory 64.5 --disk 1 --network n": "MiB, not '64.5'",
    "hosts create a --memory 64 --disk 0 --network n": "GiB, not '0'",
    "hosts create a --memory 64 --disk -1 --network n": "GiB, not '-1'",
    "hosts create a --memory 15 --disk 1 --network n": "number between 16 and 16777216 MiB",
    "hosts create a --memory 1X --disk 1 --network n": "MiB, not '1X'",
    "hosts create a --memory 64 --disk 9M --network n": "GiB, not '9M'",
    "hosts create a --memory 64 --disk 1 --network n --cpus 1G": "number between 1 and 255",
    "networks create a --bridge br0 --vlan 4095": "between 1 and 4094, not '4095'",
    "tokens create a --scope read --expires 0": "whole number between 1 and 3650 days",
    "hosts create A --memory 64 --disk 1 --network n": "lower-case letters",
    "hosts create a --memory 64 --disk 1 --network n --firmware x": "'bios', 'uefi'",
    "hosts create a --memory 64 --disk 1 --network n --memry 1": "--memory",
    "hosts create a --memory 64 --disk 1 --network n --location http://a": "requires --install",
    "hosts create a --memory 64 --disk 1 --network n --cmdline x": "requires --install",
    "hosts create a --memory 64 --disk 1 --network n --install-timeout 9": "requires --install",
    "hosts create a --memory 64 --disk 1 --network n --wait": "--start or --install",
    "hosts create a --memory 64 --disk 1 --network n --no-start --wait": "--start or --install",
    "hosts stop a --timeout -1": "is not a duration",
    "hosts start": "Missing argument 'NAME...'",
    "hosts delete": "Missing argument 'NAME...'",
    "networks create a --bridge br0": "Missing option '--vlan'",
    "networks create": "Missing argument 'NAME' and option '--vlan'",
    "hosts create a": "Missing options '--memory', '--disk', '--network'",
    "networks create a --vlan auto": "--vlan: auto requires a vlan_range",
    "networks create a --vlan auto --vlan-range 5": "is not a range within 1-4094",
    "networks create a/b --bridge br0 --vlan 3": "letters, digits",
    "-o xml hosts list": "'table', 'json', 'name'",
    "hosts list -o xml": "'table', 'json', 'name'",
    "--frob hosts list": "No such option",
    "hosts list --debug": "it goes before the group: 'shctl --debug hosts list'",
    "hosts list --connect test:///default": "group: 'shctl --connect URI hosts list'",
    "hosts list -c test:///default": "group: 'shctl -c URI hosts list'",
    "hosts --config=x list": "it goes before the group: 'shctl --config FILE hosts'",
    "--config /nowhere/x.toml hosts list": "cannot read /nowhere/x.toml",
}


@pytest.mark.parametrize("line", MISTAKES)
def test_usage_error_is_one_line_on_stderr(line: str) -> None:
    done = run(*line.split())
    assert (done.code, done.out) == (2, "")
    assert MISTAKES[line] in done.err
    assert done.err.startswith("shctl: ")
    assert done.err.count("\n") == 1


@pytest.mark.parametrize(
    "line",
    ["-o json hosts frob", "hosts -o json frob", "hosts show -o json",
     "hosts create w --memory 0 --disk 1 --network n -o json",
     "--config /nowhere -o json hosts list", "-o json --config /nowhere hosts list",
     "networks show nowhere -o json"],
)  # fmt: skip
def test_error_as_json(line: str) -> None:
    done = run(*TEST, *line.split())
    problem = json.loads(done.err)
    assert (done.out, done.err.count("\n")) == ("", 1)
    assert set(problem) - {"field"} == {"type", "title", "status", "detail", "code"}
    kind = (done.code, problem["status"], problem["code"])
    assert kind in ((2, 400, "invalid_input"), (3, 404, "not_found"))


@pytest.mark.hypervisor
def test_each_failure_is_a_line_and_the_rest_is_data() -> None:
    ok("networks", "create", "good", "--bridge", "br0", "--vlan", "9")
    done = run("-o", "json", "networks", "delete", "--yes", "nowhere", "good", "neither")
    assert done.code == 3
    assert [row["name"] for row in done.json] == ["good"]
    assert [json.loads(line)["status"] for line in done.err.splitlines()] == [404, 404]


OUTPUTS: dict[str, Callable[[str], bool]] = {
    "table": lambda out: out.splitlines()[1].split()[:2] == ["test", "running"],
    "json": lambda out: json.loads(out)[0]["name"] == "test",
    "name": lambda out: out == "test\n",
}


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("place", ["before", "between", "behind", "environment", "file"])
def test_output_can_be_set_in_five_places(output: str, place: str, tmp_path: Path) -> None:
    option, env, line = ["-o", output], {}, ["hosts", "list"]
    if place == "before":
        line = [*option, *line]
    elif place == "between":
        line = ["hosts", *option, "list"]
    elif place == "behind":
        line = [*line, *option]
    elif place == "environment":
        env = {"SHCTL_OUTPUT": output}
    else:
        (tmp_path / "f").write_text(f'output = "{output}"')
        env = {"SHCTL_CONFIG": str(tmp_path / "f")}
    done = run(*TEST, *line, **env)
    assert OUTPUTS[output](done.out), done


def test_option_overrides_environment_and_file(tmp_path: Path) -> None:
    file = tmp_path / "f"
    file.write_text('output = "table"\nconnect = "nonsense:///"\n')
    reached = {"SHCTL_CONNECT": "test:///default"}
    assert run("--config", str(file), "hosts", "list", SHCTL_CONNECT="").code == 6
    assert run("--config", str(file), "hosts", "list", **reached).out.startswith("NAME")
    line = ("--config", str(file), "-o", "name", "hosts", "list")
    assert run(*line, SHCTL_OUTPUT="json", **reached).out == "test\n"
    assert run(*TEST, *line, SHCTL_CONNECT="nonsense:///").code == 0
    # --config overrides the environment's file.
    assert run(*TEST, *line, SHCTL_CONFIG="/nowhere").code == 0


def test_config_error_names_the_file(tmp_path: Path) -> None:
    file = tmp_path / "f"
    file.write_text('output = "xml"\n')
    done = run("--config", str(file), *TEST, "hosts", "list")
    assert done.code == 2
    assert str(file) in done.err


def test_python_m_and_command_are_the_same() -> None:
    code = "from shctl.cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, *TEST, "-o", "name", "hosts", "list"],
        env=environment(), capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == ok(*TEST, "-o", "name", "hosts", "list")


@pytest.mark.parametrize("line", ["hosts list", "--version", "--help", "-o json hosts list"])
def test_closed_stdout_is_an_error(line: str) -> None:
    """The output is lost."""
    done = run_closed(">&-", *TEST, *line.split())
    assert done.code == 1
    assert "cannot write to standard output: Bad file descriptor" in done.err
    assert done.err.count("\n") == 1


def test_closed_streams_that_are_not_used() -> None:
    """No other file gets their descriptors, and exit codes do not change."""
    assert run_closed("2>&- <&-", *TEST, "-o", "name", "hosts", "list").out == "test\n"
    assert run_closed("<&- >&- 2>&-", *TEST, "hosts", "show", "nowhere").code == 3
    done = run_closed("<&-", *TEST, "hosts", "console", "test")
    assert (done.code, "needs a terminal" in done.err) == (2, True)


def run_closed(redirections: str, *arguments: str) -> Done:
    """Run shctl from a shell that closes some of its streams."""
    done = subprocess.run(
        ["sh", "-c", f'exec "$@" {redirections}', "sh", *SHCTL, *arguments], env=environment(),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return Done(done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize("given", ["option", "environment", "file"])
def test_uri_that_is_not_text(given: str, tmp_path: Path) -> None:
    file = tmp_path / "f"
    file.write_text('connect = "qemu:///\\u0000"' if given == "file" else "")
    option = ["-c", os.fsdecode(b"test:///\xff")] if given == "option" else []
    variable = {"SHCTL_CONNECT": os.fsdecode(b"\xff") if given == "environment" else ""}
    done = run("--config", str(file), *option, "hosts", "list", **variable)
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    assert "is not a valid URI" in done.err


def run_into(stdout: int) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*SHCTL, *TEST, "hosts", "list"], env=environment(), stdout=stdout,
        stderr=subprocess.PIPE, text=True, check=False,
    )  # fmt: skip


def test_closed_pipe_is_reported_by_exit_code_only() -> None:
    """The code is the one that a shell returns for a command killed by SIGPIPE."""
    reading, writing = os.pipe()
    os.close(reading)
    done = run_into(writing)
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")


def test_full_device_is_an_error() -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    done = run_into(full)
    os.close(full)
    assert done.returncode == 1
    assert done.stderr == "shctl: cannot write to standard output: No space left on device\n"


SLOW = {"lxml", "tomllib", "requests", "urllib3", "bottle", "hypercorn", "asyncio", "json",
        "importlib.metadata", "urllib.request", "difflib", "ssl", "dataclasses"}  # fmt: skip
GROUPS = {place.split(":")[0] for place, _ in MEMBERS.values()}


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_and_version_import_no_command(option: str) -> None:
    found = modules_after(option)
    assert found & (SLOW | {"libvirt"}) == set()
    assert not found & GROUPS


def test_list_imports_little() -> None:
    # Not -c: click then searches for similar options, which imports another module.
    found = modules_after("--connect", "test:///default", "hosts", "list")
    # With another kind of editable install, Python itself imports these two.
    bare = set(call(sys.executable, "-c", "import sys; print(*sys.modules)").split())
    assert found & (SLOW | {"pathlib", "urllib.parse"} - bare) == set()
    assert found & GROUPS == {"shctl.commands.hosts"}


def test_interrupt_within_a_call_of_libvirt() -> None:
    """Its binding turns KeyboardInterrupt into a SystemError with this cause."""
    code = (
        "from shctl.cli.main import main\n"
        "from shctl.commands.session import Session\n"
        "def fail(session):\n"
        "    raise SystemError('a result with an exception set') from KeyboardInterrupt()\n"
        "Session.hypervisor = property(fail)\n"
        "main()"
    )
    argv = [sys.executable, "-c", code, "hosts", "list"]
    done = subprocess.run(argv, env=environment(), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (130, "shctl: interrupted\n")
