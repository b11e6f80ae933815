# SPDX-License-Identifier: MIT
"""The dashboard of the containers and of what the governor does with them."""

from grafana_foundation_sdk.builders import stat
from grafana_foundation_sdk.builders.dashboard import TextBoxVariable
from grafana_foundation_sdk.models import dashboard
from grafana_foundation_sdk.models.dashboard import VariableOption

from generator.board import board, place
from generator.panel import bars, dial, graph, named_graph, number, rows, steps, unit
from generator.query import LAST_TICK, PART, SAMPLED_TICKS, once_ticked

UID = "so1-containers"
TITLE = "SO1 Containers"
POLICY = {
    "maximum": ("10", "Managed containers above which the governor reduces at once"),
    "keep_low": ("3", "Containers of low consumption that the governor keeps"),
    "keep_high": ("2", "Containers of high consumption that the governor keeps"),
}
"""The daemon's defaults; the role writes a host's own numbers in their place."""

IDLE = "No container was running at the last tick"


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


def _class_count(name: str) -> stat.Panel:
    sql = f"""
        SELECT {once_ticked("COUNT(*)")} AS running,
               {once_ticked(_policy("keep_" + name))} AS kept
        FROM container_totals
        WHERE timestamp = {LAST_TICK} AND class = '{name}'
    """  # noqa: S608 - constants
    return (
        number(
            f"Class {name}",
            f"Managed containers of {name} consumption at the last tick, and how many are kept.",
            sql,
        )
        .unit("short")
        .decimals(0)
        .thresholds(steps((None, "blue")))
    )


def _outcomes() -> list[dashboard.DynamicConfigValue]:
    colours = {"done": "green", "planned": "blue", "refused": "orange", "failed": "red"}
    mapping = {name: {"color": colour} for name, colour in colours.items()}
    return [
        dashboard.DynamicConfigValue(
            id_val="mappings", value=[{"type": "value", "options": mapping}]
        ),
        dashboard.DynamicConfigValue(id_val="custom.cellOptions", value={"type": "color-text"}),
    ]


def _per_container(column: str) -> str:
    return f"""
        SELECT c.timestamp / 1000 AS time, c.container_name AS name, c.{column} AS value
        FROM {SAMPLED_TICKS} AS tick
        JOIN container_totals AS c ON c.timestamp = tick.timestamp
        ORDER BY 1
    """  # noqa: S608 - constants


def _now(column: str) -> str:
    return f"""
        SELECT container_name AS container, {column} AS value
        FROM container_totals
        WHERE timestamp = {LAST_TICK}
        ORDER BY {column} DESC
        LIMIT 20
    """  # noqa: S608 - constants


