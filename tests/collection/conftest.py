# SPDX-License-Identifier: MIT
"""The collection, built and installed into an empty folder, as somebody without a clone has it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from scripts import collection
from tests.support.plays import REPOSITORY

BIN = Path(sys.executable).parent
LOCAL = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}


@dataclass(frozen=True)
class Installed:
    """An empty folder with the collection."""

    folder: Path

    @property
    def root(self) -> Path:
        return self.folder / "collections/ansible_collections/so1/so1"

    def run(self, command: str, *arguments: object) -> str:
        """Run one of Ansible's commands there; it has to succeed."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("ANSIBLE_") and name != "PYTHONPATH"
        }
        done = subprocess.run(
            [str(BIN / command), *map(str, arguments)],
            cwd=self.folder,
            env={**kept, "ANSIBLE_COLLECTIONS_PATH": str(self.folder / "collections")},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def playbook(self, *arguments: object) -> str:
        """Run ansible-playbook with this machine as the host `here`, monitored and observer."""
        groups: dict[str, Any] = {
            name: {"hosts": {"here": LOCAL}} for name in ("monitored", "observers")
        }
        (self.folder / "hosts.json").write_text(json.dumps(groups))
        return self.run("ansible-playbook", "-i", self.folder / "hosts.json", *arguments)

    def within(self, role: str, *tasks: dict[str, Any]) -> str:
        """Run tasks as a role's own: with its variables, and where it finds its files."""
        (self.root / f"roles/{role}/tasks/probe.yml").write_text(json.dumps(tasks))
        task = {"include_role": {"name": f"so1.so1.{role}", "tasks_from": "probe"}}
        head = {"hosts": "monitored", "gather_facts": False}
        (self.folder / "play.yml").write_text(json.dumps([{**head, "tasks": [task]}]))
        return self.playbook(self.folder / "play.yml")


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    folder = tmp_path_factory.mktemp("empty")
    built = tmp_path_factory.mktemp("built")
    subprocess.run(
        [sys.executable, "-m", "scripts.collection", str(built)],
        cwd=REPOSITORY,
        env={**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}"},
        check=True,
    )
    there = Installed(folder)
    there.run(
        "ansible-galaxy",
        *("collection", "install", built / f"so1-so1-{collection.version()}.tar.gz"),
        *("--offline", "--no-deps", "-p", folder / "collections"),
    )
    return there
