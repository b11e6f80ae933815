# SPDX-License-Identifier: MIT
import contextlib
import errno
import logging
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from so1 import config
from so1.config import Config
from so1.daemon.daemon import Daemon
from so1.daemon.systemd import Notifier
from so1.docker_engine import Happened
from so1.exposition.error import ServerError
from so1.exposition.own import Own
from so1.governor.decision import Note
from so1.model import Container, ContainerUsage
from so1.sample import Sample
from so1.store.database import Database
from so1.store.event import Event
from tests.so1.processes import CONTAINER, SUFFIX, process
from tests.so1.store.ticks import tick

WEB = Container(
    id=CONTAINER, name="web", image="alpine", labels={"so1.managed": "true"}, started_at=0
)


class Fake:
    """Docker and the governor, as a test wants them."""

    def __init__(self) -> None:
        self.listed: list[Container] | Exception = [WEB]
        self.happened: list[Happened] = []
        self.telling: list[Event] = []
        self.asked: list[list[ContainerUsage]] = []
        self.lists = 0
        self.reloads: list[Config] = []
        self.stopped = False
        self.on_told: Callable[[], None] = lambda: None

    def running(self) -> list[Container]:
        self.lists += 1
        if isinstance(self.listed, Exception):
            raise self.listed
        return self.listed

    def events(self, since_ns: int, seconds: int) -> Iterator[Happened]:  # noqa: ARG002
        yield from self.happened
        time.sleep(min(seconds, 0.005))

    def govern(
        self,
        usages: Sequence[ContainerUsage],
        taken_ns: int,  # noqa: ARG002
        tell: Callable[[Event], None],
        note: Note,  # noqa: ARG002
    ) -> None:
        self.asked.append(list(usages))
        for event in self.telling:
            tell(event)
            self.on_told()

    def reconfigure(self, config: Config) -> None:
        self.reloads.append(config)

    def stop(self) -> None:
        self.stopped = True


GONE = Event(
    timestamp=1_700_000_000_000,
    kind="remove",
    outcome="done",
    detail="Removed: it was the worst.",
    container_name="web",
    recreate="docker run --name web alpine",
)


class Served:
    """An exposition that keeps all it was told."""

    def __init__(self) -> None:
        self.told: list[Own] = []
        self.on_tick: Callable[[int], None] = lambda _: None

    def configure(self, settings: config.Metrics) -> None:
        pass

    def publish(self, sample: Sample, own: Own) -> None:  # noqa: ARG002
        self.told.append(own)
        self.on_tick(len(self.told) - 1)

    def close(self) -> None:
        pass


class Unserved(Served):
    """An exposition that has no address."""

    def configure(self, settings: config.Metrics) -> None:
        if settings.enabled:
            raise ServerError(f"There is no {settings.address}.")


class Setup:
    def __init__(self, root: Path, proc: Path) -> None:
        self.path = root / "metrics.db"
        self.proc = proc
        self.fake = Fake()
        self.served = Served()
        self.config = Config(interval=0.01, store=config.Store(path=str(self.path)))
        self.reloaded: list[Config | config.ConfigError] = []
        self.now = 1_700_000_000.0
        self.wrong = 0.0
        """By how many seconds the time of day was set."""
        self._opened = contextlib.ExitStack()

    def daemon(self, **environment: str) -> Daemon:
        made = Daemon(
            self.config,
            self._opened.enter_context(contextlib.closing(Database(self.path, self._boottime))),
            containers=self.fake,
            reload=self._reload,
            notifier=Notifier(environment),
            proc=self.proc,
            clock=self._clock,
            boottime=self._boottime,
        )
        made.watcher._publisher = self.served
        return made

    def tick(self, daemon: Daemon) -> None:
        """Let each loop do its part once, one after the other."""
        daemon.follower.ask_anew()
        daemon.follower.step(0)
        daemon.watcher.tick()
        newest, daemon.governing._newest = daemon.governing._newest, None
        if newest:
            daemon.governing.act(newest)

    def close(self) -> None:
        self._opened.close()

    def _clock(self) -> float:
        self.now += 0.001
        return self.now + self.wrong

    def _boottime(self) -> float:
        return self.now

    def _reload(self) -> Config:
        result = self.reloaded.pop(0)
        if isinstance(result, config.ConfigError):
            raise result
        return result

    def rows(self, query: str) -> list[Any]:
        with contextlib.closing(sqlite3.connect(self.path)) as connection:
            return connection.execute(query).fetchall()

    def details(self, kind: str) -> list[tuple[str, str]]:
        return self.rows(f"SELECT outcome, detail FROM events WHERE kind = '{kind}' ORDER BY id")


