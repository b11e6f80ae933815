# SPDX-License-Identifier: MIT
"""The wastebasket, with a real database and an engine made up at its edge."""

import contextlib
import json
import os
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from so1.cli import main
from so1.commands import undo
from so1.config import Config, Policy
from so1.docker_engine import EngineError, UnreachableError
from so1.governor import basket, keeper
from so1.governor.governor import Governor
from so1.store import basket_lock
from so1.store.database import Database
from so1.store.event import Event
from so1.store.handover import Handover
from so1.store.removal import Removal, old_name, trash_name
from so1.store.removals import JournalError, Kept, Removals
from tests.so1.governor.containers import TAKEN
from tests.so1.governor.filed_engine import MIB, Filed, nothing
from tests.so1.governor.killed import Counted, Steps, killed

HOUR_MS = 3_600_000
NOBODY = Policy(keep_low=0, keep_high=0, grace=0)


class Watched(Database):
    """A database that was watched for as long as a test says."""

    hours = 0.0

    def watched_ms(self) -> int:
        return round(self.hours * HOUR_MS)


class Host:
    """A daemon's governor with its database, and the command line beside it."""

    def __init__(
        self, folder: Path, policy: Policy = NOBODY, steps: Callable[[], None] = nothing
    ) -> None:
        self.folder = folder
        self.engine = Filed(folder, steps)
        self.database = Watched(folder / "metrics.db")
        self.policy = policy
        self.governor = Governor(self.engine, policy, Counted(self.database, steps))
        self.outbox: list[Event] = []
        self._steps = steps
        self.config = folder / "config.toml"
        self.config.write_text(f'[store]\npath = "{folder}/metrics.db"\n')

    def reconfigure(self, policy: Policy) -> None:
        self.governor.reconfigure(Config(governor=policy))

    def tick(self) -> list[Event]:
        def tell(event: Event) -> None:
            self._steps()
            self.outbox.append(event)
            with contextlib.suppress(sqlite3.OperationalError):
                self.database.add_events(self.outbox)
                self.outbox.clear()
            self._steps()

        if self.outbox:
            tell(self.outbox.pop())
        return self.governor.govern(self.engine.usages(), TAKEN, tell)

    def started_in_the_basket(self, name: str) -> str:
        """Have a container removed, and then started by somebody; gives its id."""
        id_ = self.engine.add(1, name)
        self.tick()
        self.engine.change(id_, running=True, start=2)
        return id_

    def rows(self, query: str) -> list[Any]:
        with contextlib.closing(sqlite3.connect(self.folder / "metrics.db")) as connection:
            return connection.execute(query).fetchall()

    def steps(self) -> dict[str, str]:
        return dict(self.rows("SELECT container_name, step FROM removals"))

    def so1(self, *arguments: str, env: dict[str, str] | None = None) -> Result:
        return CliRunner().invoke(
            main, ["--config", str(self.config), *arguments], env=env, catch_exceptions=False
        )


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    made = Host(tmp_path)
    for name in ("undo", "trash", "cleanup"):
        monkeypatch.setattr(f"so1.commands.{name}.Engine", lambda _: made.engine)
    monkeypatch.setattr(keeper, "disk_percent", lambda _: 50.0)
    yield made
    made.database.close()


def test_what_is_removed_is_stopped_renamed_and_started_by_nobody(host: Host) -> None:
    id_ = host.engine.add(1, "web")
    (event,) = host.tick()
    assert (event.kind, event.outcome, event.rule) == ("remove", "done", "excess-low")
    assert event.detail.startswith("Moved to the wastebasket: of 1 low containers 0 are kept; so1 ")
    assert event.recreate
    one = host.engine.there[id_]
    assert one["name"] == f"so1-trash-{id_[:12]}-web"
    assert (one["running"], one["restart"]) == (False, "no")
    assert host.steps() == {"web": "trashed"}
    assert "hunter2" not in str(host.rows("SELECT * FROM removals"))
    # Nothing more happens to it, and nothing in there counts.
    assert host.tick() == []
    assert host.tick() == []
    host.engine.restarted()
    assert not host.engine.there[id_]["running"]
    listed = host.so1("trash").output
    assert "web" in listed
    assert "24.0" in listed
    assert '"hours_left": 24' in host.so1("trash", "--json").output
    assert "1 removed containers; see so1 trash" in host.so1("status").output
    assert json.loads(host.so1("status", "--json").output)["wastebasket"] == 1


