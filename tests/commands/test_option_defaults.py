"""Defaults of options and profiles in shctl.toml, on libvirt's test driver."""

from pathlib import Path

import pytest

from tests.support import Done, modules_after, run

TEST = ("-c", "test:///default")
SETTINGS = """
[defaults.hosts.create]
memory = "1G"
disk = [8, "1T"]
network = ["default"]
autostart = true

[defaults.networks.create]
vlan = 7

[profiles.small]
memory = 64
disk = [1]
cpus = 2

[profiles.large]
memory = 4096
"""
NEW = ("hosts", "create", "new")


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "shctl.toml"
    path.write_text(SETTINGS)
    return str(path)


def planned(file: str, *words: str, **env: str) -> Done:
    return run("--config", file, *TEST, "-o", "json", *NEW, "--dry-run", *words, **env)


def sizes(done: Done) -> list[int]:
    assert done.code == 0, done
    return [disk["size"] for disk in done.json["disks"]]


def test_defaults_satisfy_required_options(file: str) -> None:
    done = planned(file)
    assert sizes(done) == [8, 1024]
    assert [interface["network"] for interface in done.json["interfaces"]] == ["default"]


def test_options_override_profiles_which_override_defaults(file: str) -> None:
    assert sizes(planned(file, "--profile", "large")) == [8, 1024]
    # A list is replaced, not extended.
    assert sizes(planned(file, "--profile", "small")) == [1]
    assert sizes(planned(file, "--profile=small", "--disk=3", "--disk=4")) == [3, 4]


def test_a_default_flag_is_switched_off(file: str) -> None:
    def autostarts(*words: str) -> bool:
        steps = planned(file, *words).json["steps"]
        return "autostart" in {step["action"] for step in steps}

    assert autostarts()
    assert not autostarts("--no-autostart")


def test_unknown_profile(file: str, tmp_path: Path) -> None:
    done = planned(file, "--profile", "huge")
    assert (done.code, "no profile 'huge'; known profiles: small, large" in done.err) == (2, True)
    empty = tmp_path / "empty.toml"
    empty.touch()
    done = planned(str(empty), "--profile", "huge")
    assert (done.code, "the settings have none" in done.err) == (2, True)


def test_lists_do_not_check_the_tables(tmp_path: Path) -> None:
    path = tmp_path / "shctl.toml"
    path.write_text("[defaults.hosts.create]\nnonsense = 1\n")
    assert run("--config", str(path), *TEST, "hosts", "list").code == 0
    found = modules_after("--config", str(path), "--connect", "test:///default", "networks", "list")
    assert not {"shctl.commands.option_defaults", "shctl.commands.host_creation"} & found
    done = run("--config", str(path), "config", "show")
    assert (done.code, f"{path}: defaults.hosts.create.nonsense" in done.err) == (2, True)
    path.write_text("[profiles.none]\ncpus = 0\n")
    done = run("--config", str(path), "config", "show")
    assert (done.code, f"{path}: profiles.none.cpus: must be a whole" in done.err) == (2, True)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[defaults.hosts.create]\nmemroy = 1", "defaults.hosts.create.memroy: there is no such"),
        ("[defaults.hosts.create]\nmemroy = 1", "did you mean 'memory'?"),
        ("[defaults.hosts.create]\nmemory = 1", "defaults.hosts.create.memory: must be a whole"),
        ("[defaults.hosts.create]\nmemory = true", "memory must be an integer or a string, not"),
        ("[defaults.hosts.create]\nmemory = [64]", "memory must be an integer or a string, not"),
        ("[defaults.hosts.create]\ndisk = 8", "defaults.hosts.create.disk must be an array, not 8"),
        ("[defaults.hosts.create]\ndisk = [true]", "disk must be an array, not [True]"),
        ("[defaults.hosts.create]\nautostart = 1", "autostart must be true or false, not 1"),
        ("[defaults.hosts.create]\nvalue = ['A=b']", "value: may contain secrets"),
        ("[defaults.hosts.create]\ndry-run = true", "dry-run: there is no such option"),
        ("cpus = 2\n[defaults.hosts.create]\ncpus = 3", "create.cpus and cpus set the same option"),
        ("[defaults.hosts.delete]\nyes = true", "unknown table [defaults.hosts.delete]"),
        ("[defaults]\nhosts = 5", "defaults.hosts must be a table ([defaults.hosts]), not 5"),
        ("[defaults.hosts.create]\nfirmware = 'none'", "firmware: 'none' is not one of"),
        ("[defaults.hosts.create]\npool = 5", "pool must be a string, not 5"),
        ("[profiles]\nsmall = 5", "profiles.small must be a table"),
        ("[profiles.small]\nprofile = 'large'", "profiles.small.profile: there is no such option"),
    ],
)
def test_errors_name_file_and_key(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "shctl.toml"
    path.write_text(text)
    done = run("--config", str(path), *TEST, *NEW, "--profile", "small", "--dry-run")
    if "profile" not in text:
        done = run("--config", str(path), *TEST, *NEW, "--dry-run", "--network=n", "--disk=1")
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert done.err.startswith(f"shctl: {path}: ")
    assert words in done.err


def test_config_show(file: str) -> None:
    rows = run("--config", file, "-o", "json", "config", "show").json
    found = {row["name"]: (row["value"], row["source"], row["where"]) for row in rows}
    assert found["defaults.hosts.create.memory"] == ("1G", "file", file)
    assert found["profiles.small.disk"] == ([1], "file", file)
    assert found["defaults.networks.create.vlan"] == (7, "file", file)


def test_profiles_complete(file: str) -> None:
    done = run(
        "--config", file, _SHCTL_COMPLETE="bash_complete",
        COMP_WORDS=f"shctl --config {file} hosts create new --profile s", COMP_CWORD="7",
    )  # fmt: skip
    assert "small" in done.out
    assert "large" not in done.out