@pytest.fixture
def setup(tmp_path: Path, proc: Callable[..., Path]) -> Iterator[Setup]:
    inside = process(7, rss=64, container_id=CONTAINER)
    read = proc([process(1), process(7, rss=64)], [inside])
    with contextlib.closing(Setup(tmp_path, read)) as setup:
        yield setup


def send(number: signal.Signals) -> None:
    # To this thread: others that a test before left behind do not block the daemon's signals.
    signal.pthread_kill(threading.get_ident(), number)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_ticks_until_told_to_stop(setup: Setup, number: signal.Signals) -> None:
    setup.served.on_tick = lambda count: send(number) if count == 4 else None
    assert setup.daemon().run() is True
    assert setup.rows("SELECT count(*) FROM metrics") == [(5,)]
    assert setup.rows("SELECT DISTINCT total_ram, container_count, process_count FROM metrics") == [
        (1000, 1, 2)
    ]
    assert setup.rows("SELECT DISTINCT container_name, class, ram_usage FROM container_totals") == [
        ("web", "low", 64)
    ]
    assert [detail for _, detail in setup.details("daemon")] == [
        "The daemon started.",
        "The daemon stopped.",
    ]
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) & {number} == set()


def test_the_governor_sees_what_the_kernel_measured(setup: Setup) -> None:
    setup.tick(setup.daemon())
    ((usage,),) = setup.fake.asked
    assert (usage.container, usage.ram, usage.processes) == (WEB, 64, 1)


