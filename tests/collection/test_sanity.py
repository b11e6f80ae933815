# SPDX-License-Identifier: MIT
"""`make sanity` has what it needs, and says of every test whether it was run."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from scripts import collection, sanity

if TYPE_CHECKING:
    from tests.collection.conftest import Installed

GOOD = """\
Read 2 sanity test ignore line(s) for Ansible 2.19 from: tests/sanity/ignore-2.19.txt
Running sanity test "changelog"
No tests applicable.
Running sanity test "compile" on Python 3.8
No tests applicable.
Running sanity test "compile" on Python 3.11
WARNING: Skipping sanity test "compile" on Python 3.12 because it could not be found.
Running sanity test "yamllint"
WARNING: Reviewing previous 1 warning(s):
WARNING: Skipping sanity test "compile" on Python 3.12 because it could not be found.
"""


def test_each_test_is_listed_with_what_came_of_it() -> None:
    found = sanity.results(GOOD)
    assert found == {
        "changelog": "left out: is for antsibull-changelog; CHANGELOG.md is written by hand",
        "compile 3.8": "left out: the modules need Python 3.11",
        "compile 3.11": "passed",
        "compile 3.12": "left out: this machine has no such Python",
        "yamllint": "passed",
    }
    assert sanity.whole(found)


@pytest.mark.parametrize(
    ("line", "result"),
    [
        ("ERROR: Found 2 yamllint issue(s) which need to be resolved:", "failed"),
        ("No tests applicable.", "left out: it found nothing to look at"),
        (
            'WARNING: Skipping sanity test "yamllint" on Python 3.11 due to missing libyaml.',
            "left out: due to missing libyaml",
        ),
    ],
)
def test_what_should_have_been_tested_and_was_not_is_no_success(line: str, result: str) -> None:
    found = sanity.results(GOOD.replace('"yamllint"', f'"yamllint"\n{line}'))
    assert found["yamllint"] == result
    assert not sanity.whole(found)


def test_no_test_at_all_is_no_success() -> None:
    assert not sanity.whole(sanity.results("FATAL: no such command\n"))


def test_the_pip_is_the_one_that_is_asked_for() -> None:
    found = importlib.util.find_spec("ansible_test")
    assert found
    assert found.origin
    source = Path(found.origin).parent / "_internal/python_requirements.py"
    assert re.findall(r"^ +pip='(.+)',$", source.read_text(), re.MULTILINE) == [sanity.PIP]


def test_what_stands_for_get_pip_runs_the_pip_beside_it(tmp_path: Path) -> None:
    """Called as ansible-test calls it."""
    cache = tmp_path / ".ansible/test/cache"
    (cache / f"pip-{sanity.PIP}-py3-none-any.whl/pip").mkdir(parents=True)
    pip = cache / f"pip-{sanity.PIP}-py3-none-any.whl/pip/__main__.py"
    pip.write_text("import json, sys; print(json.dumps(sys.argv[1:]))")
    (pip.parent / "__init__.py").touch()
    sanity.prepare(tmp_path)
    asked = ["--disable-pip-version-check", "pip==24.2", "--no-setuptools", "--no-wheel"]
    program = "import runpy, sys; sys.path.insert(0, sys.argv.pop(1)); "
    program += "runpy.run_module('get_pip_24_2', run_name='__main__', alter_sys=True)"
    done = subprocess.run(
        [sys.executable, "-c", program, cache, *asked], check=True, stdout=subprocess.PIPE
    )
    assert json.loads(done.stdout) == ["install", "--disable-pip-version-check", "pip==24.2"]


def test_nothing_but_the_package_is_left_out_of_a_test(installed: Installed) -> None:
    (file,) = (installed.root / "tests/sanity").iterdir()
    lines = file.read_text().splitlines()
    assert len(lines) == len([*installed.root.glob("python/src/**/*.py")])
    assert all(re.fullmatch(r"python/src/\S+\.py pylint!skip # .+", line) for line in lines)
    assert collection.TESTED["modules"]["python_requires"] == ">=3.11"
