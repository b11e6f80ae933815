# SPDX-License-Identifier: MIT
"""The dashboard of the whole host."""

from grafana_foundation_sdk.builders import common, stat, table
from grafana_foundation_sdk.models import dashboard
from grafana_foundation_sdk.models.common import (
    BigValueTextMode,
    StackingMode,
)

from generator.board import Placed, board, place
from generator.panel import (
    ALL_CPUS,
    DASHED,
    ONE_CPU,
    UNKNOWN,
    WRAPPED,
    absent,
    bars,
    dashed,
    dial,
    fixed,
    graph,
    legend,
    named_graph,
    number,
    rows,
    settled,
    steps,
    tally,
    unit,
    width,
)
from generator.query import (
    AGE,
    AVAILABLE,
    LABEL,
    LARGEST,
    LAST_TICK,
    PART,
    counted,
    happened,
    largest,
    latest,
    lines,
    of_metrics,
    sampled,
)

UID = "so1-system"
TITLE = "SO1 System"
CALM = steps((None, "green"))
LOAD = steps((None, "green"), (80, "orange"), (95, "red"))
NEARLY_FULL = "90 % used"
"""The line of the alert So1MemoryNearlyFull."""
FULL = steps((None, "green"), (80, "orange"), (90, "red"))
BUSY = steps((None, "blue"), (80, "orange"))
WRONG = steps((None, "green"), (1, "red"))
WENT_WRONG = "outcome IN ('failed', 'refused')"
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
_STATES = {
    "running": ("green", "('running')"),
    "sleeping": ("blue", "('sleeping', 'idle', 'parked')"),
    "disk sleep": ("orange", "('disk-sleep')"),
    "zombie": ("red", "('zombie', 'dead')"),
    "stopped": ("purple", "('stopped', 'traced')"),
}
"""The states as they are drawn: colour, and which of the database's are in it."""


def last_tick() -> stat.Panel:
    """Show whether the daemon is alive: first on every wall."""
    return (
        number(
            "Last tick",
            "Time since the daemon last wrote, whatever the time range; it writes every 20 seconds"
            " unless configured otherwise. «no tick yet»: the database is new. If that lasts longer"
            " than a minute, or this is red, see `so1 status` on the host.",
            AGE,
        )
        .unit("s")
        .mappings([absent("no tick yet", "orange")])
        .thresholds(steps((None, "green"), (60, "orange"), (180, "red")))
        .no_value("No tick yet")
    )


def failures() -> stat.Panel:
    """Show how often something went wrong."""
    return tally(
        "Failures",
        "Events that failed or were refused, and in how long: the time range shown. «What failed"
        " last» below lists them.",
        happened("failures", WENT_WRONG),
        "red",
    ).thresholds(CALM)


def failed_last() -> table.Panel:
    """Show what went wrong, near the top."""
    panel = rows(
        "What failed last",
        "What failed or was refused in the time range, the newest first; the container, or the part"
        " of SO1.",
        f"""
        SELECT {PART}, timestamp / 1000.0 AS time, COALESCE(container_name, kind) AS what, detail
        FROM events
        WHERE timestamp BETWEEN $__from AND $__to AND {WENT_WRONG}
        ORDER BY timestamp DESC
        LIMIT 20
        """,  # noqa: S608
    )
    return (
        panel.unit("string")
        .thresholds(CALM)
        .no_value("No failure, or no tick, in this time range")
        .override_by_name("time", unit("dateTimeAsSystem", **width(165)))
        .override_by_name("what", unit("string", **WRAPPED, **width(150)))
        .override_by_name("detail", unit("string", **WRAPPED))
    )


def troubles() -> stat.Panel:
    """Show how much does not work now."""
    return (
        number(
            "Troubles",
            "What did not work at the last tick: the System dashboard says it below, `so1 status`"
            " on the host says it too.",
            latest(
                "CASE WHEN troubles IS NULL THEN 0"
                " ELSE 1 + length(troubles) - length(replace(troubles, char(10), '')) END"
                " AS troubles"
            ),
        )
        .unit("short")
        .decimals(0)
        .thresholds(WRONG)
    )


