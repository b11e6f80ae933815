# SPDX-License-Identifier: MIT
"""The dashboard of the containers and of what the governor does with them."""

from grafana_foundation_sdk.builders import common, stat
from grafana_foundation_sdk.builders.dashboard import TextBoxVariable
from grafana_foundation_sdk.models import dashboard
from grafana_foundation_sdk.models.common import (
    BigValueTextMode,
    GraphDrawStyle,
    LineInterpolation,
    StackingMode,
)
from grafana_foundation_sdk.models.dashboard import VariableOption

from generator.board import Placed, board, place
from generator.panel import (
    DASHED,
    ONE_CPU,
    UNKNOWN,
    WRAPPED,
    bars,
    coloured,
    dashed,
    fixed,
    graph,
    legend,
    named_colours,
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
    LABEL,
    LARGEST,
    LAST_TICK,
    NEVER,
    PART,
    largest,
    lines,
    once_ticked,
    per_interval,
    sampled,
    tallied,
)
from generator.system import BUSY, CALM, WRONG, failed_last, failures, last_tick

UID = "so1-containers"
TITLE = "SO1 Containers"
POLICY = {
    "maximum": ("10", "Managed containers above which the governor reduces at once"),
    "keep_low": ("3", "Containers of low consumption that the governor keeps"),
    "keep_high": ("2", "Containers of high consumption that the governor keeps"),
}
"""The daemon's defaults; the role writes a host's own numbers in their place."""

NO_CONTAINER = "No container, or no tick, in this time range"
NO_LIMIT = "No container with a memory limit, or no tick, in this time range"
CLASSES = {"low": "green", "high": "orange", "unmanaged": "text"}
OUTCOMES = {"done": "green", "planned": "blue", "refused": "orange", "failed": "red"}
OVER = ", over"
"""What follows a figure that is above the policy's."""
BAR_POINTS = 60
LAST_HOUR = "timestamp BETWEEN $__to - 3600000 AND $__to"
"""However long the time range is: to sum a week would take too long."""
MEMORY = "COALESCE(memory, ram_usage)"
"""What the kernel charges a container, or where that was not measured its processes' RAM."""
OF_LIMIT = f"{MEMORY} * 100.0 / memory_limit"
NAMED = (
    f" The {LARGEST} with the highest peaks in the time range have a line each. The rest are one"
    " line for each class: the sum of those that run at the moment; its name says how many there"
    " were in the whole range."
)
"""What graphs of containers say about who has a line."""
HEALTHS = {"healthy": "green", "starting": "blue", "unhealthy": "red"}


def _variable(name: str, value: str, description: str) -> TextBoxVariable:
    return (
        TextBoxVariable(name)
        .label(name.replace("_", " "))
        .description(description)
        .default_value(value)
        .current(VariableOption(selected=True, text=value, value=value))
    )


def _policy(name: str) -> str:
    return f"CAST(${{{name}:sqlstring}} AS INTEGER)"


def _against(title: str, description: str, which: str, limit: str, colour: str) -> stat.Panel:
    """Show how many containers there are of how many that the policy wants."""
    most = _policy(limit)
    figure = once_ticked(
        f"COUNT(*) || ' of ' || {most} || CASE WHEN COUNT(*) > {most} THEN '{OVER}' ELSE '' END"
    )
    sql = f"""
        SELECT {figure} AS containers
        FROM container_totals
        WHERE timestamp = {LAST_TICK} AND {which}
    """  # noqa: S608 - constants
    return (
        number(title, description, sql)
        .unit("string")
        .text_mode(BigValueTextMode.VALUE)
        .mappings([coloured(f"/{OVER}$/", colour), *UNKNOWN])
        .thresholds(CALM)
    )


