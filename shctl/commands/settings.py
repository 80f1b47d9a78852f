"""Read shctl.toml, say what is wrong with it, and tell where each setting in force comes from."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from shctl.common.errors import InvalidInput

if TYPE_CHECKING:
    import click

    from shctl.commands.session import Session
    from shctl.common.model import Setting

DEFAULT_PATH = "/etc/shctl/shctl.toml"
# Where the root context's meta keeps the path of the file that was read.
META = "shctl.commands.settings"
# Key, the types that TOML may give it, and the option whose default it is.
KEYS: dict[str, tuple[tuple[type, ...], tuple[str, ...]]] = {
    "connect": ((str,), ("connect",)),
    "output": ((str,), ("output",)),
    "virt_type": ((str,), ("hosts", "create", "virt_type")),
    "firmware": ((str,), ("hosts", "create", "firmware")),
    "cpus": ((int,), ("hosts", "create", "cpus")),
    "pool": ((str,), ("hosts", "create", "pool")),
    "install_timeout": ((int, str), ("hosts", "create", "install_timeout")),
    "wait_timeout": ((int, str), ("hosts", "wait", "timeout")),
    "server.listen": ((str,), ("serve", "listen")),
    "server.socket": ((str,), ("serve", "path")),
    "server.tls_cert": ((str,), ("serve", "tls_cert")),
    "server.tls_key": ((str,), ("serve", "tls_key")),
    "server.client_ca": ((str,), ("serve", "client_ca")),
    "server.allow_host": ((list,), ("serve", "names")),
}
_WORDS = {str: "a string", int: "an integer", bool: "a boolean", list: "an array of strings"}
_GLOBALS = {"connect": "uri", "output": "output"}  # global options as the session keeps them
_SOURCES = {
    "COMMANDLINE": "option",
    "ENVIRONMENT": "environment",
    "DEFAULT_MAP": "file",
    "DEFAULT": "default",
}


def load(path: str | None) -> dict[str, Any]:
    """Return the file's settings as click's default_map; the default file may be missing.

    Raises InvalidInput that names the file and the line or key.
    """
    file = path if path is not None else DEFAULT_PATH
    # Looked for first: most machines have none, and reading one takes longer than a whole list.
    if path is None and not _may_be_there(file):
        return {}
    defaults: dict[str, Any] = {}
    for key, value in _flat(_parse(file)):
        _check(file, key, value)
        _put(defaults, KEYS[key][1], value)
    return defaults


def _may_be_there(file: str) -> bool:
    try:
        os.stat(file)  # noqa: PTH116, pathlib takes longer
    except FileNotFoundError:
        return False
    except OSError:
        return True  # to read it says why it cannot be
    return True


def _parse(file: str) -> dict[str, Any]:
    import tomllib
    from pathlib import Path

    try:
        return tomllib.loads(Path(file).read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidInput(f"cannot read {file}: {error.strerror}") from error
    # A NUL in the path is a ValueError too.
    except ValueError as error:
        raise InvalidInput(f"{file}: {error}") from error


def _flat(tree: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each key with its value, "server.listen" for `listen` of the table `server`."""
    for name, value in tree.items():
        inside = f"{prefix}{name}."
        if isinstance(value, dict) and any(key.startswith(inside) for key in KEYS):
            yield from _flat(value, inside)
        else:
            yield prefix + name, value


def _check(file: str, key: str, value: Any) -> None:
    if any(known.startswith(f"{key}.") for known in KEYS):
        raise InvalidInput(f"{file}: {key} must be a table, headed by [{key}], not {value!r}")
    if key not in KEYS:
        raise InvalidInput(f"{file}: unknown key {key!r}; there are: {', '.join(KEYS)}")
    kinds = KEYS[key][0]
    # Not isinstance, for which true would be an integer.
    items = value if isinstance(value, list) else []
    if type(value) not in kinds or any(type(item) is not str for item in items):
        wanted = " or ".join(_WORDS[kind] for kind in kinds)
        raise InvalidInput(f"{file}: {key} must be {wanted}, not {value!r}")


def _put(tree: dict[str, Any], place: tuple[str, ...], value: Any) -> None:
    *branches, leaf = place
    for branch in branches:
        tree = tree.setdefault(branch, {})
    tree[leaf] = value


def origin(error: click.BadParameter) -> str | None:
    """Say where a refused value stands: the file with its key, or the environment's variable.

    Returns None for a value that was typed, which click's own message names.
    """
    if error.ctx is None or error.param is None or error.param.name is None:
        return None
    source = error.ctx.get_parameter_source(error.param.name)
    word = _SOURCES.get(source.name) if source else None
    if word == "file":
        place = (*_path(error.ctx), error.param.name)
        key = next(key for key, (_, option) in KEYS.items() if option == place)
        return f"{error.ctx.meta[META]}: {key}"
    return str(error.param.envvar) if word == "environment" else None


def _path(ctx: click.Context) -> tuple[str, ...]:
    """Return the command's words without the program's own name."""
    return (*_path(ctx.parent), ctx.info_name or "") if ctx.parent else ()


def show(ctx: click.Context, session: Session) -> list[Setting]:
    """Return every setting in force with its source; raise click's BadParameter for a wrong one."""
    return [_setting(ctx, session, key) for key in KEYS]


def _setting(ctx: click.Context, session: Session, key: str) -> Setting:
    from shctl.common.model import Setting

    root, place = ctx.find_root(), KEYS[key][1]
    command, option = _resolve(root, place)
    if key in _GLOBALS:
        value, source = getattr(session, _GLOBALS[key]), _given(ctx, place[0])
    else:
        value, source = _consume(command, option)
    where = {
        "option": max(option.opts, key=len),
        "environment": str(option.envvar),
        "file": str(root.meta[META]),
        "default": None,
    }
    return Setting(key, value, source, where[source])


def _resolve(root: click.Context, place: tuple[str, ...]) -> tuple[click.Context, click.Parameter]:
    """Return the option at a place of KEYS, in a context that has the file's defaults for it."""
    import click

    *words, name = place
    ctx = root
    for word in words:
        assert isinstance(ctx.command, click.Group)  # noqa: S101 - KEYS names commands only
        command = ctx.command.get_command(ctx, word)
        ctx = click.Context(command, info_name=word, parent=ctx)  # type: ignore[arg-type]
    return ctx, next(option for option in ctx.command.params if option.name == name)


def _given(ctx: click.Context, name: str) -> str:
    """Return the source of a global option, which may also stand behind the group or the verb."""
    source = ctx.get_parameter_source(name)
    if ctx.parent and not (source and source.name == "COMMANDLINE"):
        return _given(ctx.parent, name)
    return _SOURCES[source.name] if source else "default"


def _consume(ctx: click.Context, option: click.Parameter) -> tuple[Any, str]:
    """Return the value that an option would have, as it is written, and its source."""
    value, source = option.consume_value(ctx, {})
    if source.name == "DEFAULT":
        # click 8.3 and later have a value of their own for "none", which is None only in here.
        return option.to_info_dict()["default"], "default"
    ctx.set_parameter_source(option.name or "", source)
    option.type_cast_value(ctx, value)
    return tuple(value) if isinstance(value, list) else value, _SOURCES[source.name]
