# SPDX-License-Identifier: MIT
import contextlib
import csv
import io
import json
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


FORMULAS = [
    *("=1+1", "+1", "-1", "@a", "\uff1d1+1", "\uff0b1", "\uff0d1", "\uff20a", "  =1"),
    *("a;=1+1", "a,=1+1", "a; +1", 'a"=1', "a|@b", "a;\uff1d1+1"),
]


@pytest.mark.parametrize("name", FORMULAS)
def test_no_cell_of_a_spreadsheet_is_a_formula(
    so1: Callable[..., Result], store: Path, name: str
) -> None:
    with contextlib.closing(Database(store)) as database:
        database.write_tick(
            Tick(
                timestamp=round(time.time() * 1000),
                metrics=(1000, 400, 1, 1, 3, 0, "module", 1),
                process_stats=[(1, name, 5, 1), (2, "a-b + c=d (e@f)", 5, 1)],
            )
        )
    result = so1("report", "--format", "csv")
    shown = [key[1] for key in lines(result) if key[0] == "process"]
    assert sorted(one.replace("'", "") for one in shown) == sorted([name, "a-b + c=d (e@f)"])
    assert "a-b + c=d (e@f)" in shown
    # However a program takes a line apart.
    for line in result.output.splitlines():
        for cell in re.split(r'[;,|"]', line):
            assert cell.strip()[:1] not in {*"=+-@\uff1d\uff0b\uff0d\uff20"}


@pytest.mark.usefixtures("filled")
def test_json_is_in_kib_and_whole(so1: Callable[..., Result]) -> None:
    report = json.loads(so1("report", "--json").output)
    (host,) = report["host"]
    assert (host["ticks"], host["ram_mean"], host["cpu_max"]) == (2, 200, 30)
    assert report["container"][0]["name"] == HOSTILE.replace("\x1b", "\\x1b")
    assert report["events"] == [{"kind": "remove", "outcome": "done", "count": 2}]
    assert report["until"] - report["since"] == 24 * HOUR


@pytest.mark.usefixtures("filled")
def test_tables_are_in_mib_with_units(so1: Callable[..., Result]) -> None:
    heading = r"name +ticks +RAM mean MiB +RAM max MiB +CPU mean % +CPU max %"
    output = so1("report").output
    assert len(re.findall(heading, output)) == 3
    assert re.search(r"all +2 +0\.2 +0\.3 +20\.0 +30\.0", output)  # 200 and 300 KiB
    assert "<th>RAM max MiB</th>" in so1("report", "--format", "html").output


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize("layout", ["table", "csv", "html"])
def test_a_period_before_all_time(so1: Callable[..., Result], layout: str) -> None:
    result = so1("report", "--since", "999999w", "--format", layout)
    assert result.exit_code == 0
    assert layout != "html" or "1970-01-01 00:00:00 UTC to 20" in result.output


def test_ticks_of_a_clock_that_was_ahead_are_in_no_period(
    so1: Callable[..., Result], filled: Path
) -> None:
    with contextlib.closing(Database(filled)) as database:
        database.write_tick(Tick(timestamp=1 << 42, metrics=(1000, 400, 9, 1, 3, 0, "module", 99)))
    assert lines(so1("report", "--format", "csv"))["host", "all"]["ticks"] == "2"


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
