# SPDX-License-Identifier: MIT
"""What the reader chose, what a key does, and the whole screen as lines."""

import time
from collections.abc import Sequence

import msgspec

from so1.escape_controls import escape_controls
from so1.live import groups, severity
from so1.live.groups import OUTSIDE, Group, Order
from so1.live.severity import Level
from so1.live.table import Cell, Line, Row, Style, cut, fitted, line, titles
from so1.model import MemoryLimit, Process
from so1.sample import Sample
from so1.store.rows import state_name

KEYS = (
    ("r c p l n", "sort by RAM, CPU, pressure, share of the limit, name"),
    ("v", "turn the order round"),
    ("up down PgUp PgDn Home End", "move; j and k too"),
    ("space Enter left right", "fold or unfold the container"),
    ("a", "fold or unfold all"),
    ("/", "show only what has a text in its name, image, id or pid; Enter keeps it, Esc drops it"),
    ("h ?", "this help"),
    ("q", "quit; Ctrl-C too"),
)
"""Each key and what it does, as the help shows it."""

_ORDERS: dict[str, Order] = {"r": "ram", "c": "cpu", "p": "pressure", "l": "limit", "n": "name"}
_SIGNS = (
    ("!", "bad", "red: 95 % of a limit, 30 % of the time waiting, OOM kills, unhealthy, looping"),
    ("~", "warning", "yellow: 80 % of a limit or of a CPU, 10 % of the time waiting, stuck"),
)
_COLUMNS = (
    ("MEM", "what the kernel charges a container, without file cache; a process's resident RAM"),
    ("LIMIT", "a container's memory limit; a process's cap of address space by `so1 limit`"),
    ("PSI", "share of the time that something in the container waited for memory, CPU or I/O"),
    ("?", "not known"),
)
_HINTS = "q quit  h help  / filter  space fold  a all  r RAM  c CPU  p pressure  l limit  n name"
_BAR = 24
_ENOUGH = 9
"""From so many lines on there is room for all of the head, and for the keys."""
_PAGE = 10


class Shown(msgspec.Struct, frozen=True):
    """A sample to show; trouble is a sentence where something did not work."""

    sample: Sample
    trouble: str = ""


