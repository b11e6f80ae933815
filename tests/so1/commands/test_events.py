# SPDX-License-Identifier: MIT
import json
import re
import sqlite3
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest
from click.testing import Result

from so1.store.database import Database
from so1.store.event import Event
from tests.so1.store.ticks import event

RECREATE = "docker run --detach --name web --env $'A\\nB' alpine"


@pytest.fixture
def filled(store: Path) -> Path:
    now = round(time.time() * 1000)
    database = Database(store)
    database.add_events(
        [
            event(now - 172_800_000, "from the day before yesterday"),
            event(now - 60_000, "a minute ago"),
            Event(
                timestamp=now,
                kind="remove",
                outcome="done",
                detail="Removed: of 4 low containers 3 are kept.",
                container_id="ab" * 32,
                container_name="we\x1b[31mb",
                image="alpine",
                class_="low",
                ram_usage=2048,
                cpu_usage=1.25,
                rule="excess-low",
                recreate=RECREATE,
            ),
        ]
    )
    database.close()
    return store


@pytest.mark.usefixtures("filled")
def test_the_latest_last_with_what_brings_it_back(so1: Callable[..., Result]) -> None:
    result = so1("events")
    assert result.exit_code == 0
    assert "day before yesterday" not in result.output
    assert result.output.index("a minute ago") < result.output.index("of 4 low containers 3")
    assert "excess-low" in result.output
    assert "2.0" in result.output
    assert result.output.splitlines()[-1] == RECREATE
    assert "\x1b[31m" not in result.output


def test_the_readme_shows_what_a_terminal_does(
    so1: Callable[..., Result], store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = datetime.fromisoformat("2026-11-23 12:11:58")
    database = Database(store)
    database.add_events(
        [
            Event(
                timestamp=round(at.timestamp() * 1000),
                kind="remove",
                outcome="done",
                detail="Removed: of 3 high containers 2 are kept.",
                container_name="so1-high-20261123-121104-2d16e1ef",
                image="so1-lab/stress",
                ram_usage=78_643,
                cpu_usage=24.8,
                rule="excess-high",
            )
        ]
    )
    database.close()
    for name, value in (("FORCE_COLOR", "1"), ("TERM", "xterm"), ("COLUMNS", "120")):
        monkeypatch.setenv(name, value)
    output = re.sub(r"\x1b\[[0-9;]*m", "", so1("events", "--since", "9999d").output)
    readme = Path(__file__).parents[3] / "README.md"
    shown = readme.read_text().partition("$ so1 events\n")[2].partition("\n\n")[0]
    assert [line.rstrip() for line in output.splitlines()] == shown.splitlines()


@pytest.mark.usefixtures("filled")
def test_json(so1: Callable[..., Result]) -> None:
    (minute, last) = json.loads(so1("events", "--json").output)
    assert minute["detail"] == "a minute ago"
    assert last["ram_usage"] == 2048
    assert last["class"] == "low"
    assert last["recreate"] == RECREATE


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize(
    ("options", "count"),
    [
        (["--since", "3d"], 3),
        (["--since", "30s"], 1),
        (["--since", "3d", "--limit", "1"], 1),
        (["--since", "3d", "--limit", "2"], 2),
        (["--since", "3d", "--limit", "0"], 3),
        (["--since", "0s"], 0),
    ],
)
def test_how_far_back_and_how_many(
    so1: Callable[..., Result], options: list[str], count: int
) -> None:
    found = json.loads(so1("events", "--json", *options).output)
    assert len(found) == count
    if count:
        assert found[-1]["kind"] == "remove"


def test_none_is_said(so1: Callable[..., Result], store: Path) -> None:
    Database(store).close()
    result = so1("events")
    assert (result.exit_code, result.output) == (0, "no events in this period\n")


def test_no_database(so1: Callable[..., Result]) -> None:
    result = so1("events")
    assert result.exit_code == 1
    assert len(result.output.splitlines()) == 1


def test_a_database_without_the_table(so1: Callable[..., Result], store: Path) -> None:
    with sqlite3.connect(store) as connection:
        connection.execute("CREATE TABLE metrics (id INTEGER PRIMARY KEY)")
    connection.close()
    result = so1("events")
    assert result.exit_code == 1
    assert "cannot be read" in result.output


def test_a_period_that_is_none(so1: Callable[..., Result]) -> None:
    assert so1("events", "--since", "soon").exit_code == 2
