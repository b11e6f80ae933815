# SPDX-License-Identifier: MIT
"""Tasks on this machine as a host of an inventory, and what a role's check refuses."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

REPOSITORY = Path(__file__).parents[2]
Done = subprocess.CompletedProcess[str]


def play(
    folder: Path,
    tasks: list[dict[str, Any]],
    monitored: dict[str, Any],
    files: list[str] | None = None,
    options: tuple[str, ...] = (),
    environment: dict[str, str] | None = None,
    **variables: Any,
) -> Done:
    """Run tasks as the host `observer`, with the playbook in `folder`."""
    local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    inventory = {
        "monitored": {"hosts": monitored},
        "observers": {"hosts": {"observer": {**local, **monitored.get("observer", {})}}},
    }
    (folder / "hosts.yml").write_text(yaml.safe_dump(inventory, sort_keys=False))
    head = {"hosts": "observers", "gather_facts": False, "vars_files": files or []}
    (folder / "playbook.yml").write_text(json.dumps([{**head, "tasks": tasks}]))
    return subprocess.run(
        [
            str(Path(sys.executable).with_name("ansible-playbook")),
            *("-i", folder / "hosts.yml", "-e", json.dumps(variables)),
            *options,
            folder / "playbook.yml",
        ],
        env={**(environment or os.environ), "ANSIBLE_CONFIG": str(REPOSITORY / "ansible.cfg")},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def defaults(role_name: str) -> dict[str, Any]:
    """Read a role's defaults, as if its variables had no old names."""
    found: dict[str, Any] = yaml.safe_load(
        (REPOSITORY / "roles" / role_name / "defaults/main.yml").read_text()
    )
    for name, value in found.items():
        old = name.removeprefix("so1_")
        if renamed := re.fullmatch(rf"{{{{ {old} \| default\((.*)\) }}}}", str(value)):
            inner = renamed[1]
            computed = re.search(r"default|hostvars", inner)
            found[name] = f"{{{{ {inner} }}}}" if computed else yaml.safe_load(inner)
    return found


def role(name: str, part: str) -> dict[str, Any]:
    """Make the task that runs a part of a role."""
    return {"include_role": {"name": name, "tasks_from": part}}


def refusals(role_name: str, cases: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Run the role's check with each case's variables, whatever comes of it."""
    return [
        {
            "block": [{**role(role_name, "check"), "vars": case}],
            "rescue": [{"debug": {"msg": "it was refused"}}],
        }
        for case in cases
    ]


def told(done: Done, sentences: list[str]) -> None:
    """Each was refused with its sentence, and what came after the last was not refused."""
    assert done.returncode == 0, done.stdout + done.stderr
    *refused, last = " ".join(done.stdout.split()).split("msg: it was refused")
    assert len(refused) == len(sentences), last
    for output, sentence in zip(refused, sentences, strict=True):
        assert sentence in output
    assert "failed=0" in last
