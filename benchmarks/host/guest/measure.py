#!/opt/so1/venv/bin/python
# SPDX-License-Identifier: MIT
"""Runs on the machine that is measured; the figures, raw, as JSON on standard output."""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path

import ticks
import walks


def _line(path: str, key: str) -> str:
    for line in Path(path).read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == key:
            return value.strip()
    return ""


def _version(package: str) -> str:
    done = subprocess.run(
        ["dpkg-query", "--show", "--showformat=${Version}", package],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return done.stdout


def _host() -> dict[str, object]:
    return {
        "kernel": platform.release(),
        "cpu": _line("/proc/cpuinfo", "model name"),
        "cpus": os.cpu_count(),
        "ram_kib": int(_line("/proc/meminfo", "MemTotal").split()[0]),
        "python": platform.python_version(),
        "psutil": metadata.version("psutil"),
        "bpf_jit": Path("/proc/sys/net/core/bpf_jit_enable").read_text().strip() != "0",
        "packages": {
            package: _version(package)
            for package in ("prometheus-process-exporter", "prometheus-node-exporter", "procps")
        },
    }


def _say(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr, flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, nargs="+", required=True)
    parser.add_argument("--rounds", type=int, required=True)
    parser.add_argument("--minutes", type=int, required=True)
    options = parser.parse_args()
    figures: list[dict[str, object]] = []
    began = time.monotonic()
    with ticks.containers(), walks.iterator():
        for number in options.processes:
            with walks.crowd(number):
                with ticks.daemon_stopped():
                    processes = walks.check(number)
                    _say(f"{number} processes more: {options.rounds} rounds of reads ...")
                    samples = walks.measure(options.rounds)
                _say(f"{number} processes more: {options.minutes} minutes of the daemon ...")
                tick = ticks.measure(options.minutes)
            figures.append(
                {"crowd": number, "processes": processes, "seconds": samples, "tick": tick}
            )
    result = {"host": _host(), "took": time.monotonic() - began, "figures": figures}
    json.dump(result, sys.stdout)


main()
