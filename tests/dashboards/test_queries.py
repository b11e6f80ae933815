# SPDX-License-Identifier: MIT
"""Every query of the dashboards runs, on history and on nothing, and gives what its panel needs."""

import re
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmarks.dashboards import history, plugin
from so1.store import rows as stored
from tests.dashboards.shape import Rows, ask, check_shape

HOUR_MS = 3_600_000
RULES = Path(__file__).parents[2] / "prometheus/so1.rules.yml"
EACH = [
    (dashboard, query)
    for dashboard in (plugin.load("system"), plugin.load("containers"))
    for query in plugin.queries(dashboard)
]
OF_CONTAINERS = re.compile(": (RAM|CPU) (per|now)|: Containers$")
"""The panels that are empty where no container runs."""
ALL = [pytest.param(*each, id=each[1].place) for each in EACH]
GRAPHS = [pytest.param(*each, id=each[1].place) for each in EACH if each[1].shown == "timeseries"]


@pytest.mark.parametrize("length", [HOUR_MS, 7 * 24 * HOUR_MS], ids=["hour", "week"])
@pytest.mark.parametrize(("dashboard", "query"), ALL)
def test_history(
    filled: Path, now: int, dashboard: dict[str, Any], query: plugin.StoredQuery, length: int
) -> None:
    columns, rows = ask(filled, dashboard, query, now, length)
    assert rows
    check_shape(query, columns, rows)
    if "time" in columns:
        # Seconds: milliseconds taken for them would lie thousands of years ahead.
        assert all(
            (now - length) / 1000 - length / 60_000 <= row["time"] <= now / 1000 + 1 for row in rows
        )
        most = plugin.MOST_POINTS if query.shown == "timeseries" else len(rows)
        assert len({row["time"] for row in rows}) <= most
    if not query.place.endswith(": Governor and daemon events"):
        assert all(value is not None for row in rows for value in row.values())


@pytest.mark.parametrize(("dashboard", "query"), ALL)
def test_fresh_install(
    fresh: Path, now: int, dashboard: dict[str, Any], query: plugin.StoredQuery
) -> None:
    """Nothing fails, every figure says that no tick was written yet, the rest has no row."""
    columns, rows = ask(fresh, dashboard, query, now, HOUR_MS)
    if query.shown in {"stat", "gauge"}:
        ((figure,),) = (row.values() for row in rows)
        title = query.place.partition(": ")[2]
        assert figure == (None if title == "Last tick" else "")
        (panel,) = [panel for panel in dashboard["panels"] if panel["title"] == title]
        match = "null" if title == "Last tick" else "empty"
        said = {
            mapping["options"]["match"]: mapping["options"]["result"]["text"]
            for mapping in panel["fieldConfig"]["defaults"]["mappings"]
            if mapping["type"] == "special"
        }
        assert said[match] == "no tick yet"
    else:
        assert rows == []
    check_shape(query, columns, rows)


@pytest.mark.parametrize(("dashboard", "query"), ALL)
def test_a_range_without_a_tick_is_no_fresh_install(
    filled: Path, now: int, dashboard: dict[str, Any], query: plugin.StoredQuery
) -> None:
    if query.shown in {"stat", "gauge"} and not query.place.endswith(": Last tick"):
        long_ago = now - 30 * 24 * HOUR_MS
        assert [*ask(filled, dashboard, query, long_ago, HOUR_MS)[1][0].values()] == [None]


@pytest.mark.parametrize(("dashboard", "query"), ALL)
def test_ticks_without_a_container(
    bare: Path, now: int, dashboard: dict[str, Any], query: plugin.StoredQuery
) -> None:
    """A count is then 0 and not unknown; what lists containers is empty, and says so."""
    columns, rows = ask(bare, dashboard, query, now, HOUR_MS)
    check_shape(query, columns, rows)
    assert bool(rows) != bool(OF_CONTAINERS.search(query.place))
    if not query.place.endswith(": Governor and daemon events"):
        assert all(None not in row.values() for row in rows)


def figures(path: Path, now: int, name: str, title: str) -> Rows:
    dashboard = plugin.load(name)
    (query,) = [q for q in plugin.queries(dashboard) if q.place.endswith(f": {title}")]
    return ask(path, dashboard, query, now, HOUR_MS)[1]


