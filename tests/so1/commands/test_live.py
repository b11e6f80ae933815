# SPDX-License-Identifier: MIT
"""The commands that ask Docker, against an engine that the run starts itself."""

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from msgspec.structs import replace

from so1 import workload
from so1.cli import main
from so1.commands import measure
from so1.sample import Sample
from tests.so1.governor.charged import with_memory
from tests.so1.registry import Registry
from tests.support.docker_engine import IMAGE, OTHER_IMAGE, LiveEngine

pytestmark = pytest.mark.engine
PROGRAM = [sys.executable, "-c", "from so1.cli import main; main()"]


@pytest.fixture
def settled(engine: LiveEngine, tmp_path: Path) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(
        f"""
        [snapshot]
        source = "procfs"
        [governor]
        trash_hours = 0
        grace = 0
        stop_timeout = 2
        [docker]
        host = "{engine.host}"
        [store]
        path = "{tmp_path}/metrics.db"
        [workload]
        low_image = "{IMAGE}"
        high_image = "{OTHER_IMAGE}"
        high_commands = [["sh", "-c", "while :; do :; done"]]
        """
    )
    return path


@pytest.fixture(autouse=True)
def _charged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure containers where the machine has but version 1 of cgroups, too."""
    take = measure.take

    def charged(*arguments: Any) -> Sample:
        sample = take(*arguments)
        return replace(sample, containers=with_memory(sample.containers))

    monkeypatch.setattr(measure, "take", charged)


@pytest.fixture
def so1(settled: Path) -> Callable[..., Result]:
    def run(*arguments: str, answer: str | None = None) -> Result:
        return CliRunner().invoke(
            main, ["--config", str(settled), *arguments], input=answer, catch_exceptions=False
        )

    return run


def ids(engine: LiveEngine) -> list[str]:
    return engine.docker("ps", "-q", "--no-trunc").stdout.split()


class TestPlan:
    def test_says_what_and_why_and_does_nothing(
        self, engine: LiveEngine, so1: Callable[..., Result]
    ) -> None:
        for number in range(5):
            engine.managed(f"low-{number}", "low")
        engine.managed("fleeting", "high", "--rm", "--volume=/anonymous")
        for number in range(2):
            engine.managed(f"high-{number}", "high", command="while :; do :; done")
        engine.start("web")
        result = so1("plan", "--json")
        assert result.exit_code == 0
        told = json.loads(result.output)
        assert not told["emergency"]
        assert told["policy"]["keep_low"] == 3
        rows = {row["name"]: row for row in told["containers"]}
        assert len(rows) == 9
        assert rows["web"]["rule"] == "not-managed"
        assert Counter(row["rule"] for row in rows.values()) == {
            "excess-low": 2,
            "excess-high": 1,
            "within-limits": 4,
            "may-not-go": 1,
            "not-managed": 1,
        }
        assert all(row["ram"] > 0 and row["memory"] > 0 for row in rows.values())
        assert len(engine.names()) == 9
        table = so1("plan").output
        assert "8 managed containers (5 low, 3 high), 1 others" in table
        assert "of 5 low containers 3 are kept" in table

    def test_says_what_may_never_go(
        self, engine: LiveEngine, so1: Callable[..., Result], settled: Path
    ) -> None:
        settled.write_text(settled.read_text().replace("grace = 0", "grace = 0\nkeep_high = 0"))
        engine.managed("fleeting", "high", "--rm", "--volume=/anonymous")
        (row,) = json.loads(so1("plan", "--json").output)["containers"]
        assert (row["rule"], row["keep"]) == ("may-not-go", True)
        assert "volumes are never removed" in row["reason"]
        output = so1("plan").output
        assert "volumes are never removed" in output
        assert "nothing to remove" in output

    def test_knows_of_a_restart(
        self, engine: LiveEngine, so1: Callable[..., Result], settled: Path
    ) -> None:
        settled.write_text(settled.read_text().replace("grace = 0", "grace = 60\nkeep_high = 0"))
        engine.managed("high", "high")
        time.sleep(4)
        began = time.monotonic()
        engine.docker("restart", "high")
        (row,) = json.loads(so1("plan", "--json").output)["containers"]
        assert row["rule"] == "grace-period"
        assert row["age_seconds"] <= time.monotonic() - began + 1

    def test_nothing_runs(self, engine: LiveEngine, so1: Callable[..., Result]) -> None:
        assert engine.names() == set()
        result = so1("plan", "--over", "0")
        assert (result.exit_code, "nothing to remove" in result.output) == (0, True)


class TestWorkload:
    def test_makes_limited_managed_containers(
        self, engine: LiveEngine, so1: Callable[..., Result]
    ) -> None:
        result = so1("workload", "generate")
        assert result.exit_code == 0, result.output
        found = [engine.inspect(id_) for id_ in ids(engine)]
        assert 1 <= len(found) <= 5
        assert result.output.count("made ") == len(found)
        for container in found:
            labels, host = container["Config"]["Labels"], container["HostConfig"]
            assert labels["so1.managed"] == "true"
            image = IMAGE if labels["so1.class"] == "low" else OTHER_IMAGE
            assert container["Config"]["Image"] == image
            assert host["Memory"] > 0
            assert host["MemorySwap"] == host["Memory"]
            assert host["NanoCpus"] > 0
            assert host["PidsLimit"] > 0
            assert host["NetworkMode"] == "none"
            assert not host["Privileged"]

    def test_a_dry_run_makes_none(self, engine: LiveEngine, so1: Callable[..., Result]) -> None:
        result = so1("workload", "generate", "--dry-run", "--count", "3")
        assert result.exit_code == 0
        assert result.output.count("would make ") == 3
        assert engine.names("-a") == set()

    def test_never_above_the_maximum(self, engine: LiveEngine, so1: Callable[..., Result]) -> None:
        for number in range(8):
            engine.managed(f"own-{number}")
        engine.start("web")
        assert so1("workload", "generate", "--count", "5").exit_code == 0
        assert len(engine.names()) == 11
        result = so1("workload", "generate")
        assert (result.exit_code, "no more may" in result.output) == (0, True)
        assert len(engine.names()) == 11

    def test_runs_at_the_same_time_keep_to_it_together(
        self, engine: LiveEngine, settled: Path
    ) -> None:
        arguments = ["--config", str(settled), "workload", "generate", "--count", "5"]
        for _ in range(2):
            runs = [
                subprocess.Popen(
                    [*PROGRAM, *arguments],
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                )
                for _ in range(6)
            ]
            said = [(run.communicate(timeout=120), run.returncode) for run in runs]
            assert all(status == 0 for _, status in said), said
            made = sum(output.count("made ") for (output, _), _ in said)
            assert made >= 5
        assert len(engine.names()) == 10

    def test_an_overlapping_run_leaves_at_once(
        self, settled: Path, so1: Callable[..., Result], engine: LiveEngine
    ) -> None:
        with workload.alone(settled.parent):
            result = so1("workload", "generate")
        assert result.exit_code == 0
        assert "another run" in result.output
        assert engine.names() == set()

    def test_images_from_elsewhere_are_pulled_once(
        self, engine: LiveEngine, registry: Registry, so1: Callable[..., Result], settled: Path
    ) -> None:
        text = settled.read_text()
        for image in (IMAGE, OTHER_IMAGE):
            text = text.replace(image, f"{registry.address}/{image}")
        settled.write_text(text)
        seen: set[str] = set()
        while len(seen) < 2:
            result = so1("workload", "generate", "--count", "5")
            assert result.exit_code == 0, result.output
            made = [engine.inspect(id_)["Config"]["Image"] for id_ in ids(engine)]
            assert len(made) == 5
            seen.update(made)
            engine.clear()
        assert seen == {f"{registry.address}/{image}" for image in (IMAGE, OTHER_IMAGE)}
        asked = len(registry.asked)
        assert so1("workload", "generate", "--count", "5").exit_code == 0
        assert len(registry.asked) == asked

    def test_an_image_that_cannot_be_had(
        self, engine: LiveEngine, so1: Callable[..., Result], settled: Path
    ) -> None:
        text = settled.read_text()
        for image in (IMAGE, OTHER_IMAGE):
            text = text.replace(image, "127.0.0.1:1/absent")
        settled.write_text(text)
        result = so1("workload", "generate")
        assert result.exit_code == 1
        assert "127.0.0.1:1/absent cannot be pulled" in result.output
        assert engine.names("-a") == set()


class TestCleanup:
    @pytest.fixture
    def volumes(self, engine: LiveEngine) -> set[str]:
        engine.managed("low", "low", "--volume=data:/data")
        engine.managed("high", "high", "--volume=/anonymous")
        engine.managed("ended", "low", command="exit")
        engine.docker("wait", "ended")
        engine.start("web", "--volume=web:/data")
        engine.start("like", labels={"so1.managed": "false"})
        return set(engine.docker("volume", "ls", "-q").stdout.split())

    def test_removes_what_is_managed_and_keeps_all_else(
        self, engine: LiveEngine, so1: Callable[..., Result], volumes: set[str]
    ) -> None:
        result = so1("cleanup", "--yes")
        assert result.exit_code == 0, result.output
        assert engine.names("-a") == {"web", "like"}
        assert engine.names() == {"web", "like"}
        assert set(engine.docker("volume", "ls", "-q").stdout.split()) == volumes
        assert "its volumes are kept: data" in result.output
        assert result.output.count("docker run --detach --name ") == 3
        again = so1("cleanup", "--yes")
        assert (again.exit_code, "nothing to do" in again.output) == (0, True)

    @pytest.mark.usefixtures("volumes")
    @pytest.mark.parametrize(
        ("options", "answer", "status"), [(["--dry-run"], None, 0), ([], "n\n", 1), ([], "", 1)]
    )
    def test_unasked_it_removes_nothing(
        self,
        engine: LiveEngine,
        so1: Callable[..., Result],
        options: list[str],
        answer: str | None,
        status: int,
    ) -> None:
        result = so1("cleanup", *options, answer=answer)
        assert result.exit_code == status
        assert "high" in result.output
        assert engine.names("-a") == {"low", "high", "ended", "web", "like"}

    @pytest.mark.usefixtures("volumes")
    def test_asks(self, engine: LiveEngine, so1: Callable[..., Result]) -> None:
        assert so1("cleanup", answer="y\n").exit_code == 0
        assert engine.names("-a") == {"web", "like"}

    def test_one_that_may_not_go_does_not_keep_the_rest(
        self, engine: LiveEngine, so1: Callable[..., Result]
    ) -> None:
        engine.managed("fleeting", "low", "--rm", "--volume=/anonymous")
        engine.managed("low")
        result = so1("cleanup", "--yes")
        assert result.exit_code == 1
        assert "kept fleeting: it was started with --rm" in result.output
        assert "1 of 2 are still here" in result.output
        assert engine.names("-a") == {"fleeting"}


class TestTop:
    def test_a_frame_for_a_pipe(self, engine: LiveEngine, so1: Callable[..., Result]) -> None:
        engine.managed("busy", "high", command="while :; do :; done")
        result = so1("top", "--once", "--sort", "cpu")
        assert result.exit_code == 0
        lines = result.output.splitlines()
        (row,) = [line.split() for line in lines if line.startswith("busy ")]
        assert row[1] == "high"
        assert float(row[4]) > 0
        assert any(line.rstrip().endswith("busy") and " sh " in line for line in lines)


class TestStatus:
    def test_agrees_with_the_plan(
        self, engine: LiveEngine, settled: Path, so1: Callable[..., Result]
    ) -> None:
        for number in range(2):
            engine.managed(f"low-{number}", "low")
        engine.managed("high", "high")
        engine.start("web")
        daemon = subprocess.Popen(
            [*PROGRAM, "--config", str(settled), "daemon"], stderr=subprocess.PIPE, text=True
        )
        try:
            deadline = time.monotonic() + 60
            while "containers" not in (status := json.loads(so1("status", "--json").output)):
                assert time.monotonic() < deadline
                time.sleep(0.2)
            peak = Path(f"/proc/{daemon.pid}/status").read_text()
        finally:
            daemon.terminate()
            _, logged = daemon.communicate(timeout=60)
        assert daemon.returncode == 0, logged
        # Another engine of this machine may have containers too, which are not managed.
        assert status["containers"].pop("unmanaged") >= 1
        planned = Counter(
            row["class"] for row in json.loads(so1("plan", "--json").output)["containers"]
        )
        assert planned.pop("unmanaged") == 1
        assert planned == status["containers"] == {"low": 2, "high": 1}
        (line,) = [line for line in peak.splitlines() if line.startswith("VmHWM")]
        assert int(line.split()[1]) < 45 * 1024
