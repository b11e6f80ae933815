# SPDX-License-Identifier: MIT
"""The suites of the proof: what each runs, and every file that could change its outcome.

A suite whose inputs are byte for byte those of its last whole pass need not run again; the passes
are in proofs.json. Standard library only: it runs before anything is installed.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import time
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import TypedDict

ROOT = Path(__file__).resolve().parent.parent
RECORD = "proofs.json"

# Pinned versions, the harness, and what says how tests are called: inputs of every suite.
HARNESS = [
    "Makefile",
    ".ci/*",
    "scripts/*",
    "requirements.txt",
    "requirements-dev.txt",
    "requirements.yml",
    "python/constraints.txt",
    "python/locks/*",
    "python/pyproject.toml",
    ".gitignore",
]
PYTEST = ["pytest.ini", "tests/*", "python/*", "library/*", "benchmarks/*"]
ROLES = ["ansible.cfg", "site.yml", "roles/*", "playbooks/*", "inventory/*", "library/*"]
LAB = ["lab/*"]
# What a machine gets: the roles, the package, the modules without their tests.
PRODUCT = [*ROLES, "python/src/*", "python/README.md", "grafana/*", "prometheus/*", "kernel/*"]
# What the limiter's clients import in the kernel tests' guest.
GUEST = [
    *("__init__.py", "cli.py", "config.py", "escape_controls.py", "memory_limiter.py", "model.py"),
    "sources/*.py",
    *("commands/__init__.py", "commands/limit.py", "commands/tables.py"),
]
NONE = ["LICENSES/*", RECORD, ".ansible-lint", ".clang-format", ".yamllint"]
"""Files that change the outcome of no suite but lint, which takes all."""


@dataclass(frozen=True)
class Suite:
    """A part of the proof: a target of the Makefile and the patterns of its inputs."""

    target: str
    inputs: list[str]
    but: list[str] = field(default_factory=list)
    """Patterns of files that match `inputs` and are none."""

    def files(self, tracked: list[str]) -> list[str]:
        """Those of the tracked files that are inputs."""
        return [
            name
            for name in tracked
            if any(fnmatch(name, pattern) for pattern in [*HARNESS, *self.inputs])
            and not any(fnmatch(name, pattern) for pattern in self.but)
        ]


SUITES = {
    "lint": Suite("lint", ["*"], [RECORD]),
    "default": Suite(
        "test-molecule",
        [*PRODUCT, *LAB, "molecule/default/*", "tests/so1/oracle/*"],
        ["kernel/tests/*", "kernel/memlimit/tests/*", "*/README.md"],
    ),
    "kernel": Suite(
        "test-kernel",
        [
            *("kernel/*", "library/so2_memory_limit.py", "roles/kernel_modules/files/load.sh"),
            *(f"python/src/so1/{name}" for name in GUEST),
        ],
    ),
    "fleet": Suite(
        "test-fleet",
        [*PRODUCT, *LAB, "molecule/fleet/*"],
        [
            *("kernel/tests/*", "kernel/memlimit/tests/*", "*/README.md"),
            # Its hosts have no Grafana; the role is run, to find that.
            "grafana/*",
        ],
    ),
    "draw": Suite(
        "test-draw",
        [
            *("grafana/*", "tests/draw/*", "tests/support/*", "tests/fleet/*", "benchmarks/*"),
            *("prometheus/*", "python/src/*", "pytest.ini"),
        ],
    ),
    "unit": Suite("test-unit", [*PYTEST, *PRODUCT, *LAB, "molecule/*", "*.md", "docs/*", "*.toml"]),
    "engine": Suite("test-engine", [*PYTEST, *PRODUCT]),
}


class Pass(TypedDict):
    """A whole pass of a suite, as the record keeps it."""

    inputs: str
    date: str
    seconds: int


def tracked() -> list[str]:
    """The files that a commit of all there is would hold."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(listed, cwd=ROOT, check=True, stdout=subprocess.PIPE)
    return sorted({name for name in done.stdout.decode().split("\0") if name})


def fingerprint(files: list[str]) -> str:
    """Hash names, modes and contents; a file that is gone has none."""
    whole = hashlib.sha256()
    for name in files:
        path = ROOT / name
        if path.is_symlink():
            content, kind = str(path.readlink()).encode(), "link"
        elif path.is_file():
            content, kind = path.read_bytes(), "program" if path.stat().st_mode & 0o100 else "file"
        else:
            continue
        whole.update(f"{kind} {name}\0{hashlib.sha256(content).hexdigest()}\n".encode())
    return whole.hexdigest()


def record(path: Path = ROOT / RECORD) -> dict[str, Pass]:
    """Read the passes; none where the file is missing or is not what was written."""
    try:
        found: dict[str, Pass] = json.loads(path.read_text())
        return {
            name: found[name]
            for name in SUITES
            if set(found.get(name, ())) == set(Pass.__annotations__)
        }
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def passed(name: str, inputs: str, seconds: float, path: Path = ROOT / RECORD) -> None:
    """Note a whole pass of a suite, unless its inputs have changed while it ran."""
    if fingerprint(SUITES[name].files(tracked())) != inputs:
        return
    date = time.strftime("%Y-%m-%d", time.gmtime())
    entry = Pass(inputs=inputs, date=date, seconds=round(seconds))
    path.write_text(json.dumps({**record(path), name: entry}, indent=2, sort_keys=True) + "\n")
