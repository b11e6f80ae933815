# SPDX-License-Identifier: MIT
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from so1 import sources
from so1.model import Snapshot
from tests.so1.processes import CONTAINER, typed


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three processes, two of them in a container; one is busy."""

    def moment(taken: int, busy: int) -> Snapshot:
        found = [
            typed(1, name="evil\x1b[2J[bold]", rss=300, start_ns=1),
            typed(2, rss=100, start_ns=2, cpu_ns=busy, container_id=CONTAINER),
            typed(3, rss=200, start_ns=3, container_id=CONTAINER),
        ]
        return Snapshot("module", taken, 1000, 400, 600, found)

    moments = iter([moment(10**9, 0), moment(3 * 10**9, 10**9)])
    monkeypatch.setattr(sources, "take", lambda *_: next(moments))


@pytest.mark.usefixtures("host")
@pytest.mark.parametrize(
    ("sort", "pids"), [("ram", [1, 3, 2]), ("cpu", [2, 1, 3]), ("pid", [1, 2, 3])]
)
def test_json(so1: Callable[..., Result], sort: str, pids: list[int]) -> None:
    result = so1("snapshot", "--json", "--sort", sort, "--over", "0.001")
    assert result.exit_code == 0
    body = json.loads(result.output)
    assert [p["pid"] for p in body["processes"]] == pids
    by_pid = {p["pid"]: p for p in body["processes"]}
    assert (by_pid[2]["cpu"], by_pid[2]["container_id"]) == (50, CONTAINER)
    assert (by_pid[1]["cpu"], by_pid[1]["container_id"]) == (0, None)
    assert (body["source"], body["process_count"], body["container_count"]) == ("module", 3, 1)


@pytest.mark.usefixtures("host")
def test_containers(so1: Callable[..., Result]) -> None:
    result = so1("snapshot", "--json", "--containers", "--over", "0.001")
    assert json.loads(result.output)["containers"] == [
        {
            "container_id": CONTAINER,
            "processes": 2,
            "memory": None,
            "memory_limit": None,
            "ram": 300,
            "cpu": 50,
            "pids": None,
            "first_process": "p2",
        }
    ]


@pytest.mark.usefixtures("host")
def test_the_table_is_safe_to_look_at(so1: Callable[..., Result]) -> None:
    result = so1("snapshot", "--top", "1", "--over", "0")
    assert result.exit_code == 0
    assert "evil\\x1b[2J[bold]" in result.output
    assert "\x1b" not in result.output
    assert "p2" not in result.output
    (_, heading, row) = [line for line in result.output.splitlines() if line.strip()]
    assert heading.split()[-2:] == ["NAME", "CONTAINER"]
    assert row.count("evil") == 1


def test_this_host(so1: Callable[..., Result]) -> None:
    result = so1("snapshot", "--json", "--top", "0", "--over", "0")
    assert os.getpid() in {p["pid"] for p in json.loads(result.output)["processes"]}


def test_no_snapshot(so1: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('[snapshot]\nsource = "module"\nsuffix = "absent"\n')
    result = so1("snapshot")
    assert result.exit_code == 1
    assert "load the kernel modules" in result.output


def test_wrong_usage(so1: Callable[..., Result]) -> None:
    assert so1("snapshot", "--sort", "colour").exit_code == 2
