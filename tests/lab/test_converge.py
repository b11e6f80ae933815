# SPDX-License-Identifier: MIT
"""`make up` runs the plays where what is installed is not of these sources, and only there."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parent.parent.parent / "lab/converge.sh"
# Stand for the machine, whose /opt/so1 is a folder here, and for Ansible, which installs that.
MACHINE = """#!/bin/sh
shift
printf '%s' "$*" | sed "s|/opt/so1|$INSTALLED|g" | sh
"""
ANSIBLE = """#!/bin/sh
echo "$1"
case $1 in site.yml) [ ! -e fails ] && mkdir -p "$INSTALLED" ;; esac
"""
ALL = ["site.yml"]


class Checkout:
    """A repository with the script, and a machine."""

    def __init__(self, folder: Path) -> None:
        """Make both, with nothing installed."""
        self.root = folder / "checkout"
        self.installed = folder / "installed"
        self.commands = folder / "bin"
        for path, text in (
            (self.root / "lab/vm.py", MACHINE),
            (self.commands / "ansible-playbook", ANSIBLE),
            (self.root / "site.yml", "a play"),
            (self.root / "roles/one.yml", "a role"),
            (self.root / "kernel/tests/one.c", "a test"),
        ):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            path.chmod(0o755)
        shutil.copy(SCRIPT, self.root / "lab")
        subprocess.run(["git", "init", "-q"], cwd=self.root, check=True)
        subprocess.run(["git", "add", "."], cwd=self.root, check=True)

    def plays(self) -> list[str]:
        """Run the script, and tell which plays it ran."""
        done = subprocess.run(
            ["lab/converge.sh"],
            cwd=self.root,
            env={
                "PATH": f"{self.commands}:{os.environ['PATH']}",
                "INSTALLED": str(self.installed),
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        return [line for line in done.stdout.splitlines() if line.endswith(".yml")]


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    made = Checkout(tmp_path)
    assert made.plays() == ALL
    assert made.plays() == []
    return made


def test_what_was_removed_is_installed_again(checkout: Checkout) -> None:
    shutil.rmtree(checkout.installed)
    assert checkout.plays() == ALL


def test_other_sources_are_installed(checkout: Checkout) -> None:
    role = checkout.root / "roles/one.yml"
    role.write_text("another role")
    assert checkout.plays() == ALL
    (checkout.root / "roles/new.yml").write_text("not committed")
    assert checkout.plays() == ALL
    role.unlink()
    assert checkout.plays() == ALL
    assert checkout.plays() == []


def test_a_play_that_failed_is_run_again(checkout: Checkout) -> None:
    (checkout.root / "roles/one.yml").write_text("another role")
    (checkout.root / "fails").touch()
    assert checkout.plays() == ALL
    (checkout.root / "fails").unlink()
    assert checkout.plays() == ALL
