# SPDX-License-Identifier: MIT
"""The clean-up, with an engine made up at its edge, and what the daemon learns of it."""

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from so1.cli import main
from so1.config import Policy
from so1.docker_engine import EngineError, NotFoundError
from so1.governor.governor import Governor
from so1.store import handover
from so1.store.handover import Handover
from so1.store.removal import Removal
from so1.store.removals import Removals
from tests.so1.governor.containers import NOW, TAKEN, Store, usage
from tests.so1.governor.engine import Made, change
from tests.so1.store.removals import removal

USAGES = [usage(n) for n in range(12)]


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Made:
    engine = Made(USAGES)
    monkeypatch.setattr(engine, "managed", lambda: [(u.container, "running") for u in USAGES])
    monkeypatch.setattr("so1.commands.cleanup.Engine", lambda _: engine)
    return engine


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "so1"
    path.mkdir()
    return path


@pytest.fixture
def cleanup(tmp_path: Path, folder: Path) -> Callable[..., Result]:
    config = tmp_path / "config.toml"
    config.write_text(f'[store]\npath = "{folder}/metrics.db"\n[governor]\ntrash_hours = 0\n')

    def run(*options: str) -> Result:
        arguments = ["--config", str(config), "cleanup", *(options or ("--yes",))]
        return CliRunner().invoke(main, arguments, catch_exceptions=False)

    return run


def governor(engine: Made, store: Store) -> Governor:
    return Governor(engine, Policy(trash_hours=0), Removals(store), clock=lambda: NOW)


def left(folder: Path) -> list[Removal]:
    return [removal for run in handover.read(folder) for removal in run.removals]


def test_line_and_record_come_before_each_removal(
    cleanup: Callable[..., Result], made: Made, folder: Path
) -> None:
    lines: dict[str, str] = {}

    def look(id_: str) -> None:
        # Of a run that lasts only what ended is taken: so it is read as it lies there.
        (path,) = folder.glob("cleanup-*.jsonl")
        lines[id_] = path.read_text()

    made.on_stop = look
    result = cleanup()
    assert result.exit_code == 0
    assert len(lines) == 12
    for id_, text in lines.items():
        (line,) = [line for line in text.splitlines() if id_ in line]
        assert '"stopping"' in line
        assert "docker run --detach --name c" in line
    output = result.output
    for n in range(12):
        assert output.index(f"removing c{n}\n") < output.index(f"removed c{n}\n")
        assert f"  docker run --detach --name c{n} alpine\n" in output


def test_the_daemon_tells_it_once(cleanup: Callable[..., Result], made: Made, folder: Path) -> None:
    made.stop_fails = {USAGES[0].container.id: EngineError("it does not stop")}
    change(made, USAGES[1].container.id, labels={})
    made.looks[USAGES[2].container.id] = NotFoundError("gone")
    result = cleanup()
    assert result.exit_code == 1
    assert "failed c0: it does not stop" in result.output
    assert "kept c1: it is not managed" in result.output
    assert "removed c2: it went by itself" in result.output
    assert "Error: 2 of 12 are still here" in result.output
    store = Store(folder)
    one = governor(made, store)
    events = one.govern([], TAKEN, store.tell)
    assert {e.rule for e in events} == {"cleanup"}
    outcomes = {e.container_name: e.outcome for e in events}
    # What was begun and still runs is to be seen.
    assert outcomes == {"c1": "refused", "c2": "refused", **{f"c{n}": "done" for n in range(3, 12)}}
    assert all(e.recreate for e in events if e.outcome == "done")
    assert list(folder.glob("*.jsonl")) == []
    change(made, USAGES[0].container.id, running=False)
    (late,) = one.govern([], TAKEN, store.tell)
    assert (late.container_name, late.outcome, late.rule) == ("c0", "done", "cleanup")
    assert one.govern([], TAKEN, store.tell) == []
    assert governor(made, store).govern([], TAKEN, store.tell) == []


def test_an_interrupt_ends_it_after_those_under_way(
    cleanup: Callable[..., Result], made: Made
) -> None:
    interrupted = threading.Event()

    def slow(id_: str) -> None:
        if id_ == USAGES[0].container.id:
            os.kill(os.getpid(), signal.SIGINT)
            interrupted.set()
        interrupted.wait(timeout=30)
        time.sleep(0.5)

    made.on_stop = slow
    result = cleanup()
    assert result.exit_code == 1
    gone = len(made.removed())
    assert 1 <= gone <= 8
    assert result.output.count("removing c") == result.output.count("removed c") == gone
    assert f"interrupted: {12 - gone} of 12 were not begun" in result.output
    assert "Aborted" not in result.output