def test_figures_are_those_of_the_last_tick(filled: Path, now: int) -> None:
    connection = plugin.connect(filled)
    (largest,) = connection.execute(
        "SELECT MAX(ram_usage) FROM process_stats WHERE timestamp = ?", (now,)
    ).fetchone()
    connection.close()
    assert figures(filled, now, "system", "Processes") == [{"processes": 40}]
    assert figures(filled, now, "system", "All CPUs") == [{"cpu": 12.5}]
    assert figures(filled, now, "system", "Source") == [{"source": "module"}]
    assert figures(filled, now, "system", "Stuck") == [{"stuck": 16}]
    assert figures(filled, now, "system", "Troubles") == [{"troubles": 1}]
    assert figures(filled, now, "system", "Failures") == [{"failures": "4 in 1 h"}]
    assert figures(filled, now, "system", "Top processes now, by RAM")[0]["value"] == largest
    assert figures(filled, now, "containers", "Low") == [{"containers": "3 of 3"}]
    assert figures(filled, now, "containers", "High") == [{"containers": "3 of 2, over"}]
    assert figures(filled, now, "containers", "Governor") == [{"mode": "observe"}]
    assert figures(filled, now, "containers", "Managed") == [{"containers": "6 of 10"}]
    assert len(figures(filled, now, "containers", "Containers")) == 9
    assert figures(filled, now, "containers", "Removed") == [{"removed": "4 in 1 h"}]
    assert len(figures(filled, now, "containers", "Bring a removed container back")) == 4
    assert len(figures(filled, now, "containers", "Governor and daemon events")) == 8


def test_what_was_not_measured_is_made_up_for(tmp_path: Path, now: int) -> None:
    path = tmp_path / "metrics.db"
    connection = history.create(path)
    history.fill(connection, end=now, ticks=9, processes=3, containers=3)
    connection.execute("UPDATE metrics SET available_ram = NULL, troubles = NULL")
    connection.execute("UPDATE container_totals SET memory = NULL")
    connection.commit()
    ((used, total),) = connection.execute(
        "SELECT used_ram, total_ram FROM metrics WHERE timestamp = ?", (now,)
    )
    connection.close()
    (row,) = figures(path, now, "system", "RAM used")
    assert row["ram"] == pytest.approx(used * 100 / total)
    assert figures(path, now, "system", "Troubles") == [{"troubles": 0}]
    assert figures(path, now, "system", "Troubles at the last tick") == []
    assert all(row["RAM"] for row in figures(path, now, "containers", "Containers"))
    assert all(row["value"] for row in figures(path, now, "containers", "RAM per container"))


def test_containers_that_lost_processes_come_first(filled: Path, now: int) -> None:
    rows = figures(filled, now, "containers", "Containers")
    kills = [row["OOM, 1 h"] for row in rows]
    assert kills == sorted(kills, reverse=True)
    assert kills[0] == 1
    total = figures(filled, now, "containers", "OOM, 1 h")[0]["killed"]
    assert total == 2 * sum(kills), "each of two generations lost as many"


def test_what_failed_last_is_first(filled: Path, now: int) -> None:
    for name in ("system", "containers"):
        rows = figures(filled, now, name, "What failed last")
        assert [row["what"] for row in rows] == ["docker"] * 4
        assert [row["time"] for row in rows] == sorted((row["time"] for row in rows), reverse=True)


@pytest.mark.parametrize(
    ("length", "said"),
    [
        *((15 * 60_000, "15 min"), (HOUR_MS, "1 h"), (5_400_000, "1.5 h"), (6 * HOUR_MS, "6 h")),
        *((24 * HOUR_MS, "24 h"), (48 * HOUR_MS, "2 d"), (7 * 24 * HOUR_MS, "7 d")),
    ],
)
def test_a_count_says_of_which_time_it_is(filled: Path, now: int, length: int, said: str) -> None:
    dashboard = plugin.load("containers")
    told = {q.place.partition(": ")[2]: q for q in plugin.queries(dashboard)}
    for title in ("Failures", "Removed"):
        ((figure,),) = (row.values() for row in ask(filled, dashboard, told[title], now, length)[1])
        assert figure.endswith(f" in {said}")
    # Their titles say it: of an hour, whatever the range.
    for title in ("OOM, 1 h", "Containers"):
        in_an_hour = ask(filled, dashboard, told[title], now, HOUR_MS)[1]
        assert ask(filled, dashboard, told[title], now, length)[1] == in_an_hour


def test_the_limit_nearest_to_being_reached_is_first(filled: Path, now: int) -> None:
    rows = figures(filled, now, "system", "Limited processes")
    assert [(row["process"], row["percent"]) for row in rows] == [
        ("process-3", 200.0),
        ("process-2", 75.0),
        ("process-1", pytest.approx(0, abs=1e-6)),
    ]
    assert {key: value for key, value in rows[1].items() if key not in {"part", "since"}} == {
        "process": "process-2",
        "pid": 2,
        "limit": 512 << 20,
        "in use": 384 << 20,
        "percent": 75.0,
        "by uid": 1000,
    }
    # The unit of this column takes milliseconds.
    assert rows[1]["since"] == now - 9_000


