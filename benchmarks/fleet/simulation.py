# SPDX-License-Identifier: MIT
"""Many hosts that are one process: it answers with what a real one answered, for each in turn."""

import contextlib
import gzip
import http.server
import itertools
import json
import os
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import yaml

from tests.fleet.fleet import Answers, eventually, free_port, process

_TICKS = os.sysconf("SC_CLK_TCK")
_SHARE = 2 / 3
"""Of the time simulated, the last part that is measured: at first everything is new."""


class Cost(NamedTuple):
    """What Prometheus needed for some hosts."""

    hosts: int
    up: int
    series: int
    scrape_seconds: float
    memory_bytes: int
    cpu_seconds_per_second: float


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: "_Server"

    def do_GET(self) -> None:
        body = self.server.page(self.path)
        self.send_response(http.HTTPStatus.OK)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class' name
        """Say nothing."""


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 1024

    def __init__(self, port: int, exporters: Sequence[Sequence[bytes]]) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        # Each host is one answer further than the one before, so that they are not all the same.
        self._pages = [[gzip.compress(page) for page in pages] for pages in exporters]
        self._turns = itertools.count()

    def page(self, path: str) -> bytes:
        """Give the next answer of the exporter whose number the path ends with."""
        pages = self._pages[int(path.rpartition("/")[2])]
        return pages[next(self._turns) % len(pages)]


@contextlib.contextmanager
def served(exporters: Sequence[Sequence[bytes]]) -> Iterator[int]:
    """Serve each exporter's answers at /N; gives the port."""
    port = free_port()
    server = _Server(port, exporters)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def cost(
    folder: Path, exporters: Sequence[Sequence[bytes]], hosts: int, *, interval: int, seconds: int
) -> Cost:
    """Have Prometheus scrape so many hosts, each with all exporters, and measure it."""
    folder.mkdir()
    with served(exporters) as source:
        jobs = [
            {
                "job_name": f"exporter-{number}",
                "metrics_path": f"/{number}",
                "file_sd_configs": [{"files": [str(folder / "targets.json")]}],
                # Each host is one address here: only its label tells it from the others.
                "relabel_configs": [
                    {
                        "source_labels": ["host"],
                        "target_label": "instance",
                    },
                    {"regex": "host", "action": "labeldrop"},
                ],
            }
            for number in range(len(exporters))
        ]
        targets = [
            {"targets": [f"127.0.0.1:{source}"], "labels": {"host": f"host-{number}"}}
            for number in range(hosts)
        ]
        (folder / "targets.json").write_text(json.dumps(targets))
        settings = {
            "global": {"scrape_interval": f"{interval}s", "scrape_timeout": f"{interval}s"},
            "scrape_configs": jobs,
        }
        (folder / "prometheus.yml").write_text(yaml.safe_dump(settings))
        port = free_port()
        with process(
            folder / "log",
            *("prometheus", f"--config.file={folder}/prometheus.yml"),
            *(f"--storage.tsdb.path={folder}/data", f"--web.listen-address=127.0.0.1:{port}"),
        ) as prometheus:
            answers = Answers(port)
            wanted = hosts * len(exporters)
            eventually(lambda: sum(answers.instant("count(up)").values()) == wanted)
            time.sleep(seconds * (1 - _SHARE))
            before, began = _cpu(prometheus.pid), time.monotonic()
            time.sleep(seconds * _SHARE)
            used, took = _cpu(prometheus.pid) - before, time.monotonic() - began
            memory = _memory(prometheus.pid)
            (series,) = answers.instant("sum(scrape_samples_scraped)").values()
            (up,) = answers.instant("sum(up)").values()
            (scrape,) = answers.instant("avg(scrape_duration_seconds)").values()
    return Cost(hosts, round(up), round(series), scrape, memory, used / took)


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _memory(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmRSS")]
    return int(line.split()[1]) * 1024
