# SPDX-License-Identifier: MIT
"""The dashboard of all hosts, on the Prometheus datasource: the worst first, then one of them."""

from typing import TypeVar

from grafana_foundation_sdk.builders import common, prometheus, stat, table, timeseries
from grafana_foundation_sdk.builders.dashboard import (
    Dashboard,
    DatasourceVariable,
    QueryVariable,
    TextBoxVariable,
)
from grafana_foundation_sdk.models import dashboard
from grafana_foundation_sdk.models.common import BigValueColorMode
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DataSourceRef,
    DataTransformerConfig,
    DynamicConfigValue,
    VariableOption,
    VariableRefresh,
    VariableSort,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from generator.board import place
from generator.panel import graph, number, rows, steps, unit

UID = "so1-fleet"
TITLE = "SO1 Fleet"
DATASOURCE = DataSourceRef(type_val="prometheus", uid="${prometheus}")
DATASOURCE_UID = "so1-prometheus"
WAITING = "Prometheus has not scraped a host yet"
Shown = TypeVar("Shown", stat.Panel, table.Panel, timeseries.Panel)

USED = "1 - so1_host_memory_available_bytes / so1_host_memory_size_bytes"
HOST = 'instance="$host"'


def _query(expr: str, legend: str = "", ref_id: str = "A") -> prometheus.Dataquery:
    return (
        prometheus.Dataquery()
        .expr(expr)
        .ref_id(ref_id)
        .legend_format(legend)
        .datasource(DATASOURCE)
    )


def _ask(panel: Shown, *queries: prometheus.Dataquery) -> Shown:
    """Give a panel made for the database Prometheus' queries in place of its own."""
    # Where Prometheus has nothing it gives no frame, unlike the database's plugin.
    asked = panel.datasource(DATASOURCE).targets(list(queries)).transformations([])
    return asked.no_value(WAITING)


def _figure(title: str, description: str, expr: str) -> stat.Panel:
    return _ask(number(title, description, ""), _query(expr).instant())


def _lines(title: str, description: str, expr: str, legend: str) -> timeseries.Panel:
    return _ask(graph(title, description, ""), _query(expr, legend)).thresholds(
        steps((None, "green"))
    )


COLUMNS = {
    "used": USED,
    "available": "so1_host_memory_available_bytes",
    "CPU": "so1_host_cpu_busy_ratio",
    "processes": "sum by (instance) (so1_host_processes)",
    "containers": "sum by (instance) (so1_containers)",
    "last tick": "time() - so1_tick_timestamp_seconds",
    "removed": 'sum by (instance) (increase(so1_governor_removals_total{outcome="done"}[1h]))',
    "failed": 'sum by (instance) (increase(so1_governor_removals_total{outcome="failed"}[1h]))',
    "up": 'up{job="so1"}',
}
"""The columns of the table of hosts, each an instant query with one row for each host."""


def _hosts() -> table.Panel:
    queries = [
        _query(f"max by (instance) ({expr})", ref_id=chr(ord("A") + number))
        .instant()
        .format(PromQueryFormat.TABLE)
        for number, expr in enumerate(COLUMNS.values())
    ]
    names = {f"Value #{chr(ord('A') + number)}": name for number, name in enumerate(COLUMNS)}
    shown = ["instance", "Value #I", *[name for name in names if name != "Value #I"]]
    panel = _ask(
        rows(
            "Hosts, the fullest first",
            "Every host that is scraped: RAM that is not available, CPU, processes, containers, the"
            " age of its last tick, and what the governor removed and could not remove in the last"
            " hour. A click on a host shows it below, or opens its own Grafana.",
            "",
        ),
        *queries,
    )
    load = steps((None, "green"), (0.7, "orange"), (0.9, "red")).build()
    coloured = {"custom.cellOptions": {"type": "color-text"}}
    links = [
        {"title": "Show ${__value.text} below", "url": f"/d/{UID}?var-host=${{__value.text}}"},
        {
            "title": "Open the Grafana of ${__value.text}",
            "url": "http://${__value.text}:${grafana_port}/d/so1-system",
            "targetBlank": True,
        },
    ]
    age = steps((None, "green"), (60, "orange"), (180, "red")).build()
    up = steps((None, "red"), (1, "green")).build()
    some = steps((None, "text"), (0.5, "orange")).build()
    return (
        panel.unit("short")
        .thresholds(steps((None, "text")))
        .with_transformation(DataTransformerConfig(id_val="merge", options={}))
        .with_transformation(
            DataTransformerConfig(
                id_val="organize",
                options={
                    "excludeByName": {"Time": True},
                    "indexByName": {name: place for place, name in enumerate(shown)},
                    "renameByName": {"instance": "host", **names},
                },
            )
        )
        .with_transformation(
            DataTransformerConfig(
                id_val="sortBy", options={"fields": {}, "sort": [{"field": "used", "desc": True}]}
            )
        )
        .override_by_name("host", [*unit("string"), DynamicConfigValue("links", links)])
        .override_by_name("used", unit("percentunit", decimals=0, thresholds=load, **coloured))
        .override_by_name("CPU", unit("percentunit", decimals=0, thresholds=load, **coloured))
        .override_by_name("available", unit("bytes"))
        .override_by_name("last tick", unit("s", decimals=0, thresholds=age, **coloured))
        .override_by_name("failed", unit("short", decimals=0, thresholds=some, **coloured))
        .override_by_name("removed", unit("short", decimals=0))
        .override_by_name("up", unit("short", thresholds=up, **coloured))
    )


