"""What shctl answers to a shell that asks for completions; imported only then."""

import os

from click.shell_completion import (  # type: ignore[attr-defined]
    CompletionItem,
    FishComplete,
    add_completion_class,
    split_arg_string,
)


class LineComplete(FishComplete):
    """One completion per line: its kind, a comma, its value, and after a tab its help.

    click's own class for fish prints this too, but since 8.4 three lines instead. The scripts in
    shctl/commands/shells must work with every version of click, and installed ones stay as they
    are.
    """

    def get_completion_args(self) -> tuple[list[str], str]:
        """Return the words before the one to complete, and that one without quotes."""
        words = split_arg_string(os.environ["COMP_WORDS"])[1:]
        last = os.environ["COMP_CWORD"]
        # The script for bash has removed the quotes already. Versions of click differ in this.
        for word in (last, *split_arg_string(last)[:1]):
            if words and words[-1] == word:
                return words[:-1], word
        return words, last

    def format_completion(self, item: CompletionItem) -> str:
        """Return a completion as a line."""
        text = f"\t{' '.join(item.help.split())}" if item.help else ""
        return f"{item.type},{item.value}{text}"


def install() -> None:
    """Replace click's class for fish, which the script for bash uses too."""
    add_completion_class(LineComplete)
