#!/usr/bin/python3
"""Write the man pages from the commands themselves, with what people add in man/text.

    tools/man.py [DIRECTORY]

A page's sections come from the command's declaration; those of a file of the page's name in
man/text are put behind what is generated under the same heading, or stand alone.
"""

import re
import sys
from collections.abc import Iterator
from inspect import cleandoc
from pathlib import Path
from textwrap import wrap
from typing import NamedTuple

import click

from shctl import __version__
from shctl.cli.main import root
from shctl.commands import settings
from shctl.commands.base import Command
from shctl.common import errors, paths

ROOT = Path(__file__).resolve().parents[1]
TEXTS = ROOT / "man" / "text"
# Whatever has no place here comes before OPTIONS, in its file's order.
FIRST = ("NAME", "SYNOPSIS", "DESCRIPTION", "COMMANDS")
LAST = ("OPTIONS", "SETTINGS", "ENVIRONMENT", "FILES", "EXIT STATUS", "EXAMPLES", "SEE ALSO")
WIDTH = 72  # escapes make lines longer, and mandoc finds 80 enough
DAEMONS = {"shctl-serve"}
KINDS = {str: "string", int: "integer", bool: "boolean", list: "array of strings"}

Sections = dict[str, str]


class Leaf(NamedTuple):
    """A command that does something: its words, itself, and a context to ask it in."""

    words: tuple[str, ...]
    command: click.Command
    ctx: click.Context

    @property
    def name(self) -> str:
        """Return the name of its page."""
        return "-".join(("shctl", *self.words))

    @property
    def section(self) -> int:
        """Return the manual's section: 8 for daemons, 1 for the rest."""
        return 8 if self.name in DAEMONS else 1


def leaves(group: click.Group = root, ctx: click.Context | None = None) -> Iterator[Leaf]:
    """Yield every command that is no group, in the order of the groups."""
    ctx = ctx or click.Context(group, info_name="shctl")
    for name in group.list_commands(ctx):
        command = group.get_command(ctx, name)
        assert command is not None
        inner = click.Context(command, info_name=name, parent=ctx)
        if isinstance(command, click.Group):
            yield from leaves(command, inner)
        else:
            yield Leaf(tuple(inner.command_path.split()[1:]), command, inner)


def options(command: click.Command) -> list[click.Option]:
    """Return the options that people are to see."""
    return [p for p in command.params if isinstance(p, click.Option) and not p.hidden]


def pages() -> dict[str, str]:
    """Return every page's text by its file's name."""
    found = {f"{leaf.name}.{leaf.section}": _leaf_sections(leaf) for leaf in leaves()}
    found["shctl.1"] = _root_sections()
    found["shctl.toml.5"] = _file_sections()
    return {name: _page(name, sections) for name, sections in found.items()}


def _leaf_sections(leaf: Leaf) -> Sections:
    text = leaf.command.help or ""
    found = {
        "NAME": _name(leaf.name, text),
        "SYNOPSIS": _synopsis(leaf),
        "DESCRIPTION": _paragraphs(text),
        "OPTIONS": "".join(_option(o, leaf.ctx, leaf.words) for o in options(leaf.command)),
        "ENVIRONMENT": _variables(options(leaf.command)),
        "EXIT STATUS": "0 on success; what other numbers mean stands in\n.BR shctl (1).\n",
        "EXAMPLES": _examples(leaf.command),
        "SEE ALSO": _see_also(["shctl(1)", *(f"{o.name}({o.section})" for o in _relatives(leaf))]),
    }
    return {heading: body for heading, body in found.items() if body}


def _root_sections() -> Sections:
    ctx = click.Context(root, info_name="shctl")
    named = [o for leaf in leaves() for o in options(leaf.command) if o.envvar]
    return {
        "NAME": _name("shctl", root.help or ""),
        "SYNOPSIS": "\\fBshctl\\fR [\\fIoptions\\fR] \\fIgroup\\fR \\fIcommand\\fR ...\n",
        "DESCRIPTION": _paragraphs(root.help or ""),
        "COMMANDS": "".join(_command_line(leaf) for leaf in leaves()),
        "OPTIONS": "".join(_option(option, ctx, ()) for option in options(root)),
        "ENVIRONMENT": _variables([*options(root), *named]),
        "EXIT STATUS": _exit_codes(),
        "SEE ALSO": _see_also(["shctl.toml(5)", "shctl-serve(8)", "virsh(1)", "ovs-vsctl(8)"]),
    }


