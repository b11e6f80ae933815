# SPDX-License-Identifier: MIT
"""One real host, made busy, and what its exporters answer."""

import contextlib
import http.client
import shutil
import statistics
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple


class Recording(NamedTuple):
    """What one exporter answers: some answers one after the other, and how long each took."""

    pages: list[bytes]
    seconds: list[float]

    @property
    def series(self) -> int:
        """Series of the last answer."""
        return sum(bool(line) and not line.startswith(b"#") for line in self.pages[-1].splitlines())

    @property
    def median(self) -> float:
        """Seconds that an answer takes."""
        return statistics.median(self.seconds)


@contextlib.contextmanager
def processes(folder: Path, count: int, names: int) -> Iterator[None]:
    """Have `count` processes that sleep, under so many names."""
    folder.mkdir()
    started = []
    try:
        for number in range(count):
            program = folder / f"service-{number % names}"
            if not program.exists():
                shutil.copy("/bin/sleep", program)
            started.append(subprocess.Popen([program, "3600"]))
        yield
    finally:
        for process in started:
            process.kill()
        for process in started:
            process.wait()


def ask(port: int) -> bytes:
    """Scrape once."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    with contextlib.closing(connection):
        connection.request("GET", "/metrics")
        answer = connection.getresponse()
        page = answer.read()
        if answer.status != http.HTTPStatus.OK:
            raise ConnectionError(page.decode())
        return page


def record(port: int, pages: int, pause: float, times: int) -> Recording:
    """Keep `pages` answers, `pause` seconds apart, and time `times` more."""
    kept = []
    for _ in range(pages):
        kept.append(ask(port))
        time.sleep(pause)
    took = []
    for _ in range(times):
        began = time.perf_counter()
        ask(port)
        took.append(time.perf_counter() - began)
    return Recording(kept, took)
