# SPDX-License-Identifier: MIT
"""make collection: lays this tree out as the Ansible collection so1.so1, and builds its archive.

usage: python -m scripts.collection [FOLDER]           into dist/, unless a folder is given
       python -m scripts.collection --install FOLDER   installs it there, without a server
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import tempfile
from fnmatch import fnmatch
from importlib import metadata
from pathlib import Path

import yaml

from scripts.suites import ROOT, tracked

METADATA = {
    "namespace": "so1",
    "name": "so1",
    "readme": "README.md",
    "authors": ["SO1 contributors"],
    "description": "Watches Docker hosts through kernel snapshots, and keeps containers in policy",
    "license": ["MIT", "GPL-2.0-only", "GPL-3.0-or-later"],
    "tags": ["linux", "docker", "monitoring", "kernel", "grafana", "prometheus"],
    # Galaxy wants one; it is where the collection would be.
    "repository": "https://example.org/so1/so1",
}
RUNTIME = {"requires_ansible": ">=2.17.0"}
TESTED = {"modules": {"python_requires": ">=3.11"}}
"""For ansible-test: the modules run on Debian 12 and newer."""

PLACES = [
    ("library/*.py", "library", "plugins/modules"),
    ("roles/*", "", ""),
    ("playbooks/*", "", ""),
    # What the roles bring to the hosts, and find two folders above themselves.
    ("kernel/*", "", ""),
    ("python/src/*", "", ""),
    ("python/*.*", "", ""),
    ("python/locks/*", "", ""),
    ("grafana/dashboards/*", "", ""),
    ("grafana/provisioning/*", "", ""),
    ("prometheus/so1.rules.yml", "", ""),
    ("LICENSES/*", "", ""),
    ("docs/*", "", ""),
    ("CHANGELOG.md", "", ""),
    ("SECURITY.md", "", ""),
    ("scripts/collection.md", "scripts/collection.md", "README.md"),
]
"""Which files, the folder that they leave, and the one that they come into."""
NOT = [
    "kernel/tests/*",
    "kernel/memlimit/tests/*",
    "kernel/memlimit/tree/*",
    "*.sh.swp",
    # Links, by which a clone finds what a collection has by name.
    "playbooks/library",
    "playbooks/roles",
]

_MODULE = re.compile(r"^(\s+(?:- module: )?)(so1_facts|so2_memory_limit)(?=:|$)", re.M)
"""A task or an example that calls one of the modules, by the name that it has in a clone."""


def version() -> str:
    """Say the version of all there is: the package's."""
    found = re.search(
        '^__version__ = "(.+)"$', (ROOT / "python/src/so1/__init__.py").read_text(), re.M
    )
    assert found
    return found[1]


def place(name: str) -> str | None:
    """Say where in the collection a file of the tree is; None: nowhere."""
    if any(fnmatch(name, pattern) for pattern in NOT):
        return None
    for pattern, old, new in PLACES:
        if fnmatch(name, pattern):
            return new + name.removeprefix(old)
    return None


def lay_out(folder: Path) -> None:
    """Make the collection's tree."""
    for name in tracked():
        to = place(name)
        if to is None or not (ROOT / name).exists():
            continue
        (folder / to).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / to)  # what a link leads to
        if name.endswith((".yml", ".py", ".md")) and not name.startswith("python/"):
            whole = (folder / to).read_text()
            (folder / to).write_text(_MODULE.sub(r"\1so1.so1.\2", whole))
        if to == "README.md":
            (folder / to).write_text((folder / to).read_text().replace("](../", "]("))
    needs = yaml.safe_load((ROOT / "requirements.yml").read_text())["collections"]
    galaxy = {
        **METADATA,
        "version": version(),
        "dependencies": {one["name"]: one["version"] for one in needs},
    }
    # One that ansible-test ignores has to give its reason on its own line.
    package = sorted(path.relative_to(folder) for path in folder.glob("python/src/**/*.py"))
    ignored = [f"{path} pylint!skip # ruff and mypy check the package" for path in package]
    core = ".".join(metadata.version("ansible-core").split(".")[:2])
    for name, text in (
        ("galaxy.yml", yaml.safe_dump(galaxy, sort_keys=False)),
        ("meta/runtime.yml", "---\n" + yaml.safe_dump(RUNTIME)),
        ("tests/config.yml", "---\n" + yaml.safe_dump(TESTED)),
        (f"tests/sanity/ignore-{core}.txt", "\n".join([*ignored, ""])),
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def build(to: Path) -> Path:
    """Lay out and build; return the archive."""
    to.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="so1-collection-") as work:
        # ansible-test knows a collection by such a path.
        folder = Path(work, "ansible_collections/so1/so1")
        folder.mkdir(parents=True)
        lay_out(folder)
        command = ["ansible-galaxy", "collection", "build", "--force", "--output-path", str(to)]
        subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return to / f"so1-so1-{version()}.tar.gz"


def install(to: Path) -> None:
    """Build, and install into a folder for ANSIBLE_COLLECTIONS_PATH, in place of one before.

    The collections that it depends on come with the package `ansible`.
    """
    with tempfile.TemporaryDirectory(prefix="so1-collection-") as work:
        command = ["ansible-galaxy", "collection", "install", str(build(Path(work)))]
        subprocess.run(
            [*command, "--force", "--offline", "--no-deps", "--collections-path", str(to)],
            # Or Ansible warns that it would not look there.
            env={**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(to)},
            check=True,
            stdout=subprocess.DEVNULL,
        )


def main() -> None:
    """Build, or build and install; prints the archive or the folder."""
    asked = argparse.ArgumentParser(prog="python -m scripts.collection")
    asked.add_argument("folder", nargs="?", type=Path, default=ROOT / "dist")
    asked.add_argument("--install", metavar="FOLDER", type=Path)
    given = asked.parse_args()
    if given.install:
        install(given.install.resolve())
        print(given.install)
    else:
        print(build(given.folder.resolve()))


if __name__ == "__main__":
    main()
