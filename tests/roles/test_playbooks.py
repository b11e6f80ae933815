# SPDX-License-Identifier: MIT
"""What a user types in a clone, as far as it needs no host."""

import json
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
ROLES = {
    "docker": "docker_engine",
    "kernel": "kernel_modules",
    "daemon": "so1_daemon",
    "workload": "workload",
    "grafana": "grafana",
}


def asked(*command: str) -> str:
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr or done.stdout
    return done.stdout


def test_without_an_inventory_only_the_lab_is_meant() -> None:
    told = json.loads(asked("ansible-inventory", "--list"))
    assert list(told["_meta"]["hostvars"]) == ["so1-lab"]
    assert told["_meta"]["hostvars"]["so1-lab"]["ansible_host"] == "127.0.0.1"


@pytest.mark.parametrize("tag", ROLES)
def test_a_tag_runs_its_part_after_the_checks_and_no_other(tag: str) -> None:
    listed = asked("ansible-playbook", "site.yml", "--list-tasks", "--tags", tag).splitlines()
    tasks = [line.split(" : ")[0].strip() for line in listed if "TAGS: [always" not in line]
    assert {role for role in ROLES.values() if role in tasks} == {ROLES[tag]}
    assert any("preflight : The distribution is supported" in line for line in listed)


def test_a_limit_is_taken() -> None:
    listed = asked("ansible-playbook", "site.yml", "--list-hosts", "--limit", "so1-lab")
    assert "so1-lab" in listed