def test_what_is_in_it_is_counted(host: Host) -> None:
    assert host.database.basket() == (0, 0)
    for number in range(3):
        host.engine.add(number)
    host.tick()
    # None is measured yet.
    assert host.database.basket() == (3, 0)
    host.tick()
    assert host.database.basket() == (3, 3 * MIB)
    assert host.so1("undo", "c1").exit_code == 0
    host.tick()
    assert host.database.basket() == (2, 2 * MIB)
    host.database.close()
    assert host.database.basket() is None


@pytest.mark.parametrize("how", ["web", "--last", "event", "id", "trash name"])
def test_undo_brings_it_back_and_the_governor_leaves_it_alone(host: Host, how: str) -> None:
    id_ = host.engine.add(1, "web")
    before = host.engine.there[id_]
    host.tick()
    host.tick()
    ((number,),) = host.rows("SELECT id FROM events")
    named = {"event": str(number), "id": id_[:12], "trash name": trash_name(id_, "web")}
    result = host.so1("undo", named.get(how, how))
    assert (result.exit_code, result.output) == (0, "taken back web and started\n")
    assert host.engine.there[id_] == before | {"start": 2}
    (event,) = host.tick()
    assert (event.kind, event.outcome) == ("undo", "done")
    assert event.detail == "Taken back: so1 undo brought it back as it was."
    assert host.tick() == []
    assert host.engine.there[id_]["running"]
    assert "taken back already" in host.so1("undo", "web").output
    # Another daemon knows it too; after its time it is weighed like any other, and told again.
    host.governor = Governor(host.engine, NOBODY, Removals(host.database))
    assert host.tick() == []
    host.database.hours += 23.9
    assert host.tick() == []
    host.database.hours += 0.2
    (again,) = host.tick()
    assert (again.kind, again.outcome) == ("remove", "done")
    assert host.engine.there[id_]["name"] == trash_name(id_, "web")


def test_right_after_the_undo_the_same_governor_tells_it_again(host: Host) -> None:
    host.engine.add(1, "web")
    host.reconfigure(Policy(keep_low=0, grace=0, undo_spare_hours=0))
    assert len(host.tick()) == 1
    assert host.so1("undo", "web").exit_code == 0
    assert [(e.kind, e.outcome) for e in host.tick()] == [("undo", "done"), ("remove", "done")]


def test_what_did_not_run_is_not_started(host: Host) -> None:
    id_ = host.engine.add(1, "web", restart="no")
    host.engine.change(id_, running=False)
    assert host.so1("cleanup", "--yes").exit_code == 0
    assert host.engine.there[id_]["name"] == trash_name(id_, "web")
    # The daemon did not hear of it yet; the command line did.
    assert host.so1("undo", "web").output == "taken back web; it did not run\n"
    assert not host.engine.there[id_]["running"]
    assert host.engine.there[id_]["name"] == "web"


@pytest.mark.parametrize(
    ("taken", "why"),
    [({"name": "web"}, "already in use"), ({"port": 80}, "port is already allocated")],
)
def test_undo_is_refused_where_a_name_or_a_port_is_taken(
    host: Host, taken: dict[str, object], why: str
) -> None:
    id_ = host.engine.add(1, "web")
    host.engine.change(id_, port=80)
    host.tick()
    other = host.engine.add(2, "other", managed=False)
    host.engine.change(other, **taken)
    before = host.engine.there
    result = host.so1("undo", "web")
    assert result.exit_code == 1
    assert why in result.output
    assert host.engine.there == before
    assert host.tick() == []
    assert host.steps() == {"web": "trashed"}
    host.engine.remove_by_force(other)
    assert host.so1("undo", "web").exit_code == 0


def test_it_is_removed_for_good_after_its_time(host: Host) -> None:
    id_ = host.engine.add(1, "web")
    host.tick()
    host.database.hours += 23.9
    assert host.tick() == []
    host.database.hours += 0.2
    (event,) = host.tick()
    assert (event.kind, event.outcome) == ("trash", "done")
    assert event.detail == (
        "Removed for good: it was in the wastebasket for 24.1 h;"
        " files of its own layer are not kept: /written."
    )
    assert id_ not in host.engine.there
    assert host.tick() == []
    assert host.steps() == {"web": "emptied"}


