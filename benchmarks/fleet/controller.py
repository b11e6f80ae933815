# SPDX-License-Identifier: MIT
"""What the roles do on the controller in a run over many hosts that are set up already."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import yaml

REPOSITORY = Path(__file__).parents[2]
SCRIPTS = {
    "wheels": "roles/so1_daemon/files/wheels.sh",
    "sources": "roles/kernel_modules/files/sources.sh",
}
"""All that a role starts on the controller."""
# Each start is noted, then it is what it was.
NOTED = """#!/bin/sh
echo {name} >>{log}
exec {real} "$@"
"""


class Run(NamedTuple):
    """A run, and how often each script was started in it."""

    hosts: int
    started: dict[str, int]
    seconds: float
    seconds_bare: float
    """Of a run over the same hosts with as many tasks that do nothing."""


def on_the_controller(folder: Path) -> list[dict[str, Any]]:
    """Lay the roles out with only those of their tasks that the controller does itself."""
    tree = folder / "tree"
    shutil.copytree(REPOSITORY / "roles", tree / "roles")
    for part in ("kernel", "python", "prometheus"):
        (tree / part).symlink_to(REPOSITORY / part)
    for name, script in SCRIPTS.items():
        real = tree / script
        # Beside it, for what it reads about itself.
        kept = real.rename(real.with_name(f"real-{real.name}"))
        real.write_text(NOTED.format(name=name, log=folder / "started", real=kept))
        real.chmod(0o755)
    plays = []
    for hosts, role, file in (
        ("monitored", "so1_daemon", "package"),
        ("monitored", "kernel_modules", "main"),
        ("observers", "so1_prometheus", "check"),
    ):
        path = tree / f"roles/{role}/tasks/{file}.yml"
        tasks = yaml.safe_load(path.read_text())
        ours = [task for task in tasks if role == "so1_prometheus" or _is_controllers(task)]
        assert ours, path
        (path.parent / "controller.yml").write_text(yaml.safe_dump(ours, sort_keys=False))
        include = {"include_role": {"name": role, "tasks_from": "controller"}}
        plays.append({"hosts": hosts, "gather_facts": False, "tasks": [include]})
    return plays


def _is_controllers(task: dict[str, Any]) -> bool:
    """Tell the tasks that start something there, or tell what it is started with."""
    words = json.dumps(task)
    return bool(re.search(r"delegate_to|so1_daemon_build\": \[|run_once", words))


def inventory(hosts: int) -> dict[str, Any]:
    """Hosts of two kinds, for which other wheels are made."""
    common = {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "so1_daemon_metrics_enabled": True,
        "so1_daemon_metrics_address": "0.0.0.0",
        "ansible_facts": {"python": {"version": {"major": 3, "minor": 11}}},
    }
    names: dict[str, dict[str, Any]] = {
        f"host-{number:04}": {"so1_daemon_reports": number % 2 == 0} for number in range(hosts)
    }
    return {
        "all": {"vars": common},
        "monitored": {"hosts": names},
        "observers": {"hosts": {"host-0000": {}}},
    }


def run(folder: Path, hosts: int) -> Run:
    """Run those tasks twice, and count in the second run."""
    folder.mkdir(parents=True)
    plays = on_the_controller(folder)
    log = folder / "started"
    (folder / "hosts.json").write_text(json.dumps(inventory(hosts)))
    (folder / "play.yml").write_text(json.dumps(plays))
    nothing = [{"include_tasks": "nothing.yml"}]
    (folder / "nothing.yml").write_text(json.dumps([{"set_fact": {"nothing": True}}]))
    bare = [{**play, "tasks": nothing} for play in plays]
    (folder / "bare.yml").write_text(json.dumps(bare))
    (folder / "ansible.cfg").write_text(
        f"[defaults]\nroles_path = {folder}/tree/roles\nforks = 20\n"
    )
    _play(folder, "play.yml")
    log.write_text("")
    seconds = _play(folder, "play.yml")
    started = log.read_text().split()
    counts = {name: started.count(name) for name in SCRIPTS}
    return Run(hosts, counts, seconds, _play(folder, "bare.yml"))


def _play(folder: Path, name: str) -> float:
    begun = time.monotonic()
    done = subprocess.run(
        [
            Path(sys.executable).with_name("ansible-playbook"),
            "-i",
            folder / "hosts.json",
            folder / name,
        ],
        env={
            **os.environ,
            "ANSIBLE_CONFIG": str(folder / "ansible.cfg"),
            "SO1_CACHE": str(folder / "cache"),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    return time.monotonic() - begun