def containers() -> dashboard.Dashboard:
    """How many containers there are of each class, what they use, and what was done to them."""
    managed = dial(
        "Managed, of the maximum",
        "Managed containers at the last tick as a share of the maximum; above 100 % the governor"
        " goes down to what is kept of each class.",
        f"""
        SELECT {once_ticked(f"COUNT(*) * 100.0 / MAX(1, {_policy('maximum')})")} AS managed
        FROM container_totals
        WHERE timestamp = {LAST_TICK} AND class <> 'unmanaged'
        """,  # noqa: S608
    )
    unmanaged = number(
        "Unmanaged",
        "Containers without the label so1.managed=true at the last tick; none is ever touched.",
        f"""
        SELECT {once_ticked("COUNT(*)")} AS unmanaged FROM container_totals
        WHERE timestamp = {LAST_TICK} AND class = 'unmanaged'
        """,  # noqa: S608
    )
    removed = number(
        "Removed",
        "Containers that the governor removed in the time range shown.",
        """
        SELECT SUM(deleted_count) AS removed FROM metrics
        WHERE timestamp BETWEEN $__from AND $__to
        """,
    )
    classes = graph(
        "Containers by class",
        "Containers of each class at the last tick of each interval, against the policy's numbers.",
        f"""
        SELECT {PART}, tick.timestamp / 1000 AS time,
               COUNT(CASE WHEN c.class = 'low' THEN 1 END) AS low,
               COUNT(CASE WHEN c.class = 'high' THEN 1 END) AS high,
               COUNT(CASE WHEN c.class = 'unmanaged' THEN 1 END) AS unmanaged,
               {_policy("maximum")} AS maximum,
               {_policy("keep_low")} AS "keep low",
               {_policy("keep_high")} AS "keep high"
        FROM {SAMPLED_TICKS} AS tick
        LEFT JOIN container_totals AS c ON c.timestamp = tick.timestamp
        GROUP BY tick.timestamp
        ORDER BY tick.timestamp
        """,  # noqa: S608
    ).override_by_regexp(
        "maximum|keep.*", unit("short", **{"custom.lineStyle": {"fill": "dash", "dash": [10, 10]}})
    )
    current_list = rows(
        "Containers",
        "Every running container at the last tick, the largest first.",
        f"""
        SELECT {PART}, container_name AS name, image, class, process_count AS processes,
               ram_usage AS RAM, cpu_usage AS CPU, substr(container_id, 1, 12) AS id
        FROM container_totals
        WHERE timestamp = {LAST_TICK}
        ORDER BY ram_usage DESC
        """,  # noqa: S608
    )
    events = rows(
        "Governor and daemon events",
        "What was removed, planned, refused or failed, newest first; the last column brings a"
        " removed container back.",
        f"""
        SELECT {PART}, timestamp / 1000.0 AS time, kind, outcome, container_name AS container,
               image, class, ram_usage AS RAM, cpu_usage AS CPU, rule, detail, recreate
        FROM events
        WHERE timestamp BETWEEN $__from AND $__to
        ORDER BY timestamp DESC
        LIMIT 200
        """,  # noqa: S608
    )
    calm = steps((None, "green"))
    panels = [
        (
            managed.unit("percent")
            .min(0)
            .max(100)
            .decimals(0)
            .thresholds(steps((None, "green"), (80, "orange"), (101, "red"))),
            6,
            6,
        ),
        (_class_count("low"), 5, 6),
        (_class_count("high"), 5, 6),
        (unmanaged.unit("short").thresholds(steps((None, "text"))), 4, 6),
        (removed.unit("short").thresholds(steps((None, "green"), (1, "orange"))), 4, 6),
        (classes.unit("short").min(0).thresholds(calm), 8, 9),
        (
            named_graph(
                "RAM per container",
                "Resident RAM of each container's processes at the last tick of each interval.",
                _per_container("ram_usage"),
            )
            .unit("kbytes")
            .min(0)
            .thresholds(calm)
            .no_value(IDLE),
            8,
            9,
        ),
        (
            named_graph(
                "CPU per container",
                "CPU of each container at the last tick of each interval, in percent of one CPU.",
                _per_container("cpu_usage"),
            )
            .unit("percent")
            .min(0)
            .thresholds(calm)
            .no_value(IDLE),
            8,
            9,
        ),
        (
            bars(
                "RAM now",
                "Resident RAM of each container at the last tick.",
                _now("ram_usage"),
                "container",
            )
            .unit("kbytes")
            .min(0)
            .display_name("RAM")
            .thresholds(steps((None, "blue")))
            .no_value(IDLE),
            6,
            10,
        ),
        (
            bars(
                "CPU now",
                "CPU of each container between the last two ticks, in percent of one CPU.",
                _now("cpu_usage"),
                "container",
            )
            .unit("percent")
            .min(0)
            .display_name("CPU")
            .thresholds(steps((None, "blue"), (80, "orange")))
            .no_value(IDLE),
            6,
            10,
        ),
        (
            current_list.unit("string")
            .thresholds(calm)
            .no_value(IDLE)
            .override_by_name("RAM", unit("kbytes"))
            .override_by_name("CPU", unit("percent", decimals=1))
            .override_by_name("processes", unit("short")),
            12,
            10,
        ),
        (
            events.unit("string")
            .thresholds(calm)
            .no_value("No event in this time range: nothing was removed, and nothing failed")
            .override_by_name("time", unit("dateTimeAsSystem"))
            .override_by_name("RAM", unit("kbytes"))
            .override_by_name("CPU", unit("percent", decimals=1))
            .override_by_name("outcome", [*unit("string"), *_outcomes()]),
            24,
            10,
        ),
    ]
    description = (
        "Containers by class against the policy, what they use, and the governor's events."
    )
    empty = board(UID, TITLE, description, ("so1-system", "SO1 System"))
    for name, (value, meaning) in POLICY.items():
        empty.with_variable(_variable(name, value, meaning))
    return place(empty, panels)
