# SPDX-License-Identifier: MIT
"""Each command that shows something gives it as one JSON document, too."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from so1.docker_engine import EngineError
from so1.workload import Load
from tests.docs.pages import ROOT, rows, section
from tests.docs.test_commands import THERE

ACTS = {
    "so1 daemon",
    *(f"so1 limit {what}" for what in ("add", "update", "remove", "run")),
    "so1 notify run",
    "so1 notify test",
    "so1 trash empty",
    "so1 undo",
}
"""They say that they did it, or why not."""


def test_what_shows_something_has_the_option_and_a_row_in_the_documentation() -> None:
    have = {name for name, options in THERE.items() if "--json" in options}
    assert have == set(THERE) - ACTS
    table = rows(section((ROOT / "docs/formats.md").read_text(), "## JSON of the commands"))
    described = {row[0].strip("`").removesuffix(" --json") for row in table if "--json" in row[0]}
    assert described == have


def test_a_frame_of_top_has_all_rows(so1: Callable[..., Result], tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text(config.read_text() + f'[docker]\nhost = "unix://{tmp_path}/absent"\n')
    result = so1("top", "--json", "--sort", "cpu", "--every", "0.2")
    assert result.exit_code == 0
    told = json.loads(result.stdout)
    assert told["source"] == "procfs"
    assert "Docker cannot be asked, so containers have only an id here: nothing" in told["problem"]
    shown = [row["cpu"] for row in told["processes"]]
    assert shown == sorted(shown, reverse=True)
    there = {int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()}
    assert len({row["pid"] for row in told["processes"]} & there) > len(there) / 2


@pytest.mark.parametrize(("text", "valid"), [("", True), ("interval = 'often'", False)])
def test_a_configuration_is_judged(
    so1: Callable[..., Result], tmp_path: Path, text: str, *, valid: bool
) -> None:
    config = tmp_path / "config.toml"
    config.write_text(f"{text}\n{config.read_text()}")
    result = so1("config", "check", "--json")
    told = json.loads(result.stdout)
    assert (told["path"], told["valid"]) == (str(config), valid)
    assert (told["problem"] is None) == valid
    assert valid or "$.interval" in told["problem"]
    assert (result.exit_code, result.stderr) == (0 if valid else 1, "")


class TestWorkload:
    @pytest.fixture(autouse=True)
    def _room(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("so1.workload.places", lambda *_: 3)
        monkeypatch.setattr("so1.workload.provide", lambda *_: None)

    def test_what_would_be_made(self, so1: Callable[..., Result]) -> None:
        result = so1("workload", "generate", "--count", "5", "--dry-run", "--json")
        told = json.loads(result.stdout)
        assert (result.exit_code, len(told)) == (0, 3)
        assert {row["class"] for row in told} <= {"low", "high"}
        assert {(row["made"], row["problem"]) for row in told} == {(False, None)}

    def test_what_could_not_be_made(
        self, so1: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        names: list[str] = []

        def make(load: Load, _: object) -> None:
            names.append(load.name)
            if len(names) == 2:
                raise EngineError("it is full")

        monkeypatch.setattr("so1.workload.make", make)
        result = so1("workload", "generate", "--count", "3", "--json")
        told = json.loads(result.stdout)
        assert result.exit_code == 1
        assert "it is full" in result.stderr
        assert [row["name"] for row in told] == names
        assert [row["made"] for row in told] == [True, False, True]
        assert [row["problem"] for row in told] == [None, "it is full", None]

    def test_no_room(self, so1: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("so1.workload.places", lambda *_: 0)
        result = so1("workload", "generate", "--json")
        assert (result.exit_code, json.loads(result.stdout)) == (0, [])
        assert "no more may; nothing to do" in result.stderr
