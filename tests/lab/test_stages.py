# SPDX-License-Identifier: MIT
"""What `make up` and `make test` run their stages with."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from scripts import stages
from scripts.stages import Runner, Stage

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Run = tuple[bool, str]
PLAYS = (
    "printf '  \\033[2m│\\033[0m PLAY [Preparing] ***\\n';"
    "echo 'PLAY [Kernel modules] ***'; echo 'TASK [The modules are built'; echo '  now] ***'; "
)


@pytest.fixture
def run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[Sequence[Stage], int], Run]:
    monkeypatch.setattr(stages, "CACHE", tmp_path)
    monkeypatch.setattr(stages, "POLL_S", 0.01)

    def runs(given: Sequence[Stage], jobs: int = 2) -> Run:
        succeeded = Runner("it", given, jobs).run()
        return succeeded, capsys.readouterr().out

    return runs


def shell(name: str, command: str, *after: str, left_out: str = "") -> Stage:
    return Stage(name, ["sh", "-c", command], after=after, left_out=left_out)


def test_one_begins_when_what_it_needs_is_done(run: Callable[..., Run], tmp_path: Path) -> None:
    there = tmp_path / "there"
    succeeded, said = run(
        [shell("second", f"cat {there}", "first"), shell("first", f"sleep 0.2; echo >{there}")]
    )
    assert succeeded
    assert said.index("first begins") < said.index("first is done") < said.index("second begins")
    assert "2 passed, 0 failed" in said.splitlines()


def test_a_failure_hides_no_other_and_is_shown_last(run: Callable[..., Run]) -> None:
    succeeded, said = run(
        [
            shell("one", PLAYS + "echo its reason; exit 3"),
            shell("needs it", "true", "one"),
            shell("needs that", "true", "needs it"),
            shell("two", "sleep 0.1; echo another reason; exit 4"),
            shell("three", "true"),
        ],
        1,
    )
    assert not succeeded
    assert "one failed at «Kernel modules: The modules are built» after" in said
    table = said.index("\nstage ")
    assert table < said.index("== one failed") < said.index("its reason")
    assert table < said.index("== two failed") < said.index("another reason")
    lines = [line.split() for line in said.splitlines()]
    assert ["needs", "it", "not", "run"] in lines
    assert ["needs", "that", "not", "run"] in lines
    assert "three is done" in said
    assert said.splitlines()[-1] == "1 passed, 4 failed"


def test_at_most_as_many_run_as_were_allowed(run: Callable[..., Run], tmp_path: Path) -> None:
    command = f"mkdir {tmp_path}/taken && sleep 0.05 && rmdir {tmp_path}/taken"
    assert run([shell(str(number), command) for number in range(4)], 1)[0]
    assert not run([shell(str(number), command) for number in range(4)], 4)[0]


def test_what_is_left_out_counts_for_what_needs_it(run: Callable[..., Run]) -> None:
    succeeded, said = run(
        [shell("old", "exit 1", left_out="unchanged since Monday"), shell("new", "true", "old")]
    )
    assert succeeded
    assert "old is left out: unchanged since Monday" in said
    assert "new is done" in said
    assert said.splitlines()[-1] == "1 passed, 0 failed"


def test_a_pass_is_told_and_a_failure_is_not(run: Callable[..., Run]) -> None:
    told: list[str] = []
    run(
        [
            Stage("good", ["true"], passed=lambda _: told.append("good")),
            Stage("bad", ["false"], passed=lambda _: told.append("bad")),
        ]
    )
    assert told == ["good"]


def test_what_tests_counted_stands_in_the_table(run: Callable[..., Run]) -> None:
    _, said = run([shell("unit", "echo '910 passed, 124 deselected in 150.28s'")])
    assert "passed: 910 passed, 124 deselected" in said


def test_it_says_where_it_is_when_nothing_happens(
    run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stages, "QUIET_S", 0.1)
    _, said = run([shell("site.yml", PLAYS + "sleep 0.5")])
    assert "site.yml: Kernel modules" in said
    assert "site.yml is at: Kernel modules: The modules are built" in said


def exists(pid: int) -> bool:
    """Whether there is such a process, or such a group of them where it is below 0."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


INTERRUPTED = """
from scripts.stages import Runner, Stage
Runner("it", [Stage("long", ["sh", "-c", "echo $$ >$SO1_CACHE/pid; sleep 300 & wait"])], 1).run()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_what_runs_and_says_where_its_output_is(
    tmp_path: Path, number: signal.Signals
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "SO1_CACHE": str(tmp_path)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 30
    while not (written := tmp_path / "pid").exists() or not written.read_text().strip():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(number)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 1
    assert said.startswith("it: interrupted in long; the output is in ")
    while exists(-int(written.read_text())):  # until init has looked after the orphan
        assert time.monotonic() < deadline
        time.sleep(0.01)
