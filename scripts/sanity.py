# SPDX-License-Identifier: MIT
"""make sanity: runs `ansible-test sanity` on the collection, and lists what each test found.

Its tests run in venvs of their own, which are kept in the cache.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from scripts import collection
from scripts.suites import ROOT

PIP = "24.2"
"""The pip that ansible-test of requirements.txt puts into its venvs."""
BOOTSTRAP = f'''\
"""Stands for get-pip.py, which ansible-test downloads from a server of its own otherwise."""

import runpy
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).with_name("pip-{PIP}-py3-none-any.whl")))
sys.argv[1:] = ["install", *(a for a in sys.argv[1:] if not a.startswith("--no-"))]
runpy.run_module("pip", run_name="__main__", alter_sys=True)
'''
MISSING = "this machine has no such Python"
OLD = "the modules need Python 3.11"
NOTHING = {
    "changelog": "is for antsibull-changelog; CHANGELOG.md is written by hand",
    "empty-init": "is for module_utils; the collection has none",
    "pslint": "is for PowerShell; the collection has none",
    **{f"{test} 3.{minor}": OLD for test in ("compile", "import") for minor in (8, 9, 10)},
}
"""Why a test finds nothing to look at; any other should find something."""

_RUNNING = re.compile(r'Running sanity test "(.+)"(?: on Python (.+))?$')
_SKIPPED = re.compile(r'WARNING: Skipping sanity test "(.+?)"(?: on Python (\S+))? (.+)\.$')


def prepare(home: Path) -> None:
    """Put the pip of the venvs where ansible-test looks before it downloads anything."""
    cache = home / ".ansible/test/cache"
    cache.mkdir(parents=True, exist_ok=True)
    if not (cache / f"pip-{PIP}-py3-none-any.whl").exists():
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        subprocess.run([*pip, "--dest", str(cache), f"pip=={PIP}"], check=True)
    (cache / f"get_pip_{PIP.replace('.', '_')}.py").write_text(BOOTSTRAP)


def results(output: str) -> dict[str, str]:
    """Tell of each test what came of it: passed, failed, or that it was left out, and why."""
    found: dict[str, str] = {}
    current = ""
    for line in output.splitlines():
        # All warnings are said once more at the end.
        if line.startswith("WARNING: Reviewing previous"):
            break
        if running := _RUNNING.match(line):
            current = " ".join(part for part in running.groups() if part)
            found[current] = "passed"
        elif skipped := _SKIPPED.match(line):
            test, python, why = skipped.groups()
            name = test if test in found else f"{test} {python}"
            found[name] = f"left out: {MISSING if 'could not be found' in why else why}"
        elif current and line == "No tests applicable.":
            found[current] = f"left out: {NOTHING.get(current, 'it found nothing to look at')}"
        elif current and line.startswith("ERROR: "):
            found[current] = "failed"
    return found


def whole(found: dict[str, str]) -> bool:
    """Say whether every test passed that is not left out for one of the known reasons."""
    left_out = {f"left out: {reason}" for reason in (MISSING, *NOTHING.values())}
    return bool(found) and {*found.values()} <= {"passed", *left_out}


def main() -> int:
    """Lay the collection out, run the tests, tell."""
    cache = Path(os.environ.get("SO1_CACHE", ROOT / ".cache")).resolve()
    home = cache / "sanity"
    prepare(home)
    with tempfile.TemporaryDirectory(prefix="so1-sanity-") as work:
        # ansible-test knows a collection by such a path.
        folder = Path(work, "ansible_collections/so1/so1")
        folder.mkdir(parents=True)
        collection.lay_out(folder)
        done = subprocess.run(
            ["ansible-test", "sanity", "--color", "no", "-v", *sys.argv[1:]],
            cwd=folder,
            env={**os.environ, "HOME": str(home)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
    found = results(done.stdout)
    clean = done.returncode == 0 and whole(found)
    if not clean:
        print(done.stdout)
    for name, result in found.items():
        print(f"{name:24}{result}")
    return 0 if clean else 1


if __name__ == "__main__":
    sys.exit(main())
