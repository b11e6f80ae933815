# SPDX-License-Identifier: MIT
"""One version, in one place: the package's."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib

from scripts import collection, suites
from so1 import __version__
from tests.support.plays import REPOSITORY

KEPT = {
    # What a module of the kernel calls itself: it is built anew on every host where that changes.
    *("kernel/procinfo/dkms.conf", "kernel/procinfo/so1_version.h"),
    *("kernel/memlimit/dkms.conf", "kernel/memlimit/so2_version.h"),
}


def test_everything_has_it_from_the_package() -> None:
    told = subprocess.run(
        [sys.executable, "-m", "so1.cli", "--version"], capture_output=True, text=True, check=False
    )
    project = tomllib.loads((REPOSITORY / "python/pyproject.toml").read_text())
    assert project["project"]["dynamic"] == ["version"]
    assert project["tool"]["hatch"]["version"]["path"] == "src/so1/__init__.py"
    assert "version" not in project["project"]
    assert collection.version() == __version__
    assert told.returncode == 0


def test_the_newest_change_is_of_this_version() -> None:
    text = (REPOSITORY / "CHANGELOG.md").read_text()
    headings = re.findall(r"^## ([0-9.]+)", text, re.MULTILINE)
    assert headings[0] == __version__
    assert len(set(headings)) == len(headings)


def test_no_other_file_has_it_as_its_own() -> None:
    assigned = re.compile(rf'(?i)version_*"?\s*[:=]\s*"?{re.escape(__version__)}\b')
    found = {
        name
        for name in suites.tracked()
        if (REPOSITORY / name).is_file()
        and not name.endswith((".png", ".json"))
        and assigned.search((REPOSITORY / name).read_text(errors="replace"))
    }
    assert found - KEPT == {"python/src/so1/__init__.py"}