def _troubles_now() -> table.Panel:
    return (
        rows(
            "Troubles at the last tick",
            "A line for each thing that did not work.",
            f"""
            SELECT {PART}, timestamp / 1000.0 AS time, troubles
            FROM metrics
            WHERE timestamp = {LAST_TICK} AND troubles IS NOT NULL
            """,  # noqa: S608
        )
        .unit("string")
        .thresholds(CALM)
        .no_value("No trouble, or no tick, in this time range")
        .override_by_name("time", unit("dateTimeAsSystem", **width(165)))
        .override_by_name("troubles", unit("string", **WRAPPED))
    )


def _tiles() -> list[Placed]:
    cpu = dial(
        "All CPUs",
        "Share of all CPUs that was busy between the last two ticks.",
        latest("cpu_usage AS cpu"),
    )
    ram = number(
        "RAM used",
        "Share of RAM that programs cannot get any more at the last tick: caches that the kernel"
        " gives back are not in it.",
        latest(f"100.0 - {AVAILABLE} * 100.0 / total_ram AS ram"),
    )
    processes = number(
        "Processes",
        "Processes (thread groups) on the host at the last tick.",
        latest("process_count AS processes"),
    )
    stuck = number(
        "Stuck",
        "Processes at the last tick that wait for a disk, or ended and wait for their parent"
        " (zombies).",
        counted(
            "stuck",
            "process_states",
            "state IN ('disk-sleep', 'zombie', 'dead')",
            "COALESCE(SUM(process_count), 0)",
        ),
    )
    source = number(
        "Source",
        "Where snapshots come from: the kernel modules, or /proc where they are not loaded.",
        latest("source AS source"),
    )
    sources = {
        "module": dashboard.ValueMappingResult(text="modules", color="green", index=0),
        "procfs": dashboard.ValueMappingResult(text="/proc", color="orange", index=1),
    }
    crowd = steps((None, "green"), (2_000, "orange"), (5_000, "red"))
    return [
        (last_tick(), 3, 4),
        (troubles(), 3, 4),
        (failures(), 3, 4),
        (cpu.unit("percent").min(0).max(100).decimals(0).thresholds(LOAD), 3, 4),
        (ram.unit("percent").decimals(0).thresholds(FULL), 3, 4),
        (processes.unit("short").thresholds(crowd), 3, 4),
        (stuck.unit("short").thresholds(steps((None, "green"), (1, "orange"))), 3, 4),
        (
            source.unit("string")
            .text_mode(BigValueTextMode.VALUE)
            .mappings([dashboard.ValueMap(options=sources), *UNKNOWN])
            .thresholds(steps((None, "text"))),
            3,
            4,
        ),
    ]


def _by_process(column: str) -> str:
    busiest = {"ram_usage": "used_ram", "cpu_usage": "cpu_usage"}[column]
    return largest(
        f"""
        SELECT time, name AS key, name, ' others' AS of, SUM({column}) AS value
        FROM tick CROSS JOIN process_stats USING (timestamp)
        GROUP BY time, name
        """,  # noqa: S608 - constants
        busiest,
    )


def _top(column: str) -> str:
    return f"""
        SELECT {LABEL.format("name || ' (' || pid || ')'")} AS process, {column} AS value
        FROM process_stats
        WHERE timestamp = {LAST_TICK} AND pid > 0
        ORDER BY {column} DESC
        LIMIT 10
    """  # noqa: S608 - constants


def _states() -> str:
    columns = ", ".join(
        f'SUM(CASE WHEN state IN {states} THEN process_count ELSE 0 END) AS "{name}"'
        for name, (_, states) in _STATES.items()
    )
    source = f"""
        SELECT time, {columns}
        FROM ({sampled()}) AS tick JOIN process_states USING (timestamp)
        GROUP BY tick.timestamp
    """  # noqa: S608 - constants
    return lines(source, *_STATES)


