"""Words that people type for commands: synonyms, mistyped commands, words of other programs.

Imported only when a command is not found. Help, completion and REST do not have synonyms.
"""

from collections.abc import Collection
from os.path import commonprefix

# A synonym runs the first of these commands that its group has. A word that means more than one
# thing to users of virsh is none: it is explained below.
SYNONYMS: dict[str, tuple[str, ...]] = {
    "ls": ("list",),
    "get": ("show",),
    "info": ("show",),
    "edit": ("set",),
    "restart": ("reboot",),
    "shutdown": ("stop",),
    "rm": ("delete", "remove"),
    "del": ("delete", "remove"),
    "remove": ("delete",),
    "disk": ("disks",),
    "host": ("hosts",),
    "net": ("networks",),
    "network": ("networks",),
    "token": ("tokens",),
    "tree": ("trees",),
}
_DELETE = "'shctl hosts delete' deletes hosts with their disks"
_POWER_OFF = "'shctl hosts stop --force' powers hosts off"
# By group and word: what to type instead.
EXPLAINED = {
    ("root", "destroy"): f"{_POWER_OFF}, {_DELETE}",
    ("hosts", "destroy"): f"{_POWER_OFF}, {_DELETE}",
    ("hosts", "kill"): _POWER_OFF,
    ("hosts", "poweroff"): _POWER_OFF,
    ("hosts", "reset"): "'shctl hosts reboot --force' resets hosts",
    ("hosts", "undefine"): _DELETE,
    ("disks", "delete"): "'shctl hosts disks remove' removes disks with their data",
    ("disks", "set"): "'shctl hosts disks resize' enlarges disks",
    ("networks", "destroy"): "'shctl networks delete' deletes networks for good",
    ("networks", "undefine"): "'shctl networks delete' deletes networks for good",
}
# Commands that destroy something, or interrupt a guest. Nobody should run one because of a hint to
# another word, so they are suggested only for a slip of the fingers.
HARMFUL = frozenset({"delete", "destroy", "reboot", "rebuild", "remove", "revert", "stop"})


def resolve(word: str, commands: Collection[str]) -> str | None:
    """Return the command of a group that a word is a synonym of; None if there is none."""
    return next((name for name in SYNONYMS.get(word, ()) if name in commands), None)


def of(command: str, commands: Collection[str]) -> list[str]:
    """Return the synonyms of a command in a group that has these commands."""
    unused = [word for word in SYNONYMS if word not in commands]
    return [word for word in unused if resolve(word, commands) == command]


def hint(group: str, word: str, commands: Collection[str]) -> str:
    """Return what to type instead of an unknown command of a group; "" if that is unclear."""
    for known in (key for key in EXPLAINED if key[0] == group):
        if word == known[1] or is_slip(word, known[1]):
            return EXPLAINED[known]
    found = _nearest(word, commands)
    return f"did you mean {found!r}?" if found else ""


def _nearest(word: str, commands: Collection[str]) -> str | None:
    from difflib import get_close_matches

    if close := get_close_matches(word, [name for name in commands if name not in HARMFUL], 1):
        return close[0]
    return next((name for name in commands if name in HARMFUL and is_slip(word, name)), None)


def is_slip(typed: str, meant: str) -> bool:
    """Return whether one letter is missing, added, wrong, or swapped with the next.

    The first letter must be right: "top" is not "stop".
    """
    if typed[:1] != meant[:1]:
        return False
    short, long = sorted((typed, meant), key=len)
    same = len(commonprefix((short, long)))
    if len(short) < len(long):
        return short[same:] == long[same + 1 :]
    one, two = short[same : same + 2], long[same : same + 2]
    swapped = one == two[::-1] and short[same + 2 :] == long[same + 2 :]
    return swapped or short[same + 1 :] == long[same + 1 :]
