# SPDX-License-Identifier: MIT
"""playbooks/fleet.yml: one line for each host, whatever state it is in."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

REPOSITORY = Path(__file__).parents[2]
ANSIBLE = Path(sys.executable).with_name("ansible-playbook")


def play(folder: Path, hosts: dict[str, Any], playbook: Path) -> "subprocess.CompletedProcess[str]":
    inventory = folder / "hosts.yml"
    inventory.write_text(yaml.safe_dump({"monitored": {"hosts": hosts}}))
    return subprocess.run(
        [ANSIBLE, "-i", inventory, playbook],
        env={**os.environ, "ANSIBLE_CONFIG": str(REPOSITORY / "ansible.cfg")},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def lines(output: str) -> list[str]:
    """The table's lines, each with single spaces."""
    table = output[output.index("HOST ") :].partition("PLAY RECAP")[0]
    return [" ".join(line.split()) for line in table.strip().splitlines()]


def status(mode: str, tick: dict[str, int], *, running: bool = True) -> dict[str, str]:
    policy = {"mode": mode, "keep_low": 3, "keep_high": 2, "maximum": 10}
    containers = {"low": 4, "high": 1, "unmanaged": 2}
    told = {"daemon": {"running": running}, "governor": policy}
    return {"stdout": json.dumps(told | ({"tick": tick, "containers": containers} if tick else {}))}


def test_the_fullest_first_and_those_that_say_nothing_before_them(tmp_path: Path) -> None:
    def facts(used: int, containers: int) -> dict[str, Any]:
        memory = {"total_ram": 2 << 20, "used_ram": used << 10, "free_ram": 0}
        worst = [{"name": "postgres", "rss": 300 << 10}]
        found = {"memory": memory, "processes": worst, "container_count": containers}
        return {"ansible_facts": {"so1": found}}

    tick = {"total_ram": 1 << 20, "used_ram": 1 << 19, "container_count": 5}
    hosts: dict[str, dict[str, Any]] = {
        "half": {"fleet_facts": facts(1_024, 7), "fleet_status": status("enforce", tick)},
        "full": {"fleet_facts": facts(2_000, 0), "fleet_status": status("observe", tick)},
        "procfs": {"fleet_facts": {}, "fleet_status": status("observe", tick)},
        "stopped": {
            "fleet_facts": facts(512, 1),
            "fleet_status": status("enforce", tick, running=False),
        },
        "bare": {
            "fleet_facts": {"ansible_facts": {"so1": {"reason": "The module is not loaded."}}},
            "fleet_status": {"stdout": "", "msg": "No such file"},
        },
        "gone": {"fleet_facts": {"unreachable": True}},
    }
    local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    template = REPOSITORY / "playbooks/templates/fleet.txt.j2"
    show = {"debug": {"msg": f"{{{{ lookup('template', '{template}') }}}}"}, "run_once": True}
    playbook = tmp_path / "playbook.yml"
    playbook.write_text(
        json.dumps([{"hosts": "monitored", "gather_facts": False, "tasks": [show]}])
    )
    done = play(tmp_path, {name: local | known for name, known in hosts.items()}, playbook)
    assert done.returncode == 0, done.stdout
    assert lines(done.stdout) == [
        "HOST USED RAM MiB CONTAINERS WORST PROCESS GOVERNOR",
        "gone cannot be reached",
        "bare The module is not loaded.",
        "full 98% 2048 0 postgres (300 MiB) observe, 4/3 low, 1/2 high",
        "half 50% 2048 7 postgres (300 MiB) enforce, 4/3 low, 1/2 high",
        "procfs 50% 1024 5 - observe, 4/3 low, 1/2 high",
        "stopped 25% 2048 1 postgres (300 MiB) the daemon does not run",
    ]


def test_the_playbook_on_hosts_of_which_one_is_gone(tmp_path: Path) -> None:
    hosts = {
        "here": {"ansible_connection": "local", "ansible_python_interpreter": sys.executable},
        # Nothing listens on the port of discard.
        "gone": {"ansible_host": "127.0.0.1", "ansible_port": 9},
    }
    done = play(tmp_path, hosts, REPOSITORY / "playbooks/fleet.yml")
    assert "Traceback" not in done.stdout + done.stderr
    head, *shown = lines(done.stdout)
    assert head.startswith("HOST USED")
    assert shown[0] == "gone cannot be reached"
    assert shown[1].startswith("here ")
    assert len(shown) == 2
