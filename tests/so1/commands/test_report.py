# SPDX-License-Identifier: MIT
import csv
import io
import re
import sys
import time
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest
from click.testing import Result

from so1.store.database import Database
from so1.store.event import Event
from so1.store.rows import ContainerRow, MetricsRow, ProcessRow, Tick

HOSTILE = '<script>alert("$x_{$")</script>\x1b[31m'
HOUR = 3_600_000


@pytest.fixture
def filled(store: Path) -> Path:
    database = Database(store)
    now = time.time_ns() // 1_000_000
    ticks = ((30, HOSTILE, 999_999, 99), (2, "z" * 12, 100, 10), (1, HOSTILE, 300, 30))
    for age, name, ram, cpu in ticks:
        stamp = now - age * HOUR
        database.write_tick(
            Tick(
                timestamp=stamp,
                metrics=MetricsRow(1000, 400, ram, 1, 3, 0, "module", cpu),
                process_stats=[
                    ProcessRow(1, HOSTILE, ram, cpu),
                    ProcessRow(2, HOSTILE, ram, cpu),
                    ProcessRow(3, "=1+1", 5, 0),
                ],
                container_totals=[ContainerRow("z" * 64, name, "alpine", "low", 1, ram, cpu)],
                events=[Event(timestamp=stamp, kind="remove", outcome="done", detail="x")],
            )
        )
    database.close()
    return store


def lines(result: Result) -> dict[tuple[str, str], dict[str, str]]:
    rows = csv.DictReader(io.StringIO(result.output))
    return {(row["section"], row["name"]): row for row in rows}


@pytest.mark.usefixtures("filled")
def test_csv(so1: Callable[..., Result]) -> None:
    result = so1("report", "--format", "csv")
    assert result.exit_code == 0
    found = lines(result)
    host = found["host", "all"]
    assert (host["ticks"], float(host["ram_mean"]), float(host["cpu_max"])) == ("2", 200, 30)
    name = HOSTILE.replace("\x1b", "\\x1b")
    # Two processes of one name are one line, with the sums of each tick.
    process = found["process", name]
    assert (process["ticks"], float(process["ram_mean"])) == ("2", 400)
    assert float(process["ram_max"]) == 600
    # The latest name counts for the ticks in which Docker had not told it yet.
    assert [key[1] for key in found if key[0] == "container"] == [name]
    assert found["container", name]["ticks"] == "2"
    assert ("process", "'=1+1") in found


@pytest.mark.usefixtures("filled")
def test_a_longer_period_holds_more(so1: Callable[..., Result]) -> None:
    assert lines(so1("report", "--format", "csv", "--since", "7d"))["host", "all"]["ticks"] == "3"
    assert lines(so1("report", "--format", "csv", "--since", "90m"))["host", "all"]["ticks"] == "1"


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.sources: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.sources += [value or "" for key, value in attrs if key in ("src", "href")]


@pytest.mark.usefixtures("filled")
def test_the_page_stands_alone_and_runs_nothing(so1: Callable[..., Result], tmp_path: Path) -> None:
    target = tmp_path / "report.html"
    assert so1("report", "--format", "html", "--output", str(target)).exit_code == 0
    text = target.read_text()
    page = _Page()
    page.feed(text)
    assert "script" not in page.tags
    assert page.tags.count("table") == 4
    assert page.sources
    assert all(source.startswith("data:image/svg+xml;base64,") for source in page.sources)
    assert "&lt;script&gt;" in text
    assert "\x1b" not in text


@pytest.mark.usefixtures("filled")
def test_the_table_is_safe_to_look_at(so1: Callable[..., Result]) -> None:
    result = so1("report")
    assert result.exit_code == 0
    assert "\x1b" not in result.output
    assert re.search(r"remove +done +2", result.output)


@pytest.mark.usefixtures("filled")
def test_without_the_extra(so1: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "so1.report", raising=False)
    monkeypatch.setitem(sys.modules, "pandas", None)
    result = so1("report")
    assert result.exit_code == 1
    assert "pip install 'so1[report]'" in result.output


def test_nothing_to_report(so1: Callable[..., Result], store: Path) -> None:
    missing = so1("report")
    assert (missing.exit_code, "has the daemon run" in missing.output) == (1, True)
    Database(store).close()
    empty = so1("report")
    assert (empty.exit_code, "no tick in this period" in empty.output) == (1, True)


@pytest.mark.usefixtures("filled")
def test_a_file_that_cannot_be_written(so1: Callable[..., Result], tmp_path: Path) -> None:
    result = so1("report", "--format", "csv", "--output", str(tmp_path / "absent" / "x.csv"))
    assert result.exit_code == 1
    assert "cannot be written" in result.output


@pytest.mark.parametrize("since", ["", "24", "h", "-1h", "1y", "1.5h"])
def test_a_period_that_is_none(so1: Callable[..., Result], since: str) -> None:
    assert so1("report", "--since", since).exit_code == 2
