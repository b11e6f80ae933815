# SPDX-License-Identifier: MIT
"""`so1 plan` where an engine does not tell all; test_live.py asks a real one."""

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import get_args

import pytest
from click.testing import Result

from so1.docker_engine import EngineError, NotFoundError, UnreachableError
from so1.governor import checks
from so1.model import ContainerUsage
from so1.store.database import Database
from so1.store.removal import Step
from so1.store.removals import Removals
from tests.so1.governor.containers import TAKEN, usage
from tests.so1.governor.engine import Made, change
from tests.so1.store.removals import removal


def measures(monkeypatch: pytest.MonkeyPatch, usages: list[ContainerUsage]) -> None:
    """Let a sample hold these containers."""
    sample = SimpleNamespace(containers=usages, snapshot=SimpleNamespace(taken_ns=TAKEN))
    monkeypatch.setattr("so1.commands.measure.take", lambda *_: sample)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Made:
    """Five low containers, of which the policy keeps three."""
    usages = [usage(number, memory=2048) for number in range(5)]
    engine = Made(usages)
    measures(monkeypatch, usages)
    monkeypatch.setattr(engine, "running", lambda: [u.container for u in usages])
    monkeypatch.setattr("so1.commands.plan.Engine", lambda _: engine)
    return engine


def fails(engine: Made, number: int, error: EngineError) -> None:
    engine.looks[usage(number).container.id] = error


def test_one_that_cannot_be_looked_at_does_not_hide_the_others(
    so1: Callable[..., Result], made: Made
) -> None:
    fails(made, 0, EngineError("container c0 cannot be looked at: it is broken"))
    result = so1("plan", "--json", "--over", "0")
    assert result.exit_code == 0
    rows = {row["name"]: row for row in json.loads(result.output)["containers"]}
    assert len(rows) == 5
    assert rows["c0"]["refused"] == "container c0 cannot be looked at: it is broken"
    assert {name for name, row in rows.items() if not row["keep"]} == {"c0", "c1"}
    assert rows["c1"]["refused"] is None
    (line, *_) = [line for line in so1("plan", "--over", "0").output.splitlines() if "c0" in line]
    assert line.startswith("refuse")
    assert "it is broken" in line


def test_one_that_went_after_it_was_planned_is_not_to_be_removed(
    so1: Callable[..., Result], made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    look_again = checks.look_again

    def then_gone(usages: list[ContainerUsage], engine: Made) -> checks.Look:
        look = look_again(usages, engine)
        fails(made, 1, NotFoundError("container c1 cannot be looked at: no such container"))
        return look

    monkeypatch.setattr("so1.governor.checks.look_again", then_gone)
    output = so1("plan", "--over", "0").output
    assert "no such container" in output
    assert output.splitlines()[-1] == "1 to remove"


def test_an_engine_that_answers_no_more_ends_it(so1: Callable[..., Result], made: Made) -> None:
    fails(made, 0, UnreachableError("nothing listens; start the Docker service"))
    result = so1("plan", "--over", "0")
    assert (result.exit_code, result.output) == (
        1,
        "Error: nothing listens; start the Docker service\n",
    )


@pytest.mark.usefixtures("made")
def test_what_is_not_measured_and_what_is_odd_is_said(
    so1: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    usages = [usage(n, memory=None if n == 4 else 1024 * n) for n in range(5)]
    usages[0].container.labels["so1.class"] = "medium"
    measures(monkeypatch, usages)
    rows = {
        row["name"]: row
        for row in json.loads(so1("plan", "--json", "--over", "0").output)["containers"]
    }
    assert {name: (row["memory"], row["rule"]) for name, row in rows.items()} == {
        "c0": (0, "within-limits"),
        "c1": (1024, "within-limits"),
        "c2": (2048, "within-limits"),
        "c3": (3072, "excess-low"),
        "c4": (None, "unmeasured"),
    }
    assert rows["c0"]["labels"] == [
        "its label so1.class=medium is neither low nor high; its class is low"
    ]
    output = so1("plan", "--over", "0").output
    assert "c0: its label so1.class=medium is neither low nor high" in output
    (line,) = [line for line in output.splitlines() if " c3 " in line]
    assert " 3.0 " in line
    assert output.splitlines()[-1] == "1 to remove"


def test_in_place_of_one_that_may_not_go_another_is_planned(
    so1: Callable[..., Result], made: Made
) -> None:
    change(made, usage(0).container.id, auto_remove=True, volumes=["ab" * 32])
    rows = {
        row["name"]: row["rule"]
        for row in json.loads(so1("plan", "--json", "--over", "0").output)["containers"]
    }
    assert rows["c0"] == "may-not-go"
    assert list(rows.values()).count("excess-low") == 2


@pytest.mark.usefixtures("made")
def test_another_policy_is_tried_on_what_runs_now(
    so1: Callable[..., Result], tmp_path: Path
) -> None:
    def gone(*arguments: str) -> tuple[int, dict[str, object]]:
        body = json.loads(so1("plan", "--json", "--over", "0", *arguments).output)
        return sum(not row["keep"] for row in body["containers"]), body["policy"]

    assert gone()[0] == 2
    assert gone("--keep-low", "1")[0] == 4
    # Of 3600 s none is old enough.
    assert gone("--grace", "7200")[0] == 0
    file = tmp_path / "tried.toml"
    file.write_text('[governor]\nmode = "observe"\nmaximum = 4\nkeep_low = 4\nkeep_high = 0\n')
    count, policy = gone("--config", str(file))
    assert (count, policy["maximum"], policy["mode"]) == (1, 4, "enforce")
    result = so1("plan", "--config", str(file), "--grace", "1")
    assert (result.exit_code, "leave it out, or the numbers" in result.output) == (2, True)


@pytest.mark.usefixtures("made")
def test_what_is_in_the_wastebasket_is_in_no_plan_and_is_said(
    so1: Callable[..., Result], store: Path
) -> None:
    def summary() -> tuple[str, int | None]:
        told = json.loads(so1("plan", "--json", "--over", "0").stdout)
        return so1("plan", "--over", "0").output.splitlines()[0], told["wastebasket"]

    policy = (
        "5 managed containers (5 low, 0 high), 0 others;"
        " kept are 3 low and 2 high, at most 10; mode enforce"
    )
    assert summary() == (policy, None)
    with contextlib.closing(Database(store)) as database:
        assert summary() == (policy, 0)
        Removals(database).write(
            removal(number, step=step) for number, step in enumerate(get_args(Step), start=100)
        )
        # What is just being taken back does not run yet.
        assert summary() == (f"{policy}; in the wastebasket are 2", 2)


@pytest.mark.usefixtures("made")
def test_who_may_not_look_into_the_folder_is_told_what_is_not_known(
    so1: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(_: Path) -> bool:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "exists", denied)
    result = so1("plan", "--over", "0")
    assert result.exit_code == 0
    assert "Warning: what was taken back is not known: " in result.stderr
    assert "are you in the group so1?" in result.stderr
