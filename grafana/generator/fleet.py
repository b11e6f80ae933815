# SPDX-License-Identifier: MIT
"""The dashboard of all hosts, on the Prometheus datasource: the worst first, then one of them."""

from typing import TypeVar

from grafana_foundation_sdk.builders import common, prometheus, stat, table, timeseries
from grafana_foundation_sdk.builders.dashboard import (
    DashboardLink,
    DatasourceVariable,
    QueryVariable,
    TextBoxVariable,
)
from grafana_foundation_sdk.models import dashboard
from grafana_foundation_sdk.models.common import BigValueColorMode
from grafana_foundation_sdk.models.dashboard import (
    DashboardLinkType,
    DataSourceRef,
    DataTransformerConfig,
    DynamicConfigValue,
    SpecialValueMap,
    VariableOption,
    VariableRefresh,
    VariableSort,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from generator.board import empty, place
from generator.panel import (
    ALL_CPUS,
    ONE_CPU,
    WRAPPED,
    absent,
    by_largest,
    dashed,
    graph,
    named_colours,
    number,
    rows,
    steps,
    unit,
    width,
)
from generator.query import LARGEST

UID = "so1-fleet"
TITLE = "SO1 Fleet"
DATASOURCE = DataSourceRef(type_val="prometheus", uid="${prometheus}")
DATASOURCE_UID = "so1-prometheus"
NOTHING = "Prometheus has nothing of this host in this time range"
WAITING = "Prometheus has not scraped a host yet"
Shown = TypeVar("Shown", stat.Panel, table.Panel, timeseries.Panel)

USED = "1 - so1_host_memory_available_bytes / so1_host_memory_size_bytes"
AGE = "time() - so1_tick_timestamp_seconds"
LATE = f"{AGE} > bool 3 * so1_tick_interval_seconds + 10"
UP = 'up{job="so1"}'
FIRING = 'ALERTS{alertstate="firing", alertname=~"So1.*"}'
FAILED = 'increase(so1_governor_removals_total{outcome="failed"}[1h])'


def _fires(severity: str) -> str:
    return f'{FIRING[:-1]}, severity="{severity}"}}'


STATES = {
    6: ("GONE", "red", f"{UP} == bool 0"),
    5: ("late", "red", LATE),
    4: ("critical", "red", _fires("critical"), f"{USED} > bool 0.9"),
    3: (
        *("warning", "orange", _fires("warning"), f"{FAILED} > bool 0"),
        *("so1_snapshot_blind", "so1_docker_up == bool 0", "so1_looping_containers > bool 0"),
    ),
    2: ("info", "blue", _fires("info"), 'so1_snapshot_source{source="procfs"}'),
    1: ("up", "green", f"{UP} == bool 1"),
}
"""What a host's state can be, the worst first: text, colour, and what is 1 where it is so.

Next to the alerts are those of their conditions that the table shows or that make a host blind: an
alert waits for some minutes, and a Prometheus may lack the rules.
"""
STATE = "max by (instance) ({})".format(
    " or ".join(
        f"{number} * ({condition}) > 0"
        for number, (_, _, *conditions) in STATES.items()
        for condition in conditions
    )
)
WORST = f"{STATE} + (max by (instance) ({USED}) or max by (instance) (0 * {UP}))"
"""The state, and among hosts of the same state how full each is."""
HOST = 'instance="$host"'
AT_THE_END = f"{UP} @ end()"
BY_BADNESS = f"query_result(sort_desc({WORST}))"
"""The hosts in the order of the table; those that have not ticked yet are last."""


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


def _figure(title: str, description: str, expr: str, missing: SpecialValueMap) -> stat.Panel:
    """Show one figure, or what is missing for it."""
    return _ask(number(title, description, ""), _query(expr).instant()).mappings([missing])


def _lines(title: str, description: str, expr: str, legend: str) -> timeseries.Panel:
    return (
        _ask(graph(title, description, ""), _query(expr, legend))
        .fill_opacity(0)
        .legend(by_largest())
        .thresholds(steps((None, "green")))
    )


COLUMNS = {
    "state": STATE,
    "last tick": f"max by (instance) ({AGE})",
    "RAM used": f"max by (instance) ({USED})",
    "all CPUs": "max by (instance) (so1_host_cpu_busy_ratio)",
    "containers": "sum by (instance) (so1_containers)",
    "governor": "max by (instance) (so1_governor_enforcing)",
    "removed": 'sum by (instance) (increase(so1_governor_removals_total{outcome="done"}[1h]))',
    "failed": f"sum by (instance) ({FAILED})",
    "worst": WORST,
}
"""The columns of the table of hosts, each an instant query with one row for each host."""
SEVERITIES = {"critical": "red", "warning": "orange", "info": "blue"}


def _table_of(*exprs: str) -> list[prometheus.Dataquery]:
    return [
        _query(expr, ref_id=chr(ord("A") + number)).instant().format(PromQueryFormat.TABLE)
        for number, expr in enumerate(exprs)
    ]


def _values(*names: str) -> dict[str, str]:
    """Say what Grafana calls the value of each of several queries, and what it is here."""
    return {f"Value #{chr(ord('A') + number)}": name for number, name in enumerate(names)}


def _joined(names: dict[str, str], worst: str, hidden: list[str]) -> list[DataTransformerConfig]:
    """Make one row of the queries' rows with the same labels, the worst first."""
    return [
        DataTransformerConfig(id_val="merge", options={}),
        DataTransformerConfig(
            id_val="sortBy", options={"fields": {}, "sort": [{"field": worst, "desc": True}]}
        ),
        DataTransformerConfig(
            id_val="organize",
            options={
                "excludeByName": dict.fromkeys(["Time", *hidden], True),
                "indexByName": {name: place for place, name in enumerate(names)},
                "renameByName": names,
            },
        ),
    ]


def _mapped(**texts: tuple[str, str]) -> dict[str, object]:
    """Write a number as a text of a colour."""
    options = {
        number.strip("_"): {"text": text, "color": colour, "index": place}
        for place, (number, (text, colour)) in enumerate(texts.items())
    }
    return {
        "mappings": [{"type": "value", "options": options}],
        "custom.cellOptions": {"type": "color-text"},
    }


def _hosts() -> table.Panel:
    panel = _ask(
        rows(
            "Hosts, the worst first",
            "Every host that is scraped, by its state: those that do not answer (GONE), those whose"
            " ticks are late, those with an alert, the most severe first, and those with nothing"
            " wrong (up); of the same state the fullest first. A removal that failed in the last"
            " hour is a warning, alert or not; so are an engine that does not answer, hidden"
            " processes and containers that end again and again. RAM used is what is not available,"
            " all CPUs how busy they were; removed and failed are of the last hour. A click on a"
            " host shows it below, or opens its own Grafana.",
            "",
        ),
        *_table_of(*COLUMNS.values()),
    )
    values = _values(*COLUMNS)
    worst = next(name for name, column in values.items() if column == "worst")
    shown = {"instance": "host", **{k: v for k, v in values.items() if k != worst}}
    for step in _joined(shown, worst, [worst]):
        panel.with_transformation(step)
    full = steps((None, "green"), (0.8, "orange"), (0.9, "red")).build()
    load = steps((None, "green"), (0.8, "orange"), (0.95, "red")).build()
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
    some = steps((None, "text"), (0.5, "red")).build()
    states = _mapped(**{f"_{key}": (text, colour) for key, (text, colour, *_) in STATES.items()})
    modes = _mapped(_1=("enforces", "text"), _0=("observes", "blue"))
    narrow = width(70)
    narrow_least: dict[str, object] = {"custom.minWidth": 90}
    return (
        panel.unit("short")
        .thresholds(steps((None, "text")))
        .override_by_name(
            "host", [*unit("string", **narrow_least), DynamicConfigValue("links", links)]
        )
        .override_by_name("state", unit("short", **states, **narrow))
        .override_by_name(
            "last tick", unit("s", decimals=0, thresholds=age, **coloured, **width(85))
        )
        .override_by_name(
            "RAM used", unit("percentunit", decimals=0, thresholds=full, **coloured, **width(85))
        )
        .override_by_name(
            "all CPUs", unit("percentunit", decimals=0, thresholds=load, **coloured, **width(80))
        )
        .override_by_name("containers", unit("short", **width(95)))
        .override_by_name("governor", unit("short", **modes, **width(90)))
        .override_by_name("removed", unit("short", decimals=0, **width(85)))
        .override_by_name(
            "failed", unit("short", decimals=0, thresholds=some, **coloured, **narrow)
        )
    )


def _alerts() -> table.Panel:
    since = f"1000 * (ALERTS_FOR_STATE and ignoring (alertstate) {FIRING})"
    rank = " or ".join(
        f"{place} * {_fires(name)}" for place, name in enumerate(reversed(SEVERITIES), start=1)
    )
    by = "max by (alertname, instance, severity)"
    panel = _ask(
        rows(
            "Alerts, the most severe first",
            "Alerts that fire now, and since when.",
            "",
        ),
        *_table_of(f"{by} ({since})", f"{by} ({rank})"),
    )
    shown = {
        "severity": "severity",
        "alertname": "alert",
        "instance": "host",
        "Value #A": "since",
    }
    for step in _joined(shown, "Value #B", ["Value #B"]):
        panel.with_transformation(step)
    return (
        panel.no_value("No alert fires, or no host answers")
        .unit("string")
        .thresholds(steps((None, "text")))
        .override_by_name("severity", unit("string", **named_colours(SEVERITIES), **width(75)))
        .override_by_name("alert", unit("string", **WRAPPED))
        .override_by_name("host", unit("string", **WRAPPED, **width(85)))
        .override_by_name("since", unit("dateTimeFromNow", **width(115)))
    )


def _top(series: str) -> str:
    """Keep the few that were largest over the whole range: topk alone changes them at each step."""
    return f"{series} and topk({LARGEST}, max_over_time(({series})[$__range:$__interval] @ end()))"


def _top_hosts(series: str) -> str:
    """Keep the worst few hosts; a label says which of them are gone, so that no end is for now."""
    gone = f"max by (instance) ({AT_THE_END} == 0)"
    there = f"max by (instance) ({AT_THE_END} == 1)"
    # Both are 1 then, and only tell the hosts apart.
    hosts = f'label_replace({gone} + 1, "gone", ", gone", "", "") or {there}'
    return f"({_top(series)}) * on (instance) group_left (gone) ({hosts})"


BY_HOST = "{{instance}}{{gone}}"
"""How a host's line is called; see `_top_hosts`."""


def fleet() -> dashboard.Dashboard:
    """All hosts at a glance, and one of them by process name and container."""
    none_is_good = steps((None, "green"), (1, "red"))
    no_host, no_answer = absent("no host scraped", "orange"), absent("no host answers", "orange")
    no_figures = absent("no figures")
    panels = [
        (
            _figure(
                "Hosts up",
                "Hosts that answered the last scrape. Where Prometheus scrapes no host, its list of"
                " targets is empty, or it has only just started.",
                f"sum({UP})",
                no_host,
            ),
            steps((None, "red"), (1, "green")),
        ),
        (
            _figure(
                "Hosts gone",
                "Hosts that did not answer the last scrape.",
                f"count({UP}) - sum({UP})",
                no_host,
            ),
            none_is_good,
        ),
        (
            _figure(
                "Alerts",
                "Alerts that fire now. Where no host answers, that none fires means nothing.",
                f"count({FIRING}) or vector(0) and on () sum({UP}) > 0",
                no_answer,
            ),
            none_is_good,
        ),
        (
            _figure(
                "Containers",
                "Running containers of all hosts.",
                "sum(so1_containers)",
                no_figures,
            ),
            steps((None, "blue")),
        ),
        (
            _figure(
                "Removed in 1 h",
                "Containers that the governors removed in the last hour.",
                'sum(increase(so1_governor_removals_total{outcome="done"}[1h]))',
                no_figures,
            ),
            steps((None, "text")),
        ),
        (
            _figure(
                "Without modules",
                "Hosts whose snapshots come from /proc because the kernel modules are not loaded.",
                'sum(so1_snapshot_source{source="procfs"})',
                no_figures,
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
        dashed(
            _lines(
                "RAM of the hosts, the fullest",
                "Share of each host's RAM that is not available. The alert is for what is above the"
                " dashed line.",
                _top_hosts(f"({USED})"),
                BY_HOST,
            ),
            (0.9, "red"),
        )
        .unit("percentunit")
        .max(1),
        _lines(
            f"CPU of the hosts, {ALL_CPUS}, the busiest",
            "Share of each host's CPUs that was busy over the daemon's last interval.",
            _top_hosts("so1_host_cpu_busy_ratio"),
            BY_HOST,
        )
        .unit("percentunit")
        .max(1),
        _lines(
            "Containers by class",
            "Running containers of all hosts by class.",
            "sum by (class) (so1_containers)",
            "{{class}}",
        )
        .unit("short")
        .decimals(0),
        _lines(
            "How late ticks began",
            "How long after it was due each host's last tick began.",
            _top_hosts("so1_tick_lateness_seconds"),
            BY_HOST,
        ).unit("s"),
    ]
    of_host = [
        _lines(
            "RAM by process name on $host",
            "Resident memory of the processes of each name, the largest.",
            _top(f"so1_process_group_resident_memory_bytes{{{HOST}}}"),
            "{{name}}",
        ).unit("bytes"),
        _lines(
            f"CPU by process name on $host, {ONE_CPU}",
            "CPU that the processes of each name use, the busiest.",
            _top(f"rate(so1_process_group_cpu_seconds_total{{{HOST}}}[$__rate_interval])"),
            "{{name}}",
        )
        .unit("percentunit")
        .decimals(0),
        _lines(
            "RAM by container on $host",
            "What the kernel charges each container without caches, the largest.",
            _top(
                f"(so1_container_memory_bytes{{{HOST}}}"
                f" or so1_container_resident_memory_bytes{{{HOST}}})"
            ),
            "{{name}}",
        ).unit("bytes"),
        _lines(
            f"CPU by container on $host, {ONE_CPU}",
            "CPU that each container uses, the busiest.",
            _top(f"rate(so1_container_cpu_seconds_total{{{HOST}}}[$__rate_interval])"),
            "{{name}}",
        )
        .unit("percentunit")
        .decimals(0),
    ]
    onto = (
        empty(UID, TITLE, "All monitored hosts, from Prometheus.")
        .link(
            DashboardLink("System of $host")
            .type(DashboardLinkType.LINK)
            .url("http://$host:$grafana_port/d/so1-system")
            .icon("external link")
            .tooltip("Open this host's own Grafana")
            .target_blank(target_blank=True)
            .keep_time(keep_time=True)
        )
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
            .description("The host that the lower half shows: the worst, unless you choose")
            .datasource(DATASOURCE)
            .query(BY_BADNESS)
            .regex('/instance="([^"]+)"/')
            .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
            .sort(VariableSort.DISABLED)
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
        onto,
        [
            *placed,
            (_hosts(), 15, 12),
            (_alerts(), 9, 12),
            *((panel.min(0), 12, 8) for panel in graphs),
            *((panel.min(0).no_value(NOTHING), 12, 8) for panel in of_host),
        ],
    )
