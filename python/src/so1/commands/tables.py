# SPDX-License-Identifier: MIT
"""Tables in the terminal, of values that others chose."""

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from so1.escape_controls import escape_controls


def show(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table; numbers stand to the right, and text is never read as markup.

    In a terminal that is narrower than the headings, each row is a block of lines instead.
    """
    kept = [tuple(row) for row in rows]
    console = Console()
    if not console.is_terminal:
        # In a pipe or a file a line may be as long as it needs.
        console = Console(width=240)
    if sum(len(name) + 1 for name in columns) > console.width:
        console.print(Text(title, style="bold"))
        for row in kept:
            cells = (f"{name}: {_cell(cell)}" for name, cell in zip(columns, row, strict=True))
            console.print(Text("\n".join(cells) + "\n"), overflow="fold")
        return
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for index, name in enumerate(columns):
        numeric = bool(kept) and all(isinstance(row[index], int | float) for row in kept)
        table.add_column(name, justify="right" if numeric else "left", overflow="fold")
    for row in kept:
        table.add_row(*(Text(_cell(value)) for value in row))
    console.print(table)


def _cell(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.1f}" if isinstance(value, float) else escape_controls(str(value))


def mib(kib: float) -> str:
    """Write KiB as MiB."""
    return f"{kib / 1024:,.1f} MiB"
