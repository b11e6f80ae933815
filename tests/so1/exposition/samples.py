# SPDX-License-Identifier: MIT
"""Samples made up for tests, and Prometheus' own tool as their judge."""

import subprocess
from typing import Any

import msgspec
from prometheus_client.parser import text_string_to_metric_families

from so1.config import Config, Metrics
from so1.exposition.families import Families
from so1.exposition.own import Own
from so1.exposition.publisher import render
from so1.model import Charged, Container, Process
from so1.sample import Sample
from so1.store.database import Basket
from so1.store.event import Event
from tests.so1.processes import typed
from tests.so1.samples import sample

Series = dict[tuple[str, frozenset[tuple[str, str]]], float]


def container(id_: str, **changes: Any) -> Container:
    """A running container."""
    made = Container(id=id_, name=id_[:12], image="alpine", labels={}, started_at=0)
    return msgspec.structs.replace(made, **changes)


def removal(outcome: Any, rule: str) -> Event:
    """What the governor tells of a removal."""
    return Event(timestamp=0, kind="remove", outcome=outcome, rule=rule, detail="x")


class Told(msgspec.Struct, frozen=True):
    """What the daemon hands to the exposition."""

    sample: Sample
    own: Own


def told(
    processes: list[Process] | None = None,
    containers: list[Container] | None = None,
    *,
    strangers: list[Container] | None = None,
    used: dict[int, int] | None = None,
    charges: dict[str, Charged] | None = None,
    settings: Metrics | None = None,
    own: dict[str, Any] | None = None,
    **changes: Any,
) -> Told:
    """Tell of a sample; `used` is CPU nanoseconds by pid, `own` what is changed of the daemon's."""
    processes = [typed(1)] if processes is None else processes
    made = sample(
        processes, containers or [], strangers=strangers or [], used=used or {}, charges=charges
    )
    daemon = Own(
        config=Config(metrics=settings or Metrics(enabled=True)),
        events=[],
        dropped={},
        database_bytes=4_096,
        basket=Basket(2, 3_000),
        took=0.25,
        late=0.125,
    )
    return Told(
        msgspec.structs.replace(made, **changes), msgspec.structs.replace(daemon, **(own or {}))
    )


def text(families: Families, told: Told) -> str:
    """What a scrape gets after a sample."""
    return render(families.collect(told.sample, told.own)).text.decode()


def series(exposition: str) -> Series:
    """Every series and its value; each may be there but once."""
    found: Series = {}
    for family in text_string_to_metric_families(exposition):
        for one in family.samples:
            key = one.name, frozenset(one.labels.items())
            assert key not in found
            found[key] = one.value
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
