# SPDX-License-Identifier: MIT
"""`so1 snapshot`."""

import json
from collections.abc import Callable
from pathlib import Path

import click
import msgspec

from so1.commands import measure, settings, tables
from so1.cpu_usage import CpuUsage
from so1.escape_controls import escape_controls
from so1.model import SHORT_ID, Process
from so1.sample import Sample
from so1.store.rows import state_name

_PROCESS_KEYS: dict[str, Callable[[Process, CpuUsage], object]] = {
    "ram": lambda p, _: -p.rss,
    "cpu": lambda p, cpu: -cpu.percent(p),
    "pid": lambda p, _: p.pid,
    "name": lambda p, _: p.name,
}


def _containers(sample: Sample, sort: str) -> list[dict[str, object]]:
    usages = [usage for usage in sample.everyone if usage.members]
    if sort == "ram":
        usages.sort(key=lambda u: -(u.ram if u.memory is None else u.memory))
    elif sort == "cpu":
        usages.sort(key=lambda u: -u.cpu)
    else:
        usages.sort(key=lambda u: u.container.id)
    return [
        {
            "container_id": u.container.id,
            "processes": u.processes,
            "memory": u.memory,
            "memory_limit": u.charged.memory_limit if u.charged else None,
            "ram": u.ram,
            "cpu": round(u.cpu, 1),
            "pids": u.charged.pids if u.charged else None,
            "first_process": min(u.members, key=lambda p: p.start_ns).name,
        }
        for u in usages
    ]


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

    Memory is what the kernel charges a container, without file cache. CPU is in percent of one CPU.
    In JSON RAM and memory are in KiB, and memory is null where the cgroup cannot be read.

    Exit codes: 0 shown, 1 no snapshot could be taken, 2 wrong usage.
    """
    sample = measure.take(settings.load_or_default(path), over)
    snapshot, cpu = sample.snapshot, sample.cpu
    key = _PROCESS_KEYS[sort]
    processes = sorted(snapshot.processes, key=lambda p: (key(p, cpu), p.pid))
    groups = _containers(sample, sort)
    total, found = len(processes), len(groups)
    if top:
        processes, groups = processes[:top], groups[:top]
    inside = {p.key: u.container.id for u in sample.everyone for p in u.members}
    if as_json:
        body: dict[str, object] = {
            "source": snapshot.source,
            "total_ram": snapshot.total_ram,
            "free_ram": snapshot.free_ram,
            "used_ram": snapshot.used_ram,
            "available_ram": snapshot.available_ram,
            "blind": snapshot.blind,
            "process_count": total,
            "container_count": found,
        }
        if containers:
            body["containers"] = groups
        else:
            body["processes"] = [
                msgspec.to_builtins(p)
                | {
                    "cpu": round(cpu.percent(p), 1),
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
    if snapshot.blind:
        click.echo(f"{snapshot.blind}.")
    if containers:
        tables.show(
            "",
            ["CONTAINER", "PROCESSES", "MEMORY MiB", "RAM MiB", "CPU %", "FIRST PROCESS"],
            (
                (
                    str(g["container_id"])[:SHORT_ID],
                    g["processes"],
                    None if g["memory"] is None else int(str(g["memory"])) / 1024,
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
                *(p.pid, p.uid, state_name(p.state), p.threads, p.rss / 1024, cpu.percent(p)),
                *(p.name, inside.get(p.key, "")[:SHORT_ID]),
            )
            for p in processes
        ),
    )
