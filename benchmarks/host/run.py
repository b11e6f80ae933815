#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""make bench: boots a machine, sets it up, measures on it, writes docs/benchmark.md."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import report

ROOT = Path(__file__).resolve().parents[2]
GUEST = ROOT / "benchmarks" / "host" / "guest"
CACHE = Path(os.environ.get("SO1_CACHE", ROOT / ".cache")).resolve() / "bench"
NAME = "bench"


def say(text: str) -> None:
    """Show progress."""
    print(f"bench: {text}", flush=True)


class Lab:
    """The machine of this run."""

    def __init__(self, port: int) -> None:
        """Refer to it; nothing is started."""
        self.environment = {**os.environ, "SO1_LAB_PORT": str(port)}
        self.command = [str(ROOT / "lab" / "vm.py"), "--name", NAME]

    def call(self, *words: str) -> None:
        """Let lab/vm.py do something."""
        subprocess.run([*self.command, *words], env=self.environment, check=True)

    def output(self, *words: str) -> bytes:
        """Run a command on the machine; what it prints."""
        command = [*self.command, "ssh", "--", *words]
        done = subprocess.run(command, env=self.environment, check=True, stdout=subprocess.PIPE)
        return done.stdout

    def play(self, book: str, *words: str) -> None:
        """Run a playbook against the machine."""
        log = CACHE / "ansible.log"
        with log.open("a") as file:
            done = subprocess.run(
                ["ansible-playbook", book, *words],
                env=self.environment,
                cwd=ROOT,
                stdout=file,
                stderr=subprocess.STDOUT,
                check=False,
            )
        if done.returncode:
            sys.exit(f"bench: {book} failed; {log} says why")


def build(btf: bytes) -> Path:
    """Make the programs, the BPF one for the kernel that has these types."""
    programs = CACHE / "programs"
    shutil.rmtree(programs, ignore_errors=True)
    programs.mkdir(parents=True)
    types, header = CACHE / "vmlinux.btf", CACHE / "vmlinux.h"
    types.write_bytes(btf)
    with header.open("w") as file:
        command = ["/usr/sbin/bpftool", "btf", "dump", "file", str(types), "format", "c"]
        subprocess.run(command, stdout=file, check=True)
    source, target = GUEST / "processes.bpf.c", programs / "processes.bpf.o"
    command = ["clang", "-O2", "-g", "-target", "bpf", f"-I{CACHE}"]
    subprocess.run([*command, "-c", str(source), "-o", str(target)], check=True)
    for name in ("crowd", "reader"):
        source = GUEST / f"{name}.c"
        subprocess.run(
            ["gcc", "-O2", "-Wall", "-Wextra", "-static", "-o", str(programs / name), str(source)],
            check=True,
        )
    for script in GUEST.glob("*.py"):
        shutil.copy(script, programs)
    return programs


def on_machine(lab: Lab, options: argparse.Namespace) -> dict[str, object]:
    """Set the machine up, and measure on it."""
    lab.call("up")
    say(f"setting it up (about six minutes when emulated); log: {CACHE / 'ansible.log'}")
    lab.play("lab/prepare.yml")
    lab.play("site.yml", "--extra-vars", "workload_enabled=false")
    programs = build(lab.output("cat", "/sys/kernel/btf/vmlinux"))
    lab.play("benchmarks/host/prepare.yml", "--extra-vars", f"bench_programs={programs}")
    before = _used()
    answer = lab.output(
        "/root/bench/measure.py",
        *("--processes", *map(str, options.processes)),
        *("--rounds", str(options.rounds), "--minutes", str(options.minutes)),
    )
    figures: dict[str, object] = json.loads(answer)
    everybody, machine, all_ = (now - then for now, then in zip(_used(), before, strict=True))
    figures["others"] = max(0.0, everybody - machine) / all_
    return figures


def _used() -> tuple[int, int, int]:
    """Tell the clock ticks this controller worked so far, those for the machine, and all it had."""
    user, nice, system, idle, wait, *rest = map(
        int, Path("/proc/stat").read_text().splitlines()[0].split()[1:9]
    )
    worked = user + nice + system + sum(rest)
    pid = (CACHE.parent / "lab" / f"vm-{NAME}" / "pid").read_text().strip()
    stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return worked, int(stat[11]) + int(stat[12]), worked + idle + wait


def measure(options: argparse.Namespace) -> dict[str, object]:
    """Measure; the raw figures."""
    lab = Lab(options.port)
    CACHE.mkdir(parents=True, exist_ok=True)
    (CACHE / "ansible.log").write_text("")
    try:
        figures = on_machine(lab, options)
    finally:
        if not options.keep:
            lab.call("down")
    figures["date"] = time.strftime("%Y-%m-%d")
    accelerator = CACHE.parent / "lab" / "accelerator"
    figures["accelerator"] = accelerator.read_text() if accelerator.exists() else "tcg"
    return figures


def main() -> None:
    """Parse the command line and do what it says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, nargs="+", default=[100, 1000, 5000])
    parser.add_argument("--rounds", type=int, default=11, help="of reads (default: %(default)s)")
    parser.add_argument(
        "--minutes", type=int, default=5, help="of the daemon (default: %(default)s)"
    )
    parser.add_argument(
        "--port", type=int, default=22322, help="loopback port of the machine's ssh"
    )
    parser.add_argument("--keep", action="store_true", help="leave the machine running")
    parser.add_argument(
        "--report-only", action="store_true", help="write the last figures up again"
    )
    options = parser.parse_args()
    figures = CACHE / "figures.json"
    if not options.report_only:
        figures_now = measure(options)
        figures.write_text(json.dumps(figures_now, indent=1))
    report.write(json.loads(figures.read_text()), ROOT / "docs")
    say("written: docs/benchmark.md and docs/benchmark.svg")


if __name__ == "__main__":
    try:
        main()
    except subprocess.CalledProcessError as error:
        sys.exit(f"bench: {error.cmd[0]} failed ({error.returncode}); what it said stands above")
