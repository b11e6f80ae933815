# SPDX-License-Identifier: MIT
"""Real daemons and a real engine: Debian's Prometheus scrapes, VictoriaMetrics gets it too."""

import contextlib
import json
import re
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.fleet.fleet import Answers, daemon, eventually, prometheus, victoria, write_targets
from tests.support.docker_engine import LiveEngine

pytestmark = [
    pytest.mark.engine,
]
DASHBOARD = Path(__file__).parents[2] / "grafana/dashboards/fleet.json"
PANELS: list[dict[str, Any]] = json.loads(DASHBOARD.read_text())["panels"]
QUERIES = {
    f"{panel['title']} {target['refId']}": target for panel in PANELS for target in panel["targets"]
}


class Fleet(NamedTuple):
    """What runs, and where it answers."""

    prometheus: Answers
    victoria: Answers
    targets: Path
    ports: dict[str, int]
    daemons: contextlib.ExitStack


@pytest.fixture(scope="module")
def fleet() -> Iterator[Fleet]:
    with contextlib.ExitStack() as running:
        folder = Path(running.enter_context(tempfile.TemporaryDirectory(prefix="so1-fleet-")))
        (folder / "e").mkdir()
        engine = LiveEngine(folder / "e")
        running.callback(engine.stop)
        engine.managed("low", "low", command="while :; do sleep 0.1; done")
        engine.start("web")
        daemons = running.enter_context(contextlib.ExitStack())
        ports = {"alpha": running.enter_context(daemon(folder / "alpha", engine.host))}
        # It is stopped in the course of the tests.
        ports["beta"] = daemons.enter_context(daemon(folder / "beta", engine.host))
        stored = running.enter_context(victoria(folder / "victoria"))
        scraped, targets = running.enter_context(
            prometheus(folder / "prometheus", ports, f"{stored.url}/api/v1/write")
        )
        eventually(lambda: sum(scraped.instant('up{job="so1"}').values()) == 2)
        enough = "count_over_time(so1_ticks_total[5m]) >= 10"
        eventually(lambda: len(scraped.instant(enough)) == 2)
        yield Fleet(scraped, stored, targets, ports, daemons)


@pytest.mark.parametrize("name", QUERIES)
def test_every_query_of_the_dashboard_gives_rows(fleet: Fleet, name: str) -> None:
    target = QUERIES[name]
    expr = target["expr"].replace("$host", "alpha").replace("$__rate_interval", "1m")
    expr = expr.replace("$__range", "5m").replace("$__interval", "20s")
    assert not re.search(r"\$", expr)
    if "ALERTS" in expr and "vector" not in expr:
        # The source is /proc here, for which an alert is pending: the query is asked about that.
        expr = expr.replace("firing", "pending")
        eventually(lambda: fleet.prometheus.instant(expr))
    if target.get("instant"):
        found = fleet.prometheus.instant(expr)
        if "by (instance)" in expr:
            assert len(found) == 2
    else:
        found = {str(one["metric"]): len(one["values"]) for one in fleet.prometheus.range(expr, 20)}
    assert found


def test_containers_are_there_by_name_image_and_class(fleet: Fleet) -> None:
    found = fleet.prometheus.get("/api/v1/query", query='so1_container_processes{instance="alpha"}')
    metrics = {one["metric"]["name"]: one["metric"] for one in found["result"]}
    assert (metrics["low"]["class"], metrics["web"]["class"]) == ("low", "unmanaged")
    assert metrics["web"]["image"] == "so1-lab/alpine"


SAME = (
    "so1_host_memory_size_bytes",
    "so1_ticks_total",
    "sum by (instance) (so1_process_group_resident_memory_bytes)",
    "sum by (instance, state) (so1_host_processes)",
    "count by (instance) ({job='so1', __name__=~'so1_.+'})",
    "topk(3, so1_process_group_resident_memory_bytes{instance='alpha'})",
)


@pytest.mark.parametrize("expr", SAME)
def test_victoriametrics_answers_the_same(fleet: Fleet, expr: str) -> None:
    # What was scraped then has been sent and stored by now.
    at = time.time()
    newest = "max(timestamp(so1_ticks_total))"
    eventually(lambda: max(fleet.victoria.instant(newest).values(), default=0) > at)

    def without_name(found: dict[str, float]) -> dict[str, float]:
        # Of the name of a metric each has its own opinion where a function was applied.
        return {re.sub(r'"__name__": "\w+",? ?', "", key): value for key, value in found.items()}

    ours = without_name(fleet.prometheus.instant(expr, at - 3))
    theirs = without_name(fleet.victoria.instant(expr, at - 3))
    assert ours
    assert theirs == pytest.approx(ours, rel=1e-9)


def test_a_daemon_that_stops_makes_an_alert_and_a_host_that_leaves_takes_it_along(
    fleet: Fleet,
) -> None:
    gone = 'ALERTS{alertname="So1HostOrDaemonGone", instance="beta"}'
    assert not fleet.prometheus.instant(gone)
    fleet.daemons.close()
    eventually(lambda: fleet.prometheus.instant(gone))
    assert fleet.prometheus.instant("up{instance='alpha'} == 1")
    write_targets(fleet.targets, {"alpha": fleet.ports["alpha"]})
    eventually(lambda: len(fleet.prometheus.get("/api/v1/targets")["activeTargets"]) == 1)
    eventually(lambda: not fleet.prometheus.instant(gone))