def test_a_host_without_limits_has_no_rows_and_says_so(filled: Path, now: int) -> None:
    long_ago = now - 30 * 24 * HOUR_MS
    assert figures(filled, long_ago, "system", "Limited processes") == []
    panels = plugin.load("system")["panels"]
    (panel,) = [panel for panel in panels if panel["title"] == "Limited processes"]
    said = panel["fieldConfig"]["defaults"]["noValue"]
    assert said == "No limited process, or no tick, in this time range"


def test_the_made_up_history_has_the_states_that_a_daemon_writes() -> None:
    assert set(history.STATES) <= set(stored.STATES.values())


def test_a_range_in_the_past_shows_the_past(filled: Path, now: int) -> None:
    before = now - HOUR_MS // 2
    first = figures(filled, before, "containers", "Containers")[0]["name"]
    assert first.startswith("so1-0-")
    assert figures(filled, now, "containers", "Containers")[0]["name"].startswith("so1-1-")


def test_of_many_only_the_largest_are_lines(filled: Path, now: int) -> None:
    for name, title in (("system", "RAM by process"), ("containers", "RAM per container")):
        rows = figures(filled, now, name, title)
        assert len({row["name"] for row in rows if "others" not in row["name"]}) == 6
        assert 1 <= len({row["name"] for row in rows if "others" in row["name"]}) <= 3


def test_what_is_summed_says_of_how_many(filled: Path, now: int) -> None:
    connection = plugin.connect(filled)
    (names,) = connection.execute("SELECT COUNT(DISTINCT name) FROM process_stats").fetchone()
    classes = dict(
        connection.execute(
            "SELECT class, COUNT(DISTINCT container_id) FROM container_totals GROUP BY 1"
        )
    )
    connection.close()
    rows = figures(filled, now, "system", "RAM by process")
    assert f"sum of {names - 6} others" in {row["name"] for row in rows}
    rows = figures(filled, now, "containers", "RAM per container")
    told = [re.fullmatch(r"sum of (\d+) others, (.*)", name) for name in {r["name"] for r in rows}]
    summed = {match[2]: int(match[1]) for match in told if match}
    assert sum(summed.values()) == sum(classes.values()) - 6
    assert all(2 <= count <= classes[class_] for class_, count in summed.items())


def test_a_rest_of_one_has_its_own_name(tmp_path: Path, now: int) -> None:
    path = tmp_path / "metrics.db"
    connection = history.create(path)
    history.fill(connection, end=now, ticks=9, processes=7, containers=7)
    connection.execute("UPDATE container_totals SET class = 'low'")
    connection.commit()
    connection.close()
    for name, title in (("system", "RAM by process"), ("containers", "RAM per container")):
        found = {row["name"] for row in figures(path, now, name, title)}
        assert len(found) == 7
        assert not [name for name in found if "others" in name]


def test_the_descriptions_say_who_has_a_line_of_its_own() -> None:
    for name in ("system", "containers"):
        for panel in plugin.load(name)["panels"]:
            if re.search("^(RAM|CPU) (by|per) ", panel["title"]):
                assert re.search(r"\bThe 6 (names )?(with the highest|that)", panel["description"])


def test_how_full_a_container_is_is_told_against_its_own_limit(tmp_path: Path, now: int) -> None:
    path = tmp_path / "metrics.db"
    connection = history.create(path)
    history.fill(connection, end=now, ticks=9, processes=1, containers=9)
    connection.execute("UPDATE container_totals SET memory = 100, memory_limit = 1000")
    set_to = "UPDATE container_totals SET memory = ?, memory_limit = ? WHERE container_name = ?"
    connection.execute(set_to, (96, 100, "so1-0-1"))
    connection.execute(set_to, (90_000, None, "so1-0-2"))
    connection.commit()
    connection.close()
    rows = figures(path, now, "containers", "RAM per container, % of its limit")
    assert {row["value"] for row in rows if row["name"] == "so1-0-1"} == {96}
    assert "so1-0-2" not in {row["name"] for row in rows}, "it has no limit"
    assert {row["value"] for row in rows if row["name"] == "fullest of 2 others"} == {10}


