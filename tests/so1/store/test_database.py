# SPDX-License-Identifier: MIT
import contextlib
import shutil
import sqlite3
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from so1.store import database as module
from so1.store.database import Database, DatabaseError, open_reader
from tests.so1.store.seed import SEED, SEED_TABLES, seed
from tests.so1.store.ticks import KEEP_MS, Watched, event, tick


def rows(path: Path, query: str) -> list[tuple[Any, ...]]:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return connection.execute(query).fetchall()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "metrics.db"


def test_a_tick_is_written_whole(path: Path) -> None:
    database = Database(path)
    database.write_tick(tick(1000, 3, "naïve \\xff \x1b[31m"))
    database.close()
    assert rows(path, "SELECT timestamp, process_count, source, cpu_usage FROM metrics") == [
        (1000, 3, "procfs", 1.5)
    ]
    assert rows(path, "SELECT DISTINCT name FROM process_stats") == [("naïve \\xff \x1b[31m",)]
    for table, count in {
        "container_stats": 1,
        "process_stats": 3,
        "container_totals": 1,
        "process_states": 1,
        "memory_limits": 1,
        "events": 1,
    }.items():
        assert rows(path, f"SELECT count(*), min(timestamp) FROM {table}") == [(count, 1000)]


def test_half_a_tick_is_none(path: Path) -> None:
    database = Database(path)
    bad = msgspec.structs.replace(tick(1000), process_stats=[(1, "a", 10, 1), (1, "a", "too few")])
    with pytest.raises(sqlite3.Error):
        database.write_tick(bad)
    database.write_tick(tick(2000))
    database.close()
    for table in module._TABLES:
        assert rows(path, f"SELECT DISTINCT timestamp FROM {table}") == [(2000,)]


def test_the_group_may_read_and_others_may_not(path: Path) -> None:
    database = Database(path)
    modes = {stat.S_IMODE(file.stat().st_mode) for file in path.parent.glob("metrics.db*")}
    assert modes == {0o640}
    assert len(list(path.parent.glob("metrics.db*"))) == 3
    database.close()


def test_closing_leaves_what_a_reader_needs(path: Path) -> None:
    database = Database(path)
    database.write_tick(tick(1000))
    database.close()
    assert {file.name for file in path.parent.iterdir()} == {
        "metrics.db",
        "metrics.db-wal",
        "metrics.db-shm",
    }


def test_a_database_from_before_is_upgraded(path: Path) -> None:
    seed(path, 10)
    database = Database(path)
    assert database.moved_to is None
    database.write_tick(tick(1000))
    database.close()
    assert rows(path, "SELECT * FROM metrics ORDER BY id")[7] == (
        8,
        7,
        1,
        2,
        3,
        4,
        1,
        6,
        *[None] * 5,
        -2,
        *[None] * 2,
    )
    assert rows(path, "SELECT count(*) FROM process_stats WHERE name = 'old'") == [(10,)]
    assert rows(path, "PRAGMA user_version") == [(module._migrations()[-1][0],)]
    assert rows(path, "PRAGMA auto_vacuum") == [(2,)]


@pytest.mark.parametrize("before", [0, 10])
@pytest.mark.parametrize("table", SEED_TABLES)
def test_the_seed_s_columns_stay_what_and_where_they_are(
    path: Path, table: str, before: int
) -> None:
    with contextlib.closing(sqlite3.connect(":memory:")) as contract:
        contract.executescript(SEED)
        columns = contract.execute(f"PRAGMA table_info({table})").fetchall()
    assert len(columns) >= 6
    if before:
        seed(path, before)
    Database(path).close()
    assert rows(path, f"PRAGMA table_info({table})")[: len(columns)] == columns


