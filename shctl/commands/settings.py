"""Read and check shctl.toml; return each current setting and its source."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from shctl.common import paths
from shctl.common.errors import InvalidInput

if TYPE_CHECKING:
    import click

    from shctl.commands.session import Session
    from shctl.common.model import Setting

# Key in the root context's meta of the path of the settings file.
META = "shctl.commands.settings"
# Key: its types in TOML, and the path of the option whose default it sets. The options do not name
# their keys: reading the file must not import the modules of all commands.
KEYS: dict[str, tuple[tuple[type, ...], tuple[str, ...]]] = {
    "connect": ((str,), ("connect",)),
    "output": ((str,), ("output",)),
    "virt_type": ((str,), ("hosts", "create", "virt_type")),
    "firmware": ((str,), ("hosts", "create", "firmware")),
    "cpus": ((int,), ("hosts", "create", "cpus")),
    "pool": ((str,), ("hosts", "create", "pool")),
    "install_timeout": ((int, str), ("hosts", "create", "install_timeout")),
    "bridge": ((str,), ("networks", "create", "bridge")),
    "vlan_range": ((str,), ("networks", "create", "vlan_range")),
    "wait_timeout": ((int, str), ("hosts", "wait", "timeout")),
    "server.listen": ((str,), ("serve", "listen")),
    "server.socket": ((str,), ("serve", "path")),
    "server.tls_cert": ((str,), ("serve", "tls_cert")),
    "server.tls_key": ((str,), ("serve", "tls_key")),
    "server.client_ca": ((str,), ("serve", "client_ca")),
    "server.allow_host": ((list,), ("serve", "names")),
}
# Commands whose options may have defaults in [defaults.GROUP.VERB], and the keys of these tables in
# their default_map; no option has such a name.
COMMANDS = (("hosts", "create"), ("networks", "create"))
DEFAULTS, PROFILES, FILE = "[defaults]", "[profiles]", "[file]"
# Key in a context's meta: keys in these tables, by the names of the parameters that they set.
KEYS_IN_USE = "shctl.commands.option_defaults"
_TYPE_NAMES = {str: "a string", int: "an integer", bool: "a boolean", list: "an array of strings"}
_GLOBALS = {"connect": "uri", "output": "output"}  # global options: attributes of the session
_SOURCES = {
    "COMMANDLINE": "option",
    "ENVIRONMENT": "environment",
    "DEFAULT_MAP": "file",
    "DEFAULT": "default",
}


def load(path: str | None) -> dict[str, Any]:
    """Return the file's settings as click's default_map; the default file may be missing.

    Raises InvalidInput, which names the file and the line or key.
    """
    file = path if path is not None else paths.config_file()
    # Most machines have no file, and importing a TOML parser would slow down every command.
    if path is None and not _may_exist(file):
        return {}
    defaults: dict[str, Any] = {}
    tree = _parse(file)
    _put_tables(defaults, tree, file)
    for key, value in _flat(tree):
        _check(file, key, value)
        _put(defaults, KEYS[key][1], value)
    return defaults


def _put_tables(defaults: dict[str, Any], tree: dict[str, Any], file: str) -> None:
    """Move tables of defaults and profiles below their commands, see option_defaults."""
    for group, verbs in _table(file, "defaults", tree.pop("defaults", {})).items():
        for verb, table in _table(file, f"defaults.{group}", verbs).items():
            if (group, verb) not in COMMANDS:
                known = ", ".join(f"defaults.{'.'.join(command)}" for command in COMMANDS)
                raise InvalidInput(
                    f"{file}: unknown table [defaults.{group}.{verb}]; possible: {known}"
                )
            found = _table(file, f"defaults.{group}.{verb}", table)
            _put(defaults, (group, verb, DEFAULTS), found)
            _put(defaults, (group, verb, FILE), file)
    if profiles := _table(file, "profiles", tree.pop("profiles", {})):
        found = {name: _table(file, f"profiles.{name}", table) for name, table in profiles.items()}
        _put(defaults, ("hosts", "create", PROFILES), found)
        _put(defaults, ("hosts", "create", FILE), file)


def _table(file: str, name: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InvalidInput(f"{file}: {name} must be a table ([{name}]), not {value!r:.60}")
    return value


def _may_exist(file: str) -> bool:
    try:
        os.stat(file)  # noqa: PTH116 - importing pathlib is slow
    except FileNotFoundError:
        return False
    except OSError:
        return True  # reading it reports the error
    return True


def _parse(file: str) -> dict[str, Any]:
    import tomllib
    from pathlib import Path

    try:
        return tomllib.loads(Path(file).read_text(encoding="utf-8"))
    except RecursionError as error:
        raise InvalidInput(f"{file}: tables and arrays are nested too deeply") from error
    except OSError as error:
        raise InvalidInput(f"cannot read {file}: {error.strerror}") from error
    # Invalid TOML, invalid UTF-8, or a NUL in the path.
    except ValueError as error:
        raise InvalidInput(f"{file}: {error}") from error


def _flat(tree: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each key and its value; `listen` in the table `server` is "server.listen"."""
    for name, value in tree.items():
        inside = f"{prefix}{name}."
        if isinstance(value, dict) and any(key.startswith(inside) for key in KEYS):
            yield from _flat(value, inside)
        else:
            yield prefix + name, value