def _file_sections() -> Sections:
    return {
        "NAME": "shctl.toml \\- settings of shctl\n",
        "SYNOPSIS": f".I {_roff(paths.config_file())}\n",
        "SETTINGS": "".join(_setting(key) for key in settings.KEYS),
        "SEE ALSO": _see_also(["shctl(1)", "shctl-config-show(1)", "shctl-serve(8)"]),
    }


def _page(file: str, sections: Sections) -> str:
    name, number = file.rsplit(".", 1)
    merged = _merged(sections, _written(file))
    middle = [heading for heading in merged if heading not in FIRST + LAST]
    order = [h for h in (*FIRST, *middle, *LAST) if h in merged]
    title = f'.TH {_roff(name.upper())} {number} {_date()} "shctl {__version__}"\n'
    note = f'.\\" Written by tools/man.py; what people add stands in man/text/{file}.\n'
    return note + title + "".join(f".SH {heading}\n{merged[heading]}" for heading in order)


def _written(file: str) -> Sections:
    """Return the sections of a hand-written file; none if there is no such file."""
    path = TEXTS / file
    text = path.read_text() if path.exists() else ""
    return dict(re.findall(r"^\.SH (.+)\n((?:(?!\.SH ).*\n)*)", text, re.MULTILINE))


def _merged(generated: Sections, written: Sections) -> Sections:
    both = {**generated, **written}
    for heading in generated.keys() & written.keys():
        gap = "" if written[heading].startswith(".TP") else ".PP\n"
        both[heading] = generated[heading] + gap + written[heading]
    return both


def _date() -> str:
    """Return the day of the newest entry of debian/changelog, as YYYY-MM-DD."""
    from email.utils import parsedate_to_datetime

    trailer = re.search(r"^ -- .*  (.+)$", (ROOT / "debian/changelog").read_text(), re.MULTILINE)
    assert trailer is not None
    return parsedate_to_datetime(trailer[1]).date().isoformat()


def _name(name: str, text: str) -> str:
    summary = text.split("\n\n")[0].replace("\n", " ").rstrip(".")
    return f"{_roff(name)} \\-\n{_filled(summary[0].lower() + summary[1:])}"


def _synopsis(leaf: Leaf) -> str:
    arguments = leaf.command.collect_usage_pieces(leaf.ctx)
    words = f"\\fB{_roff(' '.join(('shctl', *leaf.words)))}\\fR"
    needed = [_needed(option) for option in options(leaf.command) if option.required]
    return " ".join([words, *needed, *(f"\\fI{_roff(a.lower())}\\fR" for a in arguments)]) + "\n"


def _needed(option: click.Option) -> str:
    again = " ..." if option.multiple else ""
    return f"\\fB{_roff(option.opts[0])}\\fR \\fI{_roff(_metavar(option))}\\fR{again}"


def _paragraphs(text: str) -> str:
    return ".PP\n".join(_filled(paragraph) for paragraph in cleandoc(text).split("\n\n"))


def _command_line(leaf: Leaf) -> str:
    summary = (leaf.command.help or "").split("\n\n")[0].replace("\n", " ")
    return f".TP\n.BR {_roff(leaf.name)} ({leaf.section})\n{_filled(summary)}"


def _option(option: click.Option, ctx: click.Context, words: tuple[str, ...]) -> str:
    names = ", ".join(f"\\fB{_roff(o)}\\fR" for o in (*option.opts, *option.secondary_opts))
    value = "" if option.is_flag else f" \\fI{_roff(_metavar(option))}\\fR"
    facts = [*_facts(option, ctx), *_settings_of((*words, option.name or ""))]
    return f".TP\n{names}{value}\n{_filled(' '.join(facts))}"


def _metavar(option: click.Option) -> str:
    return option.metavar or "VALUE"


