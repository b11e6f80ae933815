# SPDX-License-Identifier: MIT
"""The dashboard of the whole host."""

from grafana_foundation_sdk.builders import common
from grafana_foundation_sdk.models import dashboard
from grafana_foundation_sdk.models.common import BigValueTextMode, StackingMode

from generator.board import board, place
from generator.panel import bars, dial, graph, named_graph, number, rows, steps, unit
from generator.query import LAST_TICK, PART, SAMPLED_TICKS

UID = "so1-system"
TITLE = "SO1 System"
_NEARNESS: dict[str, object] = {
    "custom.cellOptions": {"type": "color-text"},
    "thresholds": {
        "mode": "absolute",
        "steps": [
            {"value": None, "color": "green"},
            {"value": 80, "color": "orange"},
            {"value": 95, "color": "red"},
        ],
    },
}
"""How near a process is to its limit; above 100 percent it had more before it was limited."""


def _top(column: str) -> str:
    return f"""
        SELECT name || CASE WHEN pid > 0 THEN ' (' || pid || ')' ELSE '' END AS process,
               {column} AS value
        FROM process_stats
        WHERE timestamp = {LAST_TICK} AND pid > 0
        ORDER BY {column} DESC
        LIMIT 10
    """  # noqa: S608 - constants


def system() -> dashboard.Dashboard:
    """Memory, CPU and processes of the host, and whether the daemon still ticks."""
    last = f"FROM metrics WHERE timestamp = {LAST_TICK} LIMIT 1"
    cpu = dial(
        "CPU",
        "Share of all CPUs that was busy between the last two ticks.",
        f"SELECT (SELECT cpu_usage {last}) AS cpu",
    )
    ram = graph(
        "RAM",
        "Used and free RAM, the mean of each interval; used is total minus free, caches included.",
        f"""
        SELECT {PART}, timestamp / $__interval_ms * $__interval_ms / 1000 AS time,
               AVG(used_ram) AS used, AVG(free_ram) AS free
        FROM metrics
        WHERE timestamp BETWEEN $__from AND $__to
        GROUP BY time
        ORDER BY time
        """,  # noqa: S608
    )
    processes = number(
        "Processes",
        "Processes (thread groups) on the host at the last tick.",
        f"SELECT (SELECT process_count {last}) AS processes",
    )
    age = number(
        "Last tick",
        "Time since the daemon last wrote; it writes every 20 seconds unless configured otherwise.",
        """
        SELECT CAST(strftime('%s', 'now') AS INTEGER) - MAX(timestamp) / 1000 AS age
        FROM metrics
        """,
    )
    source = number(
        "Source",
        "Where snapshots come from: the kernel modules, or /proc where they are not loaded.",
        f"SELECT (SELECT source {last}) AS source",
    )
    top_ram = bars(
        "Top processes by RAM",
        "The ten with the most resident RAM now.",
        _top("ram_usage"),
        "process",
    )
    top_cpu = bars(
        "Top processes by CPU",
        "The ten busiest between the last two ticks, in percent of one CPU.",
        _top("cpu_usage"),
        "process",
    )
    count = graph(
        "Processes over time",
        "Processes on the host, the mean of each interval.",
        f"""
        SELECT {PART}, timestamp / $__interval_ms * $__interval_ms / 1000 AS time,
               AVG(process_count) AS processes
        FROM metrics
        WHERE timestamp BETWEEN $__from AND $__to
        GROUP BY time
        ORDER BY time
        """,  # noqa: S608
    )
    states = named_graph(
        "Process states",
        "How many processes were in each state at the last tick of each interval.",
        f"""
        SELECT s.timestamp / 1000 AS time, s.state AS name, s.process_count AS value
        FROM {SAMPLED_TICKS} AS tick
        JOIN process_states AS s ON s.timestamp = tick.timestamp
        ORDER BY 1
        """,  # noqa: S608
    )
    limited = rows(
        "Limited processes",
        "Processes under a limit of the memory limiter at the last tick, the one nearest to its"
        " limit first; both sizes are address space.",
        f"""
        SELECT {PART}, process_name AS process, pid, limit_bytes AS "limit", size_bytes AS "in use",
               size_bytes * 100.0 / limit_bytes AS percent, set_at AS since, set_by AS "by uid"
        FROM memory_limits
        WHERE timestamp = {LAST_TICK}
        ORDER BY percent DESC
        """,  # noqa: S608
    )
    stacked = common.StackingConfig().mode(StackingMode.NORMAL).group("A")
    load = steps((None, "green"), (70, "orange"), (90, "red"))
    panels = [
        (cpu.unit("percent").min(0).max(100).decimals(0).thresholds(load), 6, 7),
        (
            processes.unit("short").thresholds(
                steps((None, "green"), (2_000, "orange"), (5_000, "red"))
            ),
            6,
            7,
        ),
        (
            age.unit("s").thresholds(steps((None, "green"), (60, "orange"), (180, "red"))),
            6,
            7,
        ),
        (
            source.unit("string")
            .text_mode(BigValueTextMode.VALUE)
            .thresholds(steps((None, "blue"))),
            6,
            7,
        ),
        (ram.unit("kbytes").min(0).stacking(stacked).thresholds(steps((None, "green"))), 12, 9),
        (count.unit("short").min(0).thresholds(steps((None, "green"))), 12, 9),
        (
            top_ram.unit("kbytes").min(0).display_name("RAM").thresholds(steps((None, "blue"))),
            8,
            10,
        ),
        (
            top_cpu.unit("percent")
            .min(0)
            .display_name("CPU")
            .thresholds(steps((None, "blue"), (80, "orange"))),
            8,
            10,
        ),
        (
            states.unit("short").min(0).stacking(stacked).thresholds(steps((None, "green"))),
            8,
            10,
        ),
        (
            limited.unit("string")
            .thresholds(steps((None, "green")))
            .no_value("No process was limited at the last tick")
            .override_by_regexp("limit|in use", unit("bytes"))
            .override_by_name("percent", unit("percent", decimals=1, **_NEARNESS))
            .override_by_name("since", unit("dateTimeAsSystem")),
            24,
            8,
        ),
    ]
    description = "Memory, CPU and processes of the host, from metrics.db."
    return place(board(UID, TITLE, description, ("so1-containers", "SO1 Containers")), panels)
