# SPDX-License-Identifier: MIT
"""`so1 snapshot`."""

import json
from collections.abc import Callable
from pathlib import Path

import click
import msgspec

from so1.commands import measure, settings, tables
from so1.commands.measure import Percent
from so1.escape_controls import escape_controls
from so1.model import Process, Snapshot
from so1.tick import SHORT_ID, state_name

_PROCESS_KEYS: dict[str, Callable[[Process, Percent], object]] = {
    "ram": lambda p, _: -p.rss,
    "cpu": lambda p, percent: -percent(p),
    "pid": lambda p, _: p.pid,
    "name": lambda p, _: p.name,
}


def _containers(snapshot: Snapshot, percent: Percent, sort: str) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = [
        {
            "container_id": id_,
            "processes": len(processes),
            "ram": sum(p.rss for p in processes),
            "cpu": round(sum(map(percent, processes)), 1),
            "first_process": min(processes, key=lambda p: p.start_ns).name,
        }
        for id_, processes in snapshot.by_container.items()
    ]
    if sort in ("ram", "cpu"):
        return sorted(rows, key=lambda row: -float(str(row[sort])))
    return sorted(rows, key=lambda row: str(row["container_id"]))


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
@click.option(
    "--sort",
    type=click.Choice(list(_PROCESS_KEYS)),
    default="ram",
    show_default=True,
    help="What comes first: the most RAM, the most CPU, the lowest pid or name.",
)
@click.option(
    "--top", type=click.IntRange(min=0), default=20, show_default=True, help="How many; 0 for all."
)
@click.option("--containers", is_flag=True, help="Show containers instead of processes.")
@measure.over
@click.pass_obj
def command(
    path: Path, sort: str, top: int, over: float, *, as_json: bool, containers: bool
) -> None:
    """Show the processes or the containers that run now.

    RAM is in KiB in JSON, CPU in percent of one CPU.

    Exit codes: 0 shown, 1 no snapshot could be taken, 2 wrong usage.
    """
    snapshot, percent = measure.take(settings.load_or_default(path), over)
    key = _PROCESS_KEYS[sort]
    processes = sorted(snapshot.processes, key=lambda p: (key(p, percent), p.pid))
    groups = _containers(snapshot, percent, sort)
    total, found = len(processes), len(groups)
    if top:
        processes, groups = processes[:top], groups[:top]
    inside = {p.key: id_ for id_, ps in snapshot.by_container.items() for p in ps}
    if as_json:
        body: dict[str, object] = {
            "source": snapshot.source,
            "total_ram": snapshot.total_ram,
            "free_ram": snapshot.free_ram,
            "used_ram": snapshot.used_ram,
            "process_count": total,
            "container_count": found,
        }
        if containers:
            body["containers"] = groups
        else:
            body["processes"] = [
                msgspec.to_builtins(p)
                | {
                    "cpu": round(percent(p), 1),
                    "state": state_name(p.state),
                    "container_id": inside.get(p.key),
                }
                for p in processes
            ]
        click.echo(json.dumps(body, indent=2))
        return
    click.echo(
        f"{total} processes, {found} containers, {tables.mib(snapshot.used_ram)} of"
        f" {tables.mib(snapshot.total_ram)} used, source {snapshot.source}"
    )
    if containers:
        tables.show(
            "",
            ["CONTAINER", "PROCESSES", "RAM MiB", "CPU %", "FIRST PROCESS"],
            (
                (
                    str(g["container_id"])[:SHORT_ID],
                    g["processes"],
                    int(str(g["ram"])) / 1024,
                    g["cpu"],
                    escape_controls(str(g["first_process"])),
                )
                for g in groups
            ),
        )
        return
    tables.show(
        "",
        ["PID", "USER ID", "STATE", "THREADS", "RAM MiB", "CPU %", "NAME", "CONTAINER"],
        (
            (
                *(p.pid, p.uid, state_name(p.state), p.threads, p.rss / 1024, percent(p), p.name),
                inside.get(p.key, "")[:SHORT_ID],
            )
            for p in processes
        ),
    )
