# SPDX-License-Identifier: MIT
"""Rounds of the daemon made up for tests, and Prometheus' own tool as their judge."""

import subprocess
from typing import Any

import msgspec
from prometheus_client.parser import text_string_to_metric_families

from so1.config import Config, Metrics
from so1.exposition.families import Families
from so1.exposition.publisher import render
from so1.exposition.round import Round
from so1.model import Container, ContainerUsage, Process, Snapshot
from so1.store.event import Event
from tests.so1.processes import typed

Series = dict[tuple[str, frozenset[tuple[str, str]]], float]


def container(id_: str, **changes: Any) -> Container:
    """A running container."""
    made = Container(id=id_, name=id_[:12], image="alpine", labels={}, started_at=0)
    return msgspec.structs.replace(made, **changes)


def usage(of: Container, processes: list[Process]) -> ContainerUsage:
    """What a container uses."""
    return ContainerUsage(of, sum(p.rss for p in processes), 0, len(processes))


def removal(outcome: Any, rule: str) -> Event:
    """What the governor tells of a removal."""
    return Event(timestamp=0, kind="remove", outcome=outcome, rule=rule, detail="x")


def told(
    processes: list[Process] | None = None,
    containers: list[Container] | None = None,
    *,
    strangers: list[Container] | None = None,
    used: dict[int, int] | None = None,
    settings: Metrics | None = None,
    **changes: Any,
) -> Round:
    """A round; `used` is CPU nanoseconds by pid."""
    processes = [typed(1)] if processes is None else processes
    by_container: dict[str, list[Process]] = {}
    for process in processes:
        if process.container_id:
            by_container.setdefault(process.container_id, []).append(process)
    made = Round(
        config=Config(metrics=settings or Metrics(enabled=True)),
        timestamp=1_700_000_000.5,
        snapshot=Snapshot("module", 1, 1_000, 400, 600, processes, by_container),
        host_cpu=25.0,
        used_ns=lambda process: (used or {}).get(process.pid, 0),
        containers=[usage(c, by_container.get(c.id, [])) for c in containers or []],
        strangers=[usage(c, by_container.get(c.id, [])) for c in strangers or []],
        classify=lambda c: c.labels.get("so1.class", "low"),
        limits=[],
        docker_answered=True,
        events=[],
        dropped={},
        database_bytes=4_096,
        took=0.25,
        late=0.125,
    )
    return msgspec.structs.replace(made, **changes)


def text(families: Families, round_: Round) -> str:
    """What a scrape gets after a round."""
    return render(families.collect(round_)).text.decode()


def series(exposition: str) -> Series:
    """Every series and its value; each may be there but once."""
    found: Series = {}
    for family in text_string_to_metric_families(exposition):
        for sample in family.samples:
            key = sample.name, frozenset(sample.labels.items())
            assert key not in found
            found[key] = sample.value
    return found


def of(exposition: str, name: str, /, **labels: str) -> float:
    """The value of one series."""
    return series(exposition)[name, frozenset(labels.items())]


def complaints(exposition: str) -> str:
    """What promtool has to say; nothing where all is well."""
    done = subprocess.run(
        ["promtool", "check", "metrics"],
        input=exposition.encode(),
        capture_output=True,
        timeout=60,
        check=False,
    )
    said = (done.stdout + done.stderr).decode()
    assert done.returncode == 0 or said
    return said