def test_as_json_each_container_has_what_became_of_it(
    cleanup: Callable[..., Result], made: Made
) -> None:
    before = json.loads(cleanup("--dry-run", "--json").stdout)
    assert {(row["name"], row["outcome"]) for row in before} == {(f"c{n}", None) for n in range(12)}
    assert made.asked == []
    made.stop_fails = {USAGES[0].container.id: EngineError("it does not stop")}
    change(made, USAGES[1].container.id, labels={})
    made.looks[USAGES[2].container.id] = NotFoundError("gone")
    result = cleanup("--yes", "--json")
    assert result.exit_code == 1
    told = {row["name"]: row for row in json.loads(result.stdout)}
    assert [row["outcome"] for row in told.values()] == [
        *("failed", "refused", "done"),
        *["done"] * 9,
    ]
    assert told["c0"]["reason"] == "it does not stop"
    assert told["c1"]["reason"] == "it is not managed"
    assert told["c3"]["recreate"] == "docker run --detach --name c3 alpine"
    # The line still comes before the removal, on the other stream.
    assert "removing c3\n  docker run" in result.stderr
    assert "Error: 2 of 12 are still here" in result.stderr


def test_as_json_it_asks_nothing(cleanup: Callable[..., Result], made: Made) -> None:
    result = cleanup("--json")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "give --yes to remove, or --dry-run to look" in result.stderr
    assert made.asked == []


def test_as_json_nothing_is_an_empty_array(
    cleanup: Callable[..., Result], made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(made, "managed", list)
    assert json.loads(cleanup("--yes", "--json").stdout) == []


@pytest.mark.parametrize("own", [None, 20])
def test_a_containers_own_time_to_stop_is_kept(
    cleanup: Callable[..., Result], made: Made, own: int | None
) -> None:
    change(made, USAGES[0].container.id, stop_timeout=own)
    cleanup()
    assert sorted(set(made.patience)) == ([5] if own is None else [5, 20])


def test_without_so1_the_terminal_has_it(
    cleanup: Callable[..., Result], made: Made, folder: Path
) -> None:
    folder.rmdir()
    result = cleanup()
    assert (result.exit_code, len(made.removed())) == (0, 12)
    assert "Warning" not in result.output


def test_what_cannot_be_left_for_the_daemon_is_said_and_removed(
    cleanup: Callable[..., Result], made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    result = cleanup()
    assert (result.exit_code, len(made.removed())) == (0, 12)
    assert result.output.count("no events are kept of this") == 1
    assert "No space left on device" in result.output


def row(number: int, step: str, timestamp: int = 1) -> Removal:
    container = usage(number).container
    return removal(
        container_id=container.id,
        container_name=container.name,
        rule="cleanup",
        reason="asked",
        step=step,
        timestamp=timestamp,
        by="cleanup",
        started_at=container.started_at,
        recreate="docker run",
    )


@pytest.fixture
def run(folder: Path) -> Iterator[Handover]:
    made = Handover(folder)
    yield made
    made.close()


def test_what_a_run_has_under_way_is_not_touched(folder: Path, run: Handover) -> None:
    engine, store = Made(USAGES), Store(folder)
    change(engine, USAGES[0].container.id, running=False)
    run.write(row(0, "stopping"))
    run.write(row(1, "stopping"))
    run.write(row(1, "removed", 2))
    one = governor(engine, store)
    (event,) = one.govern([], TAKEN, store.tell)
    assert (event.container_name, event.outcome) == ("c1", "done")
    assert engine.asked == []
    assert len(list(folder.glob("*.jsonl"))) == 1


def test_what_a_run_that_was_killed_has_begun_is_finished(folder: Path) -> None:
    engine, store = Made(USAGES), Store(folder)
    change(engine, USAGES[0].container.id, running=False)
    run = Handover(folder)
    run.write(row(0, "stopping"))
    with (folder / next(folder.glob("*.jsonl")).name).open("a") as file:
        file.write('{"container_id": "cut o')
    os.close(run._file)
    one = governor(engine, store)
    events = one.govern([], TAKEN, store.tell)
    assert [(e.container_name, e.outcome, e.recreate) for e in events] == [
        ("c0", "done", "docker run")
    ]
    assert engine.removed() == {USAGES[0].container.id}
    assert list(folder.glob("*.jsonl")) == []
    assert governor(engine, store).govern([], TAKEN, store.tell) == []


def test_a_file_that_is_taken_in_twice_says_nothing_new(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, store = Made(USAGES), Store(folder)
    run = Handover(folder)
    run.write(row(1, "removed"))
    run.close()
    # The daemon was killed before it could delete the file.
    monkeypatch.setattr(handover, "discard", lambda _: None)
    assert len(governor(engine, store).govern([], TAKEN, store.tell)) == 1
    assert len(list(folder.glob("*.jsonl"))) == 1
    assert governor(engine, store).govern([], TAKEN, store.tell) == []


def test_a_link_in_the_folder_is_not_followed(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    (folder / "cleanup-1.jsonl").symlink_to(tmp_path / "secret")
    (folder / "cleanup-2.jsonl").mkdir()
    assert left(folder) == []


def test_a_run_without_a_removal_leaves_nothing(folder: Path) -> None:
    Handover(folder).close()
    assert list(folder.iterdir()) == []


def test_the_daemon_may_read_it_whatever_the_umask(folder: Path) -> None:
    before = os.umask(0o077)
    try:
        run = Handover(folder)
    finally:
        os.umask(before)
    (path,) = folder.iterdir()
    assert path.stat().st_mode & 0o777 == 0o644
    run.close()