def system() -> dashboard.Dashboard:
    """Memory, CPU and processes of the host, and whether the daemon still ticks."""
    cpu = (
        dashed(
            graph(
                f"CPU of the host, {ALL_CPUS}",
                "Share of all CPUs that was busy: the mean and the peak of each interval.",
                of_metrics(mean="AVG(cpu_usage)", peak="MAX(cpu_usage)"),
            ),
            (80, "orange"),
            (95, "red"),
        )
        .unit("percent")
        .min(0)
        .max(100)
        .decimals(0)
        .legend(legend("max"))
        .override_by_name("mean", settled(**fixed("blue")))
        .override_by_name(
            "peak",
            settled(**fixed("light-blue"), **{"custom.lineWidth": 1, "custom.fillOpacity": 0}),
        )
    )
    stacked = common.StackingConfig().mode(StackingMode.NORMAL).group("A")
    ram = (
        graph(
            "RAM of the host",
            "Used and free RAM, and caches that the kernel gives back: the mean of each interval."
            " Where used is above the dashed line, a fleet's alert says that RAM is nearly full.",
            of_metrics(
                used=f"AVG(total_ram - {AVAILABLE})",
                caches=f"AVG({AVAILABLE} - free_ram)",
                free="AVG(free_ram)",
                **{NEARLY_FULL: "MAX(total_ram) * 0.9"},
            ),
        )
        .unit("kbytes")
        .min(0)
        .stacking(stacked)
        .thresholds(CALM)
        .override_by_name("used", settled(**fixed("blue"), **{"custom.fillOpacity": 30}))
        .override_by_name("caches", settled(**fixed("light-blue"), **{"custom.fillOpacity": 15}))
        .override_by_name("free", settled(**fixed("text"), **{"custom.fillOpacity": 0}))
        .override_by_name(
            NEARLY_FULL,
            settled(
                **fixed("red"),
                **DASHED,
                **{"custom.fillOpacity": 0, "custom.stacking": {"mode": "none"}},
            ),
        )
    )
    cpu_by = named_graph(
        f"CPU by process, {ONE_CPU}",
        "The busiest tick of each interval, by the processes' name. The"
        f" {LARGEST} names with the highest peaks in the time range have a line each. The rest are"
        " one line, their sum; its name says how many they are.",
        _by_process("cpu_usage"),
    )
    ram_by = named_graph(
        "RAM by process",
        "Resident RAM at the fullest tick of each interval, by the processes' name. The"
        f" {LARGEST} names with the highest peaks in the time range have a line each. The rest are"
        " one line, their sum; its name says how many they are.",
        _by_process("ram_usage"),
    )
    top_ram = bars(
        "Top processes now, by RAM",
        "The ten with the most resident RAM at the last tick.",
        _top("ram_usage"),
    )
    top_cpu = bars(
        f"Top processes now, by CPU, {ONE_CPU}",
        "The ten busiest between the last two ticks.",
        _top("cpu_usage"),
    )
    states = graph(
        "Process states",
        "How many processes were in each state at the last tick of each interval.",
        _states(),
    )
    for name, (colour, _) in _STATES.items():
        states.override_by_name(name, settled(**fixed(colour)))
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
    panels = [
        *_tiles(),
        (_troubles_now(), 10, 5),
        (failed_last(), 14, 5),
        (cpu, 12, 8),
        (ram, 12, 8),
        (cpu_by.unit("percent").min(0).thresholds(CALM), 12, 8),
        (ram_by.unit("kbytes").min(0).thresholds(CALM), 12, 8),
        (
            top_cpu.unit("percent").min(0).max(100).thresholds(BUSY),
            12,
            9,
        ),
        (top_ram.unit("kbytes").min(0).thresholds(steps((None, "blue"))), 12, 9),
        (
            states.unit("short")
            .decimals(0)
            .min(0)
            .stacking(stacked)
            .line_width(0)
            .fill_opacity(60)
            .thresholds(CALM),
            12,
            8,
        ),
        (
            limited.unit("string")
            .thresholds(CALM)
            .no_value("No limited process, or no tick, in this time range")
            .override_by_name("process", unit("string", **{"custom.minWidth": 100}))
            .override_by_name("pid", unit("none", **width(75)))
            .override_by_name("limit", unit("bytes", **width(80)))
            .override_by_name("in use", unit("bytes", **width(80)))
            .override_by_name("percent", unit("percent", decimals=1, **_NEARNESS, **width(75)))
            .override_by_name("since", unit("dateTimeFromNow", **width(105)))
            .override_by_name("by uid", unit("none", **width(65))),
            12,
            8,
        ),
    ]
    description = "Memory, CPU and processes of the host, from metrics.db."
    return place(board(UID, TITLE, description), panels)