def _tiles() -> list[Placed]:
    modes = {
        "enforce": dashboard.ValueMappingResult(text="enforces", color="green", index=0),
        "observe": dashboard.ValueMappingResult(text="only observes", color="orange", index=1),
        "none": dashboard.ValueMappingResult(text="no decision", color="text", index=2),
    }
    governor = number(
        "Governor",
        "Its mode at its last decision in the time range: whether it removes what the policy does"
        " not allow, or only says what it would remove. It touches no container without the label"
        " so1.managed=true.",
        f"""
        SELECT coalesce(
            (
                SELECT mode FROM decisions
                WHERE timestamp BETWEEN $__from AND $__to
                ORDER BY timestamp DESC
                LIMIT 1
            ),
            (SELECT 'none' FROM metrics WHERE timestamp BETWEEN $__from AND $__to LIMIT 1),
            {NEVER}
        ) AS mode
        """,  # noqa: S608
    )
    removed = tally(
        "Removed",
        "Containers that the governor removed, and in how long: the time range shown.",
        f"""
        SELECT COALESCE({tallied("SUM(deleted_count)")}, {NEVER}) AS removed FROM metrics
        WHERE timestamp BETWEEN $__from AND $__to
        """,  # noqa: S608
        "text",
    )
    killed = number(
        "OOM, 1 h",
        "Processes of containers that the kernel killed for want of memory, in the hour that ends"
        " with the time range, however long that is.",
        f"""
        SELECT {once_ticked("COALESCE(SUM(oom_kills), 0)")} AS killed
        FROM container_totals
        WHERE {LAST_HOUR}
        """,  # noqa: S608
    )
    grey = steps((None, "text"))
    return [
        (last_tick(), 3, 4),
        (failures(), 3, 4),
        (
            governor.unit("string")
            .text_mode(BigValueTextMode.VALUE)
            .mappings([dashboard.ValueMap(options=modes), *UNKNOWN])
            .thresholds(grey),
            3,
            4,
        ),
        (
            _against(
                "Managed",
                "Managed containers at the last tick, of the maximum; above it the governor goes"
                " down to what is kept of each class at once.",
                "class <> 'unmanaged'",
                "maximum",
                "red",
            ),
            3,
            4,
        ),
        *(
            (
                _against(
                    name.capitalize(),
                    f"Managed containers of {name} consumption at the last tick, and how many are"
                    " kept.",
                    f"class = '{name}'",
                    f"keep_{name}",
                    "orange",
                ),
                3,
                4,
            )
            for name in ("low", "high")
        ),
        (removed.thresholds(grey), 3, 4),
        (killed.unit("short").thresholds(WRONG), 3, 4),
    ]


def _classes() -> str:
    counts = ", ".join(
        f"COUNT(CASE WHEN class = '{name}' THEN 1 END) AS {name}" for name in CLASSES
    )
    limits = ", ".join(f'{_policy(name)} AS "{name.replace("_", " ")}"' for name in POLICY)
    source = f"""
        SELECT time, {counts}, {limits}
        FROM ({sampled()}) AS tick LEFT JOIN container_totals USING (timestamp)
        GROUP BY tick.timestamp
    """  # noqa: S608 - constants
    return lines(source, *CLASSES, *(name.replace("_", " ") for name in POLICY))


def _per_container(column: str) -> str:
    busiest = {MEMORY: "used_ram", "cpu_usage": "cpu_usage"}[column]
    return largest(
        f"""
        SELECT time, container_id AS key, {_short("container_name")} AS name,
               ' others, ' || class AS of, {column} AS value
        FROM tick CROSS JOIN container_totals USING (timestamp)
        """,  # noqa: S608 - constants
        busiest,
    )


def _of_limit() -> str:
    return largest(
        f"""
        SELECT time, container_id AS key, {_short("container_name")} AS name,
               ' others' AS of, {OF_LIMIT} AS value
        FROM tick CROSS JOIN container_totals USING (timestamp)
        WHERE memory_limit > 0
        """,  # noqa: S608 - constants
        "used_ram",
        rest="MAX",
    )


def _short(column: str) -> str:
    """Keep both ends of a long name: the end is what tells two of them apart."""
    return (
        f"(CASE WHEN length({column}) > 24"
        f" THEN substr({column}, 1, 11) || '…' || substr({column}, -12) ELSE {column} END)"
    )


def _now(column: str) -> str:
    return f"""
        SELECT {LABEL.format(_short("container_name"))} AS container, {column} AS value
        FROM container_totals
        WHERE timestamp = {LAST_TICK}
        ORDER BY {column} DESC
        LIMIT 10
    """  # noqa: S608 - constants


