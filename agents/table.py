"""A table: rich draws it on a screen, Markdown writes it into a report."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

FIRST = (0,)
FILE_WIDTH, METHOD_WIDTH = 110, 30
"""Least widths where there is no terminal: of all, and for each method."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows of text under a head.

    Attributes:
        head: a title for each column.
        rows: cells for each row, as plain text.
        title, caption: above and below the table on a screen; a report says it in its own words.
        left: numbers of the columns that are aligned to the left.
        width: columns of a screen that it needs; in a file it must not be folded.
    """

    head: Sequence[str]
    rows: Iterable[Sequence[str]]
    title: str = ""
    caption: str = ""
    left: Collection[int] = FIRST
    width: int = FILE_WIDTH

    def show(self, console: Console, title_justify: Literal["left", "center"] = "center") -> None:
        """Print it."""
        drawn = RichTable(title=self.title or None, caption=self.caption or None, title_justify=title_justify)
        for number, title in enumerate(self.head):
            drawn.add_column(Text(title), justify="left" if number in self.left else "right")
        for row in self.rows:
            drawn.add_row(*map(Text, row))
        if not console.is_terminal:
            console.width = max(console.width, self.width)
        console.print(drawn)

    def markdown(self) -> str:
        """It as Markdown."""
        marks = ["---" if number in self.left else "---:" for number in range(len(self.head))]
        return "\n".join(f"| {' | '.join(row)} |" for row in (self.head, marks, *self.rows))


def width_for(columns: int) -> int:
    """What a table with so many columns of estimates needs."""
    return max(FILE_WIDTH, METHOD_WIDTH * (columns + 1))
