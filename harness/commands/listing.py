"""A list of files as a table: markdown, or as wide as the terminal where a person reads it."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from harness.commands import terminal


def show(head: Sequence[str], body: Sequence[Sequence[object]], note: str) -> None:
    """Print the table and the note below it."""
    if terminal.is_terminal():
        from harness.commands import terminal_page

        terminal_page.print_rows(head, body, note)
    else:
        from harness.tables import markup

        sys.stdout.write(markup.markdown(head, body, note))


def about(docstring: str | None) -> str:
    """What a file says of itself, in a line: its docstring's first paragraph."""
    return " ".join((docstring or "").split("\n\n")[0].split())
