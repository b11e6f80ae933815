# SPDX-License-Identifier: MIT
"""A suite is left out of the proof only where nothing that could change its outcome has changed."""

from __future__ import annotations

import json
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest

from scripts import suites

ROOT = Path(__file__).parents[2]
TRACKED = suites.tracked()


def test_every_file_is_an_input_of_a_suite_that_runs_what_it_says() -> None:
    """Lint takes all files, so it proves nothing here."""
    inputs = {
        name
        for title, suite in suites.SUITES.items()
        if title != "lint"
        for name in suite.files(TRACKED)
    }
    none = {name for name in TRACKED if any(fnmatch(name, one) for one in suites.NONE)}
    assert len(none) < 12
    assert set(TRACKED) - inputs - none == set()


def test_every_pattern_has_a_file() -> None:
    patterns = {*suites.HARNESS, *suites.NONE} - {suites.RECORD}
    for suite in suites.SUITES.values():
        patterns |= {*suite.inputs, *suite.but}
    assert [p for p in patterns if not any(fnmatch(name, p) for name in TRACKED)] in (
        [],
        [suites.RECORD],
    )


def test_the_kernel_s_guest_imports_nothing_that_is_not_an_input() -> None:
    program = (
        "import sys; sys.path.insert(0, 'library')\n"
        "import so1.cli, so1.memory_limiter, so1.commands.limit\n"
        "print(*(m.__file__ for n, m in sys.modules.items() if n.split('.')[0] == 'so1'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True
    )
    imported = {str(Path(name).relative_to(ROOT)) for name in done.stdout.split()}
    assert "python/src/so1/memory_limiter.py" in imported
    assert imported - set(suites.SUITES["kernel"].files(TRACKED)) == set()


@pytest.mark.parametrize(
    ("file", "titles"),
    [
        ("kernel/procinfo/sysinfo.c", {"lint", "kernel", "default", "fleet", "unit"}),
        ("kernel/tests/reads.c", {"lint", "kernel"}),
        ("roles/so1_prometheus/tasks/main.yml", {"lint", "default", "fleet", "unit", "engine"}),
        ("roles/workload/tasks/main.yml", {"lint", "default", "fleet", "unit", "engine"}),
        ("molecule/default/verify.yml", {"lint", "default", "unit"}),
        ("grafana/generator/panel.py", {"lint", "default", "unit", "engine"}),
        ("requirements-dev.txt", set(suites.SUITES)),
        ("lab/vm.py", {"lint", "default", "fleet", "unit"}),
    ],
)
def test_a_file_is_an_input_where_it_matters(file: str, titles: set[str]) -> None:
    assert file in TRACKED
    found = {title for title, suite in suites.SUITES.items() if file in suite.files(TRACKED)}
    assert titles <= found


def test_a_fingerprint_is_of_names_contents_and_modes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(suites, "ROOT", tmp_path)
    (tmp_path / "a").write_text("one")
    seen = [suites.fingerprint(["a"])]
    (tmp_path / "a").write_text("two")
    seen.append(suites.fingerprint(["a"]))
    (tmp_path / "a").chmod(0o755)
    seen.append(suites.fingerprint(["a"]))
    (tmp_path / "a").rename(tmp_path / "b")
    seen += [suites.fingerprint(["b"]), suites.fingerprint(["a"])]
    (tmp_path / "a").symlink_to("b")
    seen.append(suites.fingerprint(["a"]))
    assert len(set(seen)) == len(seen)


def test_a_pass_is_noted_unless_its_inputs_changed_meanwhile(tmp_path: Path) -> None:
    path = tmp_path / "proofs.json"
    inputs = suites.fingerprint(suites.SUITES["kernel"].files(suites.tracked()))
    suites.passed("kernel", "others", 3, path)
    assert suites.record(path) == {}
    suites.passed("kernel", inputs, 3.4, path)
    suites.passed("fleet", suites.fingerprint(suites.SUITES["fleet"].files(TRACKED)), 2, path)
    noted = suites.record(path)
    assert set(noted) == {"kernel", "fleet"}
    assert noted["kernel"]["inputs"] == inputs
    assert noted["kernel"]["seconds"] == 3


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "null", '{"kernel": 1}', '{"kernel": {"inputs": "x"}}', '{"other": {}}'],
)
def test_a_record_that_is_none_counts_for_nothing(tmp_path: Path, content: str) -> None:
    path = tmp_path / "proofs.json"
    path.write_text(content)
    assert suites.record(path) == {}


def test_the_record_in_the_repository_is_of_suites_there_are() -> None:
    if (ROOT / suites.RECORD).exists():
        assert set(json.loads((ROOT / suites.RECORD).read_text())) <= set(suites.SUITES)
