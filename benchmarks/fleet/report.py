# SPDX-License-Identifier: MIT
"""The figures as a page and a plot."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from benchmarks.fleet.controller import Run
from benchmarks.fleet.hosts import Recording
from benchmarks.fleet.simulation import Cost


def write(
    folder: Path,
    hosts: Mapping[str, Recording],
    simulated: Mapping[str, Sequence[Cost]],
    runs: Sequence[Run],
    *,
    processes: int,
    containers: int,
) -> None:
    """Write fleet-scale.md and fleet-scale.svg."""
    (folder / "fleet-scale.md").write_text(
        "\n".join([*_page(hosts, simulated, processes, containers), *controller(runs)]) + "\n"
    )
    _plot(simulated).savefig(folder / "fleet-scale.svg", metadata={"Date": None})


def _page(
    hosts: Mapping[str, Recording],
    simulated: Mapping[str, Sequence[Cost]],
    processes: int,
    containers: int,
) -> list[str]:
    lines = [
        "<!-- SPDX-License-Identifier: MIT -->",
        "<!-- Written by `make bench-fleet`. -->",
        "# What many hosts cost their Prometheus",
        "",
        f"One host with {processes} processes and {containers} containers, scraped by itself:",
        "",
        "| exporter | series | bytes | ms a scrape (median of 30) |",
        "| --- | ---: | ---: | ---: |",
    ]
    lines += [
        f"| {name} | {one.series} | {len(one.pages[-1])} | {one.median * 1000:.1f} |"
        for name, one in hosts.items()
    ]
    lines += [
        "",
        "What it answered, as many hosts, scraped by Debian's Prometheus every 10 s for a minute;",
        "memory and CPU are Prometheus':",
        "",
        "| exporters | hosts | up | series | RSS MiB | CPU, % of one | CPU, % for 100 hosts |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    lines += [
        f"| {name} | {c.hosts} | {c.up} | {c.series} | {c.memory_bytes / 2**20:.0f}"
        f" | {c.cpu_seconds_per_second * 100:.1f}"
        f" | {c.cpu_seconds_per_second * 100 / c.hosts * 100:.1f} |"
        for name, costs in simulated.items()
        for c in costs
    ]
    return [*lines, "", "![Memory and CPU against hosts](fleet-scale.svg)"]


def controller(runs: Sequence[Run]) -> list[str]:
    """Say what a run of the roles costs the controller."""
    return [
        "",
        "## What a second run costs the controller",
        "",
        "Only those tasks of the roles that the controller does itself. The hosts, of two kinds,",
        "are all this machine and are set up already; 20 forks. The last column is Ansible with",
        "as many plays of one `set_fact`.",
        "",
        "| hosts | starts of `wheels.sh` | starts of `sources.sh` | seconds | `set_fact` alone |",
        "| ---: | ---: | ---: | ---: | ---: |",
        *(
            f"| {run.hosts} | {run.started['wheels']} | {run.started['sources']}"
            f" | {run.seconds:.0f} | {run.seconds_bare:.0f} |"
            for run in runs
        ),
        "",
        "What is started is one for each kind of host, and one for all. Only Ansible's own time",
        "for a task on a host grows with their number.",
    ]


def _plot(simulated: Mapping[str, Sequence[Cost]]) -> Figure:
    figure = Figure(figsize=(9, 3.5), layout="constrained")
    memory, cpu = figure.subplots(1, 2)
    for name, costs in simulated.items():
        x = [c.hosts for c in costs]
        memory.plot(x, [c.memory_bytes / 2**20 for c in costs], marker="o", label=name)
        cpu.plot(x, [c.cpu_seconds_per_second * 100 for c in costs], marker="o", label=name)
    for axes, title in ((memory, "Prometheus: RSS, MiB"), (cpu, "Prometheus: CPU, % of one")):
        axes.set(title=title, xlabel="hosts", xscale="log", yscale="log")
        axes.grid(visible=True, alpha=0.3)
    memory.legend()
    return figure
