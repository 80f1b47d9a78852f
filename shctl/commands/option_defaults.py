"""Defaults of any option of a command, and profiles that group them, from shctl.toml.

    [defaults.hosts.create]
    memory = 2048

    [profiles.small]
    memory = 512

settings.load() leaves these tables in click's default_map, below the command. They are checked when
the command runs, since that needs its module; `config show` checks all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import click

from shctl.commands.option_kinds import LocalOption
from shctl.commands.session import Session
from shctl.commands.settings import (
    COMMANDS,
    DEFAULTS,
    FILE,
    KEYS_IN_USE,
    META,
    PROFILES,
    command_context,
)
from shctl.commands.types import Duration
from shctl.common.errors import InvalidInput

if TYPE_CHECKING:
    from shctl.common.model import Setting

# They may contain secrets, and everybody may read the file.
_SECRET = {"answer_files", "answers", "inject_files", "inject", "values"}
# These make sense for one call only.
_SINGLE = {"dry_run", "profile"}
Values = dict[str, Any]


def apply(ctx: click.Context) -> None:
    """Have click use the table of defaults of a command; raise InvalidInput for errors in it."""
    tables = ctx.default_map or {}
    _add(ctx, *_resolve(ctx, tables[DEFAULTS], f"defaults.{_path(ctx)}"))


def apply_profile(ctx: click.Context, _param: click.Parameter, name: str | None) -> str | None:
    """Have click use a profile, whose values override the defaults (callback of --profile)."""
    if name is not None and not ctx.resilient_parsing:
        tables = ctx.default_map or {}
        _add(ctx, *_resolve(ctx, _profile(tables, name), f"profiles.{name}"))
    return name


def complete_profiles(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Return the matching profiles, for the shell."""
    known = (ctx.default_map or {}).get(PROFILES, {})
    return [name for name in known if name.startswith(incomplete)]


def show(root: click.Context) -> list[Setting]:
    """Return every default and every option of a profile; raise InvalidInput for errors."""
    from shctl.common.model import Setting

    return [
        Setting(key, tuple(value) if isinstance(value, list) else value, "file", root.meta[META])
        for command in COMMANDS
        for key, value in _all_values(command_context(root, command))
    ]


def _all_values(ctx: click.Context) -> Iterator[tuple[str, Any]]:
    tables = ctx.default_map or {}
    found = {f"defaults.{_path(ctx)}": tables.get(DEFAULTS, {})}
    found |= {f"profiles.{name}": table for name, table in tables.get(PROFILES, {}).items()}
    for prefix, table in found.items():
        values, keys = _resolve(ctx, table, prefix)
        yield from ((keys[name], value) for name, value in values.items())


def _profile(tables: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    profiles: Mapping[str, Any] = tables.get(PROFILES, {})
    if name not in profiles:
        known = f"known profiles: {', '.join(profiles)}" if profiles else "the settings have none"
        raise InvalidInput(f"profile: no profile {name[:40]!r}; {known}", field="profile")
    return profiles[name]  # type: ignore[no-any-return]


def _add(ctx: click.Context, values: Values, keys: dict[str, str]) -> None:
    session = ctx.ensure_object(Session)
    # Options that REST does not have, such as wait, are not for its requests either.
    local = {param.name or "" for param in ctx.command.params if isinstance(param, LocalOption)}
    unused = session.emptied if session.local else session.emptied | local
    used = {name: value for name, value in values.items() if name not in unused}
    ctx.default_map = {**(ctx.default_map or {}), **used}
    ctx.meta.setdefault(KEYS_IN_USE, {}).update(keys)


def _resolve(
    ctx: click.Context, table: Mapping[str, Any], prefix: str
) -> tuple[Values, dict[str, str]]:
    """Return a table's values by parameter, and the keys that they have in the file."""
    values: Values = {}
    keys: dict[str, str] = {}
    tables = ctx.default_map or {}
    options = {
        _key(param): param for param in ctx.command.params if isinstance(param, click.Option)
    }
    for key, value in table.items():
        where = f"{tables[FILE]}: {prefix}.{key}"
        param = _option(options, key.replace("-", "_"), where)
        # A profile overrides defaults; of two defaults, none is the right one.
        if param.name in tables and prefix.startswith("defaults."):
            raise InvalidInput(f"{where} and {param.name} set the same option; keep one of them")
        values[param.name or ""] = _checked(ctx, param, value, where)
        keys[param.name or ""] = f"{prefix}.{key}"
    return values, keys


def _key(option: click.Option) -> str:
    """Return the name of an option in the file: vlan_range for --vlan-range."""
    return max(option.opts, key=len).lstrip("-").replace("-", "_")


def _option(options: Mapping[str, click.Option], key: str, where: str) -> click.Option:
    found = options.get(key)
    if found is not None and found.name in _SECRET:
        raise InvalidInput(f"{where}: may contain secrets, so it is only possible as an option")
    if found is None or found.hidden or found.name in _SINGLE:
        from difflib import get_close_matches

        known = [name for name, option in options.items() if option.name not in _SINGLE]
        near = get_close_matches(key, known, 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise InvalidInput(f"{where}: there is no such option{hint}")
    return found


def _checked(ctx: click.Context, option: click.Option, value: Any, where: str) -> Any:
    """Return a value that the option may have; raise InvalidInput for another."""
    if option.multiple:
        kind, fits = "an array", isinstance(value, list)
        fits = fits and not any(isinstance(part, bool | list | dict) for part in value)
    elif option.is_flag:
        kind, fits = "true or false", isinstance(value, bool)
    elif isinstance(option.type, click.IntRange):
        kind, fits = "an integer or a string", type(value) in (int, str)
    else:
        numbers = (int,) if isinstance(option.type, Duration) else ()
        kind, fits = "a string", type(value) in (*numbers, str)
    if not fits:
        raise InvalidInput(f"{where} must be {kind}, not {value!r:.60}")
    try:
        option.type_cast_value(ctx, value)
    except click.BadParameter as error:
        raise InvalidInput(f"{where}: {error.message}") from error
    return value


def _path(ctx: click.Context) -> str:
    """Return the path of a command with dots, as in hosts.create."""
    return ".".join(ctx.command_path.split()[1:])