def _facts(option: click.Option, ctx: click.Context) -> Iterator[str]:
    """Yield what there is to say about an option, a sentence each."""
    if option.help:
        text = re.sub(r"\s*\[default: (.+)\]$", r" Default: \1", option.help)
        yield text if text.endswith(".") else f"{text}."
    if isinstance(option.type, click.Choice):
        yield f"One of {', '.join(option.type.choices)}."
    if isinstance(option.type, click.IntRange):
        yield f"From {option.type.min} to {option.type.max}."
    if option.required:
        yield "Required."
    if option.show_default and (default := option.get_default(ctx)) is not None:
        yield f"Default: {default}."


def _settings_of(place: tuple[str, ...]) -> Iterator[str]:
    keys = [key for key, (_, there) in settings.KEYS.items() if there == place]
    yield from (f"The setting {key} in shctl.toml changes that." for key in keys)


def _variables(named: list[click.Option]) -> str:
    lines = {str(o.envvar): max(o.opts, key=len) for o in named if o.envvar}
    return "".join(
        f".TP\n.B {_roff(name)}\nWhat {_roff(option)} is when it is not given.\n"
        for name, option in lines.items()
    )


def _setting(key: str) -> str:
    kinds, place = settings.KEYS[key]
    leaf = next((leaf for leaf in leaves() if leaf.words == place[:-1]), None)
    command = leaf.command if leaf else root
    ctx = leaf.ctx if leaf else click.Context(root)
    option = next(o for o in options(command) if o.name == place[-1])
    of = " ".join(("shctl", *place[:-1], max(option.opts, key=len)))
    told = [f"Stands for {of}.", *_facts(option, ctx)]
    kind = " or ".join(KINDS[k] for k in kinds)
    return f".TP\n\\fB{_roff(key)}\\fR = \\fI{kind}\\fR\n{_filled(' '.join(told))}"


def _exit_codes() -> str:
    known = {0: "Done, or nothing was left to do.", 1: "An unexpected failure."}
    for kind in errors.ShctlError.__subclasses__():
        known.setdefault(kind.exit_code, (kind.__doc__ or "").split("\n")[0])
    known[141] = "Nobody reads its output any more."
    return "".join(f".TP\n.B {code}\n{_filled(known[code])}" for code in sorted(known))


def _examples(command: click.Command) -> str:
    examples = command.examples if isinstance(command, Command) else ()
    return ".PP\n".join(f".nf\n{_roff(_continued(example))}\n.fi\n" for example in examples)


def _continued(example: str) -> str:
    """Return a command line as people break it: before an option, with a backslash."""
    lines = [""]
    for piece in re.split(r" (?=--)", example):
        if lines[-1] and len(lines[-1]) + len(piece) > WIDTH - 4:
            lines.append("   ")
        lines[-1] += f" {piece}" if lines[-1] else piece
    return " \\\n".join(lines)


def _relatives(leaf: Leaf) -> list[Leaf]:
    """Return the other commands of the same group."""
    return [o for o in leaves() if o.words[:-1] == leaf.words[:-1] != () and o.words != leaf.words]


def _see_also(names: list[str]) -> str:
    pairs = [re.fullmatch(r"(.+)\((\d)\)", name) for name in names]
    lines = [f".BR {_roff(pair[1])} ({pair[2]})" for pair in pairs if pair]
    return ",\n".join(lines) + "\n"


def _filled(text: str) -> str:
    """Return a paragraph in lines of at most WIDTH, escaped."""
    lines = wrap(text, WIDTH, break_on_hyphens=False, break_long_words=False)
    return "".join(f"{_roff(line)}\n" for line in lines)


def _roff(text: str) -> str:
    """Return text so that roff prints it as it is."""
    for plain, escaped in (("\\", "\\e"), ("-", "\\-"), ("'", "\\(aq"), ("`", "\\(ga")):
        text = text.replace(plain, escaped)
    return f"\\&{text}" if text.startswith(".") else text


def main() -> None:
    """Write the pages into the directory that is given, or into man/."""
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "man"
    for old in target.glob("*.[1-8]"):
        old.unlink()
    for file, text in pages().items():
        (target / file).write_text(text)


if __name__ == "__main__":
    main()
