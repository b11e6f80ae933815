# SPDX-License-Identifier: MIT
"""Every table, column and kind of event is in docs/formats.md, and none that is not there."""

from __future__ import annotations

import sqlite3
from typing import get_args, get_type_hints

from so1.store.event import Event
from tests.docs.pages import ROOT, code, rows, section

PAGE = (ROOT / "docs/formats.md").read_text()


def schema() -> dict[str, set[str]]:
    """The tables that the migrations make, with their columns."""
    connection = sqlite3.connect(":memory:")
    for path in sorted((ROOT / "python/src/so1/store/migrations").glob("*.sql")):
        connection.executescript(path.read_text())
    tables = connection.execute(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    ).fetchall()
    found = {
        name: {row[1] for row in connection.execute(f"PRAGMA table_info({name})")}
        for (name,) in tables
    }
    connection.close()
    return found


THERE = schema()


def test_every_table_is_described_and_no_other() -> None:
    assert "container_totals" in THERE
    described = rows(section(PAGE, "## /var/lib/so1/metrics.db"))
    assert {row[0].strip("`") for row in described if row[0].startswith("`")} == set(THERE)


def test_every_column_is_described_and_no_other() -> None:
    table = (row for row in rows(section(PAGE, "### Columns")) if "`" in row[0])
    described = {row[0].strip("`"): code(row[1]) for row in table}
    of_all = {"id", "timestamp"}
    assert of_all <= code(section(PAGE, "### Columns"))
    assert described == {name: columns - of_all for name, columns in THERE.items()}


def test_the_kernel_s_figures_of_a_container_are_columns() -> None:
    named = {
        name
        for row in rows(section(PAGE, "### What a container uses"))
        if "`" in row[0]
        for name in code(row[0])
    }
    assert "memory" in named
    assert named <= THERE["container_totals"]


def test_every_kind_and_outcome_of_an_event_is_described() -> None:
    hints = get_type_hints(Event)
    kinds, outcomes = set(get_args(hints["kind"])), set(get_args(hints["outcome"]))
    assert {"remove", "docker"} <= kinds
    assert "refused" in outcomes
    assert (kinds | outcomes) - code(section(PAGE, "## Events")) == set()