def _graphs() -> list[Placed]:
    classes = graph(
        "Containers by class",
        "Containers of each class at the last tick of each interval, against the policy's numbers.",
        _classes(),
    ).override_by_regexp("/^(maximum|keep .*)$/", settled(**DASHED))
    colours = {**CLASSES, "maximum": "red", "keep low": "green", "keep high": "orange"}
    for name, colour in colours.items():
        classes.override_by_name(name, settled(**fixed(colour)))
    done = graph(
        "Removals and failures",
        "What the governor removed, planned, and could not do in each interval.",
        per_interval(
            removed="kind = 'remove' AND outcome = 'done'",
            planned="outcome = 'planned'",
            refused="outcome = 'refused'",
            failed="outcome = 'failed'",
        ),
    )
    for name, colour in {**OUTCOMES, "removed": "blue", "planned": "text"}.items():
        if name != "done":
            done.override_by_name(name, settled(**fixed(colour)))
    ram = named_graph(
        "RAM per container",
        "What the kernel charges containers without caches, at the fullest tick of each interval."
        + NAMED,
        _per_container(MEMORY),
    )
    cpu = named_graph(
        f"CPU per container, {ONE_CPU}",
        "CPU of containers at the busiest tick of each interval." + NAMED,
        _per_container("cpu_usage"),
    )
    full = dashed(
        named_graph(
            "RAM per container, % of its limit",
            "How near containers are to their own memory limit, at the fullest tick of each"
            f" interval, without caches. The {LARGEST} that came nearest in the time range have a"
            " line each; one line more is, at each moment, the fullest of the others. At 100 % the"
            " kernel kills a process of the container. A container without a limit has no line.",
            _of_limit(),
        ),
        (80, "orange"),
        (95, "red"),
    )
    stacked = common.StackingConfig().mode(StackingMode.NORMAL).group("A")
    return [
        (
            done.unit("short")
            .decimals(0)
            .min(0)
            .max_data_points(BAR_POINTS)
            .axis_soft_max(5)
            .draw_style(GraphDrawStyle.BARS)
            .line_width(0)
            .fill_opacity(80)
            .stacking(stacked)
            .legend(legend("sum"))
            .thresholds(CALM),
            12,
            8,
        ),
        (failed_last(), 12, 8),
        (ram.unit("kbytes").min(0).thresholds(CALM).no_value(NO_CONTAINER), 12, 8),
        (cpu.unit("percent").min(0).decimals(1).thresholds(CALM).no_value(NO_CONTAINER), 12, 8),
        (full.unit("percent").min(0).max(100).decimals(0).no_value(NO_LIMIT), 12, 8),
        (
            classes.unit("short")
            .decimals(0)
            .min(0)
            .fill_opacity(0)
            .line_interpolation(LineInterpolation.STEP_AFTER)
            .thresholds(CALM),
            12,
            8,
        ),
    ]


def _limits(*limits: tuple[float | None, str]) -> dict[str, object]:
    return {
        "custom.cellOptions": {"type": "color-text"},
        "thresholds": steps(*limits).build(),
        **width(80),
    }


def _nearness(orange: float, red: float) -> list[dashboard.DynamicConfigValue]:
    limits = _limits((None, "text"), (orange, "orange"), (red, "red"))
    return unit("percent", decimals=0, **limits)


