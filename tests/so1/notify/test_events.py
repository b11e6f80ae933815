# SPDX-License-Identifier: MIT
"""Which events come next."""

import sqlite3
from pathlib import Path

import pytest

from so1.notify import events
from so1.notify.events import Batch, Position, after
from so1.store.database import Database, DatabaseError
from tests.so1.notify.conftest import NOW_MS, Happen

ALL = ["*/*"]


def ids(batch: Batch) -> list[int]:
    return [item.id for item in batch.items]


@pytest.mark.usefixtures("database")
def test_nothing_happened(store: Path) -> None:
    assert events.present(store) == Position(0, None)
    assert after(store, Position(0, None), ALL, 0) == Batch([], 0, Position(0, None))


def test_the_oldest_come_first_and_in_parts(store: Path, happen: Happen) -> None:
    happen(45)
    told, seen = Position(0, None), []
    for expected in (20, 20, 5, 0):
        batch = after(store, told, ALL, 0)
        assert (len(batch.items), batch.omitted) == (expected, 0)
        told = batch.end
        seen += ids(batch)
    assert seen == list(range(1, 46))
    assert told == events.present(store) == Position(45, NOW_MS + 44)


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        (["remove/done"], [1]),
        (["remove/*"], [1, 2]),
        (["*/failed"], [2, 4]),
        (["remove/done", "docker/failed"], [1, 4]),
        (["clock/*"], []),
        ([], []),
    ],
)
def test_kind_and_outcome_choose(
    store: Path, happen: Happen, chosen: list[str], expected: list[int]
) -> None:
    for kind, outcome in (
        ("remove", "done"),
        ("remove", "failed"),
        ("undo", "done"),
        ("docker", "failed"),
    ):
        happen(kind=kind, outcome=outcome)
    batch = after(store, Position(0, None), chosen, 0)
    assert ids(batch) == expected
    assert batch.end.event == 4


def test_too_many_are_counted(store: Path, happen: Happen) -> None:
    happen(250)
    batch = after(store, Position(10, None), ALL, 0)
    assert (batch.omitted, ids(batch), batch.end.event) == (140, list(range(151, 171)), 170)


def test_too_old_ones_are_counted(store: Path, happen: Happen) -> None:
    happen(5)
    happen(2, at=NOW_MS + 10_000)
    batch = after(store, Position(0, None), ALL, NOW_MS + 5_000)
    assert (batch.omitted, ids(batch), batch.end.event) == (5, [6, 7], 7)
    batch = after(store, Position(0, None), ALL, NOW_MS + 50_000)
    assert (batch.omitted, ids(batch), batch.end.event) == (7, [], 7)


def test_what_was_told_may_be_deleted_meanwhile(store: Path, happen: Happen) -> None:
    happen(5)
    with sqlite3.connect(store) as connection:
        connection.execute("DELETE FROM events WHERE id <= 4")
    connection.close()
    assert ids(after(store, Position(3, NOW_MS + 2), ALL, 0)) == [5]


def test_a_database_of_its_beginning_is_told_whole(store: Path, happen: Happen) -> None:
    happen(3)
    assert ids(after(store, Position(7, NOW_MS), ALL, 0)) == [1, 2, 3]
    assert ids(after(store, Position(2, NOW_MS - 99), ALL, 0)) == [1, 2, 3], "grown meanwhile"
    assert ids(after(store, Position(2, NOW_MS + 1), ALL, 0)) == [3]


def test_text_is_cut_and_safe_to_print(store: Path, happen: Happen) -> None:
    name = "we\x1b[31m\nb\u202e" + "x" * 100_000
    happen(container_name=name, image=name, detail=name, rule=name, class_=name, recreate="secret")
    (item,) = after(store, Position(0, None), ALL, 0).items
    for text in (item.container_name, item.image, item.detail, item.rule, item.class_):
        assert text
        assert text.isprintable()
        assert len(text) < 500
    assert "secret" not in repr(item)


def test_no_database(tmp_path: Path) -> None:
    with pytest.raises(DatabaseError, match="cannot be read"):
        events.present(tmp_path / "absent.db")


def test_a_reader_stands_in_nobodys_way(database: Database, store: Path, happen: Happen) -> None:
    happen(3)
    after(store, Position(0, None), ALL, 0)
    happen(3)
    assert database.path == store.resolve()
    assert events.present(store).event == 6
