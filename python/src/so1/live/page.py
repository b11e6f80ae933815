# SPDX-License-Identifier: MIT
"""One frame of `so1 top` to be printed: the first of each kind, and how many more there are."""

import time
from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from so1.escape_controls import escape_controls
from so1.live import groups
from so1.live.groups import Order
from so1.model import ContainerUsage, Process
from so1.sample import Sample
from so1.store.rows import state_name

WIDTH = 100
"""Columns of a page that goes to a file or a pipe."""
_ROWS = 10
"""Containers, and processes, that are shown."""
_UNKNOWN = "?"
"""What stands for a figure that is not known."""
_SHARES = {"CONTAINER": 3, "IMAGE": 2, "NAME": 2}
"""Columns that are cut where the page is narrow, and their shares of what figures leave them."""


def page(sample: Sample, order: Order, trouble: str) -> Group:
    """Lay out a sample; `trouble` is a sentence where something did not work."""
    snapshot = sample.snapshot
    usages = groups.containers(sample, order)
    processes = groups.processes(sample, snapshot.processes, order)
    head = (
        f"{time.strftime('%H:%M:%S')}  {len(processes)} processes, {len(usages)} containers,"
        f" {_mib(snapshot.used_ram)} of {_mib(snapshot.total_ram)} MiB used,"
        f" sorted by {order}, source {snapshot.source}"
    )
    parts: list[RenderableType] = [Text(head, style="bold")]
    if usages:
        parts.append(_containers(usages[:_ROWS]))
        parts += _rest(len(usages), "containers")
    parts += [Text(""), _processes(sample, processes[:_ROWS])]
    parts += _rest(len(processes), "processes")
    if trouble:
        parts += [Text(""), Text(escape_controls(trouble))]
    return Group(*parts)


def _rest(found: int, what: str) -> list[Text]:
    """Say how many are left out, where any is."""
    return [Text(f"and {found - _ROWS} more {what}", style="dim")] if found > _ROWS else []


def _containers(usages: Sequence[ContainerUsage]) -> Table:
    table = _table(
        *("CONTAINER", "CLASS", "PROCS", "MEMORY MiB", "LIMIT MiB", "RAM MiB", "CPU %"),
        *("HEALTH", "IMAGE"),
    )
    for usage in usages:
        container, charged = usage.container, usage.charged
        seen = bool(usage.processes)
        _add(
            table,
            *(container.name, container.class_, str(usage.processes) if seen else _UNKNOWN),
            *(_mib(usage.memory), _mib(charged.memory_limit if charged else None, none="")),
            *(_mib(usage.ram if seen else None), f"{usage.cpu:.1f}"),
            *("looping" if container.looping else container.health or "", container.image),
        )
    return table


def _processes(sample: Sample, processes: Sequence[Process]) -> Table:
    inside = {p.key: u.container.name for u in sample.everyone for p in u.members}
    table = _table("PID", "STATE", "THREADS", "RAM MiB", "CPU %", "NAME", "CONTAINER")
    for p in processes:
        _add(
            table,
            *(str(p.pid), state_name(p.state), str(p.threads), _mib(p.rss)),
            *(f"{sample.cpu.percent(p):.1f}", p.name, inside.get(p.key, "")),
        )
    return table


def _mib(kib: int | None, none: str = _UNKNOWN) -> str:
    return none if kib is None else f"{kib / 1024:.1f}"


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, expand=True)
    for name in columns:
        right = name in ("PID", "THREADS", "PROCS") or name.endswith((" MiB", " %"))
        table.add_column(
            name,
            justify="right" if right else "left",
            ratio=_SHARES.get(name),
            no_wrap=True,
            overflow="ellipsis",
        )
    return table


def _add(table: Table, *cells: str) -> None:
    table.add_row(*(Text(escape_controls(cell)) for cell in cells))
