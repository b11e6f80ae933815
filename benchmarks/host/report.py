# SPDX-License-Identifier: MIT
"""From the raw figures to docs/benchmark.md and its plot."""

from __future__ import annotations

import statistics
import string
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

METHODS = {
    "sysinfo": "bare read of sysinfo",
    "bpf": "bare read of the BPF iterator",
    "decode": "read + decode (sysinfo)",
    "snapshot": "a snapshot, as a tick takes it",
    "stat": "reading /proc/*/stat",
    "ps": "`ps -eo`",
    "psutil": "`psutil.process_iter`",
}
UNITS = {
    "daemon": "a tick of the daemon",
    "process_exporter": "a scrape of process-exporter",
    "node_exporter": "a scrape of node_exporter",
}
ENOUGH = 1000
"""The goals hold from this many processes on."""
FLAT = 1.25
CALM = 0.1
"""The share of the CPUs beneath that others may use meanwhile without spreading the ratios."""
FEW = 5
"""Rounds or minutes below which the quartiles say little."""
RSS_MIB = 45


class Spread(NamedTuple):
    """The middle of some samples, and what half of them lie between."""

    low: float
    median: float
    high: float


def spread(samples: Sequence[float]) -> Spread:
    """Quartiles; of a single sample, itself."""
    if len(samples) < 2:
        return Spread(samples[0], samples[0], samples[0])
    return Spread(*statistics.quantiles(samples, n=4, method="inclusive"))


def ratios(above: Sequence[float], below: Sequence[float]) -> Spread:
    """Each round's own ratio: what slowed the machine down slowed both."""
    return spread([a / b for a, b in zip(above, below, strict=True)])


def _digits(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _shown(value: Spread) -> str:
    return f"{_digits(value.median)} ({_digits(value.low)}–{_digits(value.high)})"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    aligned = ["---"] + ["---:"] * (len(head) - 1)
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, aligned, *rows))


def _verdict(*, reached: bool) -> str:
    return "reached" if reached else "**not reached**"


def _goal(
    text: str, measured: Mapping[int, Spread], *, least: float = 0, most: float = float("inf")
) -> list[str]:
    seen = "; ".join(f"{count:,}: {_shown(value)}" for count, value in measured.items())
    good = all(least <= value.median <= most for value in measured.values())
    return [text, seen, _verdict(reached=good)]


def _goals(figures: list[Any]) -> str:
    large = [f for f in figures if f["crowd"] >= ENOUGH]

    def between(above: str, below: str) -> dict[int, Spread]:
        return {f["crowd"]: ratios(f["seconds"][above], f["seconds"][below]) for f in large}

    def growth(method: str) -> dict[int, Spread]:
        # Not within a round: one count is measured after the other.
        each = [statistics.median(f["seconds"][method]) / f["processes"] for f in figures]
        return {
            f["crowd"]: spread(
                [s / f["processes"] / min(each[:number]) for s in f["seconds"][method]]
            )
            for number, f in enumerate(figures)
            if number
        }

    def most_of(measured: dict[int, Spread]) -> dict[int, Spread]:
        # What does not hold for few: of a read of some hundred processes a part is the system call.
        return {count: value for count, value in measured.items() if count == max(measured)}

    cpu = {f["crowd"]: f["tick"]["cpu_ms"] for f in large}
    scrapes = {count: ratios(ms["process_exporter"], ms["daemon"]) for count, ms in cpu.items()}
    memory = {f["crowd"]: f["tick"]["memory_kib"]["VmHWM"] / 1024 for f in figures}
    rows = [
        _goal("bare read ÷ BPF iterator ≤ 0.45", between("sysinfo", "bpf"), most=0.45),
        _goal("psutil ÷ (read + decode) ≥ 150", most_of(between("psutil", "decode")), least=150),
        _goal("ps ÷ (read + decode) ≥ 50", most_of(between("ps", "decode")), least=50),
        *(
            _goal(f"{text}, per process ÷ the least with fewer ≤ {FLAT}", growth(m), most=FLAT)
            for m, text in (("sysinfo", "bare read"), ("decode", "read + decode"))
        ),
        _goal("CPU: process-exporter scrape ÷ tick ≥ 50", scrapes, least=50),
        [
            f"RSS of the daemon at its highest < {RSS_MIB} MiB",
            "; ".join(f"{count:,}: {_digits(mib)}" for count, mib in memory.items()),
            _verdict(reached=all(mib < RSS_MIB for mib in memory.values())),
        ],
    ]
    return _table(["goal", "measured, by processes added", ""], rows)


