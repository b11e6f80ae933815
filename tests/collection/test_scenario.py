# SPDX-License-Identifier: MIT
"""The scenario `fleet` sets hosts up from the collection, and from nothing of the clone's."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.collection.conftest import BIN, Installed
from tests.support.plays import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SCENARIO = REPOSITORY / "molecule/fleet"
SETTINGS = yaml.safe_load((SCENARIO / "molecule.yml").read_text())
PLAYBOOKS = sorted(
    path.name
    for path in SCENARIO.glob("*.yml")
    if isinstance(yaml.safe_load(path.read_text()), list)
)


def named(tasks: list[dict[str, Any]]) -> Iterator[str]:
    """Tell every name of a module, a role or a playbook that plays or tasks give."""
    for task in tasks:
        for key, value in task.items():
            if key in ("tasks", "pre_tasks", "post_tasks", "block", "rescue", "always"):
                yield from named(value)
            elif key.endswith(("import_role", "include_role")):
                yield value["name"]
            elif key == "import_playbook":
                yield value
            elif key == "roles":
                yield from (role["role"] for role in value)
            elif "." in key or re.fullmatch("so[12]_[a-z_]+", key):
                yield key


def test_no_path_leads_to_the_clone_s_roles_or_modules() -> None:
    assert not {"roles_path", "library", "collections_path"} & {
        *SETTINGS["ansible"]["cfg"]["defaults"]
    }
    # Molecule would set these itself, and an environment is heard before a configuration.
    environment = SETTINGS["ansible"]["env"]
    assert environment["ANSIBLE_COLLECTIONS_PATH"] == "${MOLECULE_EPHEMERAL_DIRECTORY}/collections"
    assert environment["ANSIBLE_ROLES_PATH"] == "/nonexistent"
    assert environment["ANSIBLE_LIBRARY"] == "/nonexistent"
    sequence = SETTINGS["scenario"]["test_sequence"]
    assert sequence.index("dependency") < sequence.index("converge")


@pytest.mark.parametrize("name", PLAYBOOKS)
def test_a_playbook_names_only_what_a_collection_has(name: str) -> None:
    text = (SCENARIO / name).read_text()
    names = [*named(yaml.safe_load(text))]
    assert names
    assert {one.rpartition(".")[0] for one in names} <= {"ansible.builtin", "so1.so1"}
    assert not re.search(r"\.\./(roles|playbooks|library|site\.yml)", text)
    for command in re.findall(r"ansible-playbook .*", text.replace("\n", " ")):
        assert re.search(r" so1\.so1\.[a-z]+", command)


@pytest.mark.parametrize("name", PLAYBOOKS)
def test_a_playbook_is_understood_where_there_is_no_clone(name: str, installed: Installed) -> None:
    shown = installed.run(
        "ansible-playbook", "-i", SCENARIO / "inventory", SCENARIO / name, "--list-tasks"
    )
    if name == "converge.yml":
        roles = set(re.findall(r"^ +(\S+) : ", shown, re.MULTILINE))
        assert roles >= {f"so1.so1.{role}" for role in ("kernel_modules", "so1_daemon")}
        assert all(role.startswith("so1.so1.") for role in roles)


def test_what_it_installs_is_the_collection(installed: Installed, tmp_path: Path) -> None:
    """By the command of its step `dependency`; what an earlier run left is gone."""
    assert SETTINGS["dependency"]["name"] == "shell"
    command = SETTINGS["dependency"]["command"]
    old = tmp_path / "collections/ansible_collections/so1/so1/roles/old/tasks/main.yml"
    old.parent.mkdir(parents=True)
    old.write_text("[]")
    python, *rest = shlex.split(command.replace("${MOLECULE_EPHEMERAL_DIRECTORY}", str(tmp_path)))
    assert python == "python"
    subprocess.run(
        [sys.executable, *rest],
        cwd=REPOSITORY,
        env={"PATH": f"{BIN}:/usr/bin:/bin", "HOME": str(tmp_path)},
        check=True,
    )
    there = tmp_path / "collections/ansible_collections/so1/so1"
    files = {str(path.relative_to(there)) for path in there.rglob("*")}
    # The other tests add one task to some roles.
    assert {name for name in files if not name.endswith("/probe.yml")} == {
        name
        for path in installed.root.rglob("*")
        if not (name := str(path.relative_to(installed.root))).endswith(("/probe.yml", ".pyc"))
        and not name.endswith("__pycache__")
    }
