"""A user at a terminal: the yes-or-no question and the progress of downloads."""

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


class Progress:
    """One line per download on a terminal's stderr."""

    def __init__(self) -> None:
        self._shown = ""

    def __call__(self, name: str, done: int, size: int | None) -> None:
        """Show how much of a download is done: in percent, or in MB if its size is unknown."""
        text = f"{name}: {done // 10**6} MB" if not size else f"{name}: {100 * done // size} %"
        if text != self._shown:
            self._shown = text
            click.echo(f"\r\033[K{clean(text)}", nl=bool(size) and done == size, err=True)