def _walks(figures: list[Any]) -> dict[str, str]:
    counts = ["", *(f"{f['crowd']:,} ({f['processes']:,})" for f in figures)]

    def table(value: Callable[[Any, str], Spread]) -> str:
        return _table(
            counts,
            [[text, *(_shown(value(f, m)) for f in figures)] for m, text in METHODS.items()],
        )

    return {
        "times": table(lambda f, m: spread([t * 1e3 for t in f["seconds"][m]])),
        "multiples": table(lambda f, m: ratios(f["seconds"][m], f["seconds"]["decode"])),
        "each": table(lambda f, m: spread([t * 1e6 / f["processes"] for t in f["seconds"][m]])),
    }


def _ticks(figures: list[Any]) -> dict[str, str]:
    counts = ["", *(f"{f['crowd']:,} ({f['tick']['processes']:,})" for f in figures)]
    ticks = [f["tick"] for f in figures]
    cpu = [
        [text, *(_shown(spread(t["cpu_ms"][name])) for t in ticks)] for name, text in UNITS.items()
    ]
    cpu.append(
        [
            "the Docker Engine, for that minute's request",
            *(_shown(spread(t["engine_ms"])) for t in ticks),
        ]
    )
    tick = [
        [f"{UNITS[name]} ÷ a tick"]
        + [_shown(ratios(t["cpu_ms"][name], t["cpu_ms"]["daemon"])) for t in ticks]
        for name in ("process_exporter", "node_exporter")
    ]
    for text, key in (("now", "VmRSS"), ("at its highest", "VmHWM")):
        sizes = [_digits(t["memory_kib"][key] / 1024) for t in ticks]
        tick.append([f"RSS of the daemon {text}, MiB", *sizes])
    tick.append(["database, bytes a tick", *(f"{t['bytes_per_tick']:,.0f}" for t in ticks)])
    return {"cpu": _table(counts, cpu), "tick": _table(counts, tick)}


def _plot(figures: list[Any], path: Path) -> None:
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "so1"
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(9, 5), layout="constrained")
    at = [f["processes"] for f in figures]
    order = sorted(METHODS, key=lambda m: -statistics.median(figures[-1]["seconds"][m]))
    for method in order:
        quartiles = [spread([t * 1e3 for t in f["seconds"][method]]) for f in figures]
        medians = [q.median for q in quartiles]
        bars = [[q.median - q.low for q in quartiles], [q.high - q.median for q in quartiles]]
        axes.errorbar(
            at,
            medians,
            yerr=bars,
            marker="o",
            capsize=3,
            label=METHODS[method].replace("`", ""),
            linestyle="--" if method == "bpf" else "-",
        )
    axes.set(xscale="log", yscale="log", xlabel="processes on the host", ylabel="milliseconds")
    axes.set_xticks(at, [f"{count:,}" for count in at])
    axes.set_xticks([], minor=True)
    axes.set_title("Learning of all processes once: median, and quartiles")
    axes.grid(visible=True, which="both", alpha=0.25)
    figure.legend(loc="outside right center", fontsize="small")
    figure.savefig(path, metadata={"Date": None})


def _warning(others: float, rounds: int, minutes: int) -> str:
    reasons = []
    if others > CALM:
        reasons.append(f"others used {others:.0%} of the machine beneath meanwhile")
    if min(rounds, minutes) < FEW:
        reasons.append(f"it had {rounds} rounds and {minutes} minutes only")
    if not reasons:
        return ""
    why = ", and\n".join(reasons)
    return f"\n**To be run again on a calm machine:**\n{why}.\n"


def write(raw: dict[str, Any], docs: Path) -> None:
    """Write the page and the plot."""
    host, figures = raw["host"], raw["figures"]
    machine = {
        "date": raw["date"],
        "kernel": host["kernel"],
        "CPU": f"{host['cpus']} of {host['cpu']}",
        "RAM": f"{host['ram_kib'] / 2**20:.1f} GiB",
        "accelerator": raw["accelerator"],
        "BPF JIT": "on" if host["bpf_jit"] else "off",
        "others' share of the machine beneath": f"{raw['others']:.1%}",
    }
    packages = host["packages"]
    rounds = len(figures[0]["seconds"]["sysinfo"])
    minutes = len(figures[0]["tick"]["cpu_ms"]["daemon"])
    page = string.Template((Path(__file__).parent / "page.md").read_text())
    text = page.substitute(
        machine=_table(["", ""], [[key, str(value)] for key, value in machine.items()]),
        goals=_goals(figures),
        warning=_warning(raw["others"], rounds, minutes),
        rounds=rounds,
        minutes=minutes,
        psutil=host["psutil"],
        procps=packages["procps"],
        process_exporter=packages["prometheus-process-exporter"],
        node_exporter=packages["prometheus-node-exporter"],
        **_walks(figures),
        **_ticks(figures),
    )
    (docs / "benchmark.md").write_text(text)
    _plot(figures, docs / "benchmark.svg")
