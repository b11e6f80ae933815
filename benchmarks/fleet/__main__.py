# SPDX-License-Identifier: MIT
"""Record one busy host, simulate many of them, and write docs/fleet-scale.md and its plot.

Takes some ten minutes, root (for a Docker Engine of its own) and up to 3 GiB of RAM.
"""

import contextlib
import functools
import tempfile
from pathlib import Path

from benchmarks.fleet import controller, report
from benchmarks.fleet.hosts import Recording, ask, processes, record
from benchmarks.fleet.simulation import cost
from tests.fleet.fleet import daemon, eventually, free_port, process
from tests.support.docker_engine import LiveEngine

REPOSITORY = Path(__file__).parents[2]
PROCESSES, NAMES, CONTAINERS = 400, 100, 20
INTERVAL, SECONDS = 10, 60
# More hosts with the two exporters would be millions of series, and more RAM than there may be.
SO1_HOSTS, OTHERS_HOSTS = (10, 100, 1_000), (10, 100)


def recorded(folder: Path) -> tuple[dict[str, Recording], int]:
    """Record all exporters on this host at the same time; and how many processes it had."""
    with contextlib.ExitStack() as running:
        (folder / "e").mkdir()
        engine = LiveEngine(folder / "e")
        running.callback(engine.stop)
        for number in range(CONTAINERS):
            engine.managed(f"service-{number}", "low" if number % 2 else "high")
        running.enter_context(processes(folder / "p", PROCESSES, NAMES))
        ports = {"so1": running.enter_context(daemon(folder / "d", engine.host))}
        groups = folder / "groups.yml"
        groups.write_text('process_names:\n  - name: "{{.Comm}}"\n    cmdline: [".+"]\n')
        for name, config in (("node_exporter", ()), ("process-exporter", ("-config.path", groups))):
            ports[name] = free_port()
            program = f"prometheus-{name.replace('_', '-')}"
            address = f"--web.listen-address=127.0.0.1:{ports[name]}"
            running.enter_context(process(folder / name, program, address, *config))
        for port in ports.values():
            eventually(functools.partial(ask, port))
        count = sum(entry.name.isdigit() for entry in Path("/proc").iterdir())
        return {name: record(port, 5, 2, 30) for name, port in ports.items()}, count


def main() -> None:
    """Record, simulate, write."""
    with tempfile.TemporaryDirectory(prefix="so1-scale-") as name:
        folder = Path(name)
        hosts, count = recorded(folder)
        both = [hosts["node_exporter"].pages, hosts["process-exporter"].pages]
        simulated = {
            "so1": [
                cost(
                    folder / f"so1-{n}", [hosts["so1"].pages], n, interval=INTERVAL, seconds=SECONDS
                )
                for n in SO1_HOSTS
            ],
            "node_exporter + process-exporter": [
                cost(folder / f"others-{n}", both, n, interval=INTERVAL, seconds=SECONDS)
                for n in OTHERS_HOSTS
            ],
        }
        runs = [controller.run(folder / f"run-{n}", n) for n in SO1_HOSTS]
    report.write(
        REPOSITORY / "docs", hosts, simulated, runs, processes=count, containers=CONTAINERS
    )


main()
