# SPDX-License-Identifier: MIT
"""The alert rules: Prometheus' own tool judges them, and each has a test in which it fires."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from so1.exposition.families import Families
from tests.so1.exposition.samples import series, text, told

FOLDER = Path(__file__).parents[2] / "prometheus"
RULES = FOLDER / "so1.rules.yml"
TESTS = FOLDER / "tests/so1.test.yml"


def promtool(*command: str | Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["promtool", *map(str, command)], capture_output=True, text=True, timeout=60, check=False
    )


def rules() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load(RULES.read_text())["groups"]
    found: list[dict[str, Any]] = group["rules"]
    return found


def test_promtool_finds_nothing() -> None:
    done = promtool("check", "rules", "--lint=all", "--lint-fatal", RULES)
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_does_what_its_test_says() -> None:
    done = promtool("test", "rules", TESTS)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_wrong_rule_would_be_found(tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests/so1.test.yml").write_text(TESTS.read_text())
    (tmp_path / "so1.rules.yml").write_text(RULES.read_text().replace("== 0", "== 7", 1))
    assert promtool("test", "rules", tmp_path / "tests/so1.test.yml").returncode != 0


def test_each_fires_in_a_test_and_in_another_moment_does_not() -> None:
    fires: set[str] = set()
    silent: set[str] = set()
    for group in yaml.safe_load(TESTS.read_text())["tests"]:
        for case in group["alert_rule_test"]:
            (fires if case.get("exp_alerts") else silent).add(case["alertname"])
    names = {rule["alert"] for rule in rules()}
    assert fires == silent == names


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: str(rule["alert"]))
def test_each_says_what_to_do(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in ("info", "warning", "critical")
    summary = rule["annotations"]["summary"]
    assert "$labels.instance" in summary
    assert ":" in summary
    assert summary.endswith(".")


def test_every_metric_is_one_that_the_daemon_serves() -> None:
    served = {name for name, _ in series(text(Families(), told()))}
    for rule in rules():
        asked = set(re.findall(r"\bso1_\w+", rule["expr"]))
        assert asked <= served, rule["alert"]
        assert asked or "up{" in rule["expr"]
