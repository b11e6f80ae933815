# SPDX-License-Identifier: MIT
"""`so1 top`."""

import json
import sys
import time
from pathlib import Path

import click
from rich.console import Console

from so1.commands import measure, settings
from so1.config import Config
from so1.docker_engine import Engine, EngineError
from so1.live import groups, screen
from so1.live.groups import Order
from so1.live.page import WIDTH, page
from so1.live.source import Source
from so1.live.view import KEYS, Shown, View
from so1.model import ContainerUsage
from so1.sample import Sample, Sampler, Word
from so1.store.rows import state_name

_FIRST = 0.5
"""Seconds over which CPU is measured for the first frame."""


class _View:
    """Takes a sample for each frame."""

    def __init__(self, settled: Config, sort: Order) -> None:
        self._engine = Engine(settled.docker)
        self._sampler = Sampler(settled.snapshot)
        self.sort = sort
        self._sample: Sample
        self._trouble = ""

    def refresh(self) -> None:
        try:
            listed = self._engine.running()
            word, self._trouble = Word(tuple(listed), time.monotonic()), ""
        except EngineError as error:
            # Who only looks has not come to start it.
            why = f"Docker cannot be asked, so containers have only an id here: {error.what}"
            word, self._trouble = Word(), why
        self._sample = measure.one(self._sampler, word)
        if blind := self._sample.gaps.get("blind"):
            self._trouble = blind

    def json(self) -> dict[str, object]:
        """Give the whole of a frame, however long it is."""
        sample, snapshot = self._sample, self._sample.snapshot
        usages = groups.containers(sample, self.sort)
        processes = groups.processes(sample, snapshot.processes, self.sort)
        inside = {p.key: u.container for u in usages for p in u.members}
        return {
            "timestamp": round(sample.timestamp * 1000),
            "source": snapshot.source,
            "total_ram": snapshot.total_ram,
            "free_ram": snapshot.free_ram,
            "used_ram": snapshot.used_ram,
            "available_ram": snapshot.available_ram,
            "cpu": round(sample.host_cpu, 1),
            "problem": self._trouble or None,
            "containers": [_container(usage) for usage in usages],
            "processes": [
                {
                    "pid": p.pid,
                    "name": p.name,
                    "state": state_name(p.state),
                    "threads": p.threads,
                    "ram": p.rss,
                    "cpu": round(sample.cpu.percent(p), 1),
                    "container_id": inside[p.key].id if p.key in inside else None,
                }
                for p in processes
            ],
        }

    def newest(self) -> Shown:
        """Give the sample that was taken last."""
        return Shown(self._sample, self._trouble)

    def shown(self) -> Shown:
        """Take the next sample for the live view."""
        self.refresh()
        return self.newest()


def _container(usage: ContainerUsage) -> dict[str, object]:
    container, charged = usage.container, usage.charged
    seen = bool(usage.processes)
    return {
        "container_id": container.id,
        "name": container.name,
        "image": container.image,
        "class": container.class_,
        "processes": usage.processes if seen else None,
        "memory": usage.memory,
        "memory_limit": charged.memory_limit if charged else None,
        "ram": usage.ram if seen else None,
        "cpu": round(usage.cpu, 1),
        "restarts": container.restarts,
        "health": container.health,
        "looping": container.looping,
    }


class _Command(click.Command):
    """Adds the keys to the help."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_epilog(ctx, formatter)
        with formatter.section("Keys"):
            formatter.write_dl(KEYS)


@click.command(cls=_Command)
@click.option(
    "--sort",
    type=click.Choice(["ram", "cpu", "pressure", "limit", "name"]),
    default="ram",
    show_default=True,
    help="What comes first; `limit` is the share of a memory limit that is in use.",
)
@click.option(
    "--every",
    type=click.FloatRange(min=0.2, max=3600),
    default=2.0,
    show_default=True,
    metavar="SECONDS",
    help="How often the screen is drawn; CPU is measured over that time.",
)
@click.option(
    "--once",
    is_flag=True,
    help="Print the first ten containers and processes, and end; needs no terminal.",
)
@click.option(
    "--json", "as_json", is_flag=True, help="Print all containers and processes as JSON, and end."
)
@click.pass_obj
def command(path: Path, sort: Order, every: float, *, once: bool, as_json: bool) -> None:
    """Show the containers and processes that use the most, live.

    MEM of a container is what the kernel charges it, without file cache, as in docker stats; MEM of
    a process is its resident RAM. CPU is in percent of one CPU. A question mark stands for what is
    not known. Where Docker cannot be asked, containers are shown by their id.

    Exit codes: 0 ended by q or Ctrl-C, 1 no snapshot could be taken, 2 wrong usage.
    """
    settled = settings.load_or_default(path)
    if not (once or as_json) and not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise click.UsageError("there is no terminal to draw on; use --once")
    view = _View(settled, sort)
    view.refresh()
    time.sleep(min(every, _FIRST))
    view.refresh()
    if as_json:
        click.echo(json.dumps(view.json(), indent=2))
        return
    if once:
        console = Console()
        if not console.is_terminal:
            console = Console(width=WIDTH)
        now = view.newest()
        console.print(page(now.sample, sort, now.trouble))
        return
    source = Source(view.shown, every)
    try:
        screen.watch(View(source.newest(), sort), source)
    except KeyboardInterrupt:
        return
    finally:
        source.close()