def _check(file: str, key: str, value: Any) -> None:
    if any(known.startswith(f"{key}.") for known in KEYS):
        raise InvalidInput(f"{file}: {key} must be a table ([{key}]), not {value!r}")
    if key not in KEYS:
        raise InvalidInput(f"{file}: unknown key {key!r}; valid keys: {', '.join(KEYS)}")
    kinds = KEYS[key][0]
    # type(), not isinstance(): bool is a subclass of int.
    items = value if isinstance(value, list) else []
    if type(value) not in kinds or any(type(item) is not str for item in items):
        expected = " or ".join(_TYPE_NAMES[kind] for kind in kinds)
        raise InvalidInput(f"{file}: {key} must be {expected}, not {value!r}")


def _put(tree: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    *branches, leaf = path
    for branch in branches:
        tree = tree.setdefault(branch, {})
    tree[leaf] = value


def origin(error: click.BadParameter) -> str | None:
    """Return the source of an invalid value: the file and key, or the environment variable.

    Returns None for a value from the command line: click's own message names the option.
    """
    if error.ctx is None or error.param is None or error.param.name is None:
        return None
    source = error.ctx.get_parameter_source(error.param.name) or _find_source(error)
    kind = _SOURCES.get(source.name) if source else None
    if kind == "file":
        path = (*_path(error.ctx), error.param.name)
        used: dict[str, str] = error.ctx.meta.get(KEYS_IN_USE, {})
        key = used.get(error.param.name) or _key_of(path)
        return f"{error.ctx.meta[META]}: {key}"
    return str(error.param.envvar) if kind == "environment" else None


def _key_of(path: tuple[str, ...]) -> str:
    return next(key for key, (_, option) in KEYS.items() if option == path)


def _find_source(error: click.BadParameter) -> Any:
    """Return the source of an invalid value that click 8.4 has not stored; None if unknown."""
    import click

    assert error.ctx is not None and error.param is not None  # noqa: S101, PT018 - see origin
    value, source = error.param.consume_value(error.ctx, {})
    try:
        error.param.type_cast_value(error.ctx, value)
    except click.BadParameter as same:
        return source if same.message == error.message else None
    return None  # that value is valid, so the invalid one is from the command line


def _path(ctx: click.Context) -> tuple[str, ...]:
    """Return the names of the group and the command, without the program's name."""
    return (*_path(ctx.parent), ctx.info_name or "") if ctx.parent else ()


def show(ctx: click.Context, session: Session) -> list[Setting]:
    """Return every current setting with its source; raise BadParameter for an invalid one."""
    return [_setting(ctx, session, key) for key in KEYS]


def command_context(root: click.Context, words: Iterable[str]) -> click.Context:
    """Return the context of a command, with the file's defaults for it."""
    import click

    ctx = root
    for word in words:
        assert isinstance(ctx.command, click.Group)  # noqa: S101 - KEYS names commands only
        command = ctx.command.get_command(ctx, word)
        ctx = click.Context(command, info_name=word, parent=ctx)  # type: ignore[arg-type]
    return ctx


def _setting(ctx: click.Context, session: Session, key: str) -> Setting:
    from shctl.common.model import Setting

    root, path = ctx.find_root(), KEYS[key][1]
    command, option = _resolve(root, path)
    if key in _GLOBALS:
        value, source = getattr(session, _GLOBALS[key]), _global_source(ctx, path[0])
    else:
        value, source = _consume(command, option)
    where = {
        "option": max(option.opts, key=len),
        "environment": str(option.envvar),
        "file": str(root.meta[META]),
        "default": None,
    }
    return Setting(key, value, source, where[source])


def _resolve(root: click.Context, path: tuple[str, ...]) -> tuple[click.Context, click.Parameter]:
    """Return the option at a path of KEYS, and a context with the file's default for it."""
    *words, name = path
    ctx = command_context(root, words)
    return ctx, next(option for option in ctx.command.params if option.name == name)


def _global_source(ctx: click.Context, name: str) -> str:
    """Return the source of a global option, which may also follow the group or the command."""
    source = ctx.get_parameter_source(name)
    if ctx.parent and not (source and source.name == "COMMANDLINE"):
        return _global_source(ctx.parent, name)
    return _SOURCES[source.name] if source else "default"


def _consume(ctx: click.Context, option: click.Parameter) -> tuple[Any, str]:
    """Return the value that an option would have, unconverted, and its source."""
    value, source = option.consume_value(ctx, {})
    if source.name == "DEFAULT":
        # click 8.3 has a sentinel for "no default", which only to_info_dict() turns into None.
        return option.to_info_dict()["default"], "default"
    ctx.set_parameter_source(option.name or "", source)
    option.type_cast_value(ctx, value)
    return tuple(value) if isinstance(value, list) else value, _SOURCES[source.name]
