"""`shctl config show`, and the error messages of invalid settings."""

import re
import tomllib
from pathlib import Path

import pytest

from shctl.commands import settings
from tests.support import ROOT, run


def shown_settings(*arguments: str, **env: str) -> dict[str, tuple[object, str, str | None]]:
    done = run(*arguments, "-o", "json", "config", "show", **{"SHCTL_CONNECT": "", **env})
    assert done.code == 0, done
    return {row["name"]: (row["value"], row["source"], row["where"]) for row in done.json}


def written(folder: Path, text: str) -> str:
    file = folder / "shctl.toml"
    file.write_text(text)
    return str(file)


def test_every_key_is_shown_with_its_default() -> None:
    shown = shown_settings()
    assert set(shown) == set(settings.KEYS)
    assert shown["connect"] == ("qemu:///system", "default", None)
    assert shown["install_timeout"] == ("2h", "default", None)
    assert shown["server.socket"] == ("/run/shctl/shctl.sock", "default", None)


def test_option_overrides_environment_file_and_default(tmp_path: Path) -> None:
    file = written(tmp_path, 'connect = "qemu:///a"\nvirt_type = "kvm"\npool = "fast"\n')
    shown = shown_settings("--config", file)
    assert shown["connect"] == ("qemu:///a", "file", file)
    assert shown["pool"] == ("fast", "file", file)
    shown = shown_settings(SHCTL_CONFIG=file, SHCTL_CONNECT="qemu:///b", SHCTL_VIRT_TYPE="qemu")
    assert shown["connect"] == ("qemu:///b", "environment", "SHCTL_CONNECT")
    assert shown["virt_type"] == ("qemu", "environment", "SHCTL_VIRT_TYPE")
    shown = shown_settings("--config", file, "-c", "qemu:///c", SHCTL_CONNECT="qemu:///b")
    assert shown["connect"] == ("qemu:///c", "option", "--connect")


@pytest.mark.parametrize(
    "line", ["-o json config show", "config -o json show", "config show -o json"]
)
def test_output_is_accepted_at_any_position(line: str) -> None:
    rows = run(*line.split(), SHCTL_OUTPUT="table").json
    assert {"name": "output", "value": "json", "source": "option", "where": "--output"} in rows


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ('virt_type = "xen"', "virt_type"),
        ('output = "yaml"', "output"),
        ("cpus = 0", "cpus"),
        ('install_timeout = "soon"', "install_timeout"),
        ("wait_timeout = -1", "wait_timeout"),
        ('pool = ""', "pool"),
    ],
)
def test_error_of_an_invalid_value_names_file_and_key(tmp_path: Path, line: str, key: str) -> None:
    file = written(tmp_path, line)
    done = run("--config", file, "config", "show")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"shctl: {file}: {key}: ")


def test_command_that_uses_an_invalid_value_prints_the_same_error(tmp_path: Path) -> None:
    file = written(tmp_path, 'virt_type = "xen"')
    create = "hosts create web1 --memory 64 --disk 1 --network lab".split()
    assert run("--config", file, *create).err == run("--config", file, "config", "show").err


def test_error_names_an_invalid_variable() -> None:
    done = run("config", "show", SHCTL_VIRT_TYPE="xen")
    assert done.code == 2
    assert done.err.startswith("shctl: SHCTL_VIRT_TYPE: 'xen' is not one of")


def test_times_may_be_integers_or_strings(tmp_path: Path) -> None:
    file = written(tmp_path, 'install_timeout = 90\nwait_timeout = "5m"\n')
    shown = shown_settings("--config", file)
    assert shown["install_timeout"][0] == 90
    assert shown["wait_timeout"][0] == "5m"


def test_server_has_its_own_table(tmp_path: Path) -> None:
    text = '[server]\nlisten = "127.0.0.1"\nallow_host = ["a", "b"]\n'
    file = written(tmp_path, text)
    shown = shown_settings("--config", file)
    assert shown["server.listen"] == ("127.0.0.1", "file", file)
    assert shown["server.allow_host"] == (["a", "b"], "file", file)
    assert shown["server.tls_cert"] == (None, "default", None)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[server]\nlisen = "x"', "unknown key 'server.lisen'"),
        ("[server]\nallow_host = [1]", "server.allow_host must be an array of strings"),
        ('[server]\ntls_key = "/nonexistent"', "server.tls_key: File '/nonexistent' does not"),
    ],
)
def test_errors_in_the_table_name_the_table(tmp_path: Path, text: str, words: str) -> None:
    file = written(tmp_path, text)
    done = run("--config", file, "config", "show")
    assert done.code == 2
    assert done.err.startswith(f"shctl: {file}: {words}")


def test_installed_file_lists_every_key_with_its_default() -> None:
    text = (ROOT / "debian" / "shctl.toml").read_text()
    assert tomllib.loads(text) == {"server": {}}
    lines = [line.removeprefix("#") for line in text.splitlines() if re.match(r"#\w+ = ", line)]
    top = [line for line in lines if f"server.{line.split()[0]}" not in settings.KEYS]
    assert tomllib.loads("\n".join(top)) | {"bridge": None, "vlan_range": None} == {
        name: value
        for name, (value, source, _) in shown_settings().items()
        if not name.startswith("server.") and source == "default"
    } | {"output": "table"}
    server = {f"server.{name}" for name in tomllib.loads("\n".join(set(lines) - set(top)))}
    assert server | set(tomllib.loads("\n".join(top))) == set(settings.KEYS)


def test_without_a_file_no_parser_is_imported() -> None:
    """The TOML parser takes longer to import than all other modules of a list."""
    import subprocess
    import sys

    code = (
        "import sys; from shctl.commands import settings; from shctl.common import paths;"
        "paths.config_file = lambda: '/nonexistent/shctl.toml'; settings.load(None);"
        "sys.exit('tomllib' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
