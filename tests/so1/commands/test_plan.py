# SPDX-License-Identifier: MIT
"""`so1 plan` where an engine does not tell all; test_live.py asks a real one."""

import json
from collections.abc import Callable

import pytest
from click.testing import Result

from so1.docker_engine import EngineError, NotFoundError, UnreachableError
from tests.so1.governor.containers import usage
from tests.so1.governor.test_act import Made


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Made:
    """Five low containers, of which the policy keeps three."""
    usages = [usage(number) for number in range(5)]
    engine = Made(usages)
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
    monkeypatch.setattr(made, "completed", list)
    fails(made, 1, NotFoundError("container c1 cannot be looked at: no such container"))
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
