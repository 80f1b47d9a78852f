"""Read shctl.toml, and say what is wrong with it."""

from pathlib import Path
from typing import Any

from shctl.errors import InvalidInput

DEFAULT_PATH = "/etc/shctl/shctl.toml"
# Key, its type, and the option for which it is the default.
KEYS: dict[str, tuple[type, tuple[str, ...]]] = {
    "connect": (str, ("connect",)),
    "output": (str, ("output",)),
    "virt_type": (str, ("hosts", "create", "virt_type")),
    "pool": (str, ("hosts", "create", "pool")),
}


def load(path: str | None) -> dict[str, Any]:
    """Return the file's settings as click's default_map; a default file may be missing.

    Raises InvalidInput that names the file and the line or key.
    """
    file = Path(path or DEFAULT_PATH)
    if path is None and not file.exists():
        return {}
    defaults: dict[str, Any] = {}
    for key, value in _parse(file).items():
        if key not in KEYS:
            raise InvalidInput(f"{file}: unknown key {key!r}; there are: {', '.join(KEYS)}")
        kind, place = KEYS[key]
        if type(value) is not kind:
            raise InvalidInput(f"{file}: {key} must be a {kind.__name__}, not {value!r}")
        _put(defaults, place, value)
    return defaults


def _parse(file: Path) -> dict[str, Any]:
    import tomllib

    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidInput(f"cannot read {file}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{file}: {error}") from error


def _put(tree: dict[str, Any], place: tuple[str, ...], value: Any) -> None:
    *branches, leaf = place
    for branch in branches:
        tree = tree.setdefault(branch, {})
    tree[leaf] = value
