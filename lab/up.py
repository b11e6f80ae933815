#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""make up: boots the lab VM, runs site.yml against it, shows what is there.

What is done already is not done again: one that was cut off goes on where it stopped.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from scripts.stages import Runner, Stage  # noqa: E402 - after the path

PYTHON = {"bookworm": "3.11", "trixie": "3.13"}
"""Python of each release, for which the wheels are made while the machine is."""


def main() -> int:
    """Run the stages, then show the machine."""
    suite = os.environ.get("SO1_LAB_SUITE", "bookworm")
    cache = Path(os.environ.get("SO1_CACHE", ROOT / ".cache")).resolve()
    wheels = [
        *(str(ROOT / "roles/so1_daemon/files/wheels.sh"), str(ROOT / "python")),
        *(str(cache / "wheels"), ".venv/bin/python", PYTHON.get(suite, "3.13"), "[report]"),
    ]
    stages = [
        Stage("packages", ["scripts/setup.sh", "machine"]),
        Stage("image", ["lab/vm.py", "image"], after=["packages"]),
        Stage("venv", ["scripts/setup.sh", "venv"], after=["packages"]),
        Stage("machine", ["lab/vm.py", "up"], after=["image"]),
        Stage("wheels", wheels, after=["venv"]),
        Stage("site.yml", ["lab/converge.sh"], after=["machine", "wheels"]),
        Stage("load", ["ansible-playbook", "lab/prepare.yml"], after=["machine", "venv"]),
    ]
    if not Runner("up", stages, jobs=2).run():
        print("Once that is mended, `make up` goes on from there.")
        return 1
    shown = subprocess.run(["ansible-playbook", "playbooks/overview.yml"], cwd=ROOT, check=False)
    print("Remove the machine with: make down")
    return shown.returncode


if __name__ == "__main__":
    sys.exit(main())