def _lists() -> list[Placed]:
    ram = bars(
        "RAM now",
        "What the kernel charges the ten largest containers at the last tick, without caches.",
        _now(MEMORY),
    )
    cpu = bars(
        f"CPU now, {ONE_CPU}",
        "CPU of the ten busiest containers between the last two ticks.",
        _now("cpu_usage"),
    )
    current = rows(
        "Containers",
        "Every running container at the last tick: those that are unhealthy, then those that lost"
        " processes for want of memory in the last hour (OOM), then the largest. RAM is what the"
        " kernel charges without caches, pressure the share of the interval that something in it"
        " waited for memory, throttled the share that a CPU quota made it wait.",
        f"""
        WITH killed AS (
            SELECT container_id, SUM(oom_kills) AS kills
            FROM container_totals
            WHERE {LAST_HOUR}
            GROUP BY 1
        )
        SELECT {PART}, container_name AS name, image, class, health, process_count AS processes,
               {MEMORY} AS RAM, {OF_LIMIT} AS "of limit",
               memory_pressure AS pressure, killed.kills AS "OOM, 1 h", cpu_usage AS "of one CPU",
               cpu_throttled AS throttled, restarts
        FROM container_totals LEFT JOIN killed USING (container_id)
        WHERE timestamp = {LAST_TICK}
        ORDER BY health = 'unhealthy' DESC NULLS LAST, killed.kills > 0 DESC NULLS LAST,
                 {MEMORY} DESC
        """,  # noqa: S608
    )
    events = rows(
        "Governor and daemon events",
        "What was removed, planned, refused or failed, newest first.",
        f"""
        SELECT {PART}, timestamp / 1000.0 AS time, kind, outcome, container_name AS container,
               ram_usage AS RAM, cpu_usage AS "of one CPU", detail
        FROM events
        WHERE timestamp BETWEEN $__from AND $__to
        ORDER BY timestamp DESC
        LIMIT 200
        """,  # noqa: S608
    )
    back = rows(
        "Bring a removed container back",
        "The command for each container that was removed, newest first. Values of environment"
        " variables are not kept; the command names them.",
        f"""
        SELECT {PART}, timestamp / 1000.0 AS time, container_name AS container, recreate AS command
        FROM events
        WHERE timestamp BETWEEN $__from AND $__to AND recreate IS NOT NULL
        ORDER BY timestamp DESC
        LIMIT 50
        """,  # noqa: S608
    )
    kept = number(
        "Wastebasket",
        "Removed containers that can be taken back as they were, now: so1 trash lists them,"
        " so1 undo takes one back.",
        f"""
        SELECT {once_ticked("COUNT(*)")} AS containers
        FROM removals
        WHERE step IN ('trashed', 'returning')
        """,  # noqa: S608
    )
    blue = steps((None, "blue"))
    return [
        (ram.unit("kbytes").min(0).thresholds(blue).no_value(NO_CONTAINER), 12, 9),
        (
            cpu.unit("percent").min(0).decimals(1).max(100).thresholds(BUSY).no_value(NO_CONTAINER),
            12,
            9,
        ),
        (
            current.unit("string")
            .thresholds(CALM)
            .no_value(NO_CONTAINER)
            .override_by_name("name", unit("string", **WRAPPED))
            .override_by_name("image", unit("string", **WRAPPED, **width(170)))
            .override_by_name("class", unit("string", **named_colours(CLASSES), **width(95)))
            .override_by_name("health", unit("string", **named_colours(HEALTHS), **width(85)))
            .override_by_name("processes", unit("short", **width(90)))
            .override_by_name("RAM", unit("kbytes", **width(85)))
            .override_by_name("of limit", _nearness(80, 95))
            .override_by_name("pressure", _nearness(10, 30))
            .override_by_name("OOM, 1 h", unit("short", **_limits((None, "text"), (1, "red"))))
            .override_by_name("of one CPU", unit("percent", decimals=1, **width(100)))
            .override_by_name("throttled", _nearness(10, 30))
            .override_by_name("restarts", unit("short", **_limits((None, "text"), (3, "orange")))),
            24,
            9,
        ),
        (
            events.unit("string")
            .thresholds(CALM)
            .no_value("No event, or no tick, in this time range")
            .override_by_name("time", unit("dateTimeAsSystem", **width(165)))
            .override_by_name("kind", unit("string", **width(90)))
            .override_by_name("outcome", unit("string", **named_colours(OUTCOMES), **width(85)))
            .override_by_name("container", unit("string", **WRAPPED, **width(220)))
            .override_by_name("RAM", unit("kbytes", **width(90)))
            .override_by_name("of one CPU", unit("percent", decimals=1, **width(100)))
            .override_by_name("detail", unit("string", **WRAPPED)),
            24,
            10,
        ),
        (
            back.unit("string")
            .thresholds(CALM)
            .no_value("No removed container, or no tick, in this time range")
            .override_by_name("time", unit("dateTimeAsSystem", **width(165)))
            .override_by_name("container", unit("string", **WRAPPED, **width(220)))
            .override_by_name("command", unit("string", **WRAPPED)),
            21,
            8,
        ),
        (kept.unit("short").thresholds(steps((None, "text"))), 3, 8),
    ]


def containers() -> dashboard.Dashboard:
    """How many containers there are of each class, what they use, and what was done to them."""
    description = (
        "Containers by class against the policy, what they use, and the governor's events."
    )
    onto = board(UID, TITLE, description)
    for name, (value, meaning) in POLICY.items():
        onto.with_variable(_variable(name, value, meaning))
    return place(onto, [*_tiles(), *_graphs(), *_lists()])