class View:
    """The state of the screen; `lines` draws it, `press` changes it."""

    def __init__(self, shown: Shown, order: Order) -> None:
        """Begin with the containers folded, and what is outside of them shown."""
        self.shown = shown
        """The newest sample; may be set at any time."""
        self.order: Order = order
        self.reverse = False
        self.wanted = ""
        self.ended = False
        self._typing = False
        self._help = False
        self._unfolded = {OUTSIDE}
        self._chosen = ""
        self._index = 0
        self._top = 0
        self._room = _PAGE

    def press(self, key: str) -> None:
        """Do what a key stands for: a character, or a name such as `up`; others do nothing."""
        if self._typing:
            self._type(key)
        elif self._help:
            # Any key leads back.
            self._help = False
        elif key in ("q", "Q"):
            self.ended = True
        elif key in _ORDERS:
            self.order = _ORDERS[key]
        elif key == "v":
            self.reverse = not self.reverse
        elif key in ("h", "?"):
            self._help = True
        elif key == "/":
            self._typing = True
        elif key == "escape":
            self.wanted = ""
        elif key == "a":
            self._fold_all()
        elif key in (" ", "enter", "left", "right"):
            self._fold(key)
        else:
            self._move(key)

    def lines(self, width: int, height: int) -> tuple[list[Line], int | None]:
        """Lay the screen out; gives its lines and which of them is the chosen row, if any is."""
        if self._help:
            return [cut(each, width) for each in _help()][:height], None
        rows = self._rows()
        self._settle(rows)
        head, foot = self._head(width), self._foot()
        if height < _ENOUGH:
            head, foot = head[: height // 3], foot[: self._typing]
        room = self._room = max(0, height - len(head) - len(foot) - 1)
        last = max(0, len(rows) - room)
        self._top = max(self._index - room + 1, min(self._top, self._index, last), 0)
        columns = fitted(rows, width, self.order)
        visible = rows[self._top : self._top + room]
        body = [titles(columns, self.order), *(line(row, columns) for row in visible)]
        if not rows:
            body.append([(f" Nothing has «{self.wanted}» in its name, image, id or pid.", "dim")])
        body += [[] for _ in range(room + 1 - len(body))]
        chosen = len(head) + 1 + self._index - self._top if rows and room else None
        return [cut(each, width) for each in (*head, *body, *foot)][:height], chosen

    def _rows(self) -> list[Row]:
        sample = self.shown.sample
        result: list[Row] = []
        limits = {limit.pid: limit for limit in sample.limits}
        for group in groups.grouped(sample, self.order, self.wanted, reverse=self.reverse):
            # What a filter found is shown, folded or not.
            only_some = len(group.processes) < group.of
            unfolded = group.key in self._unfolded or only_some
            result.append(_group(group, sample, unfolded=unfolded))
            if unfolded:
                result += [_process(p, group, sample, limits.get(p.pid)) for p in group.processes]
        return result

    def _settle(self, rows: Sequence[Row]) -> None:
        """Stay with the chosen row wherever it went; where it is gone, stay where it was."""
        places = {row.key: index for index, row in enumerate(rows)}
        self._index = places.get(self._chosen, max(0, min(self._index, len(rows) - 1)))
        self._chosen = rows[self._index].key if rows else ""

    def _move(self, key: str) -> None:
        page = max(1, self._room - 1)
        steps = {"up": -1, "k": -1, "down": 1, "j": 1, "pageup": -page, "pagedown": page}
        rows = self._rows()
        far = {"home": -len(rows), "end": len(rows)}
        if step := (steps | far).get(key):
            self._settle(rows)
            self._index = max(0, min(self._index + step, len(rows) - 1))
            self._chosen = rows[self._index].key if rows else ""

    def _fold(self, key: str) -> None:
        rows = self._rows()
        self._settle(rows)
        if not rows:
            return
        group = rows[self._index].group
        if key == "right" or (key != "left" and group not in self._unfolded):
            self._unfolded.add(group)
        else:
            self._unfolded.discard(group)
            self._chosen = group

    def _fold_all(self) -> None:
        every = {u.container.id for u in self.shown.sample.everyone} | {OUTSIDE}
        self._unfolded = set() if self._unfolded >= every else every

    def _type(self, key: str) -> None:
        if key in ("enter", "escape"):
            self._typing = False
            self.wanted = self.wanted if key == "enter" else ""
        elif key == "backspace":
            self.wanted = self.wanted[:-1]
        elif len(key) == 1 and key.isprintable():
            self.wanted += key
        else:
            self._move(key)

    def _head(self, width: int) -> list[Line]:
        sample = self.shown.sample
        snapshot = sample.snapshot
        total = max(1, snapshot.total_ram)
        used = snapshot.used_ram
        if snapshot.available_ram is not None:
            used = total - snapshot.available_ram
        at = time.strftime("%H:%M:%S", time.localtime(sample.timestamp))
        counts = f"{len(snapshot.processes)} processes, {len(sample.everyone)} containers"
        how = f"sorted by {self.order}{', reversed' if self.reverse else ''}"
        first = f"{at}  {how}, {counts}, source {snapshot.source}"
        return [
            [(first, "title")],
            _bar("CPU", sample.host_cpu, f"{sample.host_cpu:.0f} % of all CPUs", width),
            _bar("RAM", used * 100 / total, f"{used // 1024:,} of {total // 1024:,} MiB", width),
        ]

    def _foot(self) -> list[Line]:
        said = escape_controls(self.shown.trouble)
        trouble: list[Line] = [[(said, "warning")]] if said else []
        if self._typing:
            return [[(f"filter: {self.wanted}_", "title"), ("  Enter keep  Esc drop", "dim")]]
        hints = f"filter: {self.wanted}  Esc drops it  {_HINTS}" if self.wanted else _HINTS
        return [*trouble, [(hints, "dim")]]


def _group(group: Group, sample: Sample, *, unfolded: bool) -> Row:
    sign = "-" if unfolded else "+"
    if group.usage is None:
        cells = {
            "NAME": Cell(f"{sign} {group.name} ({group.of})"),
            "CPU %": Cell(f"{sum(map(sample.cpu.percent, group.processes)):.1f}"),
            "MEM MiB": Cell(_mib(sum(p.rss for p in group.processes))),
        }
        return Row(group.key, group.key, cells)
    usage = group.usage
    container, spent = usage.container, usage.spent
    members = str(usage.processes) if usage.processes else "?"
    limit = usage.charged.memory_limit if usage.charged else None
    of_limit = groups.of_limit(usage)
    threads = usage.charged.pids if usage.charged else None
    wrong = severity.complaints(usage)
    cells = {
        "NAME": Cell(f"{sign} {group.name} ({members})"),
        "CPU %": Cell(f"{usage.cpu:.1f}", severity.busy(usage.cpu)),
        "MEM MiB": Cell("?" if usage.memory is None else _mib(usage.memory)),
        "LIMIT MiB": Cell("" if limit is None else _mib(limit)),
        "LIMIT %": Cell(_percent(of_limit), severity.share(of_limit)),
        "PSI MEM": Cell(_percent(spent.memory_pressure), severity.waiting(spent.memory_pressure)),
        "PSI CPU": Cell(_percent(spent.cpu_pressure), severity.waiting(spent.cpu_pressure)),
        "PSI I/O": Cell(_percent(spent.io_pressure), severity.waiting(spent.io_pressure)),
        "THREADS": Cell("" if threads is None else str(threads)),
        "STATE": Cell(
            ", ".join(text for text, _ in wrong) or container.health or "",
            wrong[0][1] if wrong else Level.CALM,
        ),
        "CLASS": Cell(container.class_, dim=True),
        "IMAGE": Cell(container.image, dim=True),
    }
    return Row(group.key, group.key, cells)


def _process(process: Process, group: Group, sample: Sample, limit: MemoryLimit | None) -> Row:
    percent = sample.cpu.percent(process)
    of_cap = groups.of_cap(limit)
    state = state_name(process.state)
    cells = {
        "NAME": Cell(f"    {process.name}"),
        "PID": Cell(str(process.pid)),
        "CPU %": Cell(f"{percent:.1f}", severity.busy(percent)),
        "MEM MiB": Cell(_mib(process.rss)),
        "LIMIT MiB": Cell("" if limit is None else _mib(limit.limit // 1024)),
        "LIMIT %": Cell(_percent(of_cap), severity.share(of_cap)),
        "THREADS": Cell(str(process.threads)),
        "STATE": Cell(state, severity.state(state), dim=True),
    }
    return Row(f"{process.pid} {process.start_ns}", group.key, cells)


def _bar(name: str, percent: float, text: str, width: int) -> Line:
    style: Style = ("calm", "warning", "bad")[severity.share(percent)]
    cells = max(0, min(_BAR, width - len(name) - len(text) - 5))
    full = max(0, min(cells, round(percent * cells / 100)))
    bar = f"[{'|' * full}{' ' * (cells - full)}] " if cells else ""
    return [(f"{name} ", "calm"), (bar, style), (text, style)]


def _help() -> list[Line]:
    widest = max(len(keys) for keys, _ in KEYS)
    result: list[Line] = [[("Keys", "title")]]
    result += [[(f"  {keys:<{widest}}  ", "calm"), (text, "calm")] for keys, text in KEYS]
    result += [[], [("Signs and colours", "title")]]
    for sign, style, text in _SIGNS:
        result.append([(f"  {sign}  ", "bad" if style == "bad" else "warning"), (text, "calm")])
    result += [[], [("Columns", "title")]]
    result += [[(f"  {name:<5}  ", "calm"), (text, "calm")] for name, text in _COLUMNS]
    return [*result, [], [("Any key leads back.", "dim")]]


def _mib(kib: int) -> str:
    return f"{kib / 1024:.1f}"


def _percent(figure: float | None) -> str:
    return "" if figure is None else f"{figure:.0f}"
