# SPDX-License-Identifier: MIT
"""Rows and columns that fit a width, however small it is."""

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec
from rich.cells import cell_len, set_cell_size

from so1.escape_controls import escape_controls
from so1.live.severity import MARKS, Level

Style = Literal["calm", "warning", "bad", "dim", "title", "sorted"]
Span = tuple[str, Style]
Line = list[Span]

_STYLES: dict[Level, Style] = {Level.CALM: "calm", Level.WARNING: "warning", Level.BAD: "bad"}


class Cell(msgspec.Struct, frozen=True):
    """A figure or a name, and how bad it is."""

    text: str
    level: Level = Level.CALM
    dim: bool = False

    @property
    def style(self) -> Style:
        """How it is written."""
        return "dim" if self.dim and not self.level else _STYLES[self.level]


class Row(msgspec.Struct, frozen=True):
    """A line of the table; key names it from one sample to the next, group is whose it is."""

    key: str
    group: str
    cells: Mapping[str, Cell]

    @property
    def level(self) -> Level:
        """How bad the worst of it is."""
        return max((cell.level for cell in self.cells.values()), default=Level.CALM)


class Column(msgspec.Struct, frozen=True):
    """A column: the least and the most cells it gets, and when it goes."""

    title: str
    least: int
    most: int = 0
    order: str = ""
    """By which order it is the column that is sorted."""
    rank: int = 0
    """Of two columns the one with the higher rank goes first; 0 never goes."""
    left: bool = False


NAME = Column("NAME", 26, 34, order="name", left=True)
COLUMNS = (
    NAME,
    Column("PID", 7, rank=6),
    Column("CPU %", 6, order="cpu", rank=1),
    Column("MEM MiB", 8, order="ram", rank=2),
    Column("LIMIT MiB", 9, rank=5),
    Column("LIMIT %", 7, order="limit", rank=3),
    Column("PSI MEM", 7, order="pressure", rank=7),
    Column("PSI CPU", 7, rank=9),
    Column("PSI I/O", 7, rank=10),
    Column("THREADS", 7, rank=11),
    Column("STATE", 10, 28, rank=4, left=True),
    Column("CLASS", 9, rank=8, left=True),
    Column("IMAGE", 12, 40, rank=12, left=True),
)


def fitted(rows: Sequence[Row], width: int, order: str) -> list[tuple[Column, int]]:
    """Choose the columns for a width, each with its cells; the sorted one is the last to go."""
    widths = {column.title: _needed(column, rows) for column in COLUMNS}
    # A small window is not all names.
    widths[NAME.title] = max(8, min(NAME.least, width // 3))
    chosen = list(COLUMNS)
    while 1 + sum(widths[c.title] + 1 for c in chosen) > width and len(chosen) > 1:
        chosen.remove(max(chosen, key=lambda c: (c.rank > 0, c.order != order, c.rank)))
    room = width - 1 - sum(widths[c.title] + 1 for c in chosen)
    for column in (*(c for c in chosen if c.most), NAME):
        most = column.most if column.most > widths[column.title] else widths[column.title]
        longest = max((cell_len(_text(row, column)) for row in rows), default=0)
        more = max(0, min(room, min(most, longest) - widths[column.title]))
        widths[column.title] += more
        room -= more
    if len(chosen) == 1:
        widths[NAME.title] = max(0, width - 2)
    return [(column, widths[column.title]) for column in chosen]


def titles(columns: Sequence[tuple[Column, int]], order: str) -> Line:
    """Write the headings."""
    line: Line = [("  ", "title")]
    for index, (column, width) in enumerate(columns):
        text = _sized(column.title, width, left=column.left)
        line += [(" " * bool(index), "title")]
        line += [(text, "sorted" if column.order == order else "title")]
    return line


def line(row: Row, columns: Sequence[tuple[Column, int]]) -> Line:
    """Write a row; its mark comes first."""
    result: Line = [(MARKS[row.level] + " ", _STYLES[row.level])]
    for index, (column, width) in enumerate(columns):
        cell = row.cells.get(column.title, Cell(""))
        text = _sized(escape_controls(cell.text), width, left=column.left)
        result += [(" " * bool(index), "calm"), (text, cell.style)]
    return result


def cut(spans: Line, width: int) -> Line:
    """Keep what fits into so many cells, and say where something is cut off."""
    result: Line = []
    for text, style in spans:
        if (room := width - sum(cell_len(each) for each, _ in result)) <= 0:
            break
        result.append((_sized(text, room, left=True) if cell_len(text) > room else text, style))
    return result


def _needed(column: Column, rows: Sequence[Row]) -> int:
    """Tell how wide a column is at least: a figure is never cut."""
    if column.left:
        return column.least
    longest = max((len(_text(row, column)) for row in rows), default=0)
    return max(column.least, longest)


def _text(row: Row, column: Column) -> str:
    cell = row.cells.get(column.title)
    return escape_controls(cell.text) if cell else ""


def _sized(text: str, width: int, *, left: bool) -> str:
    if width <= 0:
        return ""
    if cell_len(text) > width:
        return set_cell_size(text, width - 1) + "…"
    return text + " " * (width - cell_len(text)) if left else text.rjust(width)
