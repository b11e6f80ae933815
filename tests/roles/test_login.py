# SPDX-License-Identifier: MIT
"""How people log in: as root on the hosts, and as themselves on the controller."""

import json
import os
import subprocess
import sys
from pathlib import Path

import yaml

from tests.support.plays import REPOSITORY

# In sudo's place: what a host's would say.
SUDO = """#!/bin/sh
touch {asked}
echo '{says}' >&2
exit 1
"""
NO_TTY = "sudo: sorry, you must have a tty to run sudo"


def as_root(folder: Path, playbook: list[dict[str, object]], says: str) -> tuple[str, bool]:
    """Run a play whose inventory wants root for `all`: what was said; whether sudo was asked."""
    asked, sudo = folder / "asked", folder / "sudo"
    sudo.write_text(SUDO.format(asked=asked, says=says))
    sudo.chmod(0o755)
    everywhere = {
        "ansible_become": True,
        "ansible_become_exe": str(sudo),
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
    }
    hosts = {"all": {"vars": everywhere}, "monitored": {"hosts": {"web": {}}}}
    (folder / "hosts.json").write_text(json.dumps(hosts))
    (folder / "play.yml").write_text(json.dumps(playbook))
    done = subprocess.run(
        ["ansible-playbook", "-i", folder / "hosts.json", folder / "play.yml"],
        env={
            **os.environ,
            "ANSIBLE_CONFIG": str(REPOSITORY / "ansible.cfg"),
            "ANSIBLE_BECOME_ALLOW_SAME_USER": "true",  # whoever runs the tests
        },
        capture_output=True,
        text=True,
        check=False,
    )
    return " ".join((done.stdout + done.stderr).split()), asked.exists()


def test_nobody_becomes_root_on_the_controller(tmp_path: Path) -> None:
    """With every task of the roles that runs there; what they run is replaced."""
    tasks = []
    for path in REPOSITORY.glob("roles/*/tasks/*.yml"):
        tasks += [task for task in yaml.safe_load(path.read_text()) if "delegate_to" in task]
    assert tasks
    for task in tasks:
        for key in ("environment", "loop", "register"):
            task.pop(key, None)
        task["ansible.builtin.command"] = {"argv": ["true"]}
    play = {"hosts": "monitored", "gather_facts": False, "tasks": tasks}
    said, asked = as_root(tmp_path, [play], "no")
    assert "failed=0" in said, said
    assert not asked


def test_a_sudo_that_wants_a_terminal_is_told_in_one_sentence(tmp_path: Path) -> None:
    path = str(REPOSITORY / "playbooks/preflight.yml")
    said, asked = as_root(tmp_path, [{"import_playbook": path}], NO_TTY)
    assert asked
    assert "«Defaults:USER !requiretty» to its sudoers" in said
    assert "MODULE FAILURE" not in said.split("PLAY RECAP")[0].split("fatal:")[-1]
