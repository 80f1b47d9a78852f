"""Reading shctl.toml."""

from pathlib import Path

import pytest

from shctl.commands import settings
from shctl.common import paths
from shctl.common.errors import InvalidInput


def write(folder: Path, text: str | bytes) -> str:
    file = folder / "shctl.toml"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return str(file)


def test_keys_become_defaults_of_options(tmp_path: Path) -> None:
    text = 'connect = "test:///default"\noutput = "json"\npool = "fast"\nvirt_type = "qemu"\n'
    defaults = settings.load(write(tmp_path, text))
    assert (defaults["connect"], defaults["output"]) == ("test:///default", "json")
    assert defaults["hosts"]["create"] == {"pool": "fast", "virt_type": "qemu"}


def test_default_file_may_be_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(paths, "config_file", lambda: str(tmp_path / "none.toml"))
    assert settings.load(None) == {}


def test_default_file_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = write(tmp_path, 'output = "name"')
    monkeypatch.setattr(paths, "config_file", lambda: file)
    assert settings.load(None) == {"output": "name"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('conect = "x"', "unknown key 'conect'; valid keys: connect"),
        ("connect = 5", "connect must be a string, not 5"),
        ("output = true", "output must be a string, not True"),
        ("connect = ", "Invalid value"),
        ("a\n", "line 1"),
        (b"\xff", "can't decode"),
        ("[hosts]\n", "unknown key 'hosts'"),
        ("server = 1", "server must be a table ([server]), not 1"),
        (f"a = {'[' * 20000}", "nested too deeply"),
        ("[[server]]", "server must be a table ([server]), not [{}]"),
    ],
)
def test_errors_name_the_file(tmp_path: Path, text: str | bytes, words: str) -> None:
    file = write(tmp_path, text)
    with pytest.raises(InvalidInput) as caught:
        settings.load(file)
    assert file in caught.value.detail
    assert words in caught.value.detail


@pytest.mark.parametrize("name", ["", "none.toml", "a\nb"])
def test_file_that_cannot_be_read(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidInput, match="cannot read"):
        settings.load(str(tmp_path / name))


def test_read_error() -> None:
    with pytest.raises(InvalidInput, match="cannot read /proc/self/mem"):
        settings.load("/proc/self/mem")


def test_every_key_is_an_option() -> None:
    """A default without an option would be ignored silently."""
    import click

    from shctl.cli.main import root

    for _, place in settings.KEYS.values():
        command: click.Command = root
        *groups, option = place
        for name in groups:
            assert isinstance(command, click.Group)
            found = command.get_command(click.Context(command), name)
            assert found is not None
            command = found
        assert option in {parameter.name for parameter in command.params}
