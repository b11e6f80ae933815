# SPDX-License-Identifier: MIT
"""`so1 top`."""

import os
import select
import sys
import termios
import time
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from so1 import tick
from so1.commands import measure, settings, tables
from so1.config import Config
from so1.cpu_usage import Interval
from so1.docker_engine import Engine, EngineError
from so1.escape_controls import escape_controls
from so1.governor.policy import classify
from so1.model import Container, ContainerUsage, Process, Snapshot

_FIRST = 0.5
"""Seconds over which CPU is measured for the first frame."""
_KEYS = {"r": "ram", "c": "cpu"}
_WITHOUT_TERMINAL = 40
"""Lines of a frame that goes to a file or a pipe."""
_FRAME = 8
"""Lines of a frame that are not rows of a table."""


class _View:
    """Takes a snapshot for each frame, and lays it out."""

    def __init__(self, settled: Config, sort: str) -> None:
        self._settled = settled
        self._engine = Engine(settled.docker)
        self._interval = Interval()
        self.sort = sort
        self._snapshot: Snapshot
        self._listed: list[Container] = []
        self._trouble = ""

    def refresh(self) -> None:
        self._snapshot = measure.one(self._settled)
        self._interval.advance(self._snapshot)
        try:
            self._listed, self._trouble = self._engine.running(), ""
        except EngineError as error:
            self._listed, self._trouble = [], f"containers have no names: {error}"

    def frame(self, height: int) -> Group:
        snapshot, percent = self._snapshot, self._interval.percent
        known = self._listed + tick.unknown(snapshot.by_container, self._listed)
        usages = tick.usages(known, snapshot.by_container, percent)
        usages.sort(key=lambda u: (-(u.ram if self.sort == "ram" else u.cpu), u.container.id))
        processes = sorted(
            snapshot.processes,
            key=lambda p: (-(p.rss if self.sort == "ram" else percent(p)), p.pid),
        )
        room = max(2, height - _FRAME)
        shown = usages[: max(1, room // 3)]
        rest = processes[: max(1, room - max(1, len(shown)))]
        head = (
            f"{time.strftime('%H:%M:%S')}  {len(processes)} processes,"
            f" {len(usages)} containers, {tables.mib(snapshot.used_ram)} of"
            f" {tables.mib(snapshot.total_ram)} used, source {snapshot.source}"
        )
        foot = f"sorted by {self.sort}   q quit   r by RAM   c by CPU   {self._trouble}"
        return Group(
            Text(head, style="bold", no_wrap=True, overflow="ellipsis"),
            _containers(shown),
            Text(""),
            self._processes(rest, {c.id: c.name for c in known}),
            Text(escape_controls(foot), style="dim", no_wrap=True, overflow="ellipsis"),
        )

    def _processes(self, processes: list[Process], names: dict[str, str]) -> Table:
        inside = {p.key: id_ for id_, ps in self._snapshot.by_container.items() for p in ps}
        table = _table("PID", "STATE", "THREADS", "RAM MiB", "CPU %", "NAME", "CONTAINER")
        for p in processes:
            _add(
                table,
                *(str(p.pid), tick.state_name(p.state), str(p.threads), f"{p.rss / 1024:.1f}"),
                *(f"{self._interval.percent(p):.1f}", p.name, names.get(inside.get(p.key, ""), "")),
            )
        return table


def _containers(usages: list[ContainerUsage]) -> Table:
    table = _table("CONTAINER", "CLASS", "PROCESSES", "RAM MiB", "CPU %", "IMAGE")
    for usage in usages:
        container = usage.container
        _add(
            table,
            *(container.name, classify(container) if container.managed else "unmanaged"),
            *(str(usage.processes), f"{usage.ram / 1024:.1f}", f"{usage.cpu:.1f}", container.image),
        )
    return table


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, expand=True)
    for name in columns:
        right = name in ("PID", "THREADS", "PROCESSES", "RAM MiB", "CPU %")
        table.add_column(
            name, justify="right" if right else "left", no_wrap=True, overflow="ellipsis"
        )
    return table


def _add(table: Table, *cells: str) -> None:
    table.add_row(*(Text(escape_controls(cell)) for cell in cells))


@contextmanager
def _keys() -> Iterator[None]:
    """Let each key arrive as it is pressed, unseen; Ctrl-C stays what it is."""
    file = sys.stdin.fileno()
    before = termios.tcgetattr(file)
    tty.setcbreak(file)
    try:
        yield
    finally:
        termios.tcsetattr(file, termios.TCSADRAIN, before)


def _pressed(until: float) -> str:
    """Wait for a key; gives '' when it is time for the next frame, 'q' where no key can come."""
    file = sys.stdin.fileno()
    ready, _, _ = select.select([file], [], [], max(0.0, until - time.monotonic()))
    return (os.read(file, 1).decode(errors="replace") or "q") if ready else ""


def _watch(view: _View, console: Console, every: float) -> None:
    with _keys(), Live(console=console, screen=True, auto_refresh=False) as live:
        while True:
            live.update(view.frame(console.size.height), refresh=True)
            due = time.monotonic() + every
            while key := _pressed(due):
                if key in "qQ":
                    return
                if key in _KEYS:
                    view.sort = _KEYS[key]
                    live.update(view.frame(console.size.height), refresh=True)
            view.refresh()


@click.command()
@click.option(
    "--sort",
    type=click.Choice(["ram", "cpu"]),
    default="ram",
    show_default=True,
    help="What comes first; the keys r and c change it.",
)
@click.option(
    "--every",
    type=click.FloatRange(min=0.2, max=3600),
    default=2.0,
    show_default=True,
    metavar="SECONDS",
    help="How long a frame stands; CPU is measured over it.",
)
@click.option("--once", is_flag=True, help="Print one frame and end; needs no terminal.")
@click.pass_obj
def command(path: Path, sort: str, every: float, *, once: bool) -> None:
    """Show the containers and processes that use the most, live; q ends it.

    RAM in MiB, CPU in percent of one CPU. Where Docker may not be asked, containers have their id
    for a name.

    Exit codes: 0 ended by q or Ctrl-C, 1 no snapshot could be taken, 2 wrong usage.
    """
    settled = settings.load_or_default(path)
    if not once and not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise click.UsageError("there is no terminal to draw on; use --once")
    view = _View(settled, sort)
    view.refresh()
    time.sleep(min(every, _FIRST))
    view.refresh()
    console = Console()
    if once:
        if not console.is_terminal:
            console = Console(width=160, height=_WITHOUT_TERMINAL)
        console.print(view.frame(console.size.height))
        return
    try:
        _watch(view, console, every)
    except KeyboardInterrupt:
        return