def _alerts() -> table.Panel:
    return (
        _ask(
            rows("Alerts by host", "Alerts that fire now, by host.", ""),
            _query('max by (alertname, instance, severity) (ALERTS{alertstate="firing"})')
            .instant()
            .format(PromQueryFormat.TABLE),
        )
        .no_value("No alert fires")
        .unit("string")
        .thresholds(steps((None, "text")))
        .with_transformation(
            DataTransformerConfig(
                id_val="organize", options={"excludeByName": {"Time": True, "Value": True}}
            )
        )
    )


def fleet() -> dashboard.Dashboard:
    """All hosts at a glance, and one of them by process name and container."""
    calm = steps((None, "green"))
    none_is_good = steps((None, "green"), (1, "red"))
    panels = [
        (_figure("Hosts up", "Hosts that answered the last scrape.", 'sum(up{job="so1"})'), calm),
        (
            _figure(
                "Hosts gone",
                "Hosts that did not answer the last scrape.",
                'count(up{job="so1"}) - sum(up{job="so1"})',
            ),
            none_is_good,
        ),
        (
            _figure(
                "Alerts",
                "Alerts that fire now.",
                'count(ALERTS{alertstate="firing", alertname=~"So1.*"}) or vector(0)',
            ),
            none_is_good,
        ),
        (
            _figure("Containers", "Running containers of all hosts.", "sum(so1_containers)"),
            steps((None, "blue")),
        ),
        (
            _figure(
                "Removed",
                "Containers that the governors removed in the last hour.",
                'sum(increase(so1_governor_removals_total{outcome="done"}[1h]))',
            ),
            steps((None, "green"), (1, "orange")),
        ),
        (
            _figure(
                "Without modules",
                "Hosts whose snapshots come from /proc because the kernel modules are not loaded.",
                'sum(so1_snapshot_source{source="procfs"})',
            ),
            steps((None, "green"), (1, "orange")),
        ),
    ]
    placed = [
        (
            panel.unit("short")
            .decimals(0)
            .color_mode(BigValueColorMode.VALUE)
            .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
            .thresholds(colours),
            4,
            4,
        )
        for panel, colours in panels
    ]
    graphs = [
        _lines(
            "RAM, the ten fullest",
            "Share of each host's RAM that is not available.",
            f"topk(10, {USED})",
            "{{instance}}",
        )
        .unit("percentunit")
        .max(1),
        _lines(
            "CPU, the ten busiest",
            "Share of each host's CPUs that was busy over the daemon's last interval.",
            "topk(10, so1_host_cpu_busy_ratio)",
            "{{instance}}",
        )
        .unit("percentunit")
        .max(1),
        _lines(
            "Containers by class",
            "Running containers of all hosts by class.",
            "sum by (class) (so1_containers)",
            "{{class}}",
        ).unit("short"),
        _lines(
            "Latest ticks, the ten worst",
            "How long after it was due each host's last tick began.",
            "topk(10, so1_tick_lateness_seconds)",
            "{{instance}}",
        ).unit("s"),
        _lines(
            "RAM by process name on $host",
            "Resident memory of the processes of each name, the ten largest.",
            f"topk(10, so1_process_group_resident_memory_bytes{{{HOST}}})",
            "{{name}}",
        ).unit("bytes"),
        _lines(
            "CPU by process name on $host",
            "CPUs that the processes of each name use, the ten busiest.",
            f"topk(10, rate(so1_process_group_cpu_seconds_total{{{HOST}}}[$__rate_interval]))",
            "{{name}}",
        ).unit("short"),
        _lines(
            "RAM by container on $host",
            "Resident memory of each container, the ten largest.",
            f"topk(10, so1_container_resident_memory_bytes{{{HOST}}})",
            "{{name}}",
        ).unit("bytes"),
        _lines(
            "CPU by container on $host",
            "CPUs that each container uses, the ten busiest.",
            f"topk(10, rate(so1_container_cpu_seconds_total{{{HOST}}}[$__rate_interval]))",
            "{{name}}",
        ).unit("short"),
    ]
    empty = (
        Dashboard(TITLE)
        .uid(UID)
        .description("All monitored hosts, from Prometheus.")
        .tags(["so1"])
        .readonly()
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .time("now-1h", "now")
        .refresh("20s")
        .timezone("browser")
        .with_variable(
            DatasourceVariable("prometheus")
            .label("Prometheus")
            .description("The Prometheus that scrapes the hosts")
            .type("prometheus")
            .current(VariableOption(selected=True, text="SO1 fleet", value=DATASOURCE_UID))
        )
        .with_variable(
            QueryVariable("host")
            .label("Host")
            .description("The host that the lower half shows")
            .datasource(DATASOURCE)
            .query("label_values(so1_build_info, instance)")
            .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
            .sort(VariableSort.ALPHABETICAL_ASC)
        )
        .with_variable(
            TextBoxVariable("grafana_port")
            .label("Hosts' Grafana")
            .description("The port of the Grafana on each host, for the links to it")
            .default_value("3000")
            .current(VariableOption(selected=True, text="3000", value="3000"))
        )
    )
    return place(
        empty,
        [
            *placed,
            (_hosts(), 16, 11),
            (_alerts(), 8, 11),
            *((panel.min(0), 12, 8) for panel in graphs),
        ],
    )
