"""What shctl answers to a shell that asks for completions; imported only then."""

from click.shell_completion import CompletionItem, FishComplete, add_completion_class


class LineComplete(FishComplete):
    """One completion per line: its kind, a comma, its value, and after a tab its help.

    click's own class for fish prints this too, but since 8.4 three lines instead. The scripts in
    shctl/commands/shells must work with every version of click, and installed ones stay as they
    are.
    """

    def format_completion(self, item: CompletionItem) -> str:
        """Return a completion as a line."""
        text = f"\t{' '.join(item.help.split())}" if item.help else ""
        return f"{item.type},{item.value}{text}"


def install() -> None:
    """Replace click's class for fish, which the script for bash uses too."""
    add_completion_class(LineComplete)
