"""A user at a terminal: the yes-or-no question."""

import click

from shctl.common.text import clean


def ask(question: str) -> bool:
    """Ask a yes-or-no question on stderr until it is answered; no answer is a no."""
    # click.confirm() would answer a typo with "Error: invalid input".
    while True:
        text = f"{clean(question)} [y/N]"
        answer = click.prompt(text, default="", show_default=False, err=True).strip().lower()
        if answer in ("", "n", "no"):
            return False
        if answer in ("y", "yes"):
            return True
        click.echo("Answer y or n.", err=True)
