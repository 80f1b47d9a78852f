"""`shctl completion`: the scripts with which shells complete shctl's command line."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from shctl.commands.base import LocalCommand

if TYPE_CHECKING:
    from collections.abc import Iterator

# Below the directory shells; the Debian package installs the same files under these names.
SCRIPTS = {"bash": "bash/shctl", "zsh": "zsh/_shctl", "fish": "fish/shctl.fish"}


@click.command(
    cls=LocalCommand,
    examples=[
        "shctl completion bash >~/.local/share/bash-completion/completions/shctl",
        "shctl completion fish >~/.config/fish/completions/shctl.fish",
    ],
)
@click.argument("shell", type=click.Choice(list(SCRIPTS)), metavar="SHELL")
def completion(shell: str) -> Iterator[str]:
    """Print the script with which a shell completes commands, options and names.

    SHELL is bash, zsh or fish. Save the script where the shell searches for such scripts: for bash
    and fish as in the examples (bash needs the package bash-completion), for zsh as _shctl in a
    directory of fpath. The next shell then completes shctl. 'source <(shctl completion bash)' makes
    bash or zsh complete it in the current shell only.

    The Debian package has installed these scripts already.
    """
    return iter([Path(__file__).with_name("shells").joinpath(SCRIPTS[shell]).read_text()])
