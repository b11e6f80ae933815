# SPDX-License-Identifier: MIT
"""`so1 replay` on a database that the daemon's own loops wrote."""

import contextlib
import json
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from msgspec.structs import replace

from so1.config import Policy
from so1.governor.decision import Decision
from so1.model import ContainerUsage
from so1.store import decisions, rows
from so1.store.database import Database
from so1.store.event import Event
from tests.so1.governor.containers import TAKEN, usage
from tests.so1.samples import sample
from tests.so1.store.ticks import tick

NOW_MS = round(time.time() * 1000)
RAN = Policy(mode="observe", maximum=10, keep_low=3, keep_high=2, grace=30)
Run = Callable[..., Result]


def minute(
    database: Database,
    number: int,
    usages: list[ContainerUsage],
    policy: Policy = RAN,
    *events: Event,
) -> None:
    """Store a tick of so many minutes after an hour ago, and that it was decided on."""
    made = sample([], timestamp=(NOW_MS - 3_600_000) / 1000 + 60 * number)
    made = replace(made, containers=usages, snapshot=replace(made.snapshot, taken_ns=TAKEN))
    database.write_tick(
        rows.build(
            made,
            top=0,
            removed=0,
            troubles=(),
            events=events,
            decisions=[decisions.row(made, Decision(usages, policy, TAKEN))],
        )
    )


@pytest.fixture
def database(store: Path) -> Database:
    return Database(store)


@pytest.fixture
def observed(database: Database) -> None:
    """Five low containers for ten minutes, of which the policy would keep three."""
    usages = [usage(number, memory=1024 * (1 + number)) for number in range(5)]
    for number in range(10):
        minute(database, number, usages)
    database.close()


def shown(so1: Run, *arguments: str) -> Any:
    result = so1("replay", "--json", *arguments)
    assert result.exit_code == 0, result.output
    return json.loads(result.output)


@pytest.mark.usefixtures("observed")
def test_the_policy_that_ran_is_what_is_shown_without_another(so1: Run) -> None:
    body = shown(so1)
    assert (body["tried"], body["decisions"], body["lost"]) == (False, 10, 0)
    assert body["policies"] == [
        {"mode": "observe", "maximum": 10, "keep_low": 3, "keep_high": 2, "grace": 30.0}
    ]
    removals = body["removals"]
    assert [(one["container_name"], one["rule"], one["mode"]) for one in removals] == [
        ("c4", "excess-low", "observe"),
        ("c3", "excess-low", "observe"),
    ]


@pytest.mark.usefixtures("observed")
def test_what_a_policy_that_is_tried_removes_is_not_there_later(so1: Run) -> None:
    body = shown(so1, "--keep-low", "1", "--maximum", "6")
    removals = body["removals"]
    assert [(one["container_name"], one["memory"]) for one in removals] == [
        (f"c{number}", 1024 * (1 + number)) for number in (4, 3, 2, 1)
    ]
    first = NOW_MS - 3_600_000
    assert {one["timestamp"] for one in removals} == {first}
    assert {one["until"] for one in removals} == {first + 540_000}
    assert {one["really"] for one in removals} == {None}
    assert (body["freed"], body["freed_at_once"]) == (14 * 1024, 14 * 1024)
    assert "counts as gone from then on" in str(body["note"])
    output = so1("replay", "--keep-low", "1").output
    assert "10 decisions since" in output
    assert "tried: maximum 10, keep_low 1, keep_high 2, grace 30 s, mode enforce" in output
    assert "4 would have gone and freed 14.0 MiB" in output
    assert "not removed; last seen" in output
    assert "nothing is known of one after it was really removed" in output


