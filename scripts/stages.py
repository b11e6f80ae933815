# SPDX-License-Identifier: MIT
"""Runs commands that depend on each other, some at a time, and says what is going on.

Standard library only: it runs before anything is installed.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ROOT = Path(__file__).resolve().parent.parent
CACHE = Path(os.environ.get("SO1_CACHE", ROOT / ".cache")).resolve()
POLL_S = 0.2
QUIET_S = 60
"""After this long without a line, one says what is running."""
TAIL = 100
"""Lines of a failed stage's output that are shown."""
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_STEP = re.compile(r"\W*(PLAY|TASK|RUNNING HANDLER) \[([^\]]*)")
"""A play or a task of Ansible's; Molecule breaks long names."""
_COUNTED = re.compile(r"^\D{0,60}\d+ passed\b.*")


def clock(seconds: float) -> str:
    """Minutes and seconds."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


@dataclass
class Stage:
    """A command, the stages that must have succeeded before it, and what it is called."""

    name: str
    command: Sequence[str]
    after: Sequence[str] = ()
    environment: dict[str, str] = field(default_factory=dict)
    left_out: str = ""
    """Why it need not run; it counts as succeeded."""
    passed: Callable[[float], None] | None = None
    """Told how many seconds it took, once it has succeeded."""


class Running:
    """A stage under way."""

    def __init__(self, stage: Stage, log: Path) -> None:
        """Start it, its output in the log."""
        self.stage, self.log = stage, log
        self.began = time.monotonic()
        self.play = self.task = ""
        self._read = 0
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                stage.command,
                cwd=ROOT,
                env={**os.environ, **stage.environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def new_play(self) -> bool:
        """Read on in the log; whether another play of Ansible's has begun."""
        before = self.play
        with self.log.open("rb") as output:
            output.seek(self._read)
            *lines, _ = output.read().split(b"\n")
            self._read += sum(len(line) + 1 for line in lines)
        for line in lines:
            if step := _STEP.match(_COLOUR.sub("", line.decode(errors="replace"))):
                if step[1] == "PLAY":
                    self.play, self.task = step[2], ""
                else:
                    self.task = step[2]
        return self.play != before

    @property
    def where(self) -> str:
        """The play and task that it is at, if Ansible runs."""
        return ": ".join(filter(None, (self.play, self.task)))

    def stop(self) -> None:
        """End it and all that it started."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self.process.pid, number)
                self.process.wait(10)
            except (ProcessLookupError, subprocess.TimeoutExpired):
                continue


class Runner:
    """Runs stages, the first ones first."""

    def __init__(self, title: str, stages: Sequence[Stage], jobs: int) -> None:
        """Run at most `jobs` at a time; logs are in the cache, in a folder named by the title."""
        self._title, self._stages, self._jobs = title, stages, jobs
        self._logs = CACHE / "log" / title
        self._began = time.monotonic()
        self._said = self._began
        self._running: list[Running] = []
        self._results: dict[str, tuple[str, float]] = {}

    def run(self) -> bool:
        """Run all; one that fails keeps only those from running that need it.

        Exits where it is interrupted, after it has ended what runs.
        """
        self._logs.mkdir(parents=True, exist_ok=True)
        for old in self._logs.iterdir():
            old.unlink()
        interrupts: list[int] = []
        # Noted only: an exception could come between the start of a stage and the note of it.
        handlers = {
            number: signal.signal(number, lambda number, _: interrupts.append(number))
            for number in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            while self._step() and not interrupts:
                time.sleep(POLL_S)
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
        if self._running:
            for one in self._running:
                one.stop()
            names = ", ".join(one.stage.name for one in self._running)
            sys.exit(f"{self._title}: interrupted in {names}; the output is in {self._logs}")
        return self._report()

    def _say(self, text: str) -> None:
        self._said = time.monotonic()
        print(f"[{clock(self._said - self._began):>5}] {text}", flush=True)

    def _step(self) -> bool:
        for one in list(self._running):
            if one.new_play():
                self._say(f"{one.stage.name}: {one.play}")
            if one.process.poll() is not None:
                self._ended(one)
        self._begin()
        if time.monotonic() - self._said > QUIET_S:
            self._say(
                "; ".join(f"{one.stage.name} is at: {one.where or 'work'}" for one in self._running)
            )
        return bool(self._running)

    def _ended(self, one: Running) -> None:
        self._running.remove(one)
        took = time.monotonic() - one.began
        succeeded = one.process.returncode == 0
        self._results[one.stage.name] = ("passed" if succeeded else "FAILED", took)
        if succeeded and one.stage.passed:
            one.stage.passed(took)
        at = "" if succeeded or not one.where else f" at «{one.where}»"
        self._say(
            f"{one.stage.name} {'is done' if succeeded else 'failed'}{at} after {clock(took)}"
        )

    def _begin(self) -> None:
        for stage in self._stages:
            if stage.name in self._results or stage in (one.stage for one in self._running):
                continue
            needed = [self._results.get(name, ("", 0))[0] for name in stage.after]
            if any(result in ("FAILED", "not run") for result in needed):
                self._results[stage.name] = ("not run", 0)
            elif stage.left_out:
                self._results[stage.name] = (stage.left_out, 0)
                self._say(f"{stage.name} is left out: {stage.left_out}")
            elif all(needed) and len(self._running) < self._jobs:
                self._running.append(Running(stage, self._logs / stage.name))
                self._say(f"{stage.name} begins{self._next(stage)}")

    def _next(self, begun: Stage) -> str:
        open_ = [
            stage.name
            for stage in self._stages
            if stage.name not in self._results
            and stage is not begun
            and not stage.left_out
            and stage not in (one.stage for one in self._running)
        ]
        return f"; next: {open_[0]}" if open_ else ""

    def _report(self) -> bool:
        width = max(len(stage.name) for stage in self._stages)
        print(f"\n{'stage':<{width}}   time  result")
        for stage in self._stages:
            result, took = self._results[stage.name]
            counted = self._counted(stage) if took else ""
            print(f"{stage.name:<{width}}  {clock(took) if took else '':>5}  {counted or result}")
        print(f"{'all':<{width}}  {clock(time.monotonic() - self._began):>5}")
        failed = [stage.name for stage in self._stages if self._results[stage.name][0] == "FAILED"]
        for name in failed:
            log = self._logs / name
            lines = log.read_text(errors="replace").splitlines()[-TAIL:]
            print(f"\n== {name} failed; the end of {log}:", *lines, sep="\n")
        passed = sum(result == "passed" for result, _ in self._results.values())
        print(
            f"\n{passed} passed, {len(self._results) - passed - self._left_out()} failed",
            flush=True,
        )
        return not failed

    def _left_out(self) -> int:
        return sum(bool(stage.left_out) for stage in self._stages)

    def _counted(self, stage: Stage) -> str:
        """What the stage's own tests counted, in its last words."""
        result, _ = self._results[stage.name]
        lines = (self._logs / stage.name).read_text(errors="replace").splitlines()
        found = [line.strip("= ") for line in lines if _COUNTED.match(line)]
        return f"{result}: {'; '.join(found[-8:])}" if found else ""