def test_the_line_of_ram_is_where_the_alert_is(filled: Path, now: int) -> None:
    rules = yaml.safe_load(RULES.read_text())["groups"][0]["rules"]
    (alert,) = [rule for rule in rules if rule["alert"] == "So1MemoryNearlyFull"]
    assert alert["expr"].endswith("< 0.1")
    assert {row["90 % used"] for row in figures(filled, now, "system", "RAM of the host")} == {
        7_200_000
    }


def test_what_is_summed_is_all_there_is(filled: Path, now: int) -> None:
    connection = plugin.connect(filled)
    (total,) = connection.execute(
        "SELECT SUM(ram_usage) FROM container_totals WHERE timestamp = ?", (now,)
    ).fetchone()
    connection.close()
    rows = figures(filled, now, "containers", "RAM per container")
    last = max(row["time"] for row in rows)
    # Ticks are as far apart as the intervals here, or nearer: the fullest need not be the last.
    assert sum(row["value"] for row in rows if row["time"] == last) == pytest.approx(total, rel=1)


def test_a_spike_is_seen_with_its_culprit_however_long_the_range(tmp_path: Path, now: int) -> None:
    path = tmp_path / "metrics.db"
    connection = history.create(path)
    history.fill(connection, end=now, ticks=3 * 180, processes=5, containers=0)
    spike = now - 200 * history.INTERVAL_MS
    connection.execute("UPDATE metrics SET cpu_usage = 99.0 WHERE timestamp = ?", (spike,))
    connection.execute(
        "INSERT INTO process_stats (timestamp, pid, name, ram_usage, cpu_usage)"
        " VALUES (?, 7, 'culprit', 1, 395)",
        (spike,),
    )
    connection.commit()
    connection.close()
    dashboard = plugin.load("system")
    (query,) = [
        q for q in plugin.queries(dashboard) if q.place.endswith("CPU by process, % of one CPU")
    ]
    rows = ask(path, dashboard, query, now, 7 * 24 * HOUR_MS)[1]
    assert max(row["value"] for row in rows) == 395
    (over_time,) = [
        q for q in plugin.queries(dashboard) if q.place.endswith("CPU of the host, % of all CPUs")
    ]
    rows = ask(path, dashboard, over_time, now, 7 * 24 * HOUR_MS)[1]
    assert max(row["peak"] for row in rows) == 99.0


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory: pytest.TempPathFactory, now: int) -> Path:
    """A history in which nothing was written from 40 to 20 minutes ago."""
    path = tmp_path_factory.mktemp("interrupted") / "metrics.db"
    connection = history.create(path)
    history.fill(connection, end=now, ticks=180, processes=4, containers=3)
    for table in ("metrics", "process_stats", "process_states", "container_totals", "events"):
        connection.execute(
            f"DELETE FROM {table} WHERE timestamp BETWEEN ? AND ?",
            (now - 40 * 60_000, now - 20 * 60_000),
        )
    connection.commit()
    connection.close()
    return path


@pytest.mark.parametrize(("dashboard", "query"), GRAPHS)
def test_an_outage_is_a_gap(
    interrupted: Path, now: int, dashboard: dict[str, Any], query: plugin.StoredQuery
) -> None:
    columns, rows = ask(interrupted, dashboard, query, now, HOUR_MS)
    check_shape(query, columns, rows)
    shown = [key for key in columns if key not in {"part", "time", "name"}]
    (gap,) = [row for row in rows if all(row[key] is None for key in shown)]
    assert now / 1000 - 2_600 <= gap["time"] <= now / 1000 - 2_300


def test_ticks_further_apart_than_the_intervals_are_no_gaps(tmp_path: Path, now: int) -> None:
    path = tmp_path / "metrics.db"
    connection = history.create(path)
    history.fill(connection, end=now, ticks=180, processes=1, containers=0)
    connection.execute("DELETE FROM metrics WHERE id % 6")
    connection.commit()
    connection.close()
    rows = figures(path, now, "system", "RAM of the host")
    assert len(rows) == 30
    assert all(row["used"] is not None for row in rows)


def test_after_the_clock_was_set_back_the_last_tick_is_the_one_written_last(
    tmp_path: Path, now: int
) -> None:
    path = tmp_path / "metrics.db"
    connection = history.create(path)
    history.fill(connection, end=now, ticks=9, processes=3, containers=0)
    history.fill(connection, end=now - 60_000 - 7, ticks=1, processes=4, containers=0)
    connection.close()
    assert figures(path, now, "system", "Processes") == [{"processes": 4}]
    (row,) = figures(path, now, "system", "Last tick")
    # The session began at `now`, which may be minutes ago.
    assert row["age"] == pytest.approx(time.time() - (now / 1000 - 60), abs=5)