def test_it_is_said_what_really_went(so1: Run, database: Database) -> None:
    enforced = replace(RAN, mode="enforce")
    usages = [usage(number, memory=1024 * (1 + number)) for number in range(4)]
    went = Event(
        timestamp=NOW_MS - 3_600_000 + 5,
        kind="remove",
        outcome="done",
        detail="Removed: of 4 low containers 3 are kept.",
        container_id=usages[3].container.id,
        container_name="c3",
        class_="low",
        rule="excess-low",
        ram_usage=4096,
    )
    minute(database, 0, usages, enforced)
    minute(database, 1, usages[:3], enforced, went)
    database.close()
    (one,) = shown(so1)["removals"]
    assert (one["really"]["outcome"], one["really"]["timestamp"]) == ("done", went.timestamp)
    assert shown(so1)["only_really"] == []
    looser = shown(so1, "--keep-low", "4")
    assert looser["removals"] == []
    (only,) = looser["only_really"]
    assert (only["container_name"], only["class"]) == ("c3", "low")
    output = so1("replay", "--keep-low", "4").output
    assert "nothing would have gone" in output
    assert "1 more really went that would have stayed" in output
    # What it removed as the daemon did is not removed twice, and one more goes beside it.
    names = [one["container_name"] for one in shown(so1, "--keep-low", "2")["removals"]]
    assert names == ["c3", "c2"]


def test_a_file_is_tried_as_if_it_were_enforced(so1: Run, observed: None, tmp_path: Path) -> None:  # noqa: ARG001
    file = tmp_path / "tried.toml"
    file.write_text('[governor]\nmode = "observe"\nmaximum = 4\nkeep_low = 4\nkeep_high = 0\n')
    body = shown(so1, "--config", str(file))
    assert [one["rule"] for one in body["removals"]] == ["emergency"]
    result = so1("replay", "--config", str(file), "--maximum", "3")
    assert (result.exit_code, "leave it out, or the numbers" in result.output) == (2, True)
    file.write_text("[governor]\nbogus = 1\n")
    result = so1("replay", "--config", str(file))
    assert (result.exit_code, "bogus" in result.output) == (1, True)


@pytest.mark.usefixtures("observed")
def test_a_policy_that_keeps_more_than_its_maximum_is_refused(so1: Run) -> None:
    result = so1("replay", "--maximum", "4")
    assert result.exit_code == 1
    assert result.output == (
        "Error: the policy that is tried: governor.keep_low + governor.keep_high (3 + 2)"
        " must not exceed governor.maximum (4)\n"
    )


def test_a_volume_that_would_go_with_a_container_keeps_it(so1: Run, database: Database) -> None:
    usages = [usage(number, memory=1024 * (1 + number)) for number in range(3)]
    container = replace(usages[2].container, volumes_at_stake=True)
    usages[2] = replace(usages[2], container=container)
    minute(database, 0, usages)
    database.close()
    assert [one["container_name"] for one in shown(so1, "--keep-low", "1")["removals"]] == [
        "c1",
        "c0",
    ]


def test_it_says_from_when_it_can(so1: Run, database: Database) -> None:
    database.write_tick(replace(tick(NOW_MS - 7_200_000), decisions=[]))
    minute(database, 0, [usage(1)])
    minute(database, 1, [usage(1)])
    database.close()
    body = shown(so1)
    assert (body["from"], body["decisions"]) == (NOW_MS - 3_600_000, 2)
    assert "nothing would have gone" in so1("replay").output
    assert so1("replay", "--since", "1m").output == (
        "no decision of the governor is stored of this period\n"
    )


def test_a_decision_without_its_tick_is_counted(so1: Run, database: Database) -> None:
    minute(database, 0, [usage(1)])
    with database.writing() as connection:
        connection.execute(
            "INSERT INTO decisions (timestamp, mode, maximum, keep_low, keep_high, grace,"
            " unfinished) VALUES (?, 'enforce', 10, 3, 2, 30, 0)",
            (NOW_MS - 3_590_000,),
        )
    minute(database, 1, [usage(1)])
    database.close()
    body = shown(so1)
    assert (body["decisions"], body["lost"]) == (2, 1)
    assert "1 more stand on ticks that could not be stored" in so1("replay").output


def test_a_database_from_before_is_told_of_in_one_sentence(so1: Run, store: Path) -> None:
    folder = Path(rows.__file__).parent / "migrations"
    with contextlib.closing(sqlite3.connect(store)) as connection:
        for number in range(1, 7):
            (script,) = folder.glob(f"{number:04}_*.sql")
            connection.executescript(script.read_text())
    result = so1("replay")
    assert result.exit_code == 1
    assert result.output == (
        f"Error: {store} is from before replay; the daemon brings it up to date when it starts\n"
    )


def test_without_a_database_it_says_so(so1: Run) -> None:
    result = so1("replay")
    assert (result.exit_code, "has the daemon run" in result.output) == (1, True)