def test_a_database_of_version_2_gets_the_limits(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as before:
        for number, script in module._migrations()[:2]:
            before.executescript(f"{script}\nPRAGMA user_version = {number};")
        before.execute(
            "INSERT INTO process_states (timestamp, state, process_count) VALUES (7, 'idle', 3)"
        )
        before.commit()
    database = Database(path)
    assert database.moved_to is None
    database.write_tick(tick(1000, name="p"))
    database.close()
    assert rows(path, "SELECT process_count FROM process_states WHERE timestamp = 7") == [(3,)]
    limits = (
        "SELECT timestamp, pid, process_name, limit_bytes, size_bytes, set_at, set_by"
        " FROM memory_limits"
    )
    assert rows(path, limits) == [(1000, 1, "p", 2**63 - 1, 4096, 1000, 0)]
    ((plan,),) = rows(path, "SELECT sql FROM sqlite_schema WHERE name = 'memory_limits_timestamp'")
    assert "memory_limits (timestamp)" in str(plan)


def test_upgrading_again_changes_nothing(path: Path) -> None:
    Database(path).close()
    before = rows(path, "SELECT sql FROM sqlite_schema ORDER BY name")
    Database(path).close()
    assert rows(path, "SELECT sql FROM sqlite_schema ORDER BY name") == before


def test_a_migration_that_fails_leaves_what_was(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Database(path).close()
    before = rows(path, "SELECT sql FROM sqlite_schema ORDER BY name")
    known = module._migrations()
    broken = [
        *known,
        (known[-1][0] + 1, "CREATE TABLE later (a);\nINSERT INTO nowhere VALUES (1);"),
    ]
    monkeypatch.setattr(module, "_migrations", lambda: broken)
    with pytest.raises(DatabaseError, match="nowhere"):
        Database(path)
    assert rows(path, "SELECT sql FROM sqlite_schema ORDER BY name") == before
    assert rows(path, "PRAGMA user_version") == [(known[-1][0],)]


NEWEST = module._migrations()[-1][0]
ADDS = f"PRAGMA application_id = {NEWEST};\nALTER TABLE events ADD COLUMN later TEXT;"
"""A migration after the newest that lets this so1 go on using the database."""


def upgrade(path: Path, monkeypatch: pytest.MonkeyPatch, *scripts: str) -> None:
    """Open and close the database as newer versions of so1 would, each with a script more."""
    newer = [*module._migrations(), *enumerate(scripts, NEWEST + 1)]
    with monkeypatch.context() as later:
        later.setattr(module, "_migrations", lambda: newer)
        Database(path).close()


def test_a_newer_database_that_only_has_more_is_used_and_kept(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Database(path).close()
    upgrade(path, monkeypatch, ADDS, f"PRAGMA application_id = {NEWEST};\nCREATE TABLE more (a);")
    module.check(path)
    database = Database(path)
    assert database.moved_to is None
    database.write_tick(tick(1000))
    database.prune(KEEP_MS, KEEP_MS, 1 << 30)
    database.close()
    assert rows(path, "PRAGMA user_version") == [(NEWEST + 2,)]
    assert rows(path, "SELECT timestamp, later FROM events") == [(1000, None)]
    with contextlib.closing(open_reader(path)) as reader:
        assert [row["timestamp"] for row in reader.execute("SELECT * FROM metrics")] == [1000]


@pytest.mark.parametrize(
    "scripts",
    [
        ["CREATE TABLE more (a);"],
        [ADDS, "ALTER TABLE events DROP COLUMN recreate;"],
        [ADDS, f"PRAGMA application_id = {NEWEST + 1};\nALTER TABLE events DROP COLUMN recreate;"],
    ],
    ids=["says nothing", "the last says nothing", "not for this one"],
)
def test_a_newer_database_that_says_nothing_of_this_version_is_left_alone(
    path: Path, monkeypatch: pytest.MonkeyPatch, scripts: list[str]
) -> None:
    Database(path).close()
    upgrade(path, monkeypatch, *scripts)
    with contextlib.closing(sqlite3.connect(path)) as later:
        later.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    before = path.read_bytes()
    refused = rf"newer so1 \(schema {NEWEST + len(scripts)}, .*upgrade so1"
    with pytest.raises(DatabaseError, match=refused):
        module.check(path)
    with pytest.raises(DatabaseError, match=refused):
        Database(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("schema", "oldest"),
    [
        (999, 0),
        (999, -1),
        (999, -(2**31)),
        (999, NEWEST + 1),
        (999, 2**31 - 1),
        (2**31 - 1, 0),
        (-1, 0),
        (-1, NEWEST),
        (-(2**31), 1),
    ],
)
def test_numbers_that_no_so1_wrote_are_refused(path: Path, schema: int, oldest: int) -> None:
    Database(path).close()
    with contextlib.closing(sqlite3.connect(path)) as other:
        other.execute(f"PRAGMA user_version = {schema}")
        other.execute(f"PRAGMA application_id = {oldest}")
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    for use in (module.check, Database):
        with pytest.raises(DatabaseError, match=rf"newer so1 \(schema {schema}, .*upgrade so1"):
            use(path)
    assert rows(path, "PRAGMA user_version") == [(schema,)]


def test_no_migration_takes_back_what_an_earlier_one_declared(path: Path) -> None:
    # One that says nothing shuts older versions out for good.
    oldest = 0
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as database:
        for number, script in module._migrations():
            database.executescript(module._whole(number, script))
            ((declared,),) = database.execute("PRAGMA application_id")
            assert declared == 0 or oldest <= declared <= number
            oldest = declared or number


def test_migrations_are_numbered_without_a_gap() -> None:
    numbers = [number for number, _ in module._migrations()]
    # What was left out would never be made up for: a database knows only its newest.
    assert numbers == [*range(1, len(numbers) + 1)]


def _garbage(path: Path) -> None:
    path.write_bytes(b"this is not a database at all" * 500)


def _truncated(path: Path) -> None:
    database = Database(path)
    for timestamp in range(200):
        database.write_tick(tick(timestamp))
    database._connected().execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def _overwritten(path: Path) -> None:
    _truncated(path)
    data = bytearray(path.read_bytes())
    data[100:20_000] = b"\xa5" * 19_900
    path.write_bytes(data)


@pytest.mark.parametrize("spoil", [_garbage, _truncated, _overwritten])
def test_a_damaged_file_is_moved_aside(path: Path, spoil: Callable[[Path], None]) -> None:
    spoil(path)
    damaged = path.read_bytes()
    database = Database(path)
    database.write_tick(tick(5000))
    database.close()
    assert database.moved_to
    assert database.moved_to.name.startswith("metrics.db.corrupt-")
    assert database.moved_to.read_bytes() == damaged
    assert rows(path, "SELECT timestamp FROM metrics") == [(5000,)]


@pytest.mark.parametrize(
    ("owner", "name", "error"),
    [
        (Path, "rename", OSError("read-only")),
        (Database, "_migrate", sqlite3.OperationalError("full")),
    ],
)
def test_a_file_that_cannot_be_replaced_is_at_the_next_try(
    path: Path, monkeypatch: pytest.MonkeyPatch, owner: type, name: str, error: Exception
) -> None:
    database = Database(path)
    database.write_tick(tick(1))

    def fail(*_: object) -> None:
        raise error

    with monkeypatch.context() as failing:
        failing.setattr(owner, name, fail)
        for _ in range(2):
            with pytest.raises(DatabaseError, match=f"cannot be replaced: {error}"):
                database.replace()
            assert (database.damaged, database.size()) == (True, 0)
    database.replace()
    assert not database.damaged
    database.write_tick(tick(2))
    database.close()
    assert rows(path, "SELECT timestamp FROM metrics") == [(2,)]
    assert [*path.parent.glob("*.corrupt-*[0-9]")] == [database.moved_to]
    assert database.moved_to
    assert rows(database.moved_to, "SELECT timestamp FROM metrics") == [(1,)]


def test_an_empty_file_is_a_new_database(path: Path) -> None:
    path.touch()
    database = Database(path)
    database.write_tick(tick(1))
    database.close()
    assert database.moved_to is None


def test_a_place_that_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(DatabaseError, match="cannot be opened"):
        Database(tmp_path / "missing" / "metrics.db")


def test_old_ticks_go_in_small_steps(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PRUNE_ROWS", 100)
    watched = Watched()
    database = Database(path, watched)
    for timestamp in range(1000, 1010):
        watched.seconds += 300
        database.write_tick(tick(timestamp, 50))
    seen: list[int] = []
    while len(seen) < 20:
        database.prune(4 * 300_000, 4 * 300_000, 1 << 40)
        ((left,),) = rows(path, "SELECT count(*) FROM process_stats")
        seen.append(left)
    assert seen[:3] == [400, 300, 250]
    assert seen[-1] == 250
    for table in module._TABLES:
        assert rows(path, f"SELECT min(timestamp) FROM {table}") == [(1005,)]
    database.close()


def test_the_file_stays_within_its_size(path: Path) -> None:
    bound = 2 << 20
    database = Database(path)
    for timestamp in range(1500):
        database.write_tick(tick(timestamp, 100, "x" * 15))
        database.prune(KEEP_MS, KEEP_MS, bound)
    database._connected().execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert path.stat().st_size <= bound
    ((first, last),) = rows(path, "SELECT min(timestamp), max(timestamp) FROM metrics")
    assert 0 < first < last == 1499
    ((oldest,),) = rows(path, "SELECT min(timestamp) FROM process_stats")
    assert oldest == first
    ((oldest,),) = rows(path, "SELECT min(timestamp) FROM container_stats")
    assert oldest == first
    database.close()


@pytest.mark.parametrize(("contained", "mib"), [(1_000, 2), (6_000, 10)])
def test_what_is_too_large_goes_tick_by_tick(path: Path, contained: int, mib: int) -> None:
    bound = mib << 20
    database = Database(path)
    for timestamp in range(100):
        database.write_tick(tick(timestamp, contained=10 if timestamp < 60 else contained))
        database.prune(KEEP_MS, KEEP_MS, bound)
    ((first, last, kept),) = rows(
        path, "SELECT min(timestamp), max(timestamp), count(*) FROM metrics"
    )
    assert (last, kept) == (99, 100 - first)
    assert kept > 4
    for table in module._TABLES:
        assert rows(path, f"SELECT count(DISTINCT timestamp), min(timestamp) FROM {table}") == [
            (100, 0) if table == "events" else (kept, first)
        ]
    database._connected().execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert path.stat().st_size <= bound
    database.close()


def test_the_last_tick_stays_however_large(path: Path) -> None:
    database = Database(path)
    for timestamp in range(3):
        database.write_tick(tick(timestamp, contained=100))
        database.prune(KEEP_MS, KEEP_MS, 1)
    assert rows(path, "SELECT timestamp FROM metrics") == [(2,)]
    database.close()


def test_a_file_that_is_too_large_shrinks(path: Path) -> None:
    seed(path, 100, 1000)
    database = Database(path)
    before = path.stat().st_size
    for timestamp in range(10**6, 10**6 + 40):
        database.write_tick(tick(timestamp))
        database.prune(0, 0, 1 << 40)
    database._connected().execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert path.stat().st_size < before / 4
    database.close()


def test_rows_without_a_tick_go_with_the_ticks_of_their_time(path: Path) -> None:
    seed(path, 10)
    with contextlib.closing(sqlite3.connect(path)) as other, other:
        other.execute("UPDATE process_stats SET timestamp = timestamp + 0.5")
    watched = Watched()
    database = Database(path, watched)
    database.write_tick(tick(100))
    watched.seconds = 300
    database.write_tick(tick(200))
    for _ in range(2):
        database.prune(1, KEEP_MS, 1 << 40)
    database.close()
    assert rows(path, "SELECT timestamp FROM metrics") == [(200,)]
    assert rows(path, "SELECT DISTINCT timestamp FROM process_stats") == [(200,)]


def test_a_step_deletes_more_than_a_tick_brings(path: Path) -> None:
    large = 4 * module._PRUNE_ROWS
    watched = Watched()
    database = Database(path, watched)
    for timestamp in range(4):
        watched.seconds += 300
        database.write_tick(tick(timestamp, large if timestamp else 1))
    for left in (1, 1):
        # The first and, as that is not enough, two of the others.
        database.prune(0, KEEP_MS, 1 << 40)
        assert rows(path, "SELECT count(*) FROM metrics") == [(left,)]
    database.close()


def test_events_stay_when_ticks_take_all_the_room(path: Path) -> None:
    bound = 8 << 20
    database = Database(path)
    for timestamp in range(60):
        database.write_tick(tick(timestamp, contained=20_000))
        database.prune(KEEP_MS, KEEP_MS, bound)
    ((ticks,),) = rows(path, "SELECT count(*) FROM metrics")
    assert ticks < 10
    assert rows(path, "SELECT count(*), min(timestamp) FROM events") == [(60, 0)]
    database.close()


def test_events_have_an_age_of_their_own(path: Path) -> None:
    watched = Watched()
    database = Database(path, watched)
    for timestamp in range(10):
        watched.seconds += 300
        database.write_tick(tick(timestamp))
    database.prune(0, 5 * 300_000, 1 << 40)
    assert rows(path, "SELECT timestamp FROM metrics") == [(9,)]
    assert rows(path, "SELECT timestamp FROM events") == [(t,) for t in range(4, 10)]
    # What was watched before counts on after a restart.
    database.close()
    database = Database(path, watched)
    watched.seconds += 2 * 300
    database.prune(0, 5 * 300_000, 1 << 40)
    assert rows(path, "SELECT min(timestamp) FROM events") == [(6,)]
    database.close()


@pytest.mark.parametrize("reopened", [False, True])
def test_events_leave_nine_tenths_to_ticks(path: Path, *, reopened: bool) -> None:
    bound = 8 << 20
    database = Database(path)
    database.write_tick(tick(1))
    for timestamp in range(400):
        database.add_events([event(timestamp, "ñ" * 10_000)])
        if not reopened:
            database.prune(KEEP_MS, KEEP_MS, bound)
    if reopened:
        database.close()
        database = Database(path)
        database.prune(KEEP_MS, KEEP_MS, bound)
    ((count, newest, size),) = rows(
        path, "SELECT count(*), max(timestamp), sum(length(CAST(detail AS BLOB))) FROM events"
    )
    assert newest == 399
    assert 30 < count < 60
    assert 0.09 * bound < size < 0.1 * bound
    assert rows(path, "SELECT timestamp FROM metrics") == [(1,)]
    database.close()


def test_the_log_is_part_of_the_budget(path: Path) -> None:
    bound = 8 << 20
    database = Database(path)
    most = 0
    for timestamp in range(80):
        database.write_tick(tick(timestamp, 6_000))
        database.prune(KEEP_MS, KEEP_MS, bound)
        most = max(most, sum(part.stat().st_size for part in path.parent.iterdir()))
    assert 0.8 * bound < most <= bound
    assert rows(path, "SELECT min(timestamp) > 0 FROM metrics") == [(1,)]
    assert path.with_name("metrics.db-wal").stat().st_size <= bound / 8
    database.close()


def test_a_file_that_is_deleted_is_begun_anew_with_its_events_counted(path: Path) -> None:
    database = Database(path)
    for timestamp in range(60):
        database.write_tick(tick(timestamp))
    database.prune(KEEP_MS, KEEP_MS, 1 << 30)
    for part in path.parent.iterdir():
        part.unlink()
    database.add_events([event(7)])
    database.write_tick(tick(8))
    database.prune(KEEP_MS, KEEP_MS, 1 << 30)
    (notice,) = database.notices
    assert f"{path} was deleted or replaced" in notice
    database.close()
    assert rows(path, "SELECT timestamp FROM metrics") == [(8,)]
    assert rows(path, "SELECT timestamp FROM events") == [(7,), (8,)]


@pytest.mark.parametrize("end", ["-wal", "-shm"])
def test_a_part_that_is_deleted_costs_nothing(path: Path, end: str) -> None:
    database = Database(path)
    database.write_tick(tick(1))
    path.with_name(path.name + end).unlink()
    database.write_tick(tick(2))
    database.close()
    assert rows(path, "SELECT timestamp FROM metrics") == [(1,), (2,)]
    assert len(database.notices) == 1


def test_a_file_that_another_takes_the_place_of_is_left_as_it_is(path: Path) -> None:
    other = path.with_name("backup.db")
    with contextlib.closing(Database(other)) as backup:
        backup.write_tick(tick(1))
    database = Database(path)
    database.write_tick(tick(2))
    other.rename(path)
    other.with_name("backup.db-wal").rename(path.with_name("metrics.db-wal"))
    database.write_tick(tick(3))
    database.close()
    assert rows(path, "SELECT timestamp FROM metrics") == [(1,), (3,)]


def test_a_directory_that_goes_and_comes(path: Path) -> None:
    folder = path.parent / "in"
    folder.mkdir()
    database = Database(folder / "metrics.db")
    shutil.rmtree(folder)
    for _ in range(2):
        with pytest.raises(sqlite3.OperationalError, match="unable to open"):
            database.write_tick(tick(1))
    assert (database.size(), database.held(), len(database.notices)) == (0, None, 1)
    folder.mkdir()
    database.write_tick(tick(2))
    database.close()
    assert rows(folder / "metrics.db", "SELECT timestamp FROM metrics") == [(2,)]


def test_through_a_link_it_is_the_same_files(path: Path) -> None:
    folder = path.parent / "in"
    folder.mkdir()
    path.symlink_to(folder / "metrics.db")
    (folder / "metrics.db").write_bytes(b"no database" * 500)
    database = Database(path)
    assert database.moved_to
    assert database.moved_to.parent == folder
    database.write_tick(tick(1))
    assert path.is_symlink()
    assert not path.with_name("metrics.db-wal").exists()
    database.close()


def test_events_alone(path: Path) -> None:
    database = Database(path)
    database.add_events([event(5, "one"), event(6, "two")])
    database.close()
    assert rows(path, "SELECT timestamp, detail FROM events") == [(5, "one"), (6, "two")]


def test_a_reader_cannot_write(path: Path) -> None:
    Database(path).close()
    with (
        contextlib.closing(open_reader(path)) as reader,
        pytest.raises(sqlite3.OperationalError, match="readonly"),
    ):
        reader.execute("DELETE FROM metrics")


def test_a_reader_of_nothing(path: Path) -> None:
    with pytest.raises(DatabaseError, match="has the daemon run"):
        open_reader(path)
    assert not path.exists()


def test_a_path_with_marks_of_an_address(tmp_path: Path) -> None:
    path = tmp_path / "a?b#c %41" / "metrics.db"
    path.parent.mkdir()
    database = Database(path)
    database.write_tick(tick(1))
    with contextlib.closing(open_reader(path)) as reader:
        assert reader.execute("SELECT count(*) FROM metrics").fetchone()[0] == 1
    database.close()