def test_docker_down_stops_neither_ticks_nor_attribution(
    setup: Setup, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    daemon = setup.daemon()
    setup.fake.listed = RuntimeError("it is not there")
    setup.tick(daemon)
    setup.tick(daemon)
    assert setup.fake.asked == []
    setup.fake.listed = [WEB]
    setup.tick(daemon)
    setup.fake.listed = RuntimeError("gone again")
    setup.tick(daemon)
    assert setup.rows("SELECT container_count FROM metrics") == [(1,)] * 4
    assert setup.rows("SELECT container_name, class FROM container_totals ORDER BY id") == [
        (CONTAINER[:12], "unmanaged"),
        (CONTAINER[:12], "unmanaged"),
        ("web", "low"),
        ("web", "low"),
    ]
    assert setup.details("docker") == [
        ("failed", "Docker does not answer: it is not there"),
        ("done", "Docker answers again."),
        ("failed", "Docker does not answer: gone again"),
    ]
    assert caplog.text.count("it is not there") == 1


def test_a_governor_that_fails_costs_neither_the_tick_nor_what_it_told(setup: Setup) -> None:
    def fail() -> None:
        raise ValueError("a fault")

    setup.fake.telling = [GONE, GONE]
    setup.fake.on_told = fail
    daemon = setup.daemon()
    setup.tick(daemon)
    setup.tick(daemon)
    assert setup.rows("SELECT deleted_count FROM metrics ORDER BY id") == [(0,), (1,)]
    assert setup.details("remove") == [("done", GONE.detail)] * 2


def test_a_governor_that_fails_is_told_and_so_is_that_it_works_again(setup: Setup) -> None:
    def fail() -> None:
        raise ValueError("a fault")

    setup.fake.telling = [GONE]
    setup.fake.on_told = fail
    daemon = setup.daemon()
    for _ in range(3):
        setup.tick(daemon)
    setup.fake.telling = []
    setup.tick(daemon)
    setup.tick(daemon)
    (failed, done) = setup.details("governor")
    assert failed[0] == "failed"
    assert "ValueError('a fault')" in failed[1]
    assert done == ("done", "The governor works again.")


def ends(setup: Setup, daemon: Daemon) -> list[float]:
    """Run for some ticks; gives when each was, in seconds since the first."""
    at: list[float] = []

    def ticked(count: int) -> None:
        at.append(time.monotonic())
        if count == 7:
            send(signal.SIGTERM)

    setup.served.on_tick = ticked
    daemon.run()
    return [moment - at[0] for moment in at]


def test_a_governor_that_takes_long_makes_no_tick_late(setup: Setup) -> None:
    setup.config = msgspec.structs.replace(setup.config, interval=0.25)
    over = threading.Event()
    setup.fake.telling = [GONE]

    def wait() -> None:
        over.wait(1.5)

    setup.fake.on_told = wait
    daemon = setup.daemon()
    at = ends(setup, daemon)
    assert len(at) == 8
    assert daemon.watcher._dropped["late"] == 0
    assert max(abs(moment - number * 0.25) for number, moment in enumerate(at)) < 0.2
    # It acts on the newest sample, not on all that came meanwhile.
    assert 1 <= len(setup.fake.asked) <= 3


def test_an_engine_that_hangs_makes_no_tick_late_and_does_not_keep_it_from_ending(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    setup.config = msgspec.structs.replace(setup.config, interval=0.25)
    monkeypatch.setattr("so1.daemon.daemon._FIRST_WORD", 0.01)
    over = threading.Event()

    def hang() -> list[Container]:
        over.wait(60)
        return []

    monkeypatch.setattr(setup.fake, "running", hang)
    daemon = setup.daemon()
    began = time.monotonic()
    at = ends(setup, daemon)
    assert time.monotonic() - began < 20
    over.set()
    assert len(at) == 8
    assert max(abs(moment - number * 0.25) for number, moment in enumerate(at)) < 0.2
    assert setup.rows("SELECT DISTINCT docker_age FROM metrics") == [(None,)]
    assert setup.fake.asked == []


def test_a_governor_that_hangs_for_ever_is_left_behind(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("so1.daemon.daemon._ENDING", 0.2)
    setup.config = msgspec.structs.replace(
        setup.config, governor=config.Policy(stop_timeout=0), docker=config.Docker(timeout=0.1)
    )
    over = threading.Event()
    setup.fake.telling = [GONE]

    def wait() -> None:
        over.wait(60)

    setup.fake.on_told = wait
    daemon = setup.daemon()
    setup.served.on_tick = lambda count: send(signal.SIGTERM) if count == 3 else None
    assert daemon.run() is False
    over.set()
    assert setup.fake.stopped
    assert [detail for _, detail in setup.details("daemon")][-1] == "The daemon stopped."
    assert setup.details("remove")[0] == ("done", GONE.detail)


def test_what_the_governor_did_is_stored_and_counted_once(setup: Setup) -> None:
    others = [msgspec.structs.replace(GONE, outcome=o) for o in ("planned", "refused", "failed")]
    setup.fake.telling = [GONE, *others, GONE]
    daemon = setup.daemon()
    setup.tick(daemon)
    setup.fake.telling = []
    setup.tick(daemon)
    assert setup.rows("SELECT deleted_count FROM metrics ORDER BY id") == [(0,), (2,)]
    outcomes = [outcome for outcome, _ in setup.details("remove")]
    assert outcomes == ["done", "planned", "refused", "failed", "done"]


def test_a_removal_is_stored_and_logged_before_anything_else_is_done(
    setup: Setup, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    setup.fake.telling = [GONE, msgspec.structs.replace(GONE, outcome="failed", recreate="no")]
    stored: list[Any] = []
    setup.fake.on_told = lambda: stored.append(
        setup.rows("SELECT count(*), max(recreate) FROM events WHERE kind = 'remove'")
    )
    setup.tick(setup.daemon())
    assert stored[0] == [(1, GONE.recreate)]
    assert (
        "remove web done: Removed: it was the worst. To bring it back: docker run --name web alpine"
    ) in caplog.messages
    assert "remove web failed: Removed: it was the worst." in caplog.messages


def test_a_removal_before_a_tick_that_fails_is_told_all_the_same(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon = setup.daemon()
    daemon._database._connected().execute("PRAGMA busy_timeout = 1")
    setup.fake.telling = [GONE]
    with (
        monkeypatch.context() as broken,
        contextlib.closing(sqlite3.connect(setup.path, isolation_level=None)) as other,
    ):
        broken.setattr("so1.store.rows.build", None)
        setup.tick(daemon)
        # Nor is it lost where it could not be stored at once.
        other.execute("BEGIN IMMEDIATE")
        setup.tick(daemon)
        other.execute("ROLLBACK")
    setup.fake.telling = []
    setup.tick(daemon)
    setup.tick(daemon)
    assert setup.details("remove") == [("done", GONE.detail)] * 2
    assert setup.rows("SELECT deleted_count FROM metrics ORDER BY id") == [(2,), (0,)]


def test_modules_that_come_and_go(setup: Setup) -> None:
    daemon = setup.daemon()
    setup.tick(daemon)
    setup.fake.listed = []
    daemon.watcher._sampler._proc = Path("/proc")  # where the modules are not loaded
    setup.tick(daemon)
    daemon.watcher._sampler._proc = setup.proc
    setup.tick(daemon)
    sources = [source for (source,) in setup.rows("SELECT source FROM metrics ORDER BY id")]
    assert sources == ["module", "procfs", "module"]
    assert len(setup.details("source")) == 3


def test_no_snapshot_no_tick_and_said_once(setup: Setup) -> None:
    setup.config = msgspec.structs.replace(setup.config, snapshot=config.Snapshot(source="module"))
    daemon = setup.daemon()
    file = setup.proc / f"sysinfo_so1_{SUFFIX}"
    kept = file.read_bytes()
    file.write_text("{")
    setup.tick(daemon)
    setup.tick(daemon)
    file.write_bytes(kept)
    setup.tick(daemon)
    assert setup.rows("SELECT count(*) FROM metrics") == [(1,)]
    outcomes = [outcome for outcome, _ in setup.details("source")]
    assert outcomes == ["failed", "done", "done"]


def test_limits_are_stored_and_a_list_that_is_unreadable_costs_nothing_else(setup: Setup) -> None:
    daemon = setup.daemon()
    setup.tick(daemon)
    listing = setup.proc / "so2_memory_limits"
    listing.write_text(
        '[{"pid":7,"name":"web","limit":18446744073709551615,"size":8192,"set_at":5,"set_by":1000}]'
    )
    setup.tick(daemon)
    listing.write_text("[")
    setup.tick(daemon)
    setup.tick(daemon)
    listing.write_text("[]")
    setup.tick(daemon)
    assert setup.rows("SELECT count(*) FROM metrics") == [(5,)]
    assert setup.rows(
        "SELECT timestamp = (SELECT timestamp FROM metrics WHERE id = 2), pid, process_name,"
        " limit_bytes, size_bytes, set_at, set_by FROM memory_limits"
    ) == [(1, 7, "web", 2**63 - 1, 8192, 5, 1000)]
    (failed, done) = setup.details("limits")
    assert failed[0] == "failed"
    assert failed[1].startswith("The limited processes are not known: ")
    assert done == ("done", "The limited processes are known again.")


def test_a_fault_of_ours_does_not_end_it(
    setup: Setup, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    daemon = setup.daemon()
    monkeypatch.setattr("so1.store.rows.build", None)
    setup.tick(daemon)
    monkeypatch.undo()
    setup.tick(daemon)
    assert "a tick failed" in caplog.text
    assert setup.rows("SELECT count(*) FROM metrics") == [(1,)]


def test_reload(setup: Setup) -> None:
    new = msgspec.structs.replace(
        setup.config, store=config.Store(str(setup.path), top_processes=1)
    )
    setup.reloaded = [config.ConfigError("governor.maximum is wrong"), new]
    actions = {
        0: lambda: send(signal.SIGHUP),
        2: lambda: send(signal.SIGHUP),
        4: lambda: send(signal.SIGTERM),
    }
    setup.served.on_tick = lambda count: actions.get(count, lambda: None)()
    setup.daemon().run()
    (refused, taken) = setup.details("config")
    assert refused == (
        "failed",
        "The configuration was not reloaded, the one before stays: governor.maximum is wrong.",
    )
    assert taken[0] == "done"
    assert setup.reloaded == []
    others = setup.rows("SELECT count(*) FROM process_stats WHERE name = '(other)'")
    assert others[0][0] > 0


def test_systemd_is_told(setup: Setup, tmp_path: Path) -> None:
    told: list[bytes] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(30)

        def listen() -> None:
            while not told or told[-1] != b"STOPPING=1":
                told.append(listener.recv(4096))

        systemd = threading.Thread(target=listen)
        systemd.start()
        setup.served.on_tick = lambda count: send(signal.SIGTERM) if count == 2 else None
        setup.daemon(NOTIFY_SOCKET=str(tmp_path / "notify"), WATCHDOG_USEC="8000").run()
        systemd.join()
    assert told.count(b"READY=1") == 1
    assert told.count(b"WATCHDOG=1") >= 3
    assert any(message.startswith(b"STATUS=2 processes, 1 containers (module)") for message in told)


def test_metrics_that_are_switched_off_are_not_said_to_be_served(setup: Setup) -> None:
    def metrics(address: str, *, enabled: bool = True) -> Config:
        settings = config.Metrics(enabled=enabled, address=address)
        return msgspec.structs.replace(setup.config, metrics=settings)

    setup.config = metrics("first")
    setup.reloaded = [metrics("second"), metrics("second", enabled=False)]
    daemon = setup.daemon()
    daemon.watcher._publisher = Unserved()
    for reloads in (False, True, True):
        if reloads:
            daemon.read_again()
        setup.tick(daemon)
        setup.tick(daemon)
    assert setup.details("metrics") == [
        ("failed", "There is no first."),
        ("failed", "There is no second."),
        ("done", "The metrics are switched off."),
    ]


def test_late_ticks_are_left_out(setup: Setup, caplog: pytest.LogCaptureFixture) -> None:
    setup.config = msgspec.structs.replace(setup.config, interval=0.05)

    def slow(count: int) -> None:
        if count == 1:
            time.sleep(0.5)
        if count == 3:
            send(signal.SIGTERM)

    setup.served.on_tick = slow
    setup.daemon().run()
    assert "left out" in caplog.text
    assert setup.rows("SELECT count(*) FROM metrics") == [(4,)]


def test_history_is_kept_for_a_week(setup: Setup) -> None:
    daemon = setup.daemon()
    end = round(setup.now)
    week = 7 * 86_400
    for age in (week + 301, week - 1, 0):  # what is due goes every five minutes
        setup.now = end - age
        setup.tick(daemon)
    assert setup.rows("SELECT round(timestamp / 1000.0) FROM metrics ORDER BY id") == [
        (end - week + 1,),
        (end,),
    ]


YEAR = 365 * 86_400


@pytest.mark.parametrize("wrong", [72 * YEAR, 400 * 86_400, -50 * YEAR, -3_600])
def test_a_clock_that_is_wrong_for_a_while_costs_no_history_and_is_told(
    setup: Setup, wrong: float
) -> None:
    daemon = setup.daemon()
    for _ in range(5):
        setup.now += 20
        setup.tick(daemon)
    setup.wrong = wrong
    for _ in range(50):  # more than one step of what goes every five minutes
        setup.now += 20
        setup.tick(daemon)
    setup.wrong = 0
    setup.now += 20
    setup.tick(daemon)
    assert setup.rows("SELECT count(*) FROM metrics") == [(56,)]
    assert setup.rows("SELECT count(*) FROM container_totals") == [(56,)]
    there, back = [detail for _, detail in setup.details("clock")]
    ways = ["forward", "back"] if wrong > 0 else ["back", "forward"]
    assert [way in told for way, told in zip(ways, (there, back), strict=True)] == [True, True]
    assert there.count(" UTC") == 1
    # All of it grows old all the same, what has a time of long ago or still to come too.
    for age in (6 * 86_400, 86_400 + 301):
        setup.now += age
        setup.tick(daemon)
        setup.tick(daemon)
    assert setup.rows("SELECT count(*) FROM metrics") == [(4,)]
    assert setup.rows("SELECT count(*) FROM container_totals") == [(4,)]


def test_a_clock_that_is_corrected_slowly_is_none_that_was_set(setup: Setup) -> None:
    daemon = setup.daemon()
    for _ in range(20):
        setup.now += 20
        setup.wrong += 1.5
        setup.tick(daemon)
    assert setup.details("clock") == []


def test_a_database_that_is_deleted_is_begun_anew(setup: Setup) -> None:
    daemon = setup.daemon()
    setup.tick(daemon)
    for part in setup.path.parent.glob("metrics.db*"):
        part.unlink()
    setup.tick(daemon)
    setup.tick(daemon)
    assert setup.rows("SELECT count(*) FROM metrics") == [(2,)]
    ((outcome, detail),) = setup.details("database")
    assert outcome == "failed"
    assert "was deleted or replaced" in detail


def test_who_keeps_the_log_from_beginning_anew_is_told_once(setup: Setup) -> None:
    setup.config = msgspec.structs.replace(
        setup.config, store=config.Store(str(setup.path), max_mib=8)
    )
    daemon = setup.daemon()
    setup.tick(daemon)
    stay = (
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('BEGIN');"
        " c.execute('SELECT * FROM metrics').fetchall(); print('in', flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", stay, setup.path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as reader:
        assert reader.stdout
        assert reader.stdout.readline() == b"in\n"
        for _ in range(200):
            setup.tick(daemon)
            if setup.details("reader"):
                break
        setup.tick(daemon)
        ((outcome, detail),) = setup.details("reader")
        assert outcome == "failed"
        assert f"process {reader.pid} (" in detail
        reader.kill()
    setup.tick(daemon)
    setup.tick(daemon)
    assert [outcome for outcome, _ in setup.details("reader")] == ["failed", "done"]


def test_history_is_no_larger_than_configured_and_hardly_smaller(setup: Setup) -> None:
    store = config.Store(str(setup.path), max_mib=8)
    setup.config = msgspec.structs.replace(setup.config, store=store)
    daemon = setup.daemon()
    most = store.max_mib << 20
    timestamp = round(setup.now * 1000) - 1_000
    while daemon._database.size() < 1.2 * most:
        daemon._database.write_tick(tick(timestamp, 6_000))
        timestamp += 1
    for _ in range(40):
        setup.tick(daemon)
    assert 0.8 * most < daemon._database.size() <= most
    assert setup.rows("SELECT count(*) FROM metrics WHERE process_count = 2") == [(40,)]


def damage(setup: Setup, daemon: Daemon) -> None:
    for _ in range(30):
        setup.tick(daemon)
    daemon._database._connected().execute("PRAGMA wal_checkpoint(TRUNCATE)")
    data = bytearray(setup.path.read_bytes())
    data[4096:] = b"\xa5" * (len(data) - 4096)
    setup.path.write_bytes(data)
    daemon._database._connected().execute("PRAGMA shrink_memory")


def test_a_file_damaged_before_it_starts_is_replaced(setup: Setup) -> None:
    setup.path.write_bytes(b"this is not a database at all" * 500)
    setup.served.on_tick = lambda _: send(signal.SIGTERM)
    setup.daemon().run()
    (moved,) = setup.path.parent.glob("metrics.db.corrupt-*")
    assert moved.read_bytes() == b"this is not a database at all" * 500
    assert setup.rows("SELECT count(*) FROM metrics") == [(1,)]
    assert setup.details("database") == [
        ("failed", f"The database was damaged: it is kept as {moved}.")
    ]


def test_a_file_damaged_while_it_runs_is_replaced(setup: Setup) -> None:
    daemon = setup.daemon()
    damage(setup, daemon)
    setup.tick(daemon)
    setup.tick(daemon)
    assert setup.rows("SELECT count(*) FROM metrics") == [(1,)]
    ((outcome, detail),) = setup.details("database")
    assert outcome == "failed"
    assert "metrics.db.corrupt-" in detail
    assert len([f for f in setup.path.parent.glob("*.corrupt-*") if f.suffix[-4:].isdigit()]) == 1


def test_a_damaged_file_that_cannot_be_replaced_at_first_is_at_a_later_tick(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon = setup.daemon()
    served = setup.served
    damage(setup, daemon)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr(Path, "rename", full)
        setup.tick(daemon)
        setup.tick(daemon)
    for _ in range(3):
        setup.tick(daemon)
    assert setup.rows("SELECT count(*) FROM metrics") == [(2,)]
    (failed, replaced, done) = setup.details("database")
    assert "cannot be replaced: [Errno 28]" in failed[1]
    assert "metrics.db.corrupt-" in replaced[1]
    assert done == ("done", "The database is written to again.")
    sizes = [told.database_bytes > 0 for told in served.told]
    assert sizes[30:] == [False, False, True, True, True]


def test_a_database_that_another_holds(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    daemon = setup.daemon()
    daemon._database._connected().execute("PRAGMA busy_timeout = 1")
    setup.fake.telling = [GONE, GONE]
    tried: list[int] = []
    add = daemon._database.add_events

    def counted(*what: Iterable[Any]) -> None:
        tried.append(1)
        add(*what)

    monkeypatch.setattr(daemon._database, "add_events", counted)
    with contextlib.closing(sqlite3.connect(setup.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        setup.tick(daemon)
        setup.tick(daemon)
        other.execute("ROLLBACK")
    setup.fake.telling = []
    setup.tick(daemon)
    setup.tick(daemon)
    # What was done meanwhile is told with the first tick that can be written.
    assert setup.rows("SELECT deleted_count FROM metrics ORDER BY id") == [(4,), (0,)]
    assert setup.details("remove") == [("done", GONE.detail)] * 4
    assert [outcome for outcome, _ in setup.details("database")] == ["failed", "done"]
    # The lock is waited for by the ticks, not by each event.
    assert tried == []


@pytest.mark.root  # only root can mount a small disk
@pytest.mark.parametrize("before", [0, 1])
def test_a_start_on_a_full_disk(setup: Setup, tmp_path: Path, before: int) -> None:
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", small], check=True)
    try:
        setup.path = small / "metrics.db"
        if before:
            with contextlib.closing(Database(setup.path)) as database:
                database.write_tick(tick(1, 1))
        filler = small / "filler"
        with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(b"x" * 4096)
        daemon = setup.daemon()
        served = setup.served
        setup.fake.telling = [GONE]
        for _ in range(200):  # what there is may have a little room left
            setup.tick(daemon)
        setup.fake.telling = []
        assert len(served.told) == 200
        assert daemon.watcher._dropped["database"]
        filler.unlink()
        setup.tick(daemon)
        setup.tick(daemon)  # which stores that the one before could be
        ((ticks,),) = setup.rows("SELECT count(*) FROM metrics")
        assert ticks == before + 202 - daemon.watcher._dropped["database"]
        assert len(setup.details("remove")) == 200
        assert [outcome for outcome, _ in setup.details("database")] == ["failed", "done"]
        daemon._database.close()
    finally:
        subprocess.run(["umount", "--lazy", small], check=True)


@pytest.mark.root  # only root can mount a small disk
def test_a_full_disk(setup: Setup, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", small], check=True)
    try:
        setup.path = small / "metrics.db"
        daemon = setup.daemon()
        setup.tick(daemon)
        filler = small / "filler"
        with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(b"x" * 4096)
        for _ in range(300):
            setup.tick(daemon)
        ((during,),) = setup.rows("SELECT count(*) FROM metrics")
        assert during < 301
        filler.unlink()
        setup.tick(daemon)
        setup.tick(daemon)
        assert setup.rows("SELECT count(*) FROM metrics") == [(during + 2,)]
        (failed, done) = setup.details("database")
        assert failed == ("failed", "The database cannot be written to: database or disk is full.")
        assert done == ("done", "The database is written to again.")
        assert setup.rows("PRAGMA integrity_check") == [("ok",)]
        daemon._database.close()
    finally:
        subprocess.run(["umount", "--lazy", small], check=True)
