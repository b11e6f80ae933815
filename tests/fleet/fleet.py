# SPDX-License-Identifier: MIT
"""A fleet on loopback: real daemons, Debian's Prometheus, and what it writes to."""

import contextlib
import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

RULES = Path(__file__).parents[2] / "prometheus/so1.rules.yml"
WAIT_S = 90
_RUN = "from so1.cli import main; main()"


def free_port() -> int:
    """A port of loopback that nothing listens on."""
    with socket.socket() as asked:
        asked.bind(("127.0.0.1", 0))
        number = asked.getsockname()[1]
        assert isinstance(number, int)
        return number


def eventually(what: Callable[[], Any]) -> Any:
    """Ask until the answer is true."""
    deadline = time.monotonic() + WAIT_S
    while True:
        with contextlib.suppress(urllib.error.URLError, ConnectionError):
            if answer := what():
                return answer
        assert time.monotonic() < deadline, "it did not come to be"
        time.sleep(0.2)


@contextlib.contextmanager
def process(log: Path, *command: str | Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a program until the block ends; what it says is in `log`."""
    with log.open("wb") as said:
        # It ends with the tests, however they end.
        started = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", *map(str, command)],
            stdout=said,
            stderr=subprocess.STDOUT,
        )
        try:
            yield started
        finally:
            started.terminate()
            try:
                started.wait(timeout=30)
            except subprocess.TimeoutExpired:
                started.kill()
                started.wait()


@contextlib.contextmanager
def daemon(folder: Path, docker: str) -> Iterator[int]:
    """Run a daemon; gives the port of its metrics."""
    folder.mkdir()
    port = free_port()
    (folder / "config.toml").write_text(
        f'interval = 1\n[store]\npath = "{folder}/metrics.db"\n[docker]\nhost = "{docker}"\n'
        f'[governor]\nmode = "observe"\n[metrics]\nenabled = true\nport = {port}\n'
    )
    config = folder / "config.toml"
    with process(folder / "log", sys.executable, "-c", _RUN, "--config", config, "daemon"):
        yield port


class Answers:
    """The HTTP API that Prometheus and VictoriaMetrics both have."""

    def __init__(self, port: int) -> None:
        """Ask at a port of loopback."""
        self.url = f"http://127.0.0.1:{port}"

    def get(self, path: str, **parameters: str) -> Any:
        """Give the data of an answer."""
        asked = urllib.parse.urlencode(parameters)
        with urllib.request.urlopen(f"{self.url}{path}?{asked}", timeout=30) as answer:
            found = json.load(answer)
        assert found["status"] == "success"
        return found["data"]

    def instant(self, expr: str, at: float | None = None) -> dict[str, float]:
        """Give the value of each series of an instant query."""
        moment = {"time": f"{at:.3f}"} if at else {}
        result = self.get("/api/v1/query", query=expr, **moment)["result"]
        return {json.dumps(one["metric"], sort_keys=True): float(one["value"][1]) for one in result}

    def range(self, expr: str, seconds: int) -> list[Any]:
        """Give the series of a query over the last `seconds`."""
        now = time.time()
        limits = {"start": f"{now - seconds:.3f}", "end": f"{now:.3f}", "step": "2"}
        found: list[Any] = self.get("/api/v1/query_range", query=expr, **limits)["result"]
        return found


@contextlib.contextmanager
def prometheus(
    folder: Path, targets: dict[str, int], remote_write: str = ""
) -> Iterator[tuple[Answers, Path]]:
    """Run Debian's Prometheus on daemons; gives where it answers, and the file of its targets."""
    folder.mkdir()
    port = free_port()
    listed = folder / "targets.json"
    write_targets(listed, targets)
    settings: dict[str, Any] = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(RULES)],
        "scrape_configs": [
            {
                "job_name": "so1",
                "file_sd_configs": [{"files": [str(listed)], "refresh_interval": "1s"}],
            }
        ],
    }
    if remote_write:
        queue = {"batch_send_deadline": "1s"}
        settings["remote_write"] = [{"url": remote_write, "queue_config": queue}]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(settings))
    with process(
        folder / "log",
        *("prometheus", f"--config.file={folder}/prometheus.yml"),
        *(f"--storage.tsdb.path={folder}/data", f"--web.listen-address=127.0.0.1:{port}"),
    ):
        yield Answers(port), listed


def write_targets(path: Path, targets: dict[str, int]) -> None:
    """Name the hosts that are scraped, as the role does."""
    named = [
        {"targets": [f"127.0.0.1:{port}"], "labels": {"instance": name}}
        for name, port in targets.items()
    ]
    written = path.with_suffix(".new")
    written.write_text(json.dumps(named))
    written.rename(path)


@contextlib.contextmanager
def victoria(folder: Path) -> Iterator[Answers]:
    """Run Debian's VictoriaMetrics."""
    folder.mkdir()
    port = free_port()
    with process(
        folder / "log",
        *("victoria-metrics", f"-storageDataPath={folder}/data", "-retentionPeriod=1d"),
        *(f"-httpListenAddr=127.0.0.1:{port}", "-search.latencyOffset=0s"),
    ):
        yield Answers(port)
