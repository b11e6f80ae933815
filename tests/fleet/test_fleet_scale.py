# SPDX-License-Identifier: MIT
"""What is promised of a scrape, on a busy host; and of many hosts, as a small simulation."""

import functools
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.fleet.hosts import Recording, ask, processes, record
from benchmarks.fleet.simulation import cost
from tests.fleet.fleet import daemon, eventually, free_port, process

# It needs no engine, but half a minute, which the fast tests are not to wait for.
pytestmark = pytest.mark.engine
PROCESSES, NAMES = 400, 100


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Recording]]:
    folder = tmp_path_factory.mktemp("host")
    groups = folder / "groups.yml"
    groups.write_text('process_names:\n  - name: "{{.Comm}}"\n    cmdline: [".+"]\n')
    other = free_port()
    with (
        processes(folder / "processes", PROCESSES, NAMES),
        daemon(folder / "daemon", f"unix://{folder}/none") as ours,
        process(
            folder / "log",
            *("prometheus-process-exporter", "-config.path", groups),
            f"-web.listen-address=127.0.0.1:{other}",
        ),
    ):
        ports = {"so1": ours, "process-exporter": other}
        for port in ports.values():
            eventually(functools.partial(ask, port))
        yield {name: record(port, 3, 1, 20) for name, port in ports.items()}


def test_a_scrape_takes_less_than_a_hundredth(recorded: dict[str, Recording]) -> None:
    # The best of each: what else the machine does is not theirs.
    ours, theirs = min(recorded["so1"].seconds), min(recorded["process-exporter"].seconds)
    assert ours < theirs / 100


def test_series_of_a_busy_host(recorded: dict[str, Recording]) -> None:
    assert recorded["so1"].series <= 400
    # There were that many processes to be told of.
    assert recorded["process-exporter"].series > 10 * NAMES


def test_ten_times_the_hosts_are_ten_times_the_series(
    recorded: dict[str, Recording], tmp_path: Path
) -> None:
    pages = [recorded["so1"].pages]
    few, many = (
        cost(tmp_path / str(hosts), pages, hosts, interval=1, seconds=6) for hosts in (10, 100)
    )
    assert (few.up, many.up) == (10, 100)
    assert many.series == pytest.approx(10 * few.series, rel=0.02)
    # Linear: what 90 hosts more need is not more than what they are of the first ten.
    assert many.cpu_seconds_per_second <= 10 * few.cpu_seconds_per_second + 0.05
    assert many.memory_bytes < 10 * few.memory_bytes