def test_in_observe_nothing_is_removed_for_good(host: Host) -> None:
    id_ = host.engine.add(1, "web")
    host.tick()
    host.database.hours += 99
    host.reconfigure(Policy(mode="observe"))
    assert host.tick() == []
    assert id_ in host.engine.there


def test_without_hours_all_goes_at_once(host: Host) -> None:
    host.engine.add(1)
    host.tick()
    host.engine.add(2)
    host.reconfigure(Policy(keep_low=0, grace=0, trash_hours=0))
    events = host.tick()
    assert [(e.kind, e.container_name) for e in events] == [("trash", "c1"), ("remove", "c2")]
    assert host.engine.there == {}


def test_the_oldest_goes_where_there_is_too_much(host: Host) -> None:
    ids = []
    for number in range(4):
        ids.append(host.engine.add(number))
        host.tick()
        host.database.hours += 1
    host.reconfigure(Policy(keep_low=0, grace=0, trash_gib=2.5 / 1024))
    events = host.tick()
    assert [(e.kind, e.container_id) for e in events] == [("trash", ids[0]), ("trash", ids[1])]
    assert "governor.trash_gib allows" in events[0].detail
    assert set(host.engine.there) == set(ids[2:])


def test_a_disk_that_is_full_empties_it_though_the_journal_cannot_be_written(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(6):
        host.engine.add(number)
    host.tick()
    host.tick()
    used = iter([95.0, 93.0, 80.0])
    monkeypatch.setattr(keeper, "disk_percent", lambda _: next(used))
    full = pytest.MonkeyPatch()
    # What SQLite says of a full disk; reading goes on.
    full.setattr(
        Database,
        "_insert_events",
        lambda *_: (_ for _ in ()).throw(sqlite3.OperationalError("full")),
    )
    full.setattr(Removals, "write", _full)
    host.tick()
    full.undo()
    left = len(host.engine.there)
    assert left == 4
    monkeypatch.setattr(keeper, "disk_percent", lambda _: 80.0)
    for _ in range(3):
        host.tick()
    assert len(host.engine.there) == left
    # Once there is room it is written down and told.
    host.database.hours += 25
    host.tick()
    host.tick()
    assert set(host.steps().values()) == {"emptied"}
    assert host.rows("SELECT count(*) FROM events WHERE kind = 'trash'") == [(6,)]


def _full(*_: object, **__: object) -> None:
    raise JournalError("database or disk is full")


def test_the_disk_of_the_data_is_measured(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert 0 < keeper.disk_percent(host.folder) <= 100
    said = subprocess.run(
        ["df", "--output=pcent", str(host.folder)], capture_output=True, text=True, check=True
    ).stdout
    assert abs(float(said.split()[1].rstrip("%")) - keeper.disk_percent(host.folder)) <= 1


def test_one_that_somebody_started_or_renamed_is_not_ours_any_more(host: Host) -> None:
    started, renamed = host.engine.add(1), host.engine.add(2)
    host.tick()
    host.engine.change(started, running=True)
    host.engine.change(renamed, name="mine")
    host.database.hours += 25
    events = {e.container_name: e for e in host.tick()}
    assert {e.kind for e in events.values()} == {"undo"}
    assert "somebody has started it; it was called c1, its restart policy was always" in (
        events["c1"].detail
    )
    assert "somebody has called it mine" in events["c2"].detail
    assert set(host.engine.there) == {started, renamed}
    # And the governor leaves it alone for as long as any that was taken back.
    assert host.tick() == []
    assert host.engine.there[started]["running"]
    host.database.hours += 25
    host.tick()
    assert host.engine.there[started]["name"] == trash_name(started, "c1")


def test_one_that_somebody_started_and_that_ended_at_once_is_not_removed_for_good(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    id_ = host.started_in_the_basket("web")
    host.database.hours += 25
    usages, inspect = host.engine.usages(), host.engine.inspect
    monkeypatch.setattr(host.engine, "usages", lambda: usages)

    def ends(container_id: str) -> Any:
        found = inspect(container_id)
        host.engine.change(id_, running=False)
        return found

    monkeypatch.setattr(host.engine, "inspect", ends)
    assert [(e.kind, e.outcome) for e in host.tick()] == [("undo", "done")]
    assert id_ in host.engine.there


def test_one_that_was_left_halfway_out_is_finished_and_not_taken_for_somebody_s(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    id_ = host.engine.add(1, "web")
    host.tick()
    with monkeypatch.context() as broken:

        def no(*_: object) -> None:
            raise EngineError("no space left on device")

        broken.setattr(host.engine, "start", no)
        # It is out by then: the first of the two names is given back to it.
        rename = host.engine.rename

        def once(container_id: str, name: str) -> None:
            broken.setattr(host.engine, "rename", no)
            rename(container_id, name)

        broken.setattr(host.engine, "rename", once)
        result = host.so1("undo", "web")
        assert result.exit_code == 1
        assert "what was begun is finished by the daemon" in result.output
        (failed,) = host.tick()
        assert (failed.kind, failed.outcome) == ("undo", "failed")
        broken.setattr(host.engine, "inspect", no)
        broken.setattr(host.engine, "usages", list)
        # Not to be looked at is not to be in the wastebasket.
        assert [(e.kind, e.outcome) for e in host.tick()] == [("undo", "failed")]
    assert [(e.kind, e.outcome) for e in host.tick()] == [("undo", "done")]
    one = host.engine.there[id_]
    assert (one["name"], one["restart"], one["running"]) == ("web", "always", True)


def test_what_went_for_good_on_a_full_disk_is_told_once_though_the_daemon_was_killed(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.engine.add(1, "web")
    host.tick()
    host.database.hours += 25
    with monkeypatch.context() as full:
        full.setattr(Removals, "write", _full)
        # There is room for the event by then, and no time for the journal.
        assert [(e.kind, e.outcome) for e in host.tick()] == [("trash", "done")]
    host.governor = Governor(host.engine, NOBODY, Removals(host.database))
    assert host.tick() == []
    assert host.steps() == {"web": "emptied"}


def test_one_that_somebody_started_is_left_alone_before_that_could_be_looked_at(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.started_in_the_basket("web")
    before = host.engine.there
    with basket_lock.held(host.folder):
        assert host.tick() == []
    with monkeypatch.context() as broken:
        inspect = host.engine.inspect

        def first(_: str) -> Any:
            broken.setattr(host.engine, "inspect", inspect)
            raise EngineError("broken")

        usages = host.engine.usages()
        broken.setattr(host.engine, "usages", lambda: usages)
        broken.setattr(host.engine, "inspect", first)
        assert host.tick() == []
    assert host.engine.there == before
    (event,) = host.tick()
    assert (event.kind, event.outcome) == ("undo", "done")
    assert "its restart policy was always" in event.detail
    assert host.tick() == []
    assert host.engine.there == before


@pytest.mark.parametrize("kept", [False, True])
def test_what_was_changed_halfway_is_given_back_to_one_that_is_not_to_go(
    host: Host, monkeypatch: pytest.MonkeyPatch, *, kept: bool
) -> None:
    id_ = host.engine.add(1, "web")
    with monkeypatch.context() as broken:

        def no_rename(*_: object) -> None:
            raise EngineError("no space left on device")

        broken.setattr(host.engine, "rename", no_rename)
        assert [e.outcome for e in host.tick()] == ["failed"]
        assert host.engine.there[id_]["restart"] == "no"
    host.engine.change(id_, running=True, start=7)
    if kept:
        host.reconfigure(Policy(keep_low=1, grace=0))
        host.tick()
        assert host.steps() == {"web": "failed"}
    else:
        # It is started again, ends once more, and so is not what was asked to stop.
        host.engine.change(id_, running=False)
        host.tick()
        assert host.steps() == {"web": "refused"}
    one = host.engine.there[id_]
    assert (one["name"], one["restart"]) == ("web", "always")


@pytest.mark.parametrize("broken", [False, True])
def test_what_somebody_calls_it_while_it_stops_is_its_name(
    host: Host, monkeypatch: pytest.MonkeyPatch, *, broken: bool
) -> None:
    id_ = host.engine.add(1, "web")
    stop = host.engine.stop

    def slow(container_id: str, patience: int) -> None:
        stop(container_id, patience)
        host.engine.change(id_, name="shop", restart="unless-stopped")
        if broken:
            raise EngineError("no answer in time")

    monkeypatch.setattr(host.engine, "stop", slow)
    host.tick()
    host.tick()
    assert host.engine.there[id_]["name"] == f"so1-trash-{id_[:12]}-shop"
    assert host.engine.there[id_]["restart"] == "no"
    ((recreate,),) = host.rows("SELECT recreate FROM removals")
    assert "--name shop --restart unless-stopped" in recreate
    assert host.so1("undo", "shop").exit_code == 0
    one = host.engine.there[id_]
    assert (one["name"], one["restart"], one["running"]) == ("shop", "unless-stopped", True)


@pytest.mark.parametrize("what", ["rename", "set_restart"])
@pytest.mark.parametrize("kept", [False, True])
def test_one_that_is_not_to_go_has_what_is_its_own_whatever_the_engine_says(
    host: Host, monkeypatch: pytest.MonkeyPatch, what: str, *, kept: bool
) -> None:
    def refuse(*_: object) -> None:
        raise EngineError("no space left on device")

    id_ = host.engine.add(1, "web")
    rename, left = host.engine.rename, [True]

    def renamed(container_id: str, name: str) -> None:
        rename(container_id, name)
        if left:
            left.clear()
            raise UnreachableError("no answer")

    monkeypatch.setattr(host.engine, "rename", renamed)
    host.tick()
    assert host.steps() == {"web": "stopping"}
    assert host.engine.there[id_]["name"] != "web"
    host.engine.change(id_, running=True, start=7)
    if kept:
        host.reconfigure(Policy(keep_low=1, grace=0))
    else:
        host.engine.change(id_, running=False)
    with monkeypatch.context() as broken:
        broken.setattr(host.engine, what, refuse)
        host.tick()
        host.tick()
        # It is not done with, and comes back with the engine as soon as that can be said.
        assert host.steps() == {"web": "stopping"}
        assert (host.engine.there[id_]["restart"] == "always") == (what == "rename")
    host.tick()
    assert host.steps() == {"web": "failed" if kept else "refused"}
    one = host.engine.there[id_]
    assert (one["name"], one["restart"]) == ("web", "always")


def test_a_name_like_ours_is_nobody_s_consent(host: Host) -> None:
    id_ = host.engine.add(1, "web")
    stranger = host.engine.add(2, "so1-trash-x", managed=False)
    twin = host.engine.add(3, trash_name(id_, "web"), managed=False)
    host.engine.change(stranger, running=False)
    host.engine.change(twin, running=False)
    before = host.engine.there
    host.tick()
    # Its name in the wastebasket is taken: it gets another.
    assert host.engine.there[id_]["name"] == f"so1-trash-{id_}"
    host.database.hours += 25
    host.tick()
    assert host.so1("trash", "empty", "--yes").exit_code == 0
    assert host.so1("cleanup", "--yes", "--now").exit_code == 0
    assert host.engine.there == {stranger: before[stranger], twin: before[twin]}


def test_with_rm_it_goes_as_before_and_the_event_says_so(host: Host) -> None:
    id_ = host.engine.add(1, restart="no")
    host.engine.change(id_, rm=True)
    (event,) = host.tick()
    assert "it was started with --rm, so it cannot be kept in the wastebasket" in event.detail
    assert event.detail.startswith("Removed: ")
    assert host.engine.there == {}
    assert host.steps() == {"c1": "removed"}


@pytest.mark.parametrize("command", [["trash"], ["trash", "--json"], ["trash", "empty", "--yes"]])
def test_without_a_database_nobody_is_told_that_it_is_empty(
    tmp_path: Path, command: list[str]
) -> None:
    config = tmp_path / "config.toml"
    config.write_text(f'[store]\npath = "{tmp_path}/metrics.db"\n')

    def so1(*arguments: str) -> Result:
        return CliRunner().invoke(main, ["--config", str(config), *arguments])

    said = so1(*command)
    assert (said.exit_code, said.stdout) == (1, "")
    assert f"{tmp_path}/metrics.db cannot be read" in said.stderr
    assert "has the daemon run, and are you in the group so1?" in said.stderr
    assert said.stderr == so1("undo", "web").stderr == so1("undo", "--last").stderr
    assert not (tmp_path / "metrics.db").exists()


def test_after_it_is_gone_it_is_made_anew(host: Host) -> None:
    host.engine.add(1, "web")
    host.tick()
    host.tick()
    assert host.so1("trash", "empty", "--yes").output == "removed web\n"
    assert host.engine.there == {}
    result = host.so1("undo", "web")
    assert result.exit_code == 1
    assert "the values of SECRET were not kept" in result.output
    result = host.so1("undo", "web", env={"SECRET": "again"})
    assert result.output == (
        "made web anew: it was made anew; files of its own layer are not kept: /written\n"
    )
    (made,) = host.engine.there.values()
    assert (made["name"], made["running"]) == ("web", True)
    assert made["body"]["Env"] == ["PATH=/bin", "SECRET=again"]
    assert made["body"]["HostConfig"]["RestartPolicy"]["Name"] == "always"
    assert [(e.kind, e.outcome) for e in host.tick()] == [("trash", "done"), ("undo", "done")]
    # Twice is once.
    assert host.so1("undo", "web", env={"SECRET": "again"}).exit_code == 1
    assert len(host.engine.there) == 1


def test_one_that_somebody_pruned_is_made_anew(host: Host) -> None:
    id_ = host.engine.add(1, "web")
    host.tick()
    host.engine.remove_by_force(id_)
    result = host.so1("undo", "web", env={"SECRET": "x"})
    assert result.exit_code == 0
    assert "made web anew" in result.output
    assert [one["name"] for one in host.engine.there.values()] == ["web"]


def test_cleanup_without_a_record_keeps_what_it_could_not_keep(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    id_ = host.engine.add(1)

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    result = host.so1("cleanup", "--yes")
    assert result.exit_code == 1
    assert "--now removes it for good" in result.output
    assert host.engine.there[id_]["running"]


def test_cleanup_for_good_empties_it_and_names_what_it_leaves(host: Host) -> None:
    host.engine.add(1, "web")
    host.tick()
    stranger = host.engine.add(2)
    host.engine.change(stranger, name=trash_name(stranger, "c2"), running=False)
    result = host.so1("cleanup", "--yes", "--now")
    assert result.exit_code == 0, result.output
    assert "removed web" in result.output
    assert (
        "removing web for good, from the wastebasket: files of its own layer are not kept: /written"
        "\n  docker run --detach --name web "
    ) in result.output
    assert (
        "left so1-trash-000000000000-c2: so1 does not know that it set it aside;"
        " `docker rename so1-trash-000000000000-c2 c2 && docker start c2` brings it back,"
        " docker rm removes it\n"
    ) in result.output
    assert set(host.engine.there) == {stranger}


def test_cleanup_for_good_goes_on_where_the_basket_is_not_known(host: Host) -> None:
    host.engine.add(1, "web")
    host.tick()
    host.engine.add(2, "other")
    host.database.close()
    for file in host.folder.glob("metrics.db*"):
        file.unlink()
    (host.folder / "metrics.db").write_text("no database")
    result = host.so1("cleanup", "--yes", "--now")
    assert "what is in the wastebasket is not known" in result.output
    assert "left so1-trash-000000000000-web" in result.output
    assert [one["name"] for one in host.engine.there.values()] == ["so1-trash-000000000000-web"]


def test_the_lock_keeps_undo_and_the_daemon_apart(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    id_ = host.engine.add(1)
    host.tick()
    host.database.hours += 25
    with basket_lock.held(host.folder) as alone:
        assert alone
        assert host.tick() == []
        monkeypatch.setattr(undo, "_WAIT", 0.0)
        assert "another so1 is at work on the wastebasket" in host.so1("undo", "c1").output
    assert id_ in host.engine.there
    assert [e.kind for e in host.tick()] == ["trash"]


def test_an_engine_that_says_nothing_leaves_the_rest_to_the_daemon(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    id_ = host.engine.add(1, "web")
    host.tick()
    with monkeypatch.context() as hung:

        def no_answer(_: str) -> None:
            raise UnreachableError("no answer")

        hung.setattr(host.engine, "start", no_answer)
        result = host.so1("undo", "web")
        assert result.exit_code == 1
        assert "what was begun is finished by the daemon" in result.output
        (failed,) = host.tick()
        assert (failed.kind, failed.outcome) == ("undo", "failed")
        assert host.tick() == []
    assert [(e.kind, e.outcome) for e in host.tick()] == [("undo", "done")]
    assert host.engine.there[id_]["running"]
    assert host.engine.there[id_]["name"] == "web"


class InMemory(Filed):
    """One that is quick, however many containers it has, and takes its time where a test says."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.all: dict[str, dict[str, Any]] = {}
        self.seconds = 0.0
        """How long a removal, or a look at the size, takes."""
        self.now = 0.0

    @property
    def there(self) -> dict[str, dict[str, Any]]:
        return self.all

    def keep(self, there: dict[str, dict[str, Any]]) -> None:
        self.all = there

    def monotonic(self) -> float:
        return self.now

    def layer_bytes(self, container_id: str) -> int:
        self.now += self.seconds
        return super().layer_bytes(container_id)

    def remove(self, container_id: str) -> None:
        self.now += self.seconds
        super().remove(container_id)


@pytest.fixture
def thousand(host: Host, monkeypatch: pytest.MonkeyPatch) -> InMemory:
    """A wastebasket of a thousand containers, none of which is measured."""
    engine = InMemory(host.folder)
    monkeypatch.setattr(host, "engine", engine)
    host.governor = Governor(engine, NOBODY, Removals(host.database))
    id_ = engine.add(0)
    host.tick()
    host.tick()
    (whole,) = Removals(host.database).of([id_])
    assert whole.original
    engine.all = {}
    rows = []
    for number in range(1, 1001):
        name, one = f"c{number}", f"{number:064x}"
        original = replace(whole.original, name=name)
        rows.append(replace(whole, container_id=one, container_name=name, original=original))
        engine.all[one] = {
            "name": trash_name(one, name),
            "running": False,
            "restart": "no",
            "start": 1,
            "labels": {},
            "size": MIB,
            "port": 0,
            "rm": False,
        }
    journal = Removals(host.database)
    journal.write(rows, dropped=[id_])
    host.governor = Governor(engine, NOBODY, journal)
    return engine


def test_a_thousand_in_the_basket_cost_a_tick_next_to_nothing(
    host: Host, thousand: InMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    with host.database.writing() as connection:
        connection.execute("UPDATE removals SET layer_bytes = 1")
    host.tick()
    # Nothing is read of it, and the engine is asked about none of them.
    with monkeypatch.context() as watched:
        watched.setattr(Removals, "_read", lambda *_: pytest.fail("it is read"))
        watched.setattr(thousand, "inspect", lambda _: pytest.fail("it is asked"))
        for _ in range(10):
            assert host.tick() == []
    began = time.process_time()
    assert len(json.loads(host.so1("trash", "--json").output)) == 1000
    assert len(host.so1("trash").output.splitlines()) == 1002
    assert host.database.basket() == (1000, 1000)
    # Far more than it takes, and far less than a read for each of them with each of the others.
    assert time.process_time() - began < 10
    assert host.so1("undo", "c77").exit_code == 0
    assert host.steps()["c77"] == "trashed"
    host.tick()
    assert host.steps()["c77"] == "returned"
    # None is forgotten, however many there are.
    assert host.rows("SELECT count(*) FROM removals WHERE step = 'trashed'") == [(999,)]


@pytest.mark.parametrize("why", ["hours", "size", "disk"])
def test_a_thousand_are_removed_for_good_within_the_time_of_a_tick(
    host: Host, thousand: InMemory, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    monkeypatch.setattr(keeper, "time", thousand)
    if why == "disk":
        monkeypatch.setattr(keeper, "disk_percent", lambda _: 99.0)
    policies = {
        "hours": replace(NOBODY, trash_hours=0),
        # So little that only one of them may stay.
        "size": replace(NOBODY, trash_gib=1 / 1024),
        "disk": NOBODY,
    }
    thousand.seconds = 0.05
    host.reconfigure(policies[why])
    gone = 0
    ticks = 0
    stay = 1 if why == "size" else 0
    while len(thousand.all) > stay:
        before, count = thousand.now, len(thousand.all)
        events = host.tick()
        ticks += 1
        assert {(event.kind, event.outcome) for event in events} <= {("trash", "done")}
        gone += len(events)
        assert len(events) == count - len(thousand.all)
        # Two seconds of measuring, five of removing, and the last of each.
        assert thousand.now - before <= 2 + 5 + 2 * thousand.seconds
    assert gone == 1000 - stay
    # As fast as sizes are measured, at the least.
    assert ticks <= 1000 * thousand.seconds / 2 + 2
    assert host.rows("SELECT count(*) FROM events WHERE kind = 'trash'") == [(gone,)]


def test_a_thousand_are_removed_for_good_by_the_command(host: Host, thousand: InMemory) -> None:
    said = host.so1("trash", "empty", "--yes")
    assert (said.exit_code, said.output.count("removed c")) == (0, 1000)
    assert thousand.all == {}
    # The daemon takes in what was done, and tells it.
    events = host.tick()
    assert len(events) == 1000
    assert {event.kind for event in events} == {"trash"}
    assert host.database.basket() == (0, 0)
    assert "is empty" in host.so1("trash").output


@given(
    st.lists(
        st.tuples(st.integers(0, 100), st.one_of(st.none(), st.integers(0, 100))), max_size=20
    ),
    st.integers(0, 100),
    st.integers(1, 300),
)
def test_what_is_due(found: list[tuple[int, int | None]], hours: int, size: int) -> None:
    kept = [
        Kept(str(number), 0, at * HOUR_MS, bytes_)
        for number, (at, bytes_) in enumerate(sorted(found, key=lambda one: one[0]))
    ]
    policy = Policy(trash_hours=hours, trash_gib=size / (1 << 30))
    due = {one.container_id for one, _ in basket.due(kept, policy, 100 * HOUR_MS)}
    left = [one for one in kept if one.container_id not in due]
    assert all(100 - one.watched_ms / HOUR_MS < hours for one in left)
    assert sum(one.layer_bytes or 0 for one in left) <= size
    for one in kept:
        if one.container_id in due and 100 - one.watched_ms / HOUR_MS < hours:
            # It went for the sake of size: it is older than all that stay and have a size.
            assert one.layer_bytes
            assert all(one.watched_ms <= other.watched_ms for other in left if other.layer_bytes)


@given(st.text("abc-_.0", min_size=1), st.integers(0, 2**200))
def test_the_old_name_is_in_the_new_one(name: str, number: int) -> None:
    id_ = f"{number:064x}"
    assert old_name(id_, trash_name(id_, name)) == name
    assert old_name(id_, name) == name


def ticks(folder: Path, steps: Callable[[], None] = nothing, **policy: Any) -> None:
    host = Host(folder, Policy(keep_low=0, grace=0, **policy), steps)
    for _ in range(3):
        host.tick()
    host.database.close()


def take_back(folder: Path, steps: Callable[[], None] = nothing) -> None:
    class Handed(Handover):
        def write(self, removal: Removal) -> None:
            steps()
            super().write(removal)
            steps()

    # In a process of its own, which ends with this.
    vars(undo).update(Handover=Handed, Engine=lambda _: Filed(folder, steps))
    CliRunner().invoke(
        main, ["--config", str(folder / "config.toml"), "undo", "web"], catch_exceptions=False
    )


@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize("what", ["put", "undo", "empty"])
def test_each_step_may_be_the_last(tmp_path: Path, what: str, *, restarted: bool) -> None:
    came_through = False
    last = 0
    while not came_through:
        folder = tmp_path / str(last)
        folder.mkdir()
        engine = Filed(folder)
        id_ = engine.add(1, "web")
        stranger = engine.add(2, "stranger", managed=False)
        before = engine.there
        if what != "put":
            ticks(folder)
        came_through = not killed(
            {
                "put": partial(ticks, folder),
                "undo": partial(take_back, folder),
                "empty": partial(ticks, folder, trash_hours=0),
            }[what],
            Steps(last),
        )
        if restarted:
            engine.restarted()
        ticks(folder, trash_hours=0 if what == "empty" else 24)
        with contextlib.closing(sqlite3.connect(folder / "metrics.db")) as connection:
            events = connection.execute("SELECT kind, outcome FROM events ORDER BY id").fetchall()
            ((step, told),) = connection.execute("SELECT step, told FROM removals").fetchall()
        assert told == 1, last
        there = engine.there
        assert {k: v for k, v in there[stranger].items() if k != "start"} == {
            k: v for k, v in before[stranger].items() if k != "start"
        }
        done = [event for event in events if event[1] == "done"]
        if what == "empty":
            assert step == "emptied"
            assert id_ not in there
            assert done == [("remove", "done"), ("trash", "done")], last
        elif what == "undo" and step == "returned":
            one = there[id_]
            assert (one["name"], one["running"], one["restart"]) == ("web", True, "always")
            assert done == [("remove", "done"), ("undo", "done")], last
        else:
            # Killed before anything was begun, an undo leaves it where it is.
            assert step == "trashed", last
            one = there[id_]
            assert (one["name"], one["running"]) == (trash_name(id_, "web"), False), last
            assert one["restart"] == "no"
            assert done == [("remove", "done")], last
        last += 1
    assert last > (4 if what == "empty" else 8)
